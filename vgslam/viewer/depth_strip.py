"""Keyframes and their depth side by side, put together as one picture: axes for each take four times as long."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from vgslam.types import Array, Image, Keyframe
from vgslam.viewer.style import DOTS_PER_INCH, new_figure, say

CELL_PX, GAP_PX = 264, 6  # width of a keyframe in the plot, and what is left between two
LEFT_PX, LINE_PX = 40, 34  # room for the names of the two rows, and for a line of writing
INK = "#808080"  # read on light and on dark ground, as the picture has none of its own
LETTERS, SMALL_LETTERS = 14, 13  # sizes of the writing, in points: a page shows the picture at two thirds of its size
RANGE_PERCENTILES = 2, 98
"""Colours go from the nearest to the farthest depth but for these: a few wrong ones do not stretch them."""


def depth_strip(keyframes: Sequence[Keyframe], n_columns: int = 6, title: str = "", unit: str = "") -> Figure:
    """Evenly chosen keyframes that have depth: image above, depth below (near to far, each in its own range). unit: of
    lengths in their world."""
    with_depth = [k for k in keyframes if k.depth is not None and (k.depth > 0).any()]
    if not with_depth:
        figure = new_figure(6.0, 2.0)
        say(figure.add_subplot(), "no keyframe has depth")
        return figure
    n = min(n_columns, len(with_depth))
    chosen = [with_depth[i] for i in np.unique(np.linspace(0, len(with_depth) - 1, n).round().astype(int))]
    height, width = chosen[0].image.shape[:2]
    cell = CELL_PX, max(1, round(CELL_PX * height / width))
    size = LEFT_PX + len(chosen) * (CELL_PX + GAP_PX), 2 * cell[1] + GAP_PX + 3 * LINE_PX
    figure = Figure(figsize=(size[0] / DOTS_PER_INCH, size[1] / DOTS_PER_INCH), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    figure.patch.set_alpha(0.0)

    def write(x: float, y: float, words: str, **how: Any) -> None:
        figure.text(x / size[0], y / size[1], words, va="center", color=INK, **how)

    picture = np.zeros((2 * cell[1] + GAP_PX, size[0] - LEFT_PX, 4), np.uint8)
    for column, keyframe in enumerate(chosen):
        assert keyframe.depth is not None
        depth = keyframe.S_world_keyframe.s * keyframe.depth
        near, far = depth_range(depth)
        left = column * (CELL_PX + GAP_PX)
        picture[: cell[1], left : left + CELL_PX] = _fitted(keyframe.image, cell)
        picture[-cell[1] :, left : left + CELL_PX] = _fitted(_in_colours(depth, near, far), cell)
        middle = LEFT_PX + left + CELL_PX / 2
        write(middle, LINE_PX * 1.5 + len(picture), f"frame {keyframe.frame_id}", ha="center", fontsize=LETTERS)
        write(middle, LINE_PX / 2, f"{near:.2g} to {far:.2g} {unit}".rstrip(), ha="center", fontsize=SMALL_LETTERS)
    figure.figimage(picture, LEFT_PX, LINE_PX, origin="upper")
    for name, y in (("depth", LINE_PX + cell[1] / 2), ("image", LINE_PX + GAP_PX + cell[1] * 1.5)):
        write(LEFT_PX / 2, y, name, ha="center", rotation=90, fontsize=LETTERS)
    write(LEFT_PX, size[1] - LINE_PX / 2, title, ha="left", fontsize=LETTERS)
    write(size[0] - GAP_PX, size[1] - LINE_PX / 2, "red is near, blue is far, black is not known", ha="right",
          fontsize=SMALL_LETTERS)  # fmt: skip
    return figure


def depth_range(depth: Array) -> tuple[float, float]:
    """The nearest and the farthest depth of (H,W) that have colours of their own; those that are not known are 0."""
    near, far = np.percentile(depth[depth > 0], RANGE_PERCENTILES)
    return float(near), float(far)


def _in_colours(depth: Array, near: float, far: float) -> Image:
    """Depth (H,W) in colours, warm where it is near; black where it is not known."""
    colours = colormaps["turbo_r"](Normalize(near, max(far, near * 1.001))(depth), bytes=True)[..., :3]
    return np.where((depth > 0)[..., None], colours, np.uint8(0))


def _fitted(picture: Image, size: tuple[int, int]) -> Image:
    """A picture as RGBA on nothing of (width, height) px, as large as there is room: averaged where smaller, repeated
    where larger."""
    height, width = picture.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    shown = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    out = np.zeros((size[1], size[0], 4), np.uint8)
    x, y = (size[0] - w) // 2, (size[1] - h) // 2
    out[y : y + h, x : x + w, :3], out[y : y + h, x : x + w, 3] = shown, 255
    return out
