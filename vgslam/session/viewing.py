"""A viewer for the time of a run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vgslam.interfaces import ViewedMap, Viewer
from vgslam.session.late_steps import LateSteps
from vgslam.viewer.open import open_viewer


@contextmanager
def shown(
    target: str | None, title: str, overwrite: bool, slam_map: ViewedMap, say: Callable[[str], None],
    steps: LateSteps,
) -> Iterator[Viewer]:  # fmt: skip
    """The viewer that `--viewer` names, closed at the end, whatever ends the run: one of its last steps. Errors as
    `open_viewer`."""
    viewer = open_viewer(target, title, overwrite)
    if viewer.where:
        say(viewer.where)
    try:
        yield viewer
    finally:
        with steps.keeping("the viewer"):
            viewer.close(slam_map)
