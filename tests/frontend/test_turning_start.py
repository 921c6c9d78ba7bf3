"""A camera that turns on the spot is tracked from its first frame, and its rotations are told from full poses."""

from pathlib import Path

import numpy as np
import pytest
from synthetic import CAMERA, frames_of, observe, pose, random_points, render, room

from vgslam.geometry import se3
from vgslam.map.slam_map import SlamMap
from vgslam.multiview.pnp import CentrePrior
from vgslam.multiview.two_view import TwoViewConfig, TwoViewVerdict, is_nearly_rotation, two_view
from vgslam.results.status import status_csv
from vgslam.slam import Slam
from vgslam.store.map_folder import MapFolder
from vgslam.store.open import load_map
from vgslam.types import Array, PoseEstimate, Status, Trajectory

NO_FRAMES = Trajectory(np.zeros(0), np.zeros((0, 4, 4)))


def turn_then(n_turn: int, n_move: int) -> Array:
    """A pan by 50 degrees and back to the middle, so that the first view leaves, then a way to the side of 1.5."""
    turn = [pose((3 * np.sin(0.2 * i), -25 * np.cos(1.5 * np.pi * i / n_turn), 0)) for i in range(n_turn)]
    move = [pose((0, 0, 0), (1.5 * (i + 1) / n_move, 0, 0)) for i in range(n_move)]
    return np.array(turn + move)


def tracked(truth: Array) -> Slam:
    slam = Slam(CAMERA)
    for frame in frames_of([render(room(), CAMERA, T)[0] for T in truth]):
        slam.process(frame)
    slam.finish()
    return slam


def rotation_errors_deg(slam: Slam, truth: Array) -> list[float]:
    T = [slam.map.pose_of(f) for f in slam.map.frames]
    known = [(a[:3, :3], b[:3, :3]) for a, b in zip(T, truth, strict=True) if a is not None]
    return [se3.angle_deg((known[0][0].T @ a).T @ (known[0][1].T @ b)) for a, b in known]


def test_a_camera_that_only_turns_has_rotations_and_says_so() -> None:
    truth = turn_then(60, 0)
    slam = tracked(truth)
    frames = list(slam.map.frames)
    assert all(f.status is Status.TRACKED for f in frames)
    assert max(rotation_errors_deg(slam, truth)) < 1.0
    assert all(f.rotation_only for f in frames)
    assert any("only turned" in note for note in slam.notes)
    for f in frames:
        assert f.covariance is not None
        assert np.sqrt(f.covariance[3, 3]) > 0.05  # of a depth of 1


def test_a_camera_that_turns_and_then_moves_has_all_poses() -> None:
    truth = turn_then(60, 40)
    slam = tracked(truth)
    frames = list(slam.map.frames)
    assert all(f.status is Status.TRACKED for f in frames)
    assert slam.n_components == 1
    assert max(rotation_errors_deg(slam, truth)) < 1.0
    assert frames[20].rotation_only
    assert not any(f.rotation_only for f in frames[-10:])
    at = np.array([slam.map.pose_of(f)[:3, 3] for f in frames])
    way = truth[0][:3, :3] @ (at[-1] - at[60])  # the map has the first camera's axes
    assert np.degrees(np.arccos(way[0] / np.linalg.norm(way))) < 5.0
    assert np.linalg.norm(at[:60] - at[0], axis=1).max() < 0.1 * np.linalg.norm(way)


def seen_from(T: Array, noise_px: float = 0.3) -> tuple[Array, Array]:
    scene = observe(np.stack([np.eye(4), T]), random_points(150, seed=1), noise_px, only_inside=False)
    return scene.pixels[scene.frame == 0], scene.pixels[scene.frame == 1]


def test_a_turn_with_a_small_step_is_neither_two_views_nor_a_rotation_but_nearly_one() -> None:
    a, b = seen_from(pose((0, 8, 0), (0.25, 0, 0)))
    assert two_view(CAMERA, a, b, TwoViewConfig()).verdict is TwoViewVerdict.WEAK
    assert is_nearly_rotation(CAMERA, a, b, TwoViewConfig())


@pytest.mark.parametrize("seed", range(3))
def test_matches_that_no_camera_explains_are_no_rotation(seed: int) -> None:
    a, b = seen_from(pose((0, 8, 0)))
    b = b + np.random.default_rng(seed).normal(0, 6, b.shape)
    assert not is_nearly_rotation(CAMERA, a, b, TwoViewConfig())


def test_the_prior_s_gradient_and_curvature_are_those_of_its_cost() -> None:
    prior = CentrePrior(np.array([0.3, -0.2, 0.5]), 0.2)
    T = se3.inverse(pose((20, -30, 10), (1.0, 2.0, -0.5)))

    def cost(xi: Array) -> float:
        c = se3.inverse(se3.exp(xi) @ T)[:3, 3]
        return float(((c - prior.centre) ** 2).sum() / (2 * prior.sigma**2))

    H, g = prior.normal_equations(T)
    step = 1e-5 * np.eye(6)
    numeric = [(cost(d) - cost(-d)) / 2e-5 for d in step]
    np.testing.assert_allclose(g, numeric, atol=1e-5)
    np.testing.assert_allclose(np.diag(H)[3:], [(cost(1e2 * d) + cost(-1e2 * d) - 2 * cost(0 * d)) / 1e-6
                                                for d in step[3:]], rtol=1e-4)  # fmt: skip


def test_a_rotation_only_frame_is_told_in_the_status_table_and_kept_in_the_map(tmp_path: Path) -> None:
    m = SlamMap()
    m.frames.extend([
        PoseEstimate(0, 0.0, Status.LOST, rotation_only=True), PoseEstimate(1, 1.0, Status.LOST),
    ])  # fmt: skip
    assert [f.rotation_only for f in m.frames] == [True, False]
    rows = status_csv(list(m.frames), NO_FRAMES, NO_FRAMES).splitlines()
    assert rows[0].endswith(",rotation_only")
    assert [row[-2:] for row in rows[1:]] == [",1", ",0"]
    with MapFolder(tmp_path / "m") as folder:
        folder.save(m)
    assert [f.rotation_only for f in load_map(tmp_path / "m").frames] == [True, False]
