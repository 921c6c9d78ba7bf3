"""How well the keyframes determine the calibration, and what of it may be adjusted.

The keyframes are cut into blocks. Each block by itself, its poses and points eliminated (Schur complement), has an
opinion on theta = (log focal length, k1): information H_b (2,2) and gradient g_b (2,). Tracks drift, and a point's
errors are alike in all images that see it, so the curvature H, the sum of H_b, promises too much. How far the blocks
contradict one another says what it is worth: C = H^-1 (sum of g_b g_b^T) H^-1, the clustered sandwich covariance
(White, "Maximum Likelihood Estimation of Misspecified Models", 1982).
"""

from dataclasses import dataclass, field, replace

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH
from vgslam.refine.problem import Mask, Problem
from vgslam.types import Array, Ids

BLOCK = 16
"""Keyframes of a block: enough for parallax and turns, so few that blocks are many."""
MOST_BLOCKS = 8
"""Only this many blocks are looked at, evenly spread: they speak for the others."""
LEAST_BLOCKS = 4
"""With fewer blocks their contradictions say nothing."""
INFLATION = 5.0
"""Least multiple of the deviation that the curvature promises: what is used where blocks are few."""
NORM_MEDIAN = 1.1774
"""Median length of a vector of two normal errors of deviation 1 (Rayleigh): the square root of 2 log 2."""
N_THETA = 2
DAMPING = 1e-9
"""Share of its diagonal by which a block's matrix is damped: its scale is free."""


@dataclass(frozen=True)
class Determined:
    """What the data alone say about (log focal length, k1) near the present values."""

    information: Array
    """(2,2): inverse covariance, the blocks' contradictions taken into account."""
    overcount: float
    """How many times larger the information is that the curvature promises for the focal length."""
    step: Array = field(default_factory=lambda: np.zeros(N_THETA))
    """(2,): how far from the present values the data want theta to be."""

    def deviations(self, sigma_focal: float, is_k1_free: bool) -> Array:
        """(2,): posterior standard deviations with a prior of relative deviation sigma_focal; that of k1 is 0 where
        it is held."""
        H = self.information + np.diag([1.0 / sigma_focal**2, 0.0])
        if not is_k1_free:
            return np.array([1.0 / np.sqrt(H[0, 0]), 0.0])
        return np.sqrt(np.maximum(np.diag(np.linalg.pinv(H)), 0.0))

    def focal_sigma(self) -> float:
        """Relative deviation of the focal length by the data alone, with k1 free; infinite where they say nothing."""
        if np.linalg.matrix_rank(self.information) < N_THETA:
            return float("inf")
        return float(np.sqrt(np.linalg.inv(self.information)[0, 0]))

    def wanted(self, sigma_focal: float) -> Array:
        """(2,): the step to the most probable values, where a prior of relative deviation sigma_focal holds the focal
        length at its present value."""
        H = self.information + np.diag([1.0 / sigma_focal**2, 0.0])
        return np.linalg.pinv(H) @ self.information @ self.step


def noise_px(problem: Problem) -> float:
    """Deviation of the active observations, in px, at most 1: of their median error, which outliers leave alone."""
    active = problem.is_active()
    return min(float(np.median(problem.errors_px()[active])) / NORM_MEDIAN, 1.0) if active.any() else 1.0


def determined(problem: Problem, loss_px: float = 1.0, sigma_px: float = 1.0) -> Determined:
    """What the active observations of a problem near its optimum determine, if their deviation is sigma_px. Where
    blocks are too few to contradict one another, it is one pixel: small errors are then the fit of few keyframes."""
    n = len(problem.keyframe_ids)
    begins = np.arange(0, n, BLOCK)
    taken = begins[np.linspace(0, len(begins) - 1, min(len(begins), MOST_BLOCKS)).round().astype(int)]
    active = problem.is_active()
    parts = [_reduced(problem, active, b, min(b + BLOCK, n), loss_px) for b in taken.tolist()]
    used = [p for p in parts if p is not None]
    H = sum((p[0] for p in used), np.zeros((N_THETA, N_THETA)))
    share = len(taken) / len(begins)
    if not np.isfinite(H).all() or np.linalg.eigvalsh(H)[0] <= 0:
        return Determined(np.zeros((N_THETA, N_THETA)), INFLATION**2)
    C = np.linalg.inv(H)
    naive = C * INFLATION**2
    if len(used) >= LEAST_BLOCKS:
        naive = naive * sigma_px**2
        G = np.stack([p[1] for p in used])
        G = G - G.mean(0)
        spread = C @ (G.T @ G) @ C * len(used) / (len(used) - 1)
        if np.trace(spread / np.diag(naive)[:, None]) > 0:
            factor = np.maximum(np.diag(spread) / np.diag(naive), 1.0)
            naive = naive * np.sqrt(np.outer(factor, factor))
    step = -C @ sum(p[1] for p in used)
    return Determined(np.linalg.inv(naive) / share, float(naive[0, 0] / C[0, 0]), step)


