"""Where landmarks of a keyframe are looked for and what is believed of them, from both sides of each limit."""

import numpy as np
import pytest
from hand_map import CAMERA, add_landmarks, at, grid, hand_map

from vgslam.frontend.features import FeatureConfig
from vgslam.map.slam_map import SlamMap
from vgslam.multiview.pnp import PoseFit, PosePoints
from vgslam.reloc import locate as module
from vgslam.reloc.locate import LocateConfig, Locator, Target, _by_enlargement, depth_near


@pytest.mark.parametrize(("n_known", "expected"), [(8, 4.0), (7, 2.0)])
def test_eight_measured_landmarks_are_asked_alone(n_known: int, expected: float) -> None:
    """Guesses say 2, where the pixel lies; what is measured says 4, further off."""
    m = hand_map([at()])
    known = add_landmarks(m, 0, grid(n_known, 1, 4.0))
    add_landmarks(m, 0, grid(3, 1, 2.0, 0.02) + np.array([0.4, 0.4, 0.0]))
    m.landmarks.is_triangulated[len(known) :] = False
    depth, _ = depth_near(m, 0, np.array([[119.5, 99.5]]))
    assert depth[0] == pytest.approx(expected)


def test_the_depth_between_three_landmarks_is_that_of_their_inverse_by_distance() -> None:
    """Landmarks 3, 4 and 10 px away count by 1 / (d^2 + 4): 1 / 13, 1 / 20 and 1 / 104. In units of the world: the
    keyframe's are two."""
    m = hand_map([at()], scales=[2.0])
    z = np.array([2.0, 4.0, 8.0, 5.0, 5.0])
    px = np.array([[103.5, 80.5], [100.5, 84.5], [100.5, 90.5], [10.0, 10.0], [20.0, 150.0]])
    add_landmarks(m, 0, CAMERA.rays(px) * z[:, None])
    depth, rel_sigma = depth_near(m, 0, np.array([[100.5, 80.5]]))
    w, inverse = 1.0 / np.array([13.0, 20.0, 104.0]), 1.0 / z[:3]
    mean = float(w @ inverse / w.sum())
    assert depth[0] == pytest.approx(1.0 / mean)
    spread = float(np.sqrt(w @ (inverse - mean) ** 2 / w.sum())) / mean
    assert rel_sigma[0] == pytest.approx(spread + 4.0 * 3.0 / 200.0)


def test_depth_is_never_known_to_better_than_a_fiftieth_nor_where_few_lie_ahead() -> None:
    m = hand_map([at()])
    add_landmarks(m, 0, np.array([[0.0, 0.0, 4.0]] * 5))
    assert [x[0] for x in depth_near(m, 0, np.array([[99.5, 79.5]]))] == [pytest.approx(4.0), pytest.approx(0.02)]
    few = hand_map([at()])
    add_landmarks(few, 0, np.array([[0.0, 0.0, 4.0]] * 4))
    assert [x[0] for x in depth_near(few, 0, np.array([[99.5, 79.5]]))] == [1.0, 1.0]


def locator(m: SlamMap, **config: float) -> Locator:
    settings = {"min_inliers": 30, "min_ratio": 0.6, "min_refound": 15, **config}
    return Locator(m, LocateConfig(**settings), FeatureConfig())  # type: ignore[arg-type]


@pytest.mark.parametrize(("n", "n_wrong", "is_found"), [
    (40, 10, True), (40, 11, False), (50, 18, True), (60, 26, False),
])  # fmt: skip
def test_thirty_matches_and_six_tenths_agree_on_a_pose(n: int, n_wrong: int, is_found: bool) -> None:
    m = hand_map([at(x=0.5)])
    rng = np.random.default_rng(2)
    X = CAMERA.rays(rng.uniform([20, 20], [180, 140], (n, 2))) * rng.uniform(2, 6, n)[:, None]
    px = CAMERA.project(X)
    px[:n_wrong] = px[:n_wrong][::-1] + np.array([25.0, -30.0])
    found = locator(m)._fit(PosePoints(X, px, X, np.full(n, 0.01)), np.eye(4), CAMERA)
    assert (found is not None) == is_found
    assert found is None or found.inliers.sum() == n - n_wrong


