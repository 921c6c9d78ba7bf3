"""Tracking beside mapping: poses while keyframes are made, one world after each, and failures that are told."""

import json
import random
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from waiting import WaitedForLane

from vgslam.frontend.tracker import TrackState
from vgslam.geometry import se3
from vgslam.mapping import KeyframeSteps, Mapped
from vgslam.refine.adjust import RefineConfig
from vgslam.slam_config import SlamConfig
from vgslam.sources import open_source
from vgslam.sources.options import SourceOptions
from vgslam.system import SlamSystem
from vgslam.two_lanes import TwoLaneSystem
from vgslam.types import Frame, Sim3, Status

DEMO = Path(str(resources.files("vgslam"))) / "assets" / "demo"
CONFIG = SlamConfig(refine=RefineConfig(is_on=False, while_running=False))
N = 60


class PatientLane:
    """A lane whose jobs end after so many looks at it, when the test says: `n_looks` for each job."""

    def __init__(self, n_looks: Callable[[], int]) -> None:
        self._n_looks = n_looks
        self._job: Callable[[], Any] | None = None
        self._left = 0
        self.n_jobs = 0

    @property
    def is_busy(self) -> bool:
        return self._job is not None

    @property
    def is_done(self) -> bool:
        self._left -= 1
        return self._job is not None and self._left < 0

    def start(self, job: Callable[[], Any]) -> None:
        assert self._job is None
        self._job, self._left = job, self._n_looks()
        self.n_jobs += 1

    def take(self) -> Any:
        assert self._job is not None
        job, self._job = self._job, None
        return job()


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return list(open_source(DEMO / "demo.mp4", SourceOptions(calib=DEMO / "calib.json", max_frames=N)))


@pytest.fixture(scope="module")
def camera():
    return open_source(DEMO / "demo.mp4", SourceOptions(calib=DEMO / "calib.json")).camera


@pytest.fixture(scope="module")
def alone(frames: list[Frame], camera) -> SlamSystem:
    slam = SlamSystem(camera, CONFIG)
    for frame in frames:
        slam.process(frame)
    return slam


