"""Bundle adjustment of one window's matched points: the sparse geometry that the network is taught.

Unknown are the poses of frames 1..S-1 and the depth z of each point in frame 0. Minimised is

    sum over matches of rho(|pi(K T_i z K^-1 p) - q|^2 / sigma_px^2) + sum over points of (log z - log z_network)^2 /
    sigma_log^2

with soft-L1 rho. Where the motion shows nothing the prior keeps the network's depth, and it sets the scale (maximum a
posteriori; Triggs et al. 1999, Bundle Adjustment - A Modern Synthesis).

It is not that of `multiview/bundle.py`, which moves points freely and weighs errors as Huber does: among matches of
which a seventh is wrong that one ends with rotations twice as far off, and accepts more of what is no geometry at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.adapt.windows import PointMatches, nearest_pixel
from vgslam.geometry import se3

Array = npt.NDArray[np.float64]

SIGMA_LOG = 1.0
"""Deviation of the log depth of the network from the truth in new domains. With 0.5 the prior bends rotations there."""
MAX_ERROR = 2.0  # largest median reprojection error, in deviations of the matches
MAX_STEPS = 30
_MIN_DEPTH = 1e-3


@dataclass(frozen=True)
class SparseGeometry:
    """The geometry of a window that follows from its matches, with N observations."""

    T_cam_first: Array  # (S,4,4)
    frame: npt.NDArray[np.int64]  # (N,): the frame of each observation
    px: Array  # (N,2): its pixel in that frame
    depth: Array  # (N,): the point's depth there
    trust: Array  # (N,) in 0..1: the share of that depth that comes from the motion, not from the network
    error_px: float  # median reprojection error of the result, in px of the network's image


@dataclass(frozen=True)
class _State:
    """Poses (S,4,4), and by how much each point's log depth is more than the network's (M,)."""

    T: Array
    log_more: Array


@dataclass(frozen=True)
class _Problem:
    """M points and N observations of them in frames 1, 2, ..."""

    rays: Array  # (M,3) in frame 0
    log_depth: Array  # (M,): the network's, in frame 0
    point: npt.NDArray[np.int64]  # (N,): the point of each observation
    frame: npt.NDArray[np.int64]  # (N,): its frame
    seen_px: Array  # (N,2): its pixel
    K: Array
    sigma_px: float

    def turned(self, x: _State) -> Array:
        """The points (N,3) in the axes of the cameras that see them."""
        X = self.rays * np.exp(self.log_depth + x.log_more)[:, None]
        return np.einsum("nij,nj->ni", x.T[self.frame, :3, :3], X[self.point])

    def seen(self, x: _State) -> tuple[Array, Array]:
        """Points (N,3) in the cameras that see them, and where they are projected (N,2)."""
        Y = self.turned(x) + x.T[self.frame, :3, 3]
        safe = np.maximum(Y[:, 2:], _MIN_DEPTH)
        return Y, Y[:, :2] / safe * self.K[(0, 1), (0, 1)] + self.K[:2, 2]

    def cost(self, x: _State) -> float:
        """The sum in the heading, halved; infinite where it is no number."""
        e2 = (((self.seen(x)[1] - self.seen_px) / self.sigma_px) ** 2).sum(1)
        total = float((np.sqrt(1 + e2) - 1).sum() + 0.5 * ((x.log_more / SIGMA_LOG) ** 2).sum())
        return total if np.isfinite(total) else np.inf

    def step(self, x: _State, damping: float) -> _State:
        """Gauss-Newton on the reweighted squares, the points eliminated first (Schur complement)."""
        m, n_frames = len(self.rays), len(x.T)
        Y, px = self.seen(x)
        e = (px - self.seen_px) / self.sigma_px
        weight = 1 / np.sqrt(1 + (e * e).sum(1))
        z, f = np.maximum(Y[:, 2], _MIN_DEPTH), self.K[(0, 1), (0, 1)] / self.sigma_px
        J = np.zeros((len(Y), 2, 3))
        J[:, 0, 0], J[:, 1, 1] = f[0] / z, f[1] / z
        J[:, :, 2] = -f * Y[:, :2] / (z * z)[:, None]
        J_pose = np.concatenate([np.cross(Y[:, None], J), J], axis=2)  # row a: -a [Y]x = Y x a
        J_depth = np.einsum("nij,nj->ni", J, self.turned(x))
        C = np.bincount(self.point, weight * (J_depth**2).sum(1), m) + 1 / SIGMA_LOG**2
        g_depth = np.bincount(self.point, weight * (J_depth * e).sum(1), m) + x.log_more / SIGMA_LOG**2
        H = np.zeros((n_frames - 1, 6, n_frames - 1, 6))
        E, g = np.zeros((n_frames - 1, 6, m)), np.zeros((n_frames - 1, 6))
        for k in range(n_frames - 1):
            on = self.frame == k + 1
            A, w = J_pose[on], weight[on][:, None]
            H[k, :, k] = np.einsum("nei,nej->ij", A * w[..., None], A)
            g[k] = np.einsum("nei,ne->i", A, w * e[on])
            E[k][:, self.point[on]] = np.einsum("nei,ne->in", A, w * J_depth[on])
        size = 6 * (n_frames - 1)
        H_, E_ = H.reshape(size, size), E.reshape(size, m)
        H_ = H_ + np.diag(damping * np.diag(H_) + 1e-9)
        C = C * (1 + damping)
        xi = np.linalg.solve(H_ - (E_ / C) @ E_.T, -g.ravel() + (E_ / C) @ g_depth)
        more = np.clip(-(g_depth + E_.T @ xi) / C, -1.0, 1.0)
        moved = [se3.exp(v) @ T for v, T in zip(np.clip(xi, -1, 1).reshape(-1, 6), x.T[1:], strict=True)]
        return _State(np.stack([x.T[0], *moved]), x.log_more + more)

    def solved(self, T_cam_first: Array) -> _State | None:
        """From start poses (S,4,4) and the network's depth; None if the equations are singular."""
        try:
            return self.solve(_State(T_cam_first, np.zeros(len(self.rays))))
        except np.linalg.LinAlgError:
            return None

    def solve(self, x: _State) -> _State:
        """Levenberg-Marquardt."""
        damping, cost = 1e-3, self.cost(x)
        for _ in range(MAX_STEPS):
            trial = self.step(x, damping)
            trial_cost = self.cost(trial)
            if trial_cost < cost:
                is_done = cost - trial_cost < 1e-5 * cost
                x, cost, damping = trial, trial_cost, max(damping * 0.2, 1e-7)
                if is_done:
                    break
            else:
                damping *= 10
                if damping > 1e4:
                    break
        return x