def test_of_two_starts_the_one_that_most_matches_agree_with_is_taken() -> None:
    """The camera was thought to look the other way."""
    rng = np.random.default_rng(2)
    X = CAMERA.rays(rng.uniform([20, 20], [180, 140], (40, 2))) * rng.uniform(2, 6, 40)[:, None]
    points = PosePoints(X, CAMERA.project(X), X, np.full(40, 0.01))
    found = locator(hand_map([at()]))._fit(points, at(turn=(0.0, 170.0, 0.0)), CAMERA)
    assert found is not None
    np.testing.assert_allclose(found.T_cam_world, np.eye(4), atol=1e-4)


def test_landmarks_are_looked_for_where_the_pose_puts_them_before_the_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 0.5 to the right of the keyframe those 4 ahead move by 12.5 px to the left; one lies behind, and three leave
    the image."""
    m = hand_map([at(x=1.0)])
    ahead = np.concatenate([grid(5, 5, 4.0, 0.6), np.array([[-3.7, 0.0, 4.0]] * 3)])
    ids = add_landmarks(m, 0, ahead + np.array([1.0, 0.0, 0.0]))
    behind = m.landmarks.add(0, np.array([[0.0, 0.0, -1.0]]), np.array([0.1]), np.zeros((1, 3), np.uint8))
    m.observe(0, behind, np.array([[99.5, 79.5]]))

    def track_flow(a: np.ndarray, b: np.ndarray, start: np.ndarray, near: np.ndarray, *_: object):
        np.testing.assert_allclose(start, near, atol=1e-3)
        return near, np.ones(len(near), bool)

    monkeypatch.setattr(module, "track_flow", track_flow)
    target = Target(np.zeros((160, 200), np.uint8), CAMERA)
    found, pixels, n_inside = locator(m)._refind(0, target, at(x=-1.5))
    assert found.tolist() == ids[:25].tolist()
    assert n_inside == 25
    np.testing.assert_allclose(pixels, m.observed[0].pixels[:25] - np.array([12.5, 0.0]), atol=1e-3)


def test_what_is_near_is_looked_for_as_large_as_a_step_ahead_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step ahead, what was 2 away is seen twice as large, what was 8 away 8 / 7 times. Of each, and of nothing
    else, the windows of optical flow show the size it has in the target."""
    m = hand_map([at()])
    near, far = np.array([-0.4, 0.0, 0.0]), np.array([1.6, 0.0, 0.0])
    add_landmarks(m, 0, np.concatenate([grid(4, 4, 2.0, 0.05) + near, grid(4, 4, 8.0, 0.2) + far]))
    calls = []

    def track_flow(a: np.ndarray, b: np.ndarray, start: np.ndarray, guess: np.ndarray, *_: object):
        np.testing.assert_allclose(start, guess, atol=1e-3)
        calls.append(len(start))
        return guess, np.ones(len(guess), bool)

    monkeypatch.setattr(module, "track_flow", track_flow)
    target = Target(np.zeros((160, 200), np.uint8), CAMERA)
    found, _, n_inside = locator(m, enlargements=2)._refind(0, target, at(z=-1.0))
    assert (calls, len(found), n_inside) == ([16, 16], 32, 32)


def test_a_step_aside_enlarges_nothing_and_one_image_is_warped(monkeypatch: pytest.MonkeyPatch) -> None:
    m = hand_map([at()])
    add_landmarks(m, 0, np.concatenate([grid(4, 4, 2.0, 0.05), grid(4, 4, 8.0, 0.2) + np.array([1.6, 0.0, 0.0])]))
    calls = []

    def track_flow(a: np.ndarray, b: np.ndarray, start: np.ndarray, guess: np.ndarray, *_: object):
        calls.append(len(start))
        return guess, np.ones(len(guess), bool)

    monkeypatch.setattr(module, "track_flow", track_flow)
    locator(m, enlargements=2)._refind(0, Target(np.zeros((160, 200), np.uint8), CAMERA), at(x=-0.05))
    assert calls == [32]


