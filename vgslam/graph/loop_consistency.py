"""Which loops can be true together: each against the odometry, and pair by pair through the cycle that two close.

Pairwise consistency after Mangelson et al., "Pairwise consistent measurement set maximization for robust multi-robot
map merging", ICRA 2018, eq. 3. The set is found by removing the least supported loop until all the rest agree, not as
an exact maximum clique: honest noise breaks a few of many thousand pairs. Cycles that the odometry does not close
(between components) say nothing and do not count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vgslam.graph.odometry_path import OdometryPath
from vgslam.graph.sim3_batch import Sim3Batch, moved
from vgslam.types import Array, Edge, Ids

CHI2_3SIGMA = 21.846  # 99.73 % quantile of chi-square with 7 degrees of freedom
CHI2_3SIGMA_SE3 = 20.062  # the same with 6
NEAR = 64  # loops that each is compared with if there are too many for all pairs
ALL_PAIRS = 400  # loops up to which all pairs are compared: 80,000
SUPPORT = 0.8  # least share of agreeing pairs that a loop of the set has
BLOCK = 4_000  # pairs compared at a time, which bounds memory


@dataclass(frozen=True)
class Measured:
    """N measured similarities at once."""

    a: Ids  # (N,): keyframe ids
    b: Ids  # (N,): keyframe ids
    S: Sim3Batch  # N similarities S_a_b
    covariance: Array  # (N,7,7) in b's frame

    @staticmethod
    def of(edges: Sequence[Edge]) -> "Measured":
        a, b = np.array([e.id_a for e in edges], np.int64), np.array([e.id_b for e in edges], np.int64)
        return Measured(a, b, Sim3Batch.of([e.S_a_b for e in edges]), _covariances(edges))

    def __len__(self) -> int:
        return len(self.a)

    def __getitem__(self, index: np.ndarray) -> "Measured":
        return Measured(self.a[index], self.b[index], self.S[index], self.covariance[index])

    def reversed(self) -> "Measured":
        """The same, seen from the other end."""
        return Measured(self.b, self.a, self.S.inverse(), moved(self.S.adjoint(), self.covariance))

    def turned(self, which: np.ndarray) -> "Measured":
        """The same, with those of the mask which (N,) seen from their other ends."""
        other, per_matrix = self.reversed(), which[:, None, None]
        return Measured(
            np.where(which, other.a, self.a), np.where(which, other.b, self.b),
            Sim3Batch(
                np.where(per_matrix, other.S.R, self.S.R), np.where(which[:, None], other.S.t, self.S.t),
                np.where(which, other.S.s, self.S.s),
            ),
            np.where(per_matrix, other.covariance, self.covariance),
        )  # fmt: skip


def chi2_3sigma(is_metric: bool) -> float:
    return CHI2_3SIGMA_SE3 if is_metric else CHI2_3SIGMA


def squared_error(e: Array, covariance: Array, is_metric: bool) -> Array:
    """Squared Mahalanobis lengths (N,) of tangents (N,7); of rotation and translation only where metric."""
    d = 6 if is_metric else 7
    solved = np.linalg.solve(covariance[:, :d, :d], e[:, :d, None])[:, :, 0]
    return np.asarray((e[:, :d] * solved).sum(1))


def agrees_with_odometry(path: OdometryPath, edges: Sequence[Edge], is_metric: bool) -> np.ndarray:
    """Whether each loop (N,) agrees with the odometry between its ends within 3 sigma; True where there is no
    such odometry."""
    if not edges:
        return np.zeros(0, bool)
    S, C, joined = path.between(np.array([e.id_a for e in edges]), np.array([e.id_b for e in edges]))
    measured = Sim3Batch.of([e.S_a_b for e in edges])
    error = (measured.inverse() @ S).tangent()
    return ~joined | (squared_error(error, C + _covariances(edges), is_metric) <= chi2_3sigma(is_metric))


def agree_in_pairs(
    path: OdometryPath, measured: Measured, pairs: np.ndarray, is_metric: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Whether the cycle through each pair (P,2) of edges and the odometry closes within 3 sigma, and whether there is
    such a cycle."""
    agree, known = np.ones(len(pairs), bool), np.zeros(len(pairs), bool)
    M, Q, a, b = measured.S, measured.covariance, measured.a, measured.b
    for begin in range(0, len(pairs), BLOCK):
        i, j = pairs[begin : begin + BLOCK].T
        S_ac, C_ac, joined_a = path.between(a[i], a[j])
        S_db, C_db, joined_b = path.between(b[j], b[i])
        tail = M[j] @ S_db
        error = (M[i].inverse() @ S_ac @ tail).tangent()
        C = Q[i] + C_db + moved(tail.inverse().adjoint(), C_ac) + moved(S_db.inverse().adjoint(), Q[j])
        joined = joined_a & joined_b
        known[begin : begin + BLOCK] = joined
        agree[begin : begin + BLOCK] = ~joined | (squared_error(error, C, is_metric) <= chi2_3sigma(is_metric))
    return agree, known


def consistent_loops(path: OdometryPath, edges: Sequence[Edge], is_metric: bool = False) -> np.ndarray:
    """Mask (N,) of the loops that agree with the odometry and with one another. path: odometry of all keyframes that
    the edges name. Edges whose two ends have the order of ids swapped are told apart by their own a and b: loops are
    compared a to a and b to b."""
    keep = agrees_with_odometry(path, edges, is_metric)
    order = np.flatnonzero(keep).tolist()
    if len(order) < 2:
        return keep
    pairs = _pairs(np.array([edges[k].id_b for k in order]))
    agree, known = agree_in_pairs(path, Measured.of([edges[k] for k in order]), pairs, is_metric)
    pairs, agree = pairs[known], agree[known]
    alive = np.ones(len(order), bool)
    good = np.bincount(pairs[agree].ravel(), minlength=len(order)).astype(float)
    total = np.bincount(pairs.ravel(), minlength=len(order)).astype(float)
    partners: list[list[tuple[int, bool]]] = [[] for _ in order]
    for (i, j), ok in zip(pairs.tolist(), agree.tolist(), strict=True):
        partners[i].append((j, ok))
        partners[j].append((i, ok))
    while True:
        share = np.where(alive & (total > 0), good / np.maximum(total, 1), 1.0)
        worst = int(np.lexsort((total, share))[0])
        if share[worst] >= SUPPORT:
            break
        alive[worst] = False
        for other, ok in partners[worst]:
            total[other] -= 1
            good[other] -= ok
    keep[np.array(order)[~alive]] = False
    return keep


def _pairs(position: np.ndarray) -> np.ndarray:
    """All pairs of few loops; of many, each with the NEAR next ones along the path."""
    n = len(position)
    if n <= ALL_PAIRS:
        return np.stack(np.triu_indices(n, 1), 1)
    order = np.argsort(position, kind="stable")
    pairs = [np.stack([order[:-k], order[k:]], 1) for k in range(1, NEAR + 1)]
    return np.concatenate(pairs)


def _covariances(edges: Sequence[Edge]) -> Array:
    return np.array([np.diag(np.square(e.sigmas)) for e in edges]).reshape(-1, 7, 7)
