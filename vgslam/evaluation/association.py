"""Which poses of two trajectories belong together in time, and which frames were given a pose."""

import numpy as np

from vgslam.errors import EvaluationError
from vgslam.types import Array, Ids, Trajectory

MAX_DIFFERENCE_CAP_S = 0.02
SAME_FRAME_S = 1e-3
UNIT_SLACK, OFFSET_SLACK = 3.0, 2.0
"""How much the durations of one recording may differ, as a factor, for another unit or another clock to be named."""
LEAST_COUNTED = 10  # this many times that count on by one may be numbers of frames
NO_POSE = np.iinfo(np.int64).min


def default_max_difference_s(timestamps_a_s: Array, timestamps_b_s: Array) -> float:
    """Half the larger of the two median intervals, at most 0.02 s (the convention of the TUM RGB-D tools)."""
    intervals = [float(np.median(np.diff(t))) for t in (timestamps_a_s, timestamps_b_s) if len(t) > 1]
    return min(0.5 * max(intervals), MAX_DIFFERENCE_CAP_S) if intervals else MAX_DIFFERENCE_CAP_S


def match_times(timestamps_a_s: Array, timestamps_b_s: Array, max_difference_s: float) -> tuple[Ids, Ids]:
    """Nearest pairs within max_difference_s, each timestamp used at most once; both sides ascending. The search starts
    from the shorter list, so that a reference at another rate costs no pair."""
    if not len(timestamps_a_s) or not len(timestamps_b_s):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if len(timestamps_b_s) < len(timestamps_a_s):
        ids_b, ids_a = match_times(timestamps_b_s, timestamps_a_s, max_difference_s)
        return ids_a, ids_b
    nearest = _nearest(timestamps_a_s, timestamps_b_s)
    ids_a = np.flatnonzero(np.abs(timestamps_a_s - timestamps_b_s[nearest]) <= max_difference_s)
    ids_b = nearest[ids_a]
    difference = np.abs(timestamps_a_s[ids_a] - timestamps_b_s[ids_b])
    by_closeness = np.lexsort((difference, ids_b))  # of several that want one partner, the closest has it
    first = np.ones(len(ids_b), bool)
    first[1:] = np.diff(ids_b[by_closeness]) > 0
    keep = np.sort(by_closeness[first])
    return ids_a[keep], ids_b[keep]


def _nearest(times_s: Array, among_s: Array) -> Ids:
    """Index into among_s (M,) of the time nearest to each of times_s (N,), the first of equals."""
    order = np.argsort(among_s, kind="stable")
    ascending = among_s[order]
    after = np.searchsorted(ascending, times_s).clip(0, len(order) - 1)
    before = np.maximum(after - 1, 0)
    is_before = np.abs(times_s - ascending[before]) <= np.abs(times_s - ascending[after])
    found = ascending[np.where(is_before, before, after)]
    return np.asarray(order[np.searchsorted(ascending, found)], np.int64)


def associate(estimate: Trajectory, reference: Trajectory, max_difference_s: float | None) -> tuple[Ids, Ids, float]:
    """Indices into estimate and reference of the poses to compare, and the tolerance used. Raises EvaluationError when
    the two do not overlap in time or fewer than 3 poses belong together."""
    for name, trajectory in (("estimate", estimate), ("reference", reference)):
        if len(trajectory) < 3:
            raise EvaluationError(f"the {name} holds {len(trajectory)} poses, at least 3 are needed for a score")
    t_a, t_b = estimate.timestamps_s, reference.timestamps_s
    tolerance = default_max_difference_s(t_a, t_b) if max_difference_s is None else max_difference_s
    if t_a[0] > t_b[-1] + tolerance or t_b[0] > t_a[-1] + tolerance:
        raise EvaluationError(
            f"estimate ({t_a[0]:.3f} to {t_a[-1]:.3f} s) and reference ({t_b[0]:.3f} to {t_b[-1]:.3f} s) "
            f"do not overlap in time{_clocks(t_a, t_b)}"
        )
    ids_a, ids_b = match_times(t_a, t_b, tolerance)
    if len(ids_a) < 3:
        raise EvaluationError(
            f"only {len(ids_a)} of {len(t_a)} poses have a reference within {tolerance:.4g} s, at least 3 are needed"
            f"{_unit(t_a, t_b) or '; raise --max-difference if the clocks agree'}"
        )
    for name, times_s, others_s in (("estimate", t_a, t_b), ("reference", t_b, t_a)):
        if _are_counts(times_s, others_s):
            raise EvaluationError(
                f"only {len(ids_a)} of {len(t_a)} poses have a reference within {tolerance:.4g} s: the times of the "
                f"{name} (0, 1, 2, ...) seem to count frames; give seconds"
            )
    return ids_a, ids_b, tolerance


def _are_counts(times_s: Array, others_s: Array) -> bool:
    """Whether times are the numbers of rows: they count on by one, and last much longer than those of the other
    trajectory."""
    is_longer = np.ptp(times_s) > UNIT_SLACK * np.ptp(others_s)
    is_counted = times_s[0] in (0.0, 1.0) and bool((np.diff(times_s) == 1.0).all())
    return bool(is_longer and is_counted and len(times_s) >= LEAST_COUNTED)


def _clocks(t_a: Array, t_b: Array) -> str:
    """What the two ranges of times look like: another unit, a constant difference, or nothing that is known."""
    unit = _unit(t_a, t_b)
    if unit:
        return unit
    a, b = float(t_a[-1] - t_a[0]), float(t_b[-1] - t_b[0])
    ratio = max(a, b) / max(min(a, b), 1e-12)
    if ratio < OFFSET_SLACK:
        return (f"; they last {a:.4g} and {b:.4g} s: the clocks seem to differ by a constant, about "
                f"{t_b[0] - t_a[0]:.6g} s; bring both to one clock (`vgslam eval --time-offset`)")  # fmt: skip
    return "; are both in seconds on one clock?"


def _unit(t_a: Array, t_b: Array) -> str:
    """Words on two ranges of which one seems to be in another unit; empty if they do not."""
    a, b = float(t_a[-1] - t_a[0]), float(t_b[-1] - t_b[0])
    ratio = max(a, b) / max(min(a, b), 1e-12)
    factor = next((n for n in (1e3, 1e6, 1e9) if n / UNIT_SLACK < ratio < n * UNIT_SLACK), None)
    if factor is None:
        return ""
    return f"; they last {a:.4g} and {b:.4g}: one seems to be in another unit (a factor of {factor:g}) than seconds"


def component_of_frames(frame_timestamps_s: Array, estimate: Trajectory) -> Ids:
    """(F,) component of the frame's pose in the estimate (nearest frame within a millisecond), else NO_POSE."""
    component = np.full(len(frame_timestamps_s), NO_POSE)
    ids_pose, ids_frame = match_times(estimate.timestamps_s, frame_timestamps_s, SAME_FRAME_S)
    component[ids_frame] = estimate.component_ids[ids_pose]
    return component
