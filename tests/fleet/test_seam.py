"""Where one map lies in another, from frames that both have seen: against known similarities."""

import numpy as np
import pytest
from fleet.piece_maps import ELSEWHERE, piece

from vgslam.fleet.pieces import MappedPiece
from vgslam.fleet.seam import depth_ratios, seam_of
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3

NONE = np.zeros(0)
DEPTH = 8.0


def straight(n: int, length: float = 3.0) -> np.ndarray:
    """Poses (n,4,4) along a straight line, as a car's, all looking ahead."""
    T = np.tile(np.eye(4), (n, 1, 1))
    T[:, 2, 3] = np.linspace(0, length, n)
    return T


def seen_from(S: Sim3, T: np.ndarray) -> np.ndarray:
    """The same poses in the frame of reference b of S_a_b."""
    return np.stack([S.inverse().compose_pose(x) for x in T])


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_the_similarity_is_found_where_the_path_is_straight(noise: float) -> None:
    """Positions alone would leave the turn about the line open."""
    T_a = straight(30)
    T_b = seen_from(ELSEWHERE, T_a)
    T_a[:, :3, 3] += noise * np.random.default_rng(1).normal(size=(30, 3))
    seam, reason = seam_of(T_a, T_b, NONE, DEPTH)
    assert seam is not None, reason
    off = seam.S_a_b.inverse() @ ELSEWHERE
    np.testing.assert_allclose(off.R, np.eye(3), atol=1e-6)
    assert abs(np.log(off.s)) < 1e-9 + 0.5 * noise
    assert np.linalg.norm(seam.S_a_b.t - ELSEWHERE.t) < 1e-9 + 10 * noise
    assert seam.n_frames == 30


def test_a_camera_that_only_turns_takes_its_scale_from_landmarks() -> None:
    T_a = np.stack([se3.from_rt(se3.so3_exp(np.array([0, 0.02 * i, 0])), np.zeros(3)) for i in range(20)])
    T_b = seen_from(ELSEWHERE, T_a)
    assert "nothing says" in seam_of(T_a, T_b, NONE, DEPTH)[1]
    ratios = np.log(2.5) + 0.05 * np.random.default_rng(2).normal(size=400)
    ratios[:60] += 1.0  # wrong pairs
    seam, reason = seam_of(T_a, T_b, ratios, DEPTH)
    assert seam is not None, reason
    assert abs(np.log(seam.S_a_b.s / 2.5)) < 0.02
    wide = np.log(2.5) + 0.5 * np.random.default_rng(2).normal(size=40)
    assert "only to" in seam_of(T_a, T_b, wide, DEPTH)[1]


def test_paths_and_landmarks_that_differ_in_scale_are_refused() -> None:
    T_a = straight(20)
    T_b = seen_from(ELSEWHERE, T_a)
    good, bad = np.full(100, np.log(2.5)), np.full(100, np.log(2.5 * 1.2))
    assert seam_of(T_a, T_b, good, DEPTH)[0] is not None
    seam, reason = seam_of(T_a, T_b, bad, DEPTH)
    assert seam is None
    assert "20 %" in reason


def test_frames_that_do_not_agree_make_no_seam() -> None:
    """8 of 20 frames are 3 degrees off in one map: 60 % agree, 70 % are needed. With 4 of 20 the seam stays right."""
    T_a = straight(20)
    turn = se3.from_rt(se3.so3_exp(np.array([0, np.radians(3.0), 0])), np.zeros(3))
    for n_off, is_joined in ((8, False), (4, True)):
        T_b = seen_from(ELSEWHERE, T_a)
        T_b[:n_off] = T_b[:n_off] @ turn
        seam, reason = seam_of(T_a, T_b, NONE, DEPTH)
        assert (seam is not None) == is_joined, reason
    assert seam is not None
    np.testing.assert_allclose(seam.S_a_b.R, ELSEWHERE.R, atol=1e-6)


def test_positions_that_do_not_agree_make_no_seam() -> None:
    """Some of 20 frames lie 1.5 aside in one map: more than a tenth of the depth. 70 % have to agree."""
    for n_off, is_joined in ((8, False), (4, True)):
        T_a = straight(20, 60.0)
        T_b = seen_from(ELSEWHERE, T_a)
        T_a[:n_off, 0, 3] += 1.5
        seam, reason = seam_of(T_a, T_b, NONE, DEPTH)
        assert (seam is not None) == is_joined, reason
        assert is_joined or "12 of 20" in reason


def test_few_frames_are_not_believed() -> None:
    T = straight(4)
    assert "4 common frames" in seam_of(T, seen_from(ELSEWHERE, T), NONE, DEPTH)[1]
    T = straight(5)
    assert seam_of(T, seen_from(ELSEWHERE, T), NONE, DEPTH)[0] is not None


def test_depths_of_landmarks_that_both_maps_see_compare_their_scales() -> None:
    """Keyframes of the two lie at different frames; the points are the same."""
    a, b = piece(Sim3.identity(), range(30)), piece(ELSEWHERE, range(15, 45), first_keyframe=1)
    common = set(range(15, 30))
    side_a = MappedPiece(0, a, np.arange(30)).side(0, common)
    side_b = MappedPiece(1, b, np.arange(15, 45)).side(0, common)
    ratios, depth = depth_ratios(side_a, side_b)
    assert len(ratios) > 200
    assert np.median(ratios) == pytest.approx(np.log(1 / 2.5), abs=1e-6)
    back, _ = depth_ratios(side_b, side_a)
    assert np.median(back) == pytest.approx(np.log(2.5), abs=1e-6)
    assert 3.0 < depth < 12.0
