"""A component that a network begins where geometry finds no start: believed or not, solved again, in line, beside."""

import threading
from collections.abc import Callable

import numpy as np
import pytest
from oracle import Errors, Film, OracleBackbone
from waiting import HANG_S, WaitedForLane

from vgslam.evaluation.alignment import align
from vgslam.frontend.asking import AskedGuide, Desk
from vgslam.frontend.guide import VggtUse
from vgslam.frontend.network_guide import NetworkGuide
from vgslam.refine.adjust import RefineConfig
from vgslam.slam import Slam
from vgslam.slam_config import SlamConfig
from vgslam.two_lanes import TwoLaneSystem
from vgslam.types import Camera, Frame, Status
from vgslam_train.worlds.sequences import Shot, render_sequence

CAMERA = Camera.from_fov(158, 119, 100.0)  # too small to be enlarged
N, RATE_HZ = 30, 6.0
SURE = VggtUse(motion_guess=False)


@pytest.fixture(scope="module")
def orbit() -> Film:
    """A wide lens and few pixels that turn fast: geometry alone never finds a start."""
    film = render_sequence("clutter", "orbit", N, 900011, CAMERA, Shot(rate_hz=RATE_HZ, supersample=1))
    depth = [np.where(np.isfinite(d), d, 0).astype(np.float32) for d in film.depth]
    return Film(list(film.images), depth, film.T_world_cam, CAMERA)


def run(film: Film, guide: AskedGuide | NetworkGuide | None, before: Callable[[int], None] = lambda i: None) -> Slam:
    slam = Slam(CAMERA, guide=guide)
    for i, image in enumerate(film.images):
        before(i)
        slam.process(Frame(i, i / RATE_HZ, image))
    return slam


def statuses(slam: Slam) -> list[Status]:
    return [f.status for f in slam.map.frames]


@pytest.fixture(scope="module")
def begun(orbit: Film) -> Slam:
    return run(orbit, NetworkGuide(OracleBackbone(orbit), SURE))


def test_geometry_alone_finds_no_start(orbit: Film) -> None:
    assert set(statuses(run(orbit, None))) == {Status.INITIALIZING}


def test_with_a_depth_that_the_tracks_agree_with_a_map_begins(begun: Slam) -> None:
    assert begun.guide is not None
    assert begun.guide.desk.report()["asked"]["start"]["believed"] == 1
    assert statuses(begun).count(Status.TRACKED) > 0.8 * N
    first = begun.map.frames[0]
    assert first.covariance is not None
    depth = float(np.median(begun.map.landmarks.xyz_host[:50, 2]))
    assert np.sqrt(np.diag(first.covariance)[3:].max()) > 0.05 * depth, "its position is not known to a percent"


def test_it_is_solved_again_when_the_motion_determines_it(begun: Slam, orbit: Film) -> None:
    [start] = begun.provisional.starts
    assert start.solved_at is not None
    assert not start.is_open
    assert any("was solved again from the motion alone" in note for note in begun.notes)
    T = begun.map.keyframe_trajectory().T_world_cam
    true = orbit.T_world_cam[begun.map.keyframe_trajectory().frame_ids]
    moved = align(true, T, with_scale=True).apply(T)
    length = np.linalg.norm(np.diff(true[:, :3, 3], axis=0), axis=1).sum()
    assert np.sqrt(((moved[:, :3, 3] - true[:, :3, 3]) ** 2).sum(1).mean()) < 0.02 * length
    seen = np.unique(np.concatenate([o.ids for o in begun.map.observed]))
    assert begun.map.landmarks.is_triangulated[seen].mean() > 0.5


def test_a_start_that_stays_open_is_told_of(orbit: Film) -> None:
    short = Film(orbit.images[:4], orbit.depth[:4], orbit.T_world_cam[:4], CAMERA)
    slam = run(short, NetworkGuide(OracleBackbone(short), SURE))
    assert slam.provisional.starts[0].is_open
    slam.finish()
    assert any("never determined its geometry" in note for note in slam.notes)
    assert not slam.provisional.starts[0].is_open


def test_a_depth_that_the_tracks_contradict_begins_nothing(orbit: Film) -> None:
    slam = run(orbit, NetworkGuide(OracleBackbone(orbit, Errors(pixel=1.0)), SURE))
    assert slam.guide is not None
    assert slam.guide.desk.n_asked > 1
    assert slam.guide.desk.report()["n_believed"] == 0
    assert set(statuses(slam)) == {Status.INITIALIZING}


def test_beside_the_frames_tracking_goes_on_and_an_answer_is_used_while_its_first_view_is_the_same(
    orbit: Film,
) -> None:
    """The first answer is let go when other first views have come and gone, later ones at once."""
    go, desk = threading.Event(), Desk(is_beside=True)
    inner = NetworkGuide(OracleBackbone(orbit), SURE)

    class Slow(NetworkGuide):
        def predict(self, window):  # type: ignore[no-untyped-def]
            assert go.wait(HANG_S)
            return inner.predict(window)

    def answered(i: int) -> None:
        if i >= 6:
            go.set()
            if desk._pending is not None:
                desk._pending[2].result(HANG_S)

    slam = run(orbit, AskedGuide(lambda: Slow(OracleBackbone(orbit), SURE), SURE, desk), answered)
    assert statuses(slam)[:6] == [Status.INITIALIZING] * 6 or slam._state is not None
    counts = desk.report()["asked"]["start"]
    assert counts["late"] >= 1
    assert counts["believed"] <= counts["asked"] - counts["late"]
    desk.close()


def test_in_two_lanes_the_mapping_lane_alone_asks_and_a_map_begins(orbit: Film) -> None:
    askers: set[str] = set()

    class Heard(NetworkGuide):
        def predict(self, window):  # type: ignore[no-untyped-def]
            askers.add(threading.current_thread().name)
            return super().predict(window)

    config = SlamConfig(refine=RefineConfig(is_on=False, while_running=False))
    slam = TwoLaneSystem(CAMERA, config, Heard(OracleBackbone(orbit), SURE), lane=WaitedForLane("mapping"))
    said = [slam.process(Frame(i, i / RATE_HZ, image)).status for i, image in enumerate(orbit.images)]
    slam.settle()
    assert askers == {"mapping"}
    assert slam.guide is not None
    assert slam.guide.desk.report()["asked"]["start"]["believed"] == 1
    assert said.count(Status.TRACKED) > 0.7 * N
    assert slam.provisional.starts[0].solved_at is not None