def test_landmarks_are_parted_by_enlargement_in_steps_of_three_tenths() -> None:
    """The median is 1; sqrt(1.3) = 1.1402 above and 0.8771 below it is the edge of its group, and nothing is
    further than two steps."""
    factors = np.array([0.2, 0.6, 0.876, 0.878, 1.0, 1.14, 1.141, 1.7, 30.0])
    assert [g.tolist() for g in _by_enlargement(factors, 2)] == [[0, 1], [2], [3, 4, 5], [6], [7, 8]]
    assert [g.tolist() for g in _by_enlargement(np.array([-1.0, 1.0, 1.0]), 2)] == [[0], [1, 2]]
    assert [g.tolist() for g in _by_enlargement(factors, 0)] == [list(range(9))]


def test_landmarks_are_granted_a_least_deviation_along_the_ray_of_their_host() -> None:
    m = hand_map([at(x=1.0), at()])
    ids = add_landmarks(m, 0, np.array([[1.0, 2.0, 4.0], [3.0, 0.0, 4.0]]), rel_sigma=0.05)
    m.landmarks.rel_sigma[1] = 0.01
    points = locator(m, min_rel_sigma=0.03).pose_points(ids, np.zeros((2, 2)))
    np.testing.assert_allclose(points.direction, [[0.0, 2.0, 4.0], [2.0, 0.0, 4.0]])
    np.testing.assert_allclose(points.rel_sigma, [0.05, 0.03])


def test_matched_pixels_lie_at_the_depth_of_their_keyframe_in_the_world() -> None:
    """Keyframe 0 looks along x of the world."""
    m = hand_map([at(x=1.0, turn=(0.0, 90.0, 0.0))])
    add_landmarks(m, 0, np.array([[5.0, 0.0, 0.0]] * 5))
    points = locator(m).matched_points(0, np.array([[99.5, 79.5], [124.5, 79.5]]), np.zeros((2, 2)))
    np.testing.assert_allclose(points.landmarks, [[5.0, 0.0, 0.0], [5.0, 0.0, -1.0]], atol=1e-9)
    np.testing.assert_allclose(points.direction, [[4.0, 0.0, 0.0], [4.0, 0.0, -1.0]], atol=1e-9)


def test_an_image_is_warped_as_a_plane_at_the_usual_depth_would_be_seen() -> None:
    """From 0.5 to the right, a wall 4 ahead moves by 12.5 px to the left."""
    m = hand_map([at()])
    add_landmarks(m, 0, grid(4, 4, 4.0))
    _, moved = locator(m)._warp(0, np.array([[120.0, 60.0]]), at(x=-0.5), CAMERA)
    np.testing.assert_allclose(moved, [[107.5, 60.0]], atol=1e-6)


@pytest.mark.parametrize(("n_sure", "n_agree_sure", "n_agree", "ratio"), [
    (15, 9, 24, 0.6), (15, 8, 24, None), (14, 8, 24, 0.8), (14, 3, 17, None), (20, 12, 15, 0.6), (20, 12, 14, None),
])  # fmt: skip
def test_sure_landmarks_vote_where_there_are_fifteen(
    n_sure: int, n_agree_sure: int, n_agree: int, ratio: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 are found of 40 that the pose puts inside; six tenths of those that vote have to agree, and 15 of all."""
    m = hand_map([at()])
    ids = add_landmarks(m, 0, grid(6, 5, 4.0))
    m.landmarks.is_triangulated[n_sure:] = False
    agree = np.zeros(30, bool)
    agree[:n_agree_sure] = True
    agree[n_sure : n_sure + n_agree - n_agree_sure] = True
    found = locator(m)
    monkeypatch.setattr(found, "_refind", lambda k, target, T: (ids, m.observed[0].pixels.astype(np.float32), 40))
    monkeypatch.setattr(module, "refine_pose", lambda camera, T, points, sigma: PoseFit(T, agree, np.eye(6), 0.5))
    said = found.confirm(0, Target(np.zeros((160, 200), np.uint8), CAMERA), np.eye(4))
    assert (said is not None) == (ratio is not None)
    if said is not None:
        assert (said.ratio, said.share) == (pytest.approx(ratio), pytest.approx(n_agree / 40))
        assert len(said.ids) == n_agree
