"""A long map adjusted by a part of its landmarks."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from refine_world import Errors, straight_drive, world

from vgslam.geometry import se3
from vgslam.geometry.robust_similarity import umeyama
from vgslam.refine import thinned
from vgslam.refine.ceres import SolverOptions, solve
from vgslam.refine.problem import Problem, gather, project
from vgslam.refine.thinned import A_CELL, A_LINK, A_RETURN, CELLS, followed, holding, solve_thinned
from vgslam.types import Array, Ids

N = 60
OPTIONS = SolverOptions(20, 1.0, 1e-6)
TRUE = straight_drive(N)


def there_and_back(n: int) -> Array:
    """Poses (n,4,4) straight ahead, and the same way once more, a little aside."""
    T = np.concatenate([straight_drive(n // 2)] * 2)
    T[n // 2 :, 0, 3] += 0.1
    return T


def drive(T: Array = TRUE, errors: Errors | None = None) -> Problem:
    """A drive of which tracking has made a map with errors: some 500 landmarks in each keyframe."""
    w = world(T, errors or Errors(pose=0.02, depth=0.1), n_points=40 * len(T))
    return gather(w.slam_map, np.arange(len(T)))


def two_visits() -> Problem:
    """A drive there and back, on which landmarks of the first visit are other ones than those of the second, but for 50
    of those that each keyframe of the second sees."""
    p = drive(there_and_back(N))
    rng = np.random.default_rng(1)
    known = np.concatenate([
        rng.permutation(np.flatnonzero(p.cam == k))[:50] for k in range(N // 2, N)
    ])  # fmt: skip
    first = np.unique(p.point[p.cam < N // 2])
    is_second = (p.cam >= N // 2) & np.isin(p.point, first)
    is_second[known] = False
    n = len(p.points)
    return replace(
        p, point=np.where(is_second, p.point + n, p.point), points=np.concatenate([p.points] * 2),
        has_point=np.concatenate([p.has_point] * 2), landmark_ids=np.arange(2 * n),
    )  # fmt: skip


def off(p: Problem, T_true: Array = TRUE) -> float:
    """RMSE of the keyframes' positions after a similarity."""
    found, true = p.T_world_cam()[:, :3, 3], T_true[:, :3, 3]
    return float(np.sqrt(((umeyama(true, found).apply(found) - true) ** 2).sum(1).mean()))


def seen(p: Problem, which: Array | None = None) -> list[set[int]]:
    """The landmarks of each keyframe, of those of `which` (L,)."""
    sets = [set(p.point[rows].tolist()) for rows in p.rows_by_keyframe()]
    return sets if which is None else [s & set(np.flatnonzero(which).tolist()) for s in sets]


@pytest.fixture(scope="module")
def long_drive() -> Problem:
    return drive()


def test_few_observations_are_adjusted_as_ever(long_drive: Problem) -> None:
    a = solve_thinned(long_drive, OPTIONS, most=int(long_drive.is_active().sum()))
    b = solve(long_drive, OPTIONS)
    assert np.array_equal(a.T_cam_world, b.T_cam_world)
    assert np.array_equal(a.points, b.points)


def test_a_part_of_the_landmarks_adjusts_a_long_map_nearly_as_well(long_drive: Problem) -> None:
    true = replace(long_drive, T_cam_world=se3.inverse(TRUE))
    assert (before := off(long_drive)) > 10 * off(true)
    full, part = solve(long_drive, OPTIONS), solve_thinned(long_drive, OPTIONS, most=5000)
    assert off(part) - off(full) < 0.1 * before
    assert np.median(part.errors_px()) < 1.05 * np.median(full.errors_px())


def test_it_takes_as_many_as_it_may(long_drive: Problem) -> None:
    n = [int(holding(long_drive, most)[long_drive.point].sum()) for most in (20_000, 10_000)]
    assert n[1] <= 10_000 < n[0] <= 20_000


def test_each_part_of_each_image_keeps_landmarks(long_drive: Problem) -> None:
    p, chosen = long_drive, holding(long_drive, 1)
    at = (p.pixels * CELLS / [p.camera.width, p.camera.height]).astype(int)
    cell = (p.cam * CELLS + at[:, 0]) * CELLS + at[:, 1]
    there, kept = (np.bincount(cell[rows], minlength=N * CELLS**2) for rows in (p.in_use, chosen[p.point]))
    assert (kept >= np.minimum(there, A_CELL[-1])).all()
    assert int(chosen.sum()) < 0.3 * len(chosen)


