"""Stills through the whole system: tracking finds nothing, and all of them together are a map."""

from dataclasses import replace

import numpy as np
import pytest
from hand_map import CAMERA, at

from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.refine.outcome import RefineOutcome
from vgslam.refine.stills import Stills
from vgslam.slam import Slam
from vgslam.slam_config import SlamConfig
from vgslam.types import Frame, Keyframe, PoseEstimate, Status


def with_a_lost_frame() -> Slam:
    """A system with a map of frames 0 and 1, of two components that had a loop, and frame 2 lost."""
    slam = Slam(CAMERA, SlamConfig())
    slam.expect(3)
    for n in range(3):
        image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
        slam.process(Frame(n, float(n), image))
        if n < 2:
            pose = Sim3.from_T(at(x=n))
            slam.map.add_keyframe(
                Keyframe(n, n, float(n), image, CAMERA, pose, n), np.zeros(0, np.int64), np.zeros((0, 2))
            )
            slam.map.frames[n] = PoseEstimate(n, float(n), Status.TRACKED, n, np.eye(4), component_id=n)
    return slam


@pytest.mark.parametrize("is_anew", [True, False])
def test_a_map_made_anew_is_what_the_frames_hang_on(monkeypatch: pytest.MonkeyPatch, is_anew: bool) -> None:
    """The frames' poses and places of before are forgotten, or stay."""
    slam, asked = with_a_lost_frame(), []
    before = slam.frame_poses, slam.relocalizer.places

    def take_over(stills: Stills, _: object) -> bool:
        asked.append(stills.is_on)
        return is_anew and len(asked) == 1

    monkeypatch.setattr(Stills, "take_over", take_over)
    slam.finish()
    assert asked == [True, True], "before the adjustment and after it"
    assert (slam.frame_poses is not before[0]) == is_anew
    assert (slam.relocalizer.places is not before[1]) == is_anew


def test_what_was_said_of_a_map_that_is_gone_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    slam, answers = with_a_lost_frame(), iter([False, True])
    slam.notes.append("of tracking")
    monkeypatch.setattr("vgslam.last_word.part_components", lambda *_: ["of the map"])
    monkeypatch.setattr(Stills, "take_over", lambda *_: next(answers))
    slam.finish()
    assert slam.notes.count("of the map") == 1
    assert "of tracking" in slam.notes


def test_the_camera_that_the_adjustment_found_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    slam, better = with_a_lost_frame(), replace(CAMERA, fx=CAMERA.fx + 1.0)

    def adjust(m: SlamMap, *_: object) -> RefineOutcome:
        for keyframe in m.keyframes:
            keyframe.camera = better
        return RefineOutcome([], 0.0, 0.0, False)

    monkeypatch.setattr("vgslam.last_word.refine_checked", adjust)
    slam.finish()
    assert slam.tracker.camera == slam.mapper.camera == better
