"""The 3-D view's data as the page holds it: JSON with little-endian arrays in base64."""

import base64
import json
from typing import Any

import numpy as np

from vgslam.results.page.scene import Scene
from vgslam.types import Array

STEPS = 65535
"""Steps of a coordinate within the box of the points: 16 bits."""


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
