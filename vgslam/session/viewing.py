"""A viewer for the time of a run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from vgslam.interfaces import ViewedMap, Viewer
from vgslam.viewer.open import WEB, open_viewer


@contextmanager
def shown(target: str | None, title: str, overwrite: bool, slam_map: ViewedMap) -> Iterator[Viewer]:
    """The viewer that `--viewer` names, closed at the end, whatever ends the run. Errors as `open_viewer`."""
    viewer = open_viewer(target, title, overwrite)
    if viewer.where:
        print(viewer.where)
    try:
        yield viewer
    finally:
        viewer.close(slam_map)


def stay(target: str | None) -> None:
    """A server must outlive the run to be looked at: wait for Ctrl-C."""
    if target != WEB:
        return
    print("the viewer stays until Ctrl-C")
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(1.0)
