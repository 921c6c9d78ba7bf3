"""Plots of a run: the path from above, errors and statuses. Every function returns a new figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from vgslam.geometry.sim3 import Sim3
from vgslam.types import Array, Ids, Status, Trajectory
from vgslam.viewer.style import (
    COMPONENT_COLORS,
    LOST_COLOR,
    STATUS_COLORS,
    TRUTH_COLOR,
    component_color,
    new_figure,
    new_time_figure,
    order_of_appearance,
    say,
    style_axes,
)


@dataclass(frozen=True)
class ErrorCurve:
    """Errors of one component over time."""

    component_id: int
    timestamps_s: Array  # (N,)
    position_error_m: Array  # (N,)
    rotation_error_deg: Array  # (N,)


def top_view(
    estimate: Trajectory,
    truth: Trajectory | None = None,
    S_truth_estimate: Mapping[int, Sim3] | None = None,
    lost_timestamps_s: Array | None = None,
    title: str = "",
) -> Figure:
    """The path along its two axes of largest extent, each component in its colour, on the truth if there is one.
    S_truth_estimate aligns components, by id, to the truth; one without is left out of the plot and named in it.
    lost_timestamps_s: times of frames without a pose, shown in red on the truth, or as a dotted bridge without one."""
    figure = new_figure(6.6, 5.8)
    axes = figure.add_subplot()
    style_axes(axes)
    lost = np.zeros(0) if lost_timestamps_s is None else np.asarray(lost_timestamps_s, np.float64)
    pieces, left_out = _aligned_pieces(estimate, truth, S_truth_estimate or {})
    truth_path = None if truth is None or not len(truth) else _truth_of_run(truth, estimate, lost)
    drawn = [points for _, _, points in pieces] + ([] if truth_path is None else [truth_path[1]])
    if not drawn:
        say(axes, "no frame has a pose")
        return figure
    horizontal, vertical = widest_axes(np.concatenate(drawn))
    if truth_path is not None:
        _draw_truth(axes, truth_path, estimate, lost, (horizontal, vertical))
    several = len(order_of_appearance(estimate.component_ids)) > 1
    for component, times, points in pieces:
        label = f"component {component}" if several else "estimate"
        plane = points[:, [horizontal, vertical]]
        _draw_piece(axes, plane, component_color(component), label, _breaks(times, lost), truth is None)
    _mark_ends(axes, pieces, (horizontal, vertical))
    finish_view(axes, (horizontal, vertical), truth is None and not estimate.is_metric, truth is None)
    notes = [title] if title else []
    notes += [f"not aligned, not drawn: component {', '.join(map(str, left_out))}"] if left_out else []
    axes.set_title("\n".join(notes), loc="left", fontsize=11)
    axes.legend(loc="best", fontsize=9, framealpha=0.9)
    return figure


def _aligned_pieces(
    estimate: Trajectory, truth: Trajectory | None, S_truth_estimate: Mapping[int, Sim3]
) -> tuple[list[tuple[int, Array, Array]], list[int]]:
    """Component id, times (N,) and positions (N,3) of what can be drawn, and the ids of what cannot."""
    pieces, left_out = [], []
    for component in order_of_appearance(estimate.component_ids):
        mine = estimate.component_ids == component
        points = estimate.T_world_cam[mine, :3, 3]
        if truth is not None and component not in S_truth_estimate:
            left_out.append(component)
            continue
        if truth is not None:
            points = S_truth_estimate[component].apply(points)
        pieces.append((component, estimate.timestamps_s[mine], points))
    return pieces, left_out


def _truth_of_run(truth: Trajectory, estimate: Trajectory, lost: Array) -> tuple[Array, Array]:
    """Times (N,) and positions (N,3) of the truth while the run lasted (all of it when nothing overlaps)."""
    times = np.concatenate([estimate.timestamps_s, lost])
    t, points = truth.timestamps_s, truth.T_world_cam[:, :3, 3]
    during = (t >= times.min(initial=np.inf) - 0.1) & (t <= times.max(initial=-np.inf) + 0.1)
    return (t[during], points[during]) if during.sum() > 1 else (t, points)


def widest_axes(points: Array) -> tuple[int, int]:
    """The two coordinate axes of largest extent, in order; x and z when there is none."""
    extent = np.ptp(points, axis=0)
    if extent.max() <= 0:
        return 0, 2
    first, second = sorted(np.argsort(-extent, kind="stable")[:2].tolist())
    return first, second


def _nearest_distance(times: Array, to: Array) -> Array:
    """Time (N,) from each of times to the nearest of `to` (M,), infinite when M = 0."""
    if not len(to):
        return np.full(len(times), np.inf)
    to = np.sort(to)
    after = np.clip(np.searchsorted(to, times), 0, len(to) - 1)
    return np.minimum(np.abs(to[after] - times), np.abs(to[np.maximum(after - 1, 0)] - times))


def _draw_truth(
    axes: Axes, truth: tuple[Array, Array], estimate: Trajectory, lost: Array, plane: tuple[int, int]
) -> None:
    times, points = truth
    flat = points[:, plane]
    axes.plot(*flat.T, color=TRUTH_COLOR, linewidth=4.0, alpha=0.4, solid_capstyle="butt", label="truth", zorder=2)
    is_lost = _nearest_distance(times, lost) < _nearest_distance(times, estimate.timestamps_s)
    if is_lost.any():
        red = flat.copy()
        red[~is_lost] = np.nan
        # a single lost sample has no line: the marker shows it
        axes.plot(
            *red.T, color=LOST_COLOR, linewidth=4.0, alpha=0.8, marker=".", markersize=4, label="no pose", zorder=3
        )


def _breaks(times: Array, lost: Array) -> Ids:
    """Indices i after which, before pose i + 1, frames are lost."""
    if len(times) < 2 or not len(lost):
        return np.zeros(0, np.int64)
    lost = np.sort(lost)
    return np.flatnonzero(np.diff(np.searchsorted(lost, times)) > 0)


def _draw_piece(axes: Axes, plane: Array, color: str, label: str, breaks: Ids, bridge: bool) -> None:
    """One component (N,2): a line interrupted at breaks, each bridged by red dots when `bridge`."""
    line = np.insert(plane, breaks + 1, np.nan, axis=0)
    marker = "." if len(plane) == 1 else None
    axes.plot(*line.T, color=color, linewidth=1.6, marker=marker, label=label, zorder=4)
    for i in breaks if bridge else []:
        ends = plane[[i, i + 1]]
        axes.plot(*ends.T, color=LOST_COLOR, linewidth=1.5, linestyle=":", zorder=3)
    if bridge and len(breaks) and "no pose" not in [text.get_label() for text in axes.get_lines()]:
        axes.add_line(Line2D([], [], color=LOST_COLOR, linewidth=1.5, linestyle=":", label="no pose"))


def _mark_ends(axes: Axes, pieces: list[tuple[int, Array, Array]], plane: tuple[int, int]) -> None:
    if not pieces:
        return
    first, last = min(pieces, key=lambda p: p[1][0]), max(pieces, key=lambda p: p[1][-1])
    ends = [(first[2][0], "o", "start"), (last[2][-1], "s", "end")]
    if sum(len(points) for _, _, points in pieces) == 1:
        ends = [(first[2][0], "o", "start, the only pose")]
    for point, marker, label in ends:
        axes.plot(
            *point[list(plane)], linestyle="none", marker=marker, markersize=9, label=label, zorder=6,
            markerfacecolor="white" if marker == "o" else "black", markeredgecolor="black", markeredgewidth=1.5,
        )  # fmt: skip


def finish_view(axes: Axes, plane: tuple[int, int], is_map_unit: bool, is_camera_frame: bool) -> None:
    """Names of the axes, with units, and one scale for both."""
    unit = "map units" if is_map_unit else "m"
    names = [f"{'xyz'[axis]} [{unit}]" for axis in plane]
    if is_camera_frame:  # the world is the first camera: say what its axes are, and show down as down
        names = [f"{'xyz'[axis]}, {('right', 'down', 'forward')[axis]} [{unit}]" for axis in plane]
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    is_point = axes.dataLim.width <= 0 and axes.dataLim.height <= 0
    axes.set_aspect("equal", adjustable="box" if is_point else "datalim")
    axes.margins(0.06)
    if is_point:
        x, y = axes.dataLim.x0, axes.dataLim.y0
        axes.set_xlim(x - 1, x + 1)
        axes.set_ylim(y - 1, y + 1)
    if is_camera_frame and plane[1] == 1:
        axes.invert_yaxis()


def error_over_time(
    curves: Sequence[ErrorCurve], title: str = "", span_s: tuple[float, float] | None = None
) -> Figure:  # fmt: skip
    """Position (m) and rotation (deg) error after alignment over time, RMSE of each component as a dotted line. span_s:
    `time_span_s` of the run's frames; with it time has the same place as in `status_over_time`."""
    figure = new_time_figure(5.0)
    if not curves:
        say(figure.add_subplot(), "no reference, or nothing to compare with it")
        return figure
    upper = figure.add_subplot(2, 1, 1)
    lower = figure.add_subplot(2, 1, 2, sharex=upper)
    start_s = min(curve.timestamps_s[0] for curve in curves) if span_s is None else span_s[0]
    for axes, name in ((upper, "position_error_m"), (lower, "rotation_error_deg")):
        style_axes(axes)
        for curve in sorted(curves, key=lambda c: c.timestamps_s[0]):
            _draw_error(axes, curve, getattr(curve, name), start_s)
        highest = max(float(getattr(curve, name).max()) for curve in curves)
        axes.set_ylim(0.0, 1.3 * highest or 1.0)  # room for the legend
        axes.legend(loc="upper left", fontsize=8, frameon=False, ncols=4)
    upper.set_ylabel("position error [m]")
    lower.set_ylabel("rotation error [°]")
    lower.set_xlabel("time [s]")
    upper.tick_params(labelbottom=False)
    upper.set_title(title, loc="left", fontsize=11)
    if span_s is not None:
        upper.set_xlim(0.0, span_s[1] - span_s[0])
    return figure