def test_keyframes_that_follow_one_another_keep_what_ties_them(long_drive: Problem) -> None:
    there, kept = seen(long_drive), seen(long_drive, holding(long_drive, 1))
    for step in (1, 2):
        for k in range(step, N):
            assert len(kept[k] & kept[k - step]) >= min(A_LINK, len(there[k] & there[k - step]))


def test_a_link_of_few_landmarks_keeps_them_all(long_drive: Problem) -> None:
    p, k = long_drive, N // 2
    before, after = (set(p.point[side].tolist()) for side in (p.cam < k, p.cam >= k))
    cut = np.isin(p.point, sorted(before & after)[12:]) & (p.cam >= k)
    thin = replace(p, in_use=p.in_use & ~cut)
    kept = seen(thin, holding(thin, 1))
    assert len(seen(thin)[k - 1] & seen(thin)[k]) == len(kept[k - 1] & kept[k]) > 0


def test_a_return_keeps_what_ties_it_to_the_visit_before() -> None:
    p = two_visits()
    there, kept = seen(p), seen(p, holding(p, 1))
    first = [set().union(*sets[: N // 2]) for sets in (there, kept)]
    for k in range(N // 2 + 1, N):
        assert len(kept[k] & first[1]) >= min(A_RETURN, len(there[k] & first[0]))


def test_landmarks_that_were_left_out_follow_the_poses(long_drive: Problem) -> None:
    part, chosen = solve_thinned(long_drive, OPTIONS, most=5000), holding(long_drive, 5000)
    full = solve(long_drive, OPTIONS)
    S = umeyama(full.T_world_cam()[:, :3, 3], part.T_world_cam()[:, :3, 3])
    apart = np.linalg.norm(S.apply(part.points) - full.points, axis=1)
    moved = np.linalg.norm(long_drive.points - full.points, axis=1)
    assert np.median(apart[~chosen]) < 0.5 * np.median(moved[~chosen])
    is_left = ~chosen[part.point]
    assert np.median(part.errors_px()[is_left]) < 1.1 * np.median(full.errors_px()[is_left])


@pytest.mark.parametrize("k1", [0.0, -0.05])
def test_each_landmark_goes_where_its_observations_meet(k1: float) -> None:
    rng = np.random.default_rng(0)
    p = drive(errors=Errors(pose=0.0, depth=0.0, pixel=0.0))
    true = replace(p, k1=k1)
    true = replace(true, pixels=project(p.camera, k1, true.local_points()))
    where = rng.permutation(len(true.in_use))[: len(true.in_use) // 20]
    pixels = true.pixels.copy()
    pixels[where] += rng.choice([-40.0, 40.0], (len(where), 2))  # what does not fit hardly counts
    left = np.arange(len(p.points)) % 3 > 0
    start = replace(true, points=true.points * np.where(left, 1.05, 1.0)[:, None], pixels=pixels)
    found = followed(start, start, left, 1.0)
    views = np.bincount(p.point, minlength=len(p.points))
    sound = left & (views >= 5) & (np.bincount(p.point[where], minlength=len(p.points)) == 0)
    assert np.abs(found.points - true.points)[sound].max() < 1e-3
    assert np.array_equal(found.points[~left], start.points[~left])
    doubted = left & (views >= 10) & (np.bincount(p.point[where], minlength=len(p.points)) == 1)
    assert np.median(np.abs(found.points - true.points)[doubted]) < 0.02


def test_landmarks_keep_to_keyframes_that_move_far() -> None:
    p = drive(errors=Errors(pose=0.0, depth=0.0, pixel=0.0))
    left = np.arange(len(p.points)) % 3 > 0
    after = replace(p, T_cam_world=p.T_cam_world.copy(), points=np.where(left[:, None], p.points, 2.0 * p.points))
    after.T_cam_world[:, :3, 3] *= 2.0
    found = followed(p, after, left, 1.0)
    assert np.abs(found.points - 2.0 * p.points).max() < 1e-6


def test_parts_hold_whole_landmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    p = drive()
    monkeypatch.setattr(thinned, "AT_ONCE", 1000)
    parts: list[Ids] = list(thinned._together(p, np.flatnonzero(p.is_active())))
    assert len(parts) > 10
    assert np.array_equal(np.sort(np.concatenate(parts)), np.flatnonzero(p.is_active()))
    assert all(p.point[a[-1]] < p.point[b[0]] for a, b in pairwise(parts))
    assert max(map(len, parts)) < 1000 + N