def reconstruct(
    matches: Sequence[PointMatches], depth_first: Array, T_cam_first: Array, K: Array, sigma_px: float
) -> SparseGeometry | None:
    """From the network's depth (H,W) of frame 0, start poses (S,4,4) and K (3,3); sigma_px: deviation of the matches.
    It is started from the essential matrices' poses as well, and the better result counts. None if it does not converge
    to something that the matches agree with."""
    problem = _problem(matches, depth_first, K, sigma_px)
    starts = (T_cam_first, essential_poses(matches, depth_first, K, sigma_px))
    results = [x for x in (problem.solved(T) for T in starts) if x is not None]
    if not results:
        return None
    x = min(results, key=problem.cost)
    Y, px = problem.seen(x)
    error = np.linalg.norm(px - problem.seen_px, axis=1)
    if not np.median(error) < MAX_ERROR * sigma_px:
        return None
    slope = np.linalg.norm(problem.seen(_State(x.T, x.log_more + 1e-3))[1] - px, axis=1) / 1e-3
    good = (error < 3 * sigma_px) & (Y[:, 2] > _MIN_DEPTH)
    n, index = len(problem.rays), problem.point[good]
    information = np.bincount(index, (slope[good] / sigma_px) ** 2, n)
    trust = information / (information + 4 / SIGMA_LOG**2)
    z = np.exp(problem.log_depth + x.log_more)
    first_px = problem.rays[:, :2] * K[(0, 1), (0, 1)] + K[:2, 2]
    return SparseGeometry(
        x.T, np.concatenate([np.zeros(n, np.int64), problem.frame[good]]),
        np.concatenate([first_px, problem.seen_px[good]]), np.concatenate([z, Y[good, 2]]),
        np.concatenate([trust, trust[index]]), float(np.median(error)),
    )  # fmt: skip


def in_unit_of(geometry: SparseGeometry, depth: Array) -> SparseGeometry:
    """The same scaled so that the depths have the median of maps (S,H,W): the network's unit stays."""
    v, u = nearest_pixel(geometry.px, depth.shape[1:])
    sure = geometry.trust > 0.5 * geometry.trust.max()
    scale = float(np.exp(np.median(np.log(depth[geometry.frame, v, u] / geometry.depth)[sure])))
    T = geometry.T_cam_first.copy()
    T[:, :3, 3] *= scale
    return replace(geometry, T_cam_first=T, depth=geometry.depth * scale)


def _problem(matches: Sequence[PointMatches], depth: Array, K: Array, sigma_px: float) -> _Problem:
    """The same point is known by its place in frame 0."""
    first = np.concatenate([m.first_px for m in matches])
    points, index = np.unique(first, axis=0, return_inverse=True)
    frame = np.concatenate([np.full(len(m.first_px), m.frame) for m in matches])
    rays = np.column_stack([(points - K[:2, 2]) / K[(0, 1), (0, 1)], np.ones(len(points))])
    seen_px = np.concatenate([m.other_px for m in matches])
    log_depth = np.log(np.maximum(depth[nearest_pixel(points, depth.shape)], _MIN_DEPTH))
    return _Problem(rays, log_depth, index.ravel(), frame, seen_px, K, sigma_px)


def essential_poses(matches: Sequence[PointMatches], depth_first: Array, K: Array, sigma_px: float) -> Array:
    """T_cam_first (S,4,4) of frame 0 and the matches' frames 1.., each from its essential matrix (Nister 2004), with
    the length of translation that the depth (H,W) of frame 0 says. A frame without one stays where the one before
    is."""
    T = [np.eye(4)]
    for m in matches:
        E, _ = cv2.findEssentialMat(m.first_px, m.other_px, K, cv2.RANSAC, 0.999, 2 * sigma_px)
        if E is None or E.shape != (3, 3):
            T.append(T[-1])
            continue
        _, R, t, _ = cv2.recoverPose(E, m.first_px, m.other_px, K)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = R, t.ravel() * _length(m, depth_first, K, R, t.ravel())
        T.append(pose)
    return np.stack(T)


def _length(m: PointMatches, depth: Array, K: Array, R: Array, t: Array) -> float:
    """Median s of (z R p + s t) x q = 0 over the points, p and q their rays."""
    p, q = (np.column_stack([x, np.ones(len(x))]) @ np.linalg.inv(K).T for x in (m.first_px, m.other_px))
    a, b = np.cross(t, q), -np.cross(p @ R.T * depth[nearest_pixel(m.first_px, depth.shape)][:, None], q)
    return max(float(np.median((a * b).sum(1) / np.maximum((a * a).sum(1), 1e-12))), 1e-3)