def centres(slam: SlamSystem) -> np.ndarray:
    """(N,3), NaN without a pose, in units of the distance of two frames of the middle."""
    found = [slam.map.pose_of(f) for f in slam.map.frames]
    at = np.array([np.full(3, np.nan) if T is None else T[:3, 3] for T in found])
    return (at - at[N // 2]) / np.linalg.norm(at[N // 2 + 10] - at[N // 2])


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_tracking_goes_on_while_keyframes_are_made(frames: list[Frame], camera, alone: SlamSystem, delay: int) -> None:
    slam = TwoLaneSystem(camera, CONFIG, lane=PatientLane(lambda: delay))
    said = [slam.process(frame) for frame in frames]
    slam.settle()
    begun = next(i for i, e in enumerate(said) if e.status is Status.TRACKED)
    assert {e.status for e in said[begun:]} == {Status.TRACKED}
    assert slam.load.n_keyframes >= 4
    assert slam.n_losses == 0
    assert slam.load.most_lag_frames == delay
    ours, theirs = centres(slam)[begun:], centres(alone)[begun:]
    assert np.nanmax(np.linalg.norm(ours - theirs, axis=1)) < 0.05


def test_tracking_goes_along_when_mapping_moves_the_world(
    frames: list[Frame], camera, alone: SlamSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a loop does: with the third keyframe everything is turned, shifted and twice as large."""
    make, G = KeyframeSteps.__call__, Sim3(se3.so3_exp(np.array([0.5, -1.0, 0.3])), np.array([3.0, 4.0, 5.0]), 2.0)

    def make_and_move(self: KeyframeSteps, at: TrackState, component: int) -> Mapped:
        new = make(self, at, component)
        if new.keyframe_id == 3:
            for k in self.map.keyframes:
                self.map.set_pose(k.id, G @ k.S_world_keyframe)
        return new

    monkeypatch.setattr(KeyframeSteps, "__call__", make_and_move)
    slam = TwoLaneSystem(camera, CONFIG, lane=PatientLane(lambda: 3))
    said = [(slam.process(frame), slam._state) for frame in frames]
    slam.settle()
    assert np.allclose([k.S_world_keyframe.s for k in slam.map.keyframes[:4]], 2.0)
    begun = next(i for i, (e, _) in enumerate(said) if e.status is Status.TRACKED)
    assert {e.status for e, _ in said[begun:]} == {Status.TRACKED}
    assert np.nanmax(np.linalg.norm(turned_back(centres(slam), G) - centres(alone), axis=1)[begun:]) < 0.05
    motions = [s.motion for _, s in said[begun + 1 :] if s is not None and s.motion is not None]
    turns = [se3.angle_deg(motion[:3, :3]) for motion in motions]
    assert max(turns) < 5.0, "the world's turn is no motion of the camera"


def turned_back(at: np.ndarray, G: Sim3) -> np.ndarray:
    """Differences (N,3) in a world that was moved by G, in the world as it was; their unit has gone along."""
    return at @ G.R


def test_a_keyframe_hands_over_new_landmarks_where_they_are_now(frames: list[Frame], camera) -> None:
    """The landmarks that the mapping lane made are followed into the newest view: they agree with its pose."""
    slam = TwoLaneSystem(camera, CONFIG, lane=PatientLane(lambda: 3))
    n_new = []
    for frame in frames:
        before, n_keyframes = slam._state, len(slam.map.keyframes)
        slam.process(frame)
        if before is not None and slam._state is not None and len(slam.map.keyframes) > n_keyframes:
            new = ~np.isin(slam._state.ids, before.ids)
            n_new.append(int(new.sum()))
    assert len(n_new) >= 3
    assert np.median(n_new) > 20


def test_frames_since_a_keyframe_hang_on_it_and_keep_their_place(frames: list[Frame], camera) -> None:
    slam = TwoLaneSystem(camera, CONFIG, lane=PatientLane(lambda: 3))
    for frame in frames:
        slam.process(frame)
    slam.settle()
    keyframes = slam.map.keyframes
    for row in slam.map.frames:
        if row.T_ref_cam is not None and row.frame_id > keyframes[1].frame_id:
            assert keyframes[row.ref_id].frame_id <= row.frame_id
            later = [k for k in keyframes if keyframes[row.ref_id].frame_id < k.frame_id <= row.frame_id]
            assert not later, "the frame hangs on the newest keyframe before it"


def test_what_is_due_while_mapping_is_busy_waits_and_is_counted(frames: list[Frame], camera) -> None:
    quick = TwoLaneSystem(camera, CONFIG, lane=PatientLane(lambda: 0))
    slow = TwoLaneSystem(camera, CONFIG, lane=PatientLane(lambda: 9))
    for frame in frames:
        quick.process(frame)
        slow.process(frame)
    assert slow.load.n_waited > quick.load.n_waited
    assert slow.load.n_keyframes < quick.load.n_keyframes
    assert slow.load.most_lag_s > quick.load.most_lag_s


def test_a_camera_that_came_back_is_found_while_frames_are_told_lost(frames: list[Frame], camera) -> None:
    slam = TwoLaneSystem(camera, CONFIG, lane=PatientLane(lambda: 2))
    dark = [Frame(f.id, f.timestamp_s, np.zeros_like(f.image)) for f in frames[40:50]]
    said = [slam.process(f) for f in [*frames[:40], *dark]]
    again = [Frame(50 + i, 10.0 + 0.03 * i, f.image) for i, f in enumerate(frames[20:35])]
    said += [slam.process(f) for f in again]
    statuses = [e.status for e in said]
    assert statuses[39] is Status.TRACKED
    assert Status.TRACKED not in statuses[40:50]
    assert statuses[50] is Status.LOST
    assert statuses[-1] is Status.TRACKED
    assert slam.n_losses == 1
    assert any(f.status is Status.RELOCALIZED for f in slam.map.frames)
    T, wanted, other = (slam.map.pose_of(slam.map.frames[i]) for i in (64, 34, 24))
    assert T is not None
    assert wanted is not None
    assert other is not None
    assert np.linalg.norm(T[:3, 3] - wanted[:3, 3]) < 0.2 * np.linalg.norm(other[:3, 3] - wanted[:3, 3])


def test_a_camera_that_goes_on_during_a_long_search_is_followed_to_where_it_is(frames: list[Frame], camera) -> None:
    """Found after 30 frames, a second later, in which it has gone through half of the mapped path."""
    slam = TwoLaneSystem(camera, CONFIG, lane=PatientLane(lambda: 0))
    for f in frames:
        slam.process(f)
    dark = [Frame(N + i, 10.0 + 0.03 * i, np.zeros_like(frames[0].image)) for i in range(40)]
    for f in dark:
        slam.process(f)
    slam.rest()
    slam._lane = PatientLane(lambda: 30)
    again = [Frame(N + 40 + i, 20.0 + 0.03 * i, f.image) for i, f in enumerate(frames[10:50])]
    statuses = [slam.process(f).status for f in again]
    assert Status.TRACKED not in statuses[:30]
    assert statuses[-5:] == [Status.TRACKED] * 5


@pytest.mark.parametrize("seed", range(4))
def test_a_mapping_lane_that_fails_at_any_point_is_told_and_nothing_hangs(
    seed: int, frames: list[Frame], camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    at, error = rng.randrange(1, 5), rng.choice([ValueError, MemoryError, SystemExit])
    n, make = 0, KeyframeSteps.__call__

    def fail(self: KeyframeSteps, due: TrackState, component: int) -> Mapped:
        nonlocal n
        n += 1
        if n == at:
            raise error("broken")
        return make(self, due, component)

    monkeypatch.setattr(KeyframeSteps, "__call__", fail)
    slam = TwoLaneSystem(camera, CONFIG, lane=WaitedForLane("mapping"))
    with pytest.raises(error):  # noqa: PT012 (whichever of the two meets it)
        for frame in frames:
            slam.process(frame)
        slam.rest()
    slam.rest()


def test_a_run_whose_mapping_fails_says_so(vgslam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: KeyframeSteps, at: TrackState, component: int) -> Mapped:
        raise ValueError("the mapping broke")

    monkeypatch.setattr(KeyframeSteps, "__call__", fail)
    with pytest.raises(ValueError, match="the mapping broke"):
        vgslam("live", DEMO / "demo.mp4", "--calib", DEMO / "calib.json", "--out", tmp_path / "out", "--quiet")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["complete"] is False
    assert "the mapping broke" in report["stopped_by"]


@pytest.mark.parametrize("n", [6, N])
def test_frames_that_come_while_the_map_is_read_are_part_of_the_first_component(
    frames: list[Frame], camera, n: int
) -> None:
    """The map is saved at the second frame, for three frames, and at the last, for good: no frame stays without a
    pose."""
    looks = {"n": 0}
    slam = TwoLaneSystem(camera, CONFIG, lane=PatientLane(lambda: looks["n"]))
    for frame in frames[:n]:
        if frame.id == 1 or (frame.id == n - 2 and slam.n_components == 0):
            slam.rest()
            looks["n"] = 3
            assert slam.between_keyframes(lambda: None)
            looks["n"] = 0
        slam.process(frame)
    slam.finish()
    assert {f.status for f in slam.map.frames} == {Status.TRACKED}


def test_a_component_that_begins_when_all_is_settled_is_whole(frames: list[Frame], camera) -> None:
    """The map is read from the second frame to the last: the frames that waited begin the component in `settle`."""
    looks = {"n": 0}
    slam = TwoLaneSystem(camera, CONFIG, lane=PatientLane(lambda: looks["n"]))
    slam.process(frames[0])
    slam.rest()
    looks["n"] = N
    assert slam.between_keyframes(lambda: None)
    looks["n"] = 0
    for frame in frames[1:30]:
        slam.process(frame)
    assert slam.n_components == 0
    slam.settle()
    assert slam.n_components == 1
    slam.finish()
    assert {f.status for f in slam.map.frames} == {Status.TRACKED}


def test_a_recording_that_ends_before_a_component_began_gets_one_of_rotations(frames: list[Frame], camera) -> None:
    slam = TwoLaneSystem(camera, CONFIG)
    for frame in frames[:5]:
        slam.process(frame)
    slam.finish()
    assert slam.map.frames[0].status is Status.TRACKED
    assert len(slam.map.keyframes) == 2
    assert "only turned or stood still" in slam.notes[0]
