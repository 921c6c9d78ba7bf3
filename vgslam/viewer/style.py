"""Colours (Okabe and Ito's, told apart with colour blindness), figures without a display, and their PNG."""

from io import BytesIO

import cv2
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vgslam.types import Status
from vgslam.viewer.lettering import plain_writing

COMPONENT_COLORS = ("#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#7F3C8D", "#B8A800")
DOTS_PER_INCH = 110  # resolution of plots
PNG_LEVEL = 4  # compression of plots, 0 to 9: files hardly become smaller beyond it, in three times the time
TRUTH_COLOR = "#5A5A5A"
LOST_COLOR = "#D62728"
STATUS_COLORS = {
    Status.INITIALIZING: "#BDBDBD",
    Status.TRACKED: "#4C9F70",
    Status.RELOCALIZED: "#56B4E9",
    Status.LOST: LOST_COLOR,
    Status.UNSURE: "#E69F00",
}

_DARK = """
@media screen and (prefers-color-scheme: dark) {
  g[id^="patch_"] > path[style*="fill: #ffffff"] { fill: #16181b !important; }
  [style*="stroke: #000000"] { stroke: #c8cbd0 !important; }
  [style*="stroke: #e6e6e6"] { stroke: #33373c !important; }
  [style*="stroke: #cccccc"] { stroke: #4a4f55 !important; }
  [style*="stroke: #5a5a5a"] { stroke: #a3a7ad !important; }
  g[id^="text_"] { fill: #c8cbd0; }
}
"""
"""What is black, white or grey in a figure's SVG, on a dark screen."""


def component_color(component_id: int) -> str:
    """Colour of a component, the same in every plot."""
    return COMPONENT_COLORS[component_id % len(COMPONENT_COLORS)]


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure that needs no display and no global state; sizes in inches at 110 dots an inch."""
    figure = Figure(figsize=(width_in, height_in), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def new_time_figure(height_in: float) -> Figure:
    """An empty figure over time. All have the same margins: set below one another, a time has one place in all."""
    figure = Figure(figsize=(9.0, height_in), dpi=110)
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.095, right=0.86, bottom=0.5 / height_in, top=1 - 0.35 / height_in, hspace=0.14)
    return figure


def style_axes(axes: Axes) -> None:
    """Light grid, no box."""
    axes.grid(True, color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def say(axes: Axes, message: str) -> None:
    """An empty plot that says why."""
    axes.text(0.5, 0.5, message, ha="center", va="center", transform=axes.transAxes, color=TRUTH_COLOR)
    axes.set_xticks([])
    axes.set_yticks([])


def png_bytes(figure: Figure) -> bytes:
    """The figure as PNG, on white unless its ground is transparent, the same bytes for the same figure, drawn once
    (`savefig` draws twice, to find its layout)."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    has_ground = figure.patch.get_alpha() != 0
    if has_ground:
        figure.set_facecolor("white")
    with plain_writing(figure):
        canvas.draw()
    order = cv2.COLOR_RGBA2BGR if has_ground else cv2.COLOR_RGBA2BGRA
    colors = cv2.cvtColor(np.asarray(canvas.buffer_rgba()), order)
    _, data = cv2.imencode(".png", colors, [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])
    return data.tobytes()


def svg_bytes(figure: Figure) -> bytes:
    """The figure as SVG, the same bytes for the same figure."""
    buffer = BytesIO()
    with rc_context({"svg.hashsalt": "vgslam"}), plain_writing(figure):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    return buffer.getvalue()


def themed_svg_bytes(figure: Figure) -> bytes:
    """As `svg_bytes`, on no ground of its own, and light on dark where the reader's screen is dark."""
    svg = svg_bytes(figure)
    head = svg.index(b">", svg.index(b"<svg")) + 1
    return svg[:head] + b"\n<style>" + _DARK.encode("ascii") + b"</style>" + svg[head:]


def order_of_appearance(component_ids: np.ndarray) -> list[int]:
    """Component ids in the order in which they first occur."""
    return list(dict.fromkeys(component_ids.tolist()))
