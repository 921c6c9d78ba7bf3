"""A viewer for the time of a run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vgslam.interfaces import ViewedMap, Viewer
from vgslam.viewer.open import open_viewer


@contextmanager
def shown(
    target: str | None, title: str, overwrite: bool, slam_map: ViewedMap, say: Callable[[str], None]
) -> Iterator[Viewer]:
    """The viewer that `--viewer` names, closed at the end, whatever ends the run. Errors as `open_viewer`."""
    viewer = open_viewer(target, title, overwrite)
    if viewer.where:
        say(viewer.where)
    try:
        yield viewer
    finally:
        viewer.close(slam_map)
