"""A long map adjusted piece by piece."""

from dataclasses import replace

import numpy as np
import pytest
from refine_world import Errors, straight_drive, world

from vgslam.geometry import se3
from vgslam.refine import pieces
from vgslam.refine.ceres import SolverOptions, solve
from vgslam.refine.pieces import solve_pieces
from vgslam.refine.problem import Problem, gather

N = 40
OPTIONS = SolverOptions(20, 1.0, 1e-6)
TRUE = straight_drive(N)


@pytest.fixture(scope="module")
def bent() -> Problem:
    """A drive whose keyframes are each a little off."""
    w = world(TRUE, Errors(pose=0.01, depth=0.05), n_points=30 * N)
    return gather(w.slam_map, np.arange(N))


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", 10)
    monkeypatch.setattr(pieces, "AROUND", 4)


def steps_off(p: Problem) -> float:
    """Median error of the steps from keyframe to keyframe."""
    T = p.T_world_cam()
    found, true = (se3.inverse(X[:-1]) @ X[1:] for X in (T, TRUE))
    return float(np.median(np.linalg.norm(found[:, :3, 3] - true[:, :3, 3], axis=1)))


def test_every_keyframe_is_adjusted_among_its_neighbours(bent: Problem) -> None:
    found = solve_pieces(bent, OPTIONS)
    assert (np.abs(found.T_cam_world - bent.T_cam_world).max((1, 2)) > 1e-5).all()
    assert steps_off(found) < 0.3 * steps_off(bent)
    assert np.median(found.errors_px()) < 0.5 * np.median(bent.errors_px())


def test_a_piece_is_held_by_what_is_around_it(bent: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def noted(p: Problem, *rest: object, **named: object) -> Problem:
        held = rest[-1]
        assert isinstance(held, np.ndarray)
        asked.append((p.keyframe_ids.tolist(), p.keyframe_ids[~held].tolist()))
        return p

    monkeypatch.setattr(pieces, "solve", noted)
    held = np.arange(N) == 12
    solve_pieces(bent, OPTIONS, held)
    assert asked == [
        (list(range(14)), list(range(10))), (list(range(6, 24)), [10, 11, *range(13, 20)]),
        (list(range(16, 34)), list(range(20, 30))), (list(range(26, 40)), list(range(30, 40))),
    ]  # fmt: skip
    asked.clear()
    solve_pieces(bent, OPTIONS, first=-5)
    assert [free for _, free in asked] == [[*range(5)], *([*range(k, k + 10)] for k in (5, 15, 25)), [*range(35, 40)]]


def test_one_piece_is_the_whole(bent: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", N)
    found, whole = solve_pieces(bent, OPTIONS), solve(bent, OPTIONS)
    assert np.allclose(found.T_cam_world, whole.T_cam_world, atol=1e-9)
    assert np.allclose(found.points, whole.points, atol=1e-9)


def test_what_is_not_believed_has_no_say(bent: Problem) -> None:
    rng = np.random.default_rng(0)
    wrong = rng.random(len(bent.cam)) < 0.3
    pixels = bent.pixels + np.where(wrong[:, None], rng.normal(0, 30, bent.pixels.shape), 0.0)
    found = solve_pieces(replace(bent, pixels=pixels, in_use=~wrong), OPTIONS)
    assert steps_off(found) < 0.4 * steps_off(bent)
    assert np.array_equal(found.pixels, pixels)


def test_a_stretch_that_sees_nothing_stays(bent: Problem) -> None:
    blind = replace(bent, in_use=(bent.cam < 6) | (bent.cam >= 24))
    found = solve_pieces(blind, OPTIONS)
    assert np.array_equal(found.T_cam_world[10:20], bent.T_cam_world[10:20])