def _draw_error(axes: Axes, curve: ErrorCurve, error: Array, start_s: float) -> None:
    color = component_color(curve.component_id)
    t = curve.timestamps_s - start_s
    dt = np.diff(t)
    gaps = np.flatnonzero(dt > 3.0 * np.median(dt)) if len(dt) else np.zeros(0, np.int64)
    rmse = float(np.sqrt((error**2).mean()))
    label = f"component {curve.component_id}: RMSE {rmse:.3g}"
    axes.plot(
        np.insert(t, gaps + 1, np.nan), np.insert(error, gaps + 1, np.nan), color=color, linewidth=1.5, label=label
    )
    axes.plot([t[0], t[-1]], [rmse, rmse], color=color, linewidth=1.0, linestyle=":")


def time_span_s(timestamps_s: Array) -> tuple[float, float]:
    """When the first of the frames (N,), N > 0, begins and the last ends, which lasts as long as most."""
    step = float(np.median(np.diff(timestamps_s))) if len(timestamps_s) > 1 else 1.0
    return float(timestamps_s[0]), float(timestamps_s[-1]) + step


def status_over_time(
    timestamps_s: Array, statuses: Sequence[Status], component_ids: Ids, n_inliers: Ids | None = None, title: str = ""
) -> Figure:
    """Bars over time: the status of every frame (N,), the component of those with a pose, and inliers if given."""
    with_inliers = n_inliers is not None and len(n_inliers) > 0
    figure = new_time_figure(3.6 if with_inliers else 2.2)
    if not len(statuses):
        say(figure.add_subplot(), "no frames")
        return figure
    start_s, end_s = time_span_s(timestamps_s)
    edges = np.append(timestamps_s, end_s) - start_s
    grid = figure.add_gridspec(2 if with_inliers else 1, 1, height_ratios=[1.2, 1.0] if with_inliers else [1.0])
    bars = figure.add_subplot(grid[-1, 0])
    _draw_bars(bars, edges, list(statuses), np.asarray(component_ids))
    top = bars
    if n_inliers is not None and with_inliers:
        top = figure.add_subplot(grid[0, 0], sharex=bars)
        style_axes(top)
        top.fill_between(edges, np.append(n_inliers, n_inliers[-1]), step="post", color="#9CC3DD", linewidth=0)
        top.set_ylabel("inliers")
        top.set_ylim(bottom=0)
        top.tick_params(labelbottom=False)
    counts = {status: list(statuses).count(status) for status in STATUS_COLORS}
    text = ", ".join(f"{status.value.lower()} {n}" for status, n in counts.items() if n)
    top.set_title(f"{title}: {text}" if title else text, loc="left", fontsize=10)
    return figure


