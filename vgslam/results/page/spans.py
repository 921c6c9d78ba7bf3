"""Times without a pose."""

from dataclasses import dataclass

from vgslam.results.status import StatusTable

NEW_COMPONENT, END = "a new component", "the end of the run"


@dataclass(frozen=True)
class Span:
    """Consecutive frames without a pose."""

    first_frame: int
    start_s: float
    n_frames: int
    duration_s: float
    """Time from the last pose before to the first one after, or to the last frame."""
    ended_by: str
    """RELOCALIZED or TRACKED (the status of the next pose), NEW_COMPONENT or END."""


def spans_without_pose(frames: StatusTable) -> list[Span]:
    """Every span after the first pose, in time order; the frames before it are the start of tracking, not a loss."""
    with_pose = [i for i, s in enumerate(frames.statuses) if s.has_pose]
    n = len(frames.statuses)
    spans = []
    for before, after in zip(with_pose, [*with_pose[1:], n]):
        if after == before + 1:
            continue
        last = min(after, n - 1)
        is_new = after < n and frames.component_ids[after] != frames.component_ids[before]
        ended_by = END if after == n else NEW_COMPONENT if is_new else frames.statuses[after].value
        t = frames.timestamps_s
        spans.append(Span(
            int(frames.frame_ids[before + 1]), float(t[before + 1]), after - before - 1, float(t[last] - t[before]),
            ended_by,
        ))  # fmt: skip
    return spans
