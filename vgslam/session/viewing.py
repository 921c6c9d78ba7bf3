"""A viewer for the time of a run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vgslam.beside import Lane, ThreadLane
from vgslam.interfaces import ViewedMap, Viewer
from vgslam.session.late_steps import LateSteps
from vgslam.types import Frame, PoseEstimate
from vgslam.viewer.open import open_viewer

MOST_FAILURES = 3
"""Frames one after another that cannot be shown before the viewer has failed: it reads a map that is being changed, and
may find it in the middle of a change."""


class ViewerBeside:
    """Shows on a thread of its own; frames that come while one is shown are left out. Implements `Viewer`."""

    def __init__(self, viewer: Viewer, lane: Lane[None] | None = None) -> None:
        self._viewer = viewer
        self._lane: Lane[None] = ThreadLane("vgslam-viewer") if lane is None else lane
        self._n_failed = 0
        self.where = viewer.where

    def show(self, frame: Frame, estimate: PoseEstimate, slam_map: ViewedMap, latency_s: float) -> None:
        """As `Viewer.show`, later. Raises what showing frames before has raised, if it has failed for good."""
        if self._lane.is_done:
            self._take()
        if not self._lane.is_busy:
            self._lane.start(lambda: self._viewer.show(frame, estimate, slam_map, latency_s))

    def _take(self) -> None:
        try:
            self._lane.take()
            self._n_failed = 0
        except Exception:
            self._n_failed += 1
            if self._n_failed >= MOST_FAILURES:
                raise

    def close(self, slam_map: ViewedMap) -> None:
        """Close the viewer, when the frame that is shown is through."""
        if self._lane.is_busy:
            self._take()
        self._viewer.close(slam_map)


@contextmanager
def shown(
    target: str | None, title: str, overwrite: bool, slam_map: ViewedMap, say: Callable[[str], None],
    steps: LateSteps, is_beside: bool = False,
) -> Iterator[Viewer]:  # fmt: skip
    """The viewer that `--viewer` names, closed at the end, whatever ends the run: one of its last steps. Errors as
    `open_viewer`. is_beside: it shows on a thread of its own."""
    viewer = open_viewer(target, title, overwrite)
    if is_beside and target is not None:
        viewer = ViewerBeside(viewer)
    if viewer.where:
        say(viewer.where)
    try:
        yield viewer
    finally:
        with steps.keeping("the viewer"):
            viewer.close(slam_map)
