"""Where tracking begins after the network was asked, worked out by hand; what is late, and what is not found."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hand_map import CAMERA, at

from vgslam.frontend.asking import Answer, Desk, Reason
from vgslam.frontend.guided_tracking import track_guided
from vgslam.types import Array, WindowInput

CAMERA_AT = at(x=2.0, turn=(0.0, 90.0, 0.0))
"""Looks along x: what lies at x = 7 is 5 deep."""
POINTS = np.array([[5.0, 0.0, 0.0], [7.0, 0.3, -1.0], [30.0, 0.0, 2.0]])
MOVED = at(x=1.0, z=0.2, turn=(0.0, 0.0, 10.0))
"""T_window_cam of the second view."""


class Guide:
    """Answers with MOVED about a view, or not at all."""

    def __init__(self, about: int | None) -> None:
        self.about, self.desk, self.windows = about, Desk(), list[WindowInput]()

    def predict(self, reason: Reason, about: int, window: WindowInput) -> Answer[Any] | None:
        assert (reason, about) == (Reason.LOST, 10)
        self.windows.append(window)
        found = SimpleNamespace(T_window_cam=np.stack([np.eye(4), MOVED]))
        return None if self.about is None else Answer(self.about, found)


class Tracker:
    """Notes the motion that it is to begin from."""

    camera = CAMERA
    map = SimpleNamespace(landmarks_world=lambda ids: POINTS[ids])

    def __init__(self, is_lost: bool) -> None:
        self.is_lost, self.motions = is_lost, list[Array]()

    def track(self, state: object, view: object, motion: Array) -> SimpleNamespace:
        self.motions.append(motion)
        return SimpleNamespace(is_lost=self.is_lost)


def view(frame_id: int) -> SimpleNamespace:
    return SimpleNamespace(frame_id=frame_id, image=np.full((2, 3, 3), frame_id, np.uint8))


def tried(guide: Guide, tracker: Tracker, n: int = 3) -> Any:
    state = SimpleNamespace(ids=np.arange(n), view=view(10), T_world_cam=CAMERA_AT)
    return track_guided(tracker, guide, state, view(12))  # type: ignore[arg-type]


def test_the_motion_takes_the_last_camera_to_the_new_one_in_units_of_the_median_depth() -> None:
    guide, tracker = Guide(10), Tracker(is_lost=False)
    assert tried(guide, tracker) is not None
    (motion,) = tracker.motions
    # a point that the second camera has 3 ahead of it, at the scale of 5 units: R 3 + 5 t in the first
    there = np.array([0.0, 0.0, 3.0, 1.0])
    in_first = np.array([*(MOVED[:3, :3] @ there[:3] + 5.0 * MOVED[:3, 3]), 1.0])
    np.testing.assert_allclose(motion @ in_first, there, atol=1e-12)
    (window,) = guide.windows
    assert [int(image[0, 0, 0]) for image in window.images] == [10, 12]
    assert window.frame_ids.tolist() == [10, 12]


def test_what_is_not_found_there_is_lost() -> None:
    tracker = Tracker(is_lost=True)
    assert tried(Guide(10), tracker) is None
    assert len(tracker.motions) == 1


@pytest.mark.parametrize(("about", "n_late"), [(9, 1), (None, 0)])
def test_an_answer_about_another_view_is_late_and_none_is_none(about: int | None, n_late: int) -> None:
    guide, tracker = Guide(about), Tracker(is_lost=False)
    assert tried(guide, tracker) is None
    assert tracker.motions == []
    assert guide.desk.counts[Reason.LOST].late == n_late


def test_where_nothing_was_followed_nobody_is_asked() -> None:
    guide = Guide(10)
    assert tried(guide, Tracker(is_lost=False), n=0) is None
    assert guide.windows == []