def _reduced(
    problem: Problem, active: Mask, begin: int, end: int, loss_px: float
) -> tuple[Array, Array] | None:
    """Information (2,2) and gradient (2,) of theta from keyframes begin..end, their poses and points eliminated."""
    rows = np.flatnonzero(active & (problem.cam >= begin) & (problem.cam < end))
    count = np.bincount(problem.point[rows], minlength=len(problem.points))
    rows = rows[count[problem.point[rows]] >= 2]
    if len(rows) < 10 * (end - begin):
        return None
    rows = rows[np.argsort(problem.point[rows], kind="stable")]
    _, point = np.unique(problem.point[rows], return_inverse=True)
    jacobian = _Jacobian(problem, rows, loss_px)
    return _eliminated(jacobian, problem.cam[rows] - begin - 1, end - begin - 1, point.reshape(-1))


def _eliminated(J: "_Jacobian", cam: Ids, n_cams: int, point: Ids) -> tuple[Array, Array] | None:
    """Schur complement onto theta; points are eliminated first, poses after them. cam (M,): the pose of each row, below
    0 where it is held; point (M,), ascending: its point. A row has derivatives by one pose alone, so that what is
    summed is a block of each pose, not a row of zeros for all others."""
    n_points, k = int(point[-1]) + 1, 6 * n_cams
    begin = np.searchsorted(point, np.arange(n_points))
    E = np.concatenate([J.cam, J.theta, J.residual[:, :, None]], axis=2)
    BtE = np.matmul(J.point.transpose(0, 2, 1), E)
    V = np.add.reduceat(np.matmul(J.point.transpose(0, 2, 1), J.point), begin, axis=0)
    W = np.zeros((n_points, 3, k + N_THETA + 1))  # by pose, theta and the residual
    moves = np.flatnonzero(cam >= 0)
    W[:, :, :k].reshape(n_points, 3, n_cams, 6)[point[moves], :, cam[moves]] = BtE[moves, :, :6]
    W[:, :, k:] = np.add.reduceat(BtE[:, :, 6:], begin, axis=0)
    V[:, range(3), range(3)] *= 1.0 + 1e-6
    V[:, range(3), range(3)] += 1e-12
    if not (np.isfinite(V).all() and np.isfinite(W).all()):
        return None
    U = np.matmul(np.linalg.inv(np.linalg.cholesky(V)), W).reshape(-1, k + N_THETA + 1)
    S = _sums(E, cam, n_cams) - U.T @ U
    P = S[:k, :k] + np.diag(DAMPING * np.diag(S)[:k] + 1e-12)
    X = np.linalg.solve(P, S[:k, k:])
    R = S[k:, k:] - S[k:, :k] @ X
    H = R[:N_THETA, :N_THETA]
    return (0.5 * (H + H.T), R[:N_THETA, N_THETA]) if np.isfinite(H).all() else None


def _sums(E: Array, cam: Ids, n_cams: int) -> Array:
    """Products of the derivatives by poses, theta and the residual, summed over the rows E (M,2,9)."""
    k, m = 6 * n_cams, N_THETA + 1
    S = np.zeros((k + m, k + m))
    order = np.argsort(cam, kind="stable")
    ends = np.searchsorted(cam[order], np.arange(n_cams + 1))
    for c, rows in enumerate(np.split(order, ends), start=-1):
        if c == n_cams:
            break
        e = E[rows].reshape(-1, 6 + m)
        G = e.T @ e
        S[k:, k:] += G[6:, 6:]
        if c >= 0:
            mine = slice(6 * c, 6 * c + 6)
            S[mine, mine] = G[:6, :6]
            S[mine, k:], S[k:, mine] = G[:6, 6:], G[6:, :6]
    return S


class _Jacobian:
    """The weighted residuals of m observations, and their derivatives."""

    def __init__(self, problem: Problem, rows: Ids, loss_px: float) -> None:
        p = replace(problem, cam=problem.cam[rows], point=problem.point[rows], pixels=problem.pixels[rows])
        Xc = p.local_points()
        z = np.maximum(Xc[:, 2], MIN_DEPTH)
        xy = Xc[:, :2] / z[:, None]
        f = np.array([p.camera.fx, p.camera.fy])
        r2 = (xy**2).sum(1)
        bend = 1.0 + p.k1 * r2
        residual = xy * bend[:, None] * f + [p.camera.cx, p.camera.cy] - p.pixels
        D = bend[:, None, None] * np.eye(2) + 2.0 * p.k1 * xy[:, :, None] * xy[:, None, :]
        toward = np.zeros((len(rows), 2, 3))
        toward[:, 0, 0] = toward[:, 1, 1] = 1.0 / z
        toward[:, :, 2] = -xy / z[:, None]
        J = f[:, None] * np.matmul(D, toward)
        T = p.T_cam_world[p.cam]
        w = (1.0 + (residual**2).sum(1) / loss_px**2) ** -0.25  # square root of the weight of soft-L1
        self.residual = residual * w[:, None]
        """(m,2)."""
        self.cam = np.concatenate([np.matmul(J, -se3.skew(Xc)), J], axis=2) * w[:, None, None]
        """(m,2,6): by the pose."""
        self.point = np.matmul(J, T[:, :3, :3]) * w[:, None, None]
        """(m,2,3): by the point."""
        self.theta = np.stack([xy * bend[:, None] * f, xy * r2[:, None] * f], axis=2) * w[:, None, None]
        """(m,2,2): by the calibration."""
