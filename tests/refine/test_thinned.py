"""A long map adjusted by a part of its landmarks."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from refine_world import Errors, straight_drive, world

from vgslam.geometry.robust_similarity import umeyama
from vgslam.refine import pieces, thinned
from vgslam.refine.adjust import RefineConfig, Watch, adjust
from vgslam.refine.ceres import SolverOptions, solve
from vgslam.refine.problem import Problem, gather, project
from vgslam.refine.thinned import A_CELL, A_LINK, A_RETURN, CELLS, EVERY, followed, holding, solve_thinned
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


def seen(p: Problem, rows: Array | None = None) -> list[set[int]]:
    """The landmarks of each keyframe, in those of observations `rows` (M,)."""
    q = p if rows is None else replace(p, in_use=rows)
    return [set(p.point[mine].tolist()) for mine in q.rows_by_keyframe()]


@pytest.fixture(scope="module")
def long_drive() -> Problem:
    return drive()


def test_few_observations_are_adjusted_as_ever(long_drive: Problem) -> None:
    a = solve_thinned(long_drive, OPTIONS, most=int(long_drive.is_active().sum()))
    b = solve(long_drive, OPTIONS)
    assert np.array_equal(a.T_cam_world, b.T_cam_world)
    assert np.array_equal(a.points, b.points)


def test_a_part_of_the_observations_brings_a_long_map_most_of_the_way(long_drive: Problem) -> None:
    before, full = off(long_drive), off(solve(long_drive, OPTIONS))
    assert before > 5 * full
    assert off(solve_thinned(long_drive, OPTIONS, most=7000)) - full < 0.3 * before


def test_a_long_map_becomes_as_exact_as_if_all_were_adjusted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    w = world(TRUE, Errors(pose=0.02, depth=0.1), n_points=40 * N)
    p, config = gather(w.slam_map, np.arange(N)), RefineConfig(is_calibration_fixed=True)
    full = adjust(p, config, Watch())
    monkeypatch.setattr(thinned, "MOST_OBSERVATIONS", 5000)
    monkeypatch.setattr(pieces, "PIECE", 20)
    monkeypatch.setattr(pieces, "AROUND", 8)
    long = adjust(p, config, Watch())
    assert full is not None
    assert long is not None
    assert not np.array_equal(long.after.T_cam_world, full.after.T_cam_world)
    assert abs(off(long.after) - off(full.after)) < 0.05 * off(p)
    assert abs(np.median(long.after.errors_px()) - np.median(full.after.errors_px())) < 0.01


def test_it_takes_as_many_as_it_may(long_drive: Problem) -> None:
    n = [int(holding(long_drive, most).sum()) for most in (9000, 7000)]
    assert 5000 < n[1] <= 7000 < n[0] <= 9000


def test_each_part_of_each_image_keeps_landmarks(long_drive: Problem) -> None:
    p, chosen = long_drive, holding(long_drive, 1)
    at = (p.pixels * CELLS / [p.camera.width, p.camera.height]).astype(int)
    cell = (p.cam * CELLS + at[:, 0]) * CELLS + at[:, 1]
    there, kept = (np.bincount(cell[rows], minlength=N * CELLS**2) for rows in (p.in_use, chosen))
    asked = np.repeat(np.arange(N) % EVERY == 0, CELLS**2)
    assert (kept >= np.minimum(there, A_CELL[-1]))[asked].all()
    assert int(chosen.sum()) < 0.2 * len(chosen)


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
    for k in range(N // 2 + EVERY - N // 2 % EVERY, N, EVERY):
        assert len(kept[k] & first[1]) >= min(A_RETURN, len(there[k] & first[0]))


def test_landmarks_that_were_left_out_follow_the_poses(long_drive: Problem) -> None:
    part, rows = solve_thinned(long_drive, OPTIONS, most=5000), holding(long_drive, 5000)
    chosen = np.bincount(long_drive.point[rows], minlength=len(long_drive.points)) >= 2
    full = solve(long_drive, OPTIONS)
    S = umeyama(full.points[chosen], part.points[chosen])
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
