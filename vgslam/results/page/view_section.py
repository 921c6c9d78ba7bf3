"""The section with the 3-D view."""

from vgslam.results.page import html
from vgslam.results.page.packing import packed
from vgslam.results.page.run_data import RunData
from vgslam.results.page.scene import Scene, Toggle, scene_of

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
