"""How much of a sequence has a pose: coverage, gaps, losses."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgslam.errors import EvaluationError
from vgslam.evaluation.association import NO_POSE, component_of_frames, match_times
from vgslam.types import Array, Ids, Trajectory

HOLE = 1.5  # intervals of more than this many medians are gaps


@dataclass(frozen=True)
class Coverage:
    """How much of the whole input has a pose."""

    n_frames: int | None
    """Frames of the input while the reference has poses, whether one is near enough in time or not; those before, after
    and in the holes of the reference do not count. None when not known."""
    n_poses: int
    n_scored: int
    """Number of these that have an estimated pose too."""
    coverage: float | None
    """n_scored / n_frames; None when the number of frames is not known."""
    coverage_largest: float | None
    """The same, counting only the largest component."""
    longest_gap_frames: int
    """Most frames in a row without a pose."""
    longest_gap_s: float
    """Time between the poses, or the ends of the input, around the longest gap in time."""
    n_losses: int
    """How often a pose was followed by a frame without one."""
    n_components: int
    gaps_from_frames: bool
    """Whether gaps were counted on the input's frames; otherwise they are inferred from the intervals between poses."""
    n_unmatched: int = 0
    """How many of n_frames have no pose of the reference near enough in time."""

    def notes(self, max_difference_s: float) -> list[str]:
        """Lines for the person: frames that could not be scored."""
        if not self.n_unmatched:
            return []
        return [f"{self.n_unmatched} of {self.n_frames} frames have no reference within {max_difference_s:.4g} s and "
                "count as not covered; --max-difference sets that"]  # fmt: skip


def frames_of_reference(frame_timestamps_s: Array, reference_timestamps_s: Array, max_difference_s: float) -> Ids:
    """Indices of the frames (N,) within the reference's times (M,), but not in its holes of more than 1.5 median
    intervals."""
    t = reference_timestamps_s
    if len(t) < 2:
        return match_times(frame_timestamps_s, t, max_difference_s)[0]
    after = np.searchsorted(t, frame_timestamps_s)
    interval = t[np.clip(after, 1, len(t) - 1)] - t[np.clip(after, 1, len(t) - 1) - 1]
    is_within = (after > 0) & (after < len(t)) & (interval <= HOLE * np.median(np.diff(t)))
    near = match_times(frame_timestamps_s, t, max_difference_s)[0]
    return np.union1d(np.flatnonzero(is_within), near).astype(np.int64)


def gaps_on_frames(has_pose: npt.NDArray[np.bool_], timestamps_s: Array) -> tuple[int, float, int]:
    """Longest gap in frames and seconds, and the number of losses, of frames (N,) with or without a pose."""
    n = len(has_pose)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (~has_pose).astype(np.int8), [0]])))
    starts, ends = edges[::2], edges[1::2]  # frames [start, end) have no pose
    if not len(starts):
        return 0, 0.0, 0
    duration = timestamps_s[np.minimum(ends, n - 1)] - timestamps_s[np.maximum(starts - 1, 0)]
    return int((ends - starts).max()), float(duration.max()), int((starts > 0).sum())


def gaps_between_poses(timestamps_s: Array) -> tuple[int, float, int]:
    """The same inferred from the times of poses (N,): an interval of more than 1.5 medians is a gap."""
    dt = np.diff(timestamps_s)
    if not len(dt):
        return 0, 0.0, 0
    median = float(np.median(dt))
    gaps = dt[dt > HOLE * median]
    if not len(gaps):
        return 0, 0.0, 0
    return int(np.rint(gaps.max() / median)) - 1, float(gaps.max()), len(gaps)


def measure_coverage(
    estimate: Trajectory, reference: Trajectory, max_difference_s: float,
    n_frames: int | None = None, frame_timestamps_s: Array | None = None,
) -> Coverage:  # fmt: skip
    """Coverage of the estimate; frame_timestamps_s (F,) are the times of all frames of the input, if known. Raises
    EvaluationError when the estimate holds more poses than the input frames."""
    n_unmatched = 0
    from_frames = frame_timestamps_s is not None and len(frame_timestamps_s) > 0
    if frame_timestamps_s is not None and from_frames:
        component = component_of_frames(frame_timestamps_s, estimate)
        can_score = match_times(frame_timestamps_s, reference.timestamps_s, max_difference_s)[0]
        n_frames = len(frames_of_reference(frame_timestamps_s, reference.timestamps_s, max_difference_s))
        n_unmatched = n_frames - len(can_score)
        scored = component[can_score][component[can_score] != NO_POSE]
        gap_frames, gap_s, n_losses = gaps_on_frames(component != NO_POSE, frame_timestamps_s)
    else:
        scored = estimate.component_ids[match_times(estimate.timestamps_s, reference.timestamps_s, max_difference_s)[0]]
        gap_frames, gap_s, n_losses = gaps_between_poses(estimate.timestamps_s)
        if n_frames is not None and n_frames < len(estimate):
            raise EvaluationError(f"the estimate holds {len(estimate)} poses, but the input only {n_frames} frames")
    counts = np.unique(scored, return_counts=True)[1]
    return Coverage(
        n_frames=n_frames, n_poses=len(estimate), n_scored=len(scored),
        coverage=len(scored) / n_frames if n_frames else None,
        coverage_largest=int(counts.max(initial=0)) / n_frames if n_frames else None,
        longest_gap_frames=gap_frames, longest_gap_s=gap_s, n_losses=n_losses,
        n_components=len(np.unique(estimate.component_ids)), gaps_from_frames=from_frames,
        n_unmatched=n_unmatched,
    )  # fmt: skip
