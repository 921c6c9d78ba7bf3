"""Paths of several runs over one another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from vgslam.types import Array
from vgslam.viewer.plots import finish_view, widest_axes
from vgslam.viewer.style import COMPONENT_COLORS, TRUTH_COLOR, new_figure, say, style_axes

STYLES = ("-", "--", ":", "-.")
"""Lines of the runs beyond the first round of colours."""


@dataclass(frozen=True)
class RunPath:
    """The path of a run, in pieces."""

    name: str
    pieces: Sequence[Array]
    """Positions (N,3) of each piece, in the common frame."""


def run_color(index: int) -> str:
    """The colour of a run by its place among those compared."""
    return COMPONENT_COLORS[index % len(COMPONENT_COLORS)]


def overlaid_paths(paths: Sequence[RunPath], truth: Array | None, is_metric: bool, title: str = "") -> Figure:
    """Seen along the axis of least extent; runs by colour, the truth (N,3) below them."""
    figure = new_figure(8.0, 7.0)
    axes = figure.add_subplot()
    style_axes(axes)
    drawn = [piece for path in paths for piece in path.pieces] + ([] if truth is None else [truth])
    if not drawn:
        say(axes, "no path could be aligned")
        return figure
    plane = widest_axes(np.concatenate(drawn))
    if truth is not None:
        axes.plot(*truth[:, plane].T, color=TRUTH_COLOR, linewidth=4.0, alpha=0.4, label="truth", zorder=2)
    for i, path in enumerate(paths):
        style = STYLES[i // len(COMPONENT_COLORS) % len(STYLES)]
        for k, piece in enumerate(path.pieces):
            # a leading underscore keeps a line out of the legend
            label = "_piece" if k else f" {path.name}" if path.name.startswith("_") else path.name
            axes.plot(*piece[:, plane].T, color=run_color(i), linestyle=style, linewidth=1.5, label=label, zorder=3 + i)
    finish_view(axes, plane, is_map_unit=not is_metric, is_camera_frame=truth is None)
    axes.set_title(title, loc="left", fontsize=11)
    axes.legend(loc="best", fontsize=9, framealpha=0.9)
    return figure
