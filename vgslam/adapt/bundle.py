"""Bundle adjustment of one window's matched points: the sparse geometry that the network is taught.

Unknown are the poses of frames 1..S-1 and the depth z of each point in frame 0. Minimised is

    sum over matches of rho(|pi(K T_i z K^-1 p) - q|^2 / sigma_px^2) + sum over points of (log z - log z_network)^2 /
    sigma_log^2

with soft-L1 rho. The prior keeps what the motion does not show at what the network says, and sets the scale (maximum a
posteriori; Triggs et al. 1999, Bundle Adjustment - A Modern Synthesis).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.sparse import coo_matrix

from vgslam.adapt.windows import Matches
from vgslam.geometry import se3

Array = npt.NDArray[np.float64]

SIGMA_LOG = 0.5
"""How far the network's depth may be from the truth, as a deviation of the logarithm."""
MAX_SEED_ERROR = 2.0
_MIN_DEPTH = 1e-3


@dataclass(frozen=True)
class SparseGeometry:
    """What a window's matches say. T_cam_first (S,4,4); frames: for each of N observations the frame, px (N,2) where,
    depth (N,) there, and trust (N,) in 0..1: how much of it comes from the motion and not from the network.
    error_px: median reprojection error of the result, of the network's image."""

    T_cam_first: Array
    frame: npt.NDArray[np.int64]
    px: Array
    depth: Array
    trust: Array
    error_px: float


@dataclass(frozen=True)
class _Problem:
    """Of M points and N observations of them in frames 1..: first_px (M,2), point (N,), frame (N,), seen_px (N,2)."""

    rays: Array
    point: npt.NDArray[np.int64]
    frame: npt.NDArray[np.int64]
    seen_px: Array
    K: Array
    T_start: Array
    log_depth: Array
    sigma_px: float

    def poses(self, x: Array) -> Array:
        steps = np.stack([se3.exp(v) for v in x[: 6 * (len(self.T_start) - 1)].reshape(-1, 6)])
        return np.concatenate([np.eye(4)[None], steps @ self.T_start[1:]])

    def seen(self, x: Array) -> tuple[Array, Array]:
        """Points (N,3) in the cameras that see them, and where they are projected (N,2)."""
        T = self.poses(x)[self.frame]
        z = np.exp(x[6 * (len(self.T_start) - 1) :] + self.log_depth)
        X = self.rays * z[:, None]
        Y = np.einsum("nij,nj->ni", T[:, :3, :3], X[self.point]) + T[:, :3, 3]
        safe = np.maximum(Y[:, 2:], _MIN_DEPTH)
        return Y, Y[:, :2] / safe * self.K[(0, 1), (0, 1)] + self.K[:2, 2]

    def residuals(self, x: Array) -> Array:
        _, px = self.seen(x)
        prior = x[6 * (len(self.T_start) - 1) :] / SIGMA_LOG
        return np.concatenate([((px - self.seen_px) / self.sigma_px).ravel(), prior])

    def sparsity(self) -> coo_matrix:
        n, m, p = len(self.point), len(self.rays), 6 * (len(self.T_start) - 1)
        rows = np.arange(2 * n)
        poses = (6 * (self.frame - 1))[:, None].repeat(2, 0) + np.arange(6)
        points = p + self.point.repeat(2)
        r = np.concatenate([rows.repeat(6), rows, 2 * n + np.arange(m)])
        c = np.concatenate([poses.ravel(), points, p + np.arange(m)])
        return coo_matrix((np.ones(len(r)), (r, c)), shape=(2 * n + m, p + m))


def reconstruct(
    matches: Sequence[Matches], depth_first: Array, T_cam_first: Array, K: Array, sigma_px: float
) -> SparseGeometry | None:
    """From the network's depth (H,W) of frame 0, start poses (S,4,4) and K (3,3); sigma_px: deviation of the matches.

    None where it does not converge to something that the matches agree with.
    """
    problem = _problem(matches, depth_first, T_cam_first, K, sigma_px)
    n_poses = 6 * (len(T_cam_first) - 1)
    try:
        fit = least_squares(
            problem.residuals, np.zeros(n_poses + len(problem.rays)), jac_sparsity=problem.sparsity(),
            loss="soft_l1", max_nfev=20, xtol=1e-4, ftol=1e-4,
        )  # fmt: skip
    except ValueError:
        return None
    Y, px = problem.seen(fit.x)
    error = np.linalg.norm(px - problem.seen_px, axis=1)
    if not np.isfinite(fit.x).all() or np.median(error) > MAX_SEED_ERROR * sigma_px:
        return None
    shift = np.zeros_like(fit.x)
    shift[n_poses:] = 1e-3
    slope = np.linalg.norm(problem.seen(fit.x + shift)[1] - px, axis=1) / 1e-3
    good = (error < 3 * sigma_px) & (Y[:, 2] > _MIN_DEPTH)
    n = len(problem.rays)
    information = np.bincount(problem.point[good], (slope[good] / sigma_px) ** 2, n)
    trust = information / (information + 4 / SIGMA_LOG**2) * (np.bincount(problem.point[good], minlength=n) > 0)
    z = np.exp(fit.x[n_poses:] + problem.log_depth)
    first_px = problem.rays[:, :2] * K[(0, 1), (0, 1)] + K[:2, 2]
    return SparseGeometry(
        problem.poses(fit.x), np.concatenate([np.zeros(n, np.int64), problem.frame[good]]),
        np.concatenate([first_px, problem.seen_px[good]]), np.concatenate([z, Y[good, 2]]),
        np.concatenate([trust, trust[problem.point[good]]]), float(np.median(error)),
    )  # fmt: skip


def _problem(matches: Sequence[Matches], depth: Array, T: Array, K: Array, sigma_px: float) -> _Problem:
    """The same point is known by its place in frame 0."""
    first = np.concatenate([m.first_px for m in matches])
    points, index = np.unique(first, axis=0, return_inverse=True)
    frame = np.concatenate([np.full(len(m.first_px), m.frame) for m in matches])
    u, v = (np.clip(np.rint(points[:, k]).astype(int), 0, depth.shape[1 - k] - 1) for k in (0, 1))
    rays = np.column_stack([(points - K[:2, 2]) / K[(0, 1), (0, 1)], np.ones(len(points))])
    log_depth = np.log(np.maximum(depth[v, u], _MIN_DEPTH))
    return _Problem(
        rays, index.ravel(), frame, np.concatenate([m.other_px for m in matches]), K, T, log_depth, sigma_px
    )
