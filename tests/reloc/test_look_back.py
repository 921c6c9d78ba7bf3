"""A camera that comes back is tied to the landmarks of its first visit; one that goes on is not."""

import numpy as np
import pytest
from synthetic import CAMERA, frames_of, pose, render, room

from vgslam.frontend.mapper import MapperConfig
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import RefineConfig
from vgslam.reloc.locate import Recovered
from vgslam.reloc.loops import LoopConfig
from vgslam.slam import Slam, SlamConfig
from vgslam.types import Array, Image, Keyframe, Status

N = 40
GAP = LoopConfig().min_gap


def walk_pose(i: float) -> Array:
    return pose((1.5 * np.sin(i / 5), 1.6 * i, 0), (0.06 * i, 0.12 * np.sin(i / 3), 0.02 * i))


@pytest.fixture(scope="module")
def images() -> list[Image]:
    planes = room()
    there = [render(planes, CAMERA, walk_pose(i))[0] for i in range(N)]
    return there + there[::-1]


def run(images: list[Image], loops: LoopConfig) -> Slam:
    mapper = MapperConfig(min_parallax_px=4.0, window=4)
    alone = RefineConfig(is_on=False)  # at the end, it lets keyframes see one another's landmarks
    slam = Slam(CAMERA, SlamConfig(loops=loops, mapper=mapper, refine=alone))
    for frame in frames_of(images):
        slam.process(frame)
    slam.finish()
    return slam


@pytest.fixture(scope="module")
def walked(images: list[Image]) -> Slam:
    return run(images, LoopConfig())