def _draw_bars(axes: Axes, edges: Array, statuses: list[Status], component_ids: Ids) -> None:
    has_pose = np.array([status.has_pose for status in statuses])
    for start, end in _runs([status.value for status in statuses]):
        axes.broken_barh([(edges[start], edges[end] - edges[start])], (1.1, 0.8), color=STATUS_COLORS[statuses[start]])
    keys = [int(c) if p else None for c, p in zip(component_ids, has_pose, strict=True)]
    for start, end in _runs(keys):
        if keys[start] is not None:
            color = component_color(int(component_ids[start]))
            axes.broken_barh([(edges[start], edges[end] - edges[start])], (0.1, 0.8), color=color)
            if edges[end] - edges[start] > 0.02 * (edges[-1] - edges[0]):  # room for a number
                middle = (edges[start] + edges[end]) / 2
                axes.text(middle, 0.5, str(keys[start]), ha="center", va="center", color="white", fontsize=8)
    axes.set_ylim(0, 2)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_yticks([0.5, 1.5], ["component", "status"])
    axes.set_xlabel("time [s]")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    present = [status for status in STATUS_COLORS if status in statuses]
    handles = [Patch(color=STATUS_COLORS[status], label=status.value.lower()) for status in present]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)


def _runs(values: Sequence[object]) -> list[tuple[int, int]]:
    """Half-open index ranges of equal consecutive values."""
    changes = [i for i in range(1, len(values)) if values[i] != values[i - 1]]
    return list(zip([0, *changes], [*changes, len(values)], strict=True))


