"""The whole map is finished as that of a run: places of other pieces alone, frames that follow their keyframes."""

from dataclasses import replace

import numpy as np
import pytest
from fleet.piece_maps import CAMERA, ELSEWHERE, EVERY, STEP_S, piece, true_pose

from vgslam.fleet.pieces import MappedPiece, join_of, placed
from vgslam.fleet.whole import EarlierPieces, make_whole
from vgslam.frontend.frame_poses import FramePoses
from vgslam.frontend.tracker import TrackerConfig
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import RefineConfig, Watch
from vgslam.reloc.loops import LoopConfig
from vgslam.slam_config import SlamConfig
from vgslam.types import Keyframe

RANGES = [range(60), range(30, 90)]


def test_the_parts_become_one_map_and_are_adjusted_as_one() -> None:
    where = zip((Sim3.identity(), ELSEWHERE), RANGES, strict=True)
    pieces = [MappedPiece(n, piece(S, r), np.array(r)) for n, (S, r) in enumerate(where)]
    m = SlamMap()
    m.begin_session("whole", "2026-01-01T00:00:00+00:00")
    config = replace(SlamConfig(), loops=replace(LoopConfig(), is_on=False))
    parts = placed(pieces, [join_of(*pieces, RANGES)], RANGES)
    whole = make_whole(parts, STEP_S * np.arange(90), m, config, RefineConfig(), Watch())
    assert whole.refined is not None
    [component] = whole.refined.components
    assert component.n_keyframes == len(m.keyframes) == 30
    assert whole.notes == []
    for n, T in enumerate(m.trajectory().T_world_cam):
        np.testing.assert_allclose(T, true_pose(n), atol=1e-3)


def test_nothing_comes_of_no_keyframes() -> None:
    m = SlamMap()
    assert make_whole([], np.zeros(0), m, SlamConfig(), RefineConfig(), Watch()).slam_map is m
    assert len(m.frames) == 0


def test_places_of_a_keyframes_own_piece_and_of_later_ones_are_passed_over() -> None:
    """Images of two places that take turns: keyframes 0, 2, 4 show one, 1, 3, 5 the other."""
    rng = np.random.default_rng(0)
    shown = [np.kron(rng.integers(0, 255, (24, 32, 3)), np.ones((10, 10, 1))).astype(np.uint8) for _ in range(2)]
    m = SlamMap()
    for k in range(6):
        camera = replace(CAMERA, width=320, height=240)
        m.add_keyframe(Keyframe(k, k, 0.1 * k, shown[k % 2], camera, Sim3.identity()), np.zeros(0, np.int64),
                       np.zeros((0, 2)))  # fmt: skip
    places = EarlierPieces(m, np.array([0, 0, 1, 1, 2, 2]))
    ids, likeness = places.like_keyframe(4, 3)
    assert ids[:2].tolist() == [0, 2] or ids[:2].tolist() == [2, 0]
    assert likeness[0] == pytest.approx(1.0)
    assert set(places.like_keyframe(3, 6)[0].tolist()) == {0, 1}
    assert len(places.like_keyframe(1, 6)[0]) == 0


def test_frames_of_a_map_that_was_put_together_share_what_moves_their_keyframes() -> None:
    """The second keyframe is moved by 0.3: of the frames before it, at a third and two thirds, by 0.1 and 0.2."""
    m = piece(Sim3.identity(), range(30))
    frames = FramePoses(m, CAMERA, TrackerConfig())
    frames.take_over()
    before = [m.pose_of(f) for f in m.frames]
    S = m.keyframes[1].S_world_keyframe
    moved = se3.from_rt(np.eye(3), np.array([0.0, 0.3, 0.0])) @ S.pose
    m.set_pose(1, Sim3.from_T(moved))
    frames.finish()
    after = [m.pose_of(f) for f in m.frames]
    assert EVERY == 3
    off = [float(b[1, 3] - a[1, 3]) for a, b in zip(before, after, strict=True)]
    np.testing.assert_allclose(off[:4], [0.0, 0.1, 0.2, 0.3], atol=5e-3)
    np.testing.assert_allclose(off[4:6], [0.2, 0.1], atol=5e-3)
    np.testing.assert_allclose(off[6:], 0.0, atol=1e-9)