def n_old(m: SlamMap, k: int) -> int:
    """How many landmarks of the first keyframes keyframe k sees."""
    return int((m.landmarks.host[m.observed[k].ids] < GAP // 2).sum())


def test_the_way_back_is_tied_to_the_way_there(walked: Slam, images: list[Image]) -> None:
    m, last = walked.map, len(walked.map.keyframes) - 1
    assert last > 2 * GAP, "long enough to have gone away"
    alone = run(images, LoopConfig(is_on=False)).map
    assert walked.loops.closed == [], "with the old landmarks in view there is nothing left for a loop to correct"
    assert n_old(m, last) > 0.5 * len(m.observed[last].ids), "more than the few that loops tie to"
    assert n_old(alone, len(alone.keyframes) - 1) < 0.05 * n_old(m, last), "nor by being followed all the way"


def test_the_way_back_ends_where_it_began(walked: Slam) -> None:
    m = walked.map
    first, last = m.pose_of(m.frames[0]), m.pose_of(m.frames[-1])
    assert first is not None
    assert last is not None
    extent = np.ptp([m.keyframes[k].S_world_keyframe.t for k in range(len(m.keyframes))], axis=0).max()
    assert np.linalg.norm(last[:3, 3] - first[:3, 3]) < 0.01 * extent
    assert se3.angle_deg(first[:3, :3].T @ last[:3, :3]) < 0.3


def test_a_camera_that_was_lost_is_tied_to_what_it_saw_just_before() -> None:
    """It turns into the void beside the room and back: the first it sees again is a narrow strip, whose few landmarks
    hardly tell a turn from a move. What was seen before the loss is an earlier visit, however few keyframes ago."""
    planes = room()
    there = [render(planes, CAMERA, pose((0, 2.0 * i, 0), (0.06 * i, 0, 0.02 * i)))[0] for i in range(15, N)]
    m = run(there + there[::-1], LoopConfig()).map
    assert Status.LOST in {frame.status for frame in m.frames}
    first, last = m.pose_of(m.frames[0]), m.pose_of(m.frames[-1])
    assert first is not None
    assert last is not None
    assert se3.angle_deg(first[:3, :3].T @ last[:3, :3]) < 0.5


def test_a_place_that_was_visited_often_gets_no_more_keyframes() -> None:
    planes = room()
    there = [render(planes, CAMERA, walk_pose(i - 15))[0] for i in range(N)]
    round_trip = there[1:] + there[::-1]
    m = run(there[:1] + round_trip * 6, LoopConfig()).map
    by_round = np.bincount([(keyframe.frame_id - 1) // len(round_trip) for keyframe in m.keyframes[1:]], minlength=6)
    assert by_round[5] < 0.25 * by_round[1], f"the map hardly grows any longer: {by_round}"
    assert {frame.status for frame in m.frames} == {Status.TRACKED}
    first, last = m.pose_of(m.frames[0]), m.pose_of(m.frames[-1])
    assert first is not None
    assert last is not None
    extent = np.ptp(m.centres(np.arange(len(m.keyframes))), axis=0).max()
    assert np.linalg.norm(last[:3, 3] - first[:3, 3]) < 0.01 * extent


def look(slam: Slam, image: Image, T: Array, before: int, component: int = 0) -> object:
    view = slam.tracker.view(-1, 0.0, image)
    return slam.nearby.look_back(view, slam.tracker.camera, T, slam.nearby.old(T, component, before))


def test_only_old_keyframes_of_the_component_that_say_the_same_pose_count(walked: Slam, images: list[Image]) -> None:
    m = walked.map
    T = m.pose_of(m.frames[-1])
    assert T is not None
    n = len(m.keyframes)
    found = look(walked, images[-1], T, n - GAP)
    assert found is not None
    assert found.keyframe_id < n - GAP  # type: ignore[attr-defined]
    assert look(walked, images[-1], T, 0) is None, "no keyframe is old enough"
    assert look(walked, images[-1], T, n - GAP, component=1) is None
    depth = float(np.median(m.landmarks_world(m.observed[n - 1].ids) @ T[:3, 2] - T[:3, 3] @ T[:3, 2]))
    beside = T @ pose((0, 0, 0), (0.12 * depth, 0, 0))
    assert look(walked, images[-1], beside, n - GAP) is None, "they say another pose: that is for a loop to settle"


class Said:
    """Stands in for the search of an old keyframe's landmarks: what it finds is laid down."""

    def __init__(self, found: Recovered | None) -> None:
        self.found = found

    def confirm(self, *_: object) -> Recovered | None:
        return self.found


@pytest.mark.parametrize(("degrees", "shift", "counts"), [
    (0, 0.0, True), (2.9, 0.07, True), (3.1, 0.0, False), (-3.1, 0.0, False), (0, 0.09, False), (0, -0.09, False),
])  # fmt: skip
def test_old_landmarks_that_say_another_pose_are_not_tied_in(
    degrees: float, shift: float, counts: bool, walked: Slam, images: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within 3 degrees and 0.08 of the depth they are; on either side of that, on neither axis alone, they are not."""
    m = walked.map
    T = m.pose_of(m.frames[-1])
    assert T is not None
    ids = m.observed[0].ids
    depth = float(np.median(se3.transform(se3.inverse(T), m.landmarks_world(ids))[:, 2]))
    said = T @ pose((0, degrees, 0), (shift * depth, 0, 0))
    found = Recovered(said, np.eye(6), ids, m.observed[0].pixels.astype(np.float32), 0, 0.9)
    monkeypatch.setattr(walked.nearby, "_back", Said(found))
    assert (look(walked, images[-1], T, len(m.keyframes) - GAP) is found) == counts
    monkeypatch.setattr(walked.nearby, "_back", Said(None))
    assert look(walked, images[-1], T, len(m.keyframes) - GAP) is None


def straight(n: int, step: float) -> SlamMap:
    m = SlamMap()
    for k in range(n):
        S = Sim3.from_T(pose((0, 0, 0), (0, 0, step * k)))
        image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
        m.add_keyframe(Keyframe(k, k, 0.1 * k, image, CAMERA, S, 0), np.zeros(0, np.int64), np.zeros((0, 2)))
    return m


def test_going_on_is_no_revisit_and_coming_back_is() -> None:
    m = straight(30, 1.0)
    centre = m.keyframes[-1].S_world_keyframe.t
    assert not any(m.is_revisit(k, centre) for k in range(29))
    assert m.is_revisit(3, np.array([0.0, 0.0, 3.5])), "back near the fourth"
    assert not m.is_revisit(3, np.array([0.0, 0.0, 13.0]))


def test_the_frame_of_a_keyframe_is_where_the_keyframe_is(walked: Slam) -> None:
    m = walked.map
    by_frame = {k.frame_id: k for k in m.keyframes}
    own = [f for f in m.frames if f.frame_id in by_frame and f.ref_id == by_frame[f.frame_id].id]
    assert len(own) >= len(m.keyframes) - 2, "all but those a component began with"
    for f in own:
        np.testing.assert_allclose(m.pose_of(f), by_frame[f.frame_id].S_world_keyframe.pose, atol=1e-12)


@pytest.mark.parametrize("step", [0.1, 1.0, 3.0])
def test_many_are_asked_at_once_whether_the_camera_is_back(step: float) -> None:
    m = straight(30, step)
    ids = np.random.default_rng(0).permutation(30)[:20]
    for z in (0.0, 0.1, 3.5 * step, 13.0 * step, 2.5 * step, 29.0 * step):  # some at exactly DETOUR times the distance
        centre = np.array([0.0, 0.0, z])
        assert m.are_revisits(ids, centre).tolist() == [m.is_revisit(k, centre) for k in ids.tolist()]
    assert m.are_revisits(ids[:0], centre).tolist() == []