STYLES = ("-", "--", ":", "-.")  # lines of the runs beyond the first round of colours


@dataclass(frozen=True)
class RunPath:
    """The path of a run, in pieces."""

    name: str
    pieces: Sequence[Array]  # positions (N,3) of each piece, in the common frame


def run_color(index: int) -> str:
    """The colour of a run by its place among those compared."""
    return COMPONENT_COLORS[index % len(COMPONENT_COLORS)]


def overlaid_paths(paths: Sequence[RunPath], truth: Array | None, is_metric: bool, title: str = "") -> Figure:
    """Seen along the axis of least extent; runs by colour, the truth (N,3) below them."""
    figure = new_figure(6.6, 5.8)
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
        width = 1.2 + 2.0 * (len(paths) - 1 - i) / max(1, len(paths) - 1)  # what is covered shows beside it
        for k, piece in enumerate(path.pieces):
            # a leading underscore keeps a line out of the legend
            label = "_piece" if k else f" {path.name}" if path.name.startswith("_") else path.name
            axes.plot(
                *piece[:, plane].T, color=run_color(i), linestyle=style, linewidth=width, label=label, zorder=3 + i
            )
    finish_view(axes, plane, is_map_unit=not is_metric, is_camera_frame=truth is None)
    axes.set_title(title, loc="left", fontsize=11)
    axes.legend(loc="best", fontsize=9, framealpha=0.9)
    return figure
