"""The page as a whole."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from vgslam.results.page import html, sections
from vgslam.results.page.run_data import RunData
from vgslam.results.page.scene import Scene, Toggle, scene_of
from vgslam.types import Array, Edge


def page(data: RunData, edges: Sequence[Edge] = ()) -> str:
    """HTML of a run: no request leaves it. edges: those that close a loop or join sessions, of the run's saved map."""
    parts = [
        sections.headline(data), sections.warnings(data), view(data), sections.path(data),
        sections.errors(data), sections.status(data), sections.live(data), sections.relocalizations(data),
        sections.loops(data, edges), sections.refinement(data), sections.adaptation(data),
        sections.depth(data), sections.timings(data), sections.circumstances(data),
    ]  # fmt: skip
    subtitle = f"{data.report.get('source_kind') or 'run'}, {data.path.resolve().name}"
    return html.document(data.name, data.name, subtitle, "".join(parts), html.script())


FALLBACK = (
    "This browser shows no 3-D here: it has no WebGL 2, or scripts are off. The path from above is in the next section."
)
HELP = (
    "Drag to turn, with Shift or the right button to move, wheel to zoom (after a click). Keys: arrows turn, Shift and "
    "arrows move, + and − zoom, R resets. Touch: one finger turns, two move and zoom."
)


def view(data: RunData) -> str:
    """Cloud, path, keyframes and loops to look at from all sides; empty if no frame has a pose."""
    scene = scene_of(data)
    if scene is None:
        return ""
    toggles = "".join(_toggle(i, t) for i, t in enumerate(scene.toggles))
    buttons = "".join(
        f'<button type="button" data-move="{move}">{name}</button>'
        for move, name in (("reset", "reset view"), ("above", "from above"))
    )
    box = (
        f'<div class="view"><canvas tabindex="0" role="application" aria-label="{html.escape(_label(scene))}"></canvas>'
        f'<p class="fallback">{html.escape(FALLBACK)}</p>'
        f'<div class="controls">{toggles}{buttons}</div></div>'
        f'<script type="application/json" id="scene">{packed(scene)}</script>'
    )
    notes = [html.paragraph(note) for note in scene.notes]
    return html.section("3-D view", *notes, box, html.paragraph(_caption(scene), "hint"),
                        html.paragraph(HELP, "hint screen"))  # fmt: skip


def _toggle(index: int, toggle: Toggle) -> str:
    checked = " checked" if toggle.is_shown else ""
    color = f"var({toggle.color})" if toggle.color.startswith("--") else toggle.color
    mark = f'<i style="background:{color}"></i>' if color else '<i class="cloud"></i>'
    return f'<label><input type="checkbox"{checked}>{mark}{html.escape(toggle.name)}</label>'


def _caption(scene: Scene) -> str:
    cloud = ""
    if len(scene.points):
        kept, n = len(scene.points), scene.n_cloud
        cloud = f"{n:,} points. " if kept == n else f"{kept:,} of the {n:,} points of the cloud. "
    return f"{cloud}A square of the grid is {scene.grid_step:g} {scene.unit} wide."


def _label(scene: Scene) -> str:
    parts = [f"{len(scene.points):,} points"] if len(scene.points) else []
    what = ", ".join([*parts, f"{scene.n_keyframes} keyframes", f"{scene.n_loops} loops"])
    return f"3-D view of the map: {what}. Arrow keys turn it, with Shift they move it, plus and minus zoom, R resets."


STEPS = 65535  # steps of a coordinate within the box of the points: 16 bits


def packed(scene: Scene) -> str:
    """JSON that is safe within a script element: no `<` is in it."""
    lines = [
        {
            "toggle": line.toggle, "color": line.color, "width": line.width_px, "n": len(line.segments),
            "segments": _base64(line.segments.astype("<f4")),
        }
        for line in scene.lines
    ]  # fmt: skip
    told = {"points": _points(scene) if len(scene.points) else None, "lines": lines}
    return json.dumps(told, allow_nan=False).replace("<", "\\u003c")


def _points(scene: Scene) -> dict[str, Any]:
    low, size, steps = quantised(scene.points)
    return {
        "toggle": scene.points_toggle, "n": len(steps), "low": low.tolist(), "size": size.tolist(),
        "positions": _base64(steps), "colors": _base64(scene.colors),
    }  # fmt: skip


def quantised(points: Array) -> tuple[Array, Array, Any]:
    """Lowest corner and size (3,) of the box of the points (N,3), N > 0, and each coordinate in steps (N,3) uint16:
    low + size * steps / 65535 is off by half a step at most."""
    low = points.min(axis=0)
    size = points.max(axis=0) - low
    steps = np.rint((points - low) / np.where(size > 0, size, 1.0) * STEPS).astype("<u2")
    return low, size, steps


def _base64(array: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
