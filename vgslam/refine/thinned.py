"""A long map adjusted by a part of its observations: those that hold its keyframes best. The other landmarks follow.

What the solver needs grows with the observations, a KiB or more and some microseconds a step for each, and with how
far apart keyframes are that see the same: a landmark that a hundred of them see ties each to all others. A keyframe is
where it belongs long before the last of its hundreds of landmarks is asked. So landmarks come first that many keyframes
see, and of these as many as each part of each keyframe's image needs, each pair of keyframes that follow one another,
and each keyframe that has come back to a place of before; what very many see is asked in some of them. The adjusted
poses then say where the other landmarks are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH
from vgslam.heap import give_memory_back
from vgslam.refine.ceres import FreeCalibration, SolverOptions, solve
from vgslam.refine.problem import AT_ONCE, Mask, Problem
from vgslam.types import Array, Ids

Numbers = npt.NDArray[np.int32]
"""As Ids, in half the memory."""

MOST_OBSERVATIONS = 100_000
"""Observations up to which all are adjusted together: those of a thousand frames of a room."""
MANY, EVERY = 16, 8
"""A landmark that more than the first number of keyframes see is asked in those whose number is a multiple of the
second, and in the first of each visit."""
CELLS = 3
"""An image has this many parts to a side, which have landmarks of their own."""
A_CELL = (8, 6, 4, 3, 2, 1)
"""Landmarks of each part: as many as keep within MOST_OBSERVATIONS; the last in any case."""
A_LINK = 12
"""Landmarks that a keyframe shares with the one before it, and with the one before that, where there are so many."""
A_RETURN, RETURN_GAP = 10, 15
"""Landmarks that a keyframe shares with an earlier visit, where there are so many: keyframes at least so far before it,
between which and it none shows them."""
STEPS, DAMPING, LESS, MORE = 5, 1e-4, 0.1, 10.0
"""Steps to where a landmark is, their damping at first as a share of the diagonal, and what it is multiplied by after
one that made the error less or more."""


def is_long(problem: Problem) -> bool:
    """Whether a problem has more observations than are adjusted together."""
    return int(problem.is_active().sum()) > MOST_OBSERVATIONS


def solve_thinned(
    problem: Problem, options: SolverOptions, free: FreeCalibration | None = None, held: Mask | None = None,
    most: int = MOST_OBSERVATIONS,
) -> Problem:  # fmt: skip
    """As `ceres.solve`; of more than `most` active observations, those that hold the keyframes are adjusted, and the
    other landmarks put where the poses then say."""
    if int(problem.is_active().sum()) <= most:
        return solve(problem, options, free, held)
    chosen = holding(problem, most)
    asked = np.bincount(problem.point[chosen], minlength=len(problem.points)) >= 2
    rows = np.flatnonzero(chosen)
    part = replace(
        problem, cam=problem.cam[rows], point=problem.point[rows], pixels=problem.pixels[rows],
        in_use=np.ones(len(rows), bool),
    )  # fmt: skip
    found = solve(part, options, free, held)
    solved = replace(problem, camera=found.camera, k1=found.k1, T_cam_world=found.T_cam_world, points=found.points)
    done = followed(problem, solved, problem.has_point & ~asked, options.loss_px)
    give_memory_back()
    return done


def holding(problem: Problem, most: int) -> Mask:
    """(M,): which observations hold the keyframes, about `most`: more where keyframes are so many that each would be
    left with less than the last of A_CELL for a part of its image."""
    seen = _Seen.of(problem)
    some = np.flatnonzero(seen.is_asked)
    returned, cell = seen.first(some[seen.has_returned()[some]], seen.cam, A_RETURN), seen.cells(problem)
    chosen = np.zeros(len(seen.cam), bool)
    for n in A_CELL:
        landmarks = np.zeros(len(problem.points), bool)
        landmarks[returned] = True
        landmarks[seen.first(some, cell, n)] = True
        chosen = seen.is_asked & landmarks[seen.point]
        for step in (1, 2):
            seen.link(chosen, step)
        if int(chosen.sum()) <= most:
            break
    rows = np.zeros(len(problem.cam), bool)
    rows[seen.row[chosen]] = True
    return rows


@dataclass(frozen=True)
class _Seen:
    """The active observations, those of a landmark together, in the order of the keyframes."""

    row: Ids  # (m,)
    point: Numbers  # (m,)
    cam: Numbers  # (m,)
    views: Numbers  # (m,): how many keyframes see the landmark
    rank: Numbers  # (m,): place of the landmark among all, those that most keyframes see first
    is_asked: Mask  # (m,): False for some of what more than MANY keyframes see
    n_cams: int

    @staticmethod
    def of(p: Problem) -> "_Seen":
        row = np.flatnonzero(p.is_active())
        row = row[np.lexsort((p.cam[row], p.point[row]))]
        point, cam = p.point[row].astype(np.int32), p.cam[row].astype(np.int32)
        views = np.bincount(point, minlength=len(p.points))
        rank = np.empty(len(views), np.int32)
        rank[np.argsort(-views, kind="stable")] = np.arange(len(views))
        own = views[point].astype(np.int32)
        is_asked = (own <= MANY) | (cam % EVERY == 0) | (np.diff(point, prepend=-1) != 0)
        is_asked |= np.diff(cam, prepend=0) >= RETURN_GAP
        return _Seen(row, point, cam, own, rank[point], is_asked, len(p.keyframe_ids))

    def cells(self, p: Problem) -> Numbers:
        """(m,): numbers of the parts of the images."""
        at = np.clip((p.pixels[self.row] * CELLS / [p.camera.width, p.camera.height]).astype(np.int32), 0, CELLS - 1)
        return np.asarray((self.cam * CELLS + at[:, 1]) * CELLS + at[:, 0])

    def first(self, rows: Ids, key: Numbers, n: int) -> Ids:
        """The landmarks of observations `rows` (r,), the n that come first of each number among key (m,) of these."""
        rows = rows[np.lexsort((self.rank[rows], key[rows]))]
        return np.asarray(self.point[rows[_place(key[rows]) < n]])

    def link(self, chosen: Mask, step: int) -> None:
        """Adds to the observations chosen (m,) what ties each keyframe to the one `step` before: landmarks that not so
        many see, with all their observations, or else two of one."""
        key = self.point.astype(np.int64) * (self.n_cams + step) + self.cam
        there = np.searchsorted(key, key - step)
        here = np.flatnonzero(key[there] == key - step)
        there = there[here]
        is_tie = chosen[here] & chosen[there]
        lacking = A_LINK - np.bincount(self.cam[here[is_tie]], minlength=self.n_cams)
        here, there = here[~is_tie], there[~is_tie]
        order = np.lexsort((self.rank[here], self.views[here] > MANY, self.cam[here]))
        here, there = here[order], there[order]
        more = _place(self.cam[here]) < lacking[self.cam[here]]
        here, there = here[more], there[more]
        chosen[here] = chosen[there] = True
        whole = np.zeros(int(self.point.max(initial=0)) + 1, bool)
        whole[self.point[here[self.views[here] <= MANY]]] = True
        chosen |= whole[self.point]

    def has_returned(self) -> Mask:
        """(m,): whether an earlier visit saw the landmark."""
        is_first = np.diff(self.point, prepend=-1) != 0
        n_gaps = np.cumsum((np.diff(self.cam, prepend=0) >= RETURN_GAP) & ~is_first)
        before = n_gaps[np.maximum.accumulate(np.where(is_first, np.arange(len(is_first)), 0))]
        return np.asarray(n_gaps > before)


def _place(key: Numbers) -> Ids:
    """(n,): how many before have the same key (n,), which ascends."""
    _, begin, count = np.unique(key, return_index=True, return_counts=True)
    return np.asarray(np.arange(len(key)) - np.repeat(begin, count))


def followed(before: Problem, after: Problem, left: Mask, loss_px: float) -> Problem:
    """The problem `after` with the landmarks `left` (L,), which were not adjusted with its poses, where their
    observations then agree best (soft L1)."""
    points, is_active = after.points.copy(), after.is_active()
    moved = _Moved(before, after, left)
    for rows in _together(after, np.flatnonzero(is_active & left[after.point])):
        ids, begin = np.unique(after.point[rows], return_index=True)
        start = moved.points(ids, after.cam[rows[begin]])
        points[ids] = _best(after, rows, begin, start, loss_px)
    return replace(after, points=points)


class _Moved:
    """How keyframes have taken what they see along: their motion, and how much longer depths have become."""

    def __init__(self, before: Problem, after: Problem, left: Mask) -> None:
        self._before, self._after = before, after
        told = np.flatnonzero(after.is_active() & ~left[after.point])
        told = told[np.argsort(after.cam[told], kind="stable")]
        ratio = after.local_points_of(told)[:, 2] / np.maximum(before.local_points_of(told)[:, 2], MIN_DEPTH)
        cams, begin = np.unique(after.cam[told], return_index=True)
        self._ratio = np.ones(len(after.keyframe_ids))
        for c, part in zip(cams.tolist(), np.split(ratio, begin[1:]), strict=True):
            self._ratio[c] = np.median(part)

    def points(self, ids: Ids, cam: Ids) -> Array:
        """(n,3): where landmarks (n,) are if each stays where a keyframe (n,) has it."""
        T, back = self._before.T_cam_world[cam], se3.inverse(self._after.T_cam_world[cam])
        local = np.matmul(T[:, :3, :3], self._before.points[ids][:, :, None])[:, :, 0] + T[:, :3, 3]
        local *= np.maximum(self._ratio[cam], MIN_DEPTH)[:, None]
        return np.matmul(back[:, :3, :3], local[:, :, None])[:, :, 0] + back[:, :3, 3]


def _together(p: Problem, rows: Ids) -> Iterator[Ids]:
    """Observations `rows` in parts of about AT_ONCE, those of a landmark together, in the order of the keyframes."""
    rows = rows[np.lexsort((p.cam[rows], p.point[rows]))]
    begin = np.flatnonzero(np.diff(p.point[rows], prepend=-1))
    at = np.searchsorted(begin, np.arange(AT_ONCE, len(rows), AT_ONCE))
    yield from (part for part in np.split(rows, begin[at[at < len(begin)]]) if len(part))


def _best(p: Problem, rows: Ids, begin: Ids, points: Array, loss_px: float) -> Array:
    """(n,3): points, whose observations are `rows` from begin (n,) on, moved to the least error (Levenberg-Marquardt,
    each by itself)."""
    owner = np.repeat(np.arange(len(begin)), np.diff(begin, append=len(rows)))
    cost, H, g = _normal(p, rows, begin, points[owner], loss_px)
    damping = np.full(len(points), DAMPING)
    for _ in range(STEPS):
        A = H + (damping[:, None] * np.einsum("nii->ni", H) + 1e-12)[:, :, None] * np.eye(3)
        trial = points - np.linalg.solve(A, g[:, :, None])[:, :, 0]
        found = _normal(p, rows, begin, trial[owner], loss_px)
        better = found[0] < cost
        points = np.where(better[:, None], trial, points)
        cost, H, g = (np.where(better.reshape(-1, *[1] * (x.ndim - 1)), y, x) for x, y in zip((cost, H, g), found))
        damping *= np.where(better, LESS, MORE)
    return points


def _normal(p: Problem, rows: Ids, begin: Ids, X: Array, loss_px: float) -> tuple[Array, Array, Array]:
    """Cost (n,), matrix (n,3,3) and gradient (n,3) of the points that observations `rows` from begin (n,) on see, X
    (m,3) being that of each; infinite cost behind a camera."""
    T = p.T_cam_world[p.cam[rows]]
    R = T[:, :3, :3]
    Xc = np.matmul(R, X[:, :, None])[:, :, 0] + T[:, :3, 3]
    z = np.maximum(Xc[:, 2], MIN_DEPTH)
    xy = Xc[:, :2] / z[:, None]
    f = np.array([p.camera.fx, p.camera.fy])
    bend = 1.0 + p.k1 * (xy**2).sum(1)
    error = xy * bend[:, None] * f + [p.camera.cx, p.camera.cy] - p.pixels[rows]
    D = bend[:, None, None] * np.eye(2) + 2.0 * p.k1 * xy[:, :, None] * xy[:, None, :]
    toward = (R[:, :2] - xy[:, :, None] * R[:, 2:3]) / z[:, None, None]
    J = f[:, None] * np.matmul(D, toward)
    root = np.sqrt(1.0 + (error**2).sum(1) / loss_px**2)
    cost = np.where(Xc[:, 2] > MIN_DEPTH, 2.0 * loss_px**2 * (root - 1.0), np.inf)
    weighted = np.swapaxes(J, 1, 2) / root[:, None, None]
    H, g = np.matmul(weighted, J), np.matmul(weighted, error[:, :, None])[:, :, 0]
    return tuple(np.add.reduceat(x, begin, axis=0) for x in (cost, H, g))  # type: ignore[return-value]
