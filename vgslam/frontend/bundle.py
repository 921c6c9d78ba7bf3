"""Bundle adjustment of a small window: Levenberg-Marquardt with the landmarks eliminated (Schur complement).

Triggs et al., "Bundle Adjustment - A Modern Synthesis" (2000), sections 5-6. Cameras are updated on the left of
T_cam_world by the tangent (rotation, translation); landmarks are Euclidean. Huber weights act on the pixel residual in
units of its standard deviation. An observation may carry a depth prior (a network's depth): a third residual, log
depth over its standard deviation.

GTSAM solves the same problem (the tests compare both optima) at several times the cost per keyframe, most of it in
thousands of small virtual calls; with at most a dozen cameras the dense reduced system below is faster.
"""

from dataclasses import dataclass

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.types import Array, Ids


@dataclass(frozen=True)
class BundleProblem:
    """Cameras T_cam_world (C,4,4), landmarks (L,3) in the world, observations of landmark `point` (M,) by camera
    `cam` (M,) at pixels (M,2). is_fixed (C,) holds a camera where it is. depth_prior (M,) along the optical axis in
    world units, NaN where there is none, with log-depth standard deviation depth_sigma (M,).
    """

    camera: Camera
    T_cam_world: Array
    is_fixed: np.ndarray
    landmarks: Array
    cam: Ids
    point: Ids
    pixels: Array
    depth_prior: Array | None = None
    depth_sigma: Array | None = None


@dataclass(frozen=True)
class BundleResult:
    """Optimised cameras (C,4,4) and landmarks (L,3); residual (M,) in px of each observation (inf behind a camera);
    cost before and after; landmark_information (L,3,3) in the world frame, cameras held fixed, for sigma_px = 1.
    """

    T_cam_world: Array
    landmarks: Array
    residual_px: Array
    cost_before: float
    cost_after: float
    iterations: int
    landmark_information: Array


@dataclass(frozen=True)
class _Linearization:
    residual: Array  # (M, D) whitened
    weight: Array  # (M,)
    J_cam: Array  # (M, D, 6)
    J_point: Array  # (M, D, 3)
    cost: float


def _residuals(problem: BundleProblem, T: Array, X: Array) -> tuple[Array, Array]:
    """Residuals (M,2|3), points in the camera (M,3)."""
    R, t = T[problem.cam, :3, :3], T[problem.cam, :3, 3]
    Xc = np.matmul(R, X[problem.point][:, :, None])[:, :, 0] + t
    z = np.maximum(Xc[:, 2], 1e-6)
    c = problem.camera
    columns = [c.fx * Xc[:, 0] / z + c.cx - problem.pixels[:, 0], c.fy * Xc[:, 1] / z + c.cy - problem.pixels[:, 1]]
    if problem.depth_prior is not None and problem.depth_sigma is not None:
        prior = np.log(z / problem.depth_prior) / problem.depth_sigma
        columns.append(np.where(np.isfinite(prior), prior, 0.0))
    return np.stack(columns, axis=1), Xc


def _robust(residual: Array, behind: np.ndarray, huber_px: float) -> tuple[Array, float]:
    norm = np.sqrt((residual**2).sum(1))
    inside = norm <= huber_px
    rho = np.where(inside, 0.5 * norm**2, huber_px * (norm - 0.5 * huber_px))
    weight = np.where(inside, 1.0, huber_px / np.maximum(norm, 1e-12))
    weight[behind] = 0.0
    rho[behind] = 10.0 * huber_px * huber_px
    return weight, float(rho.sum())


def _linearize(problem: BundleProblem, T: Array, X: Array, huber_px: float) -> _Linearization:
    r, Xc = _residuals(problem, T, X)
    behind = Xc[:, 2] < 1e-3
    weight, cost = _robust(r, behind, huber_px)
    z = np.maximum(Xc[:, 2], 1e-6)
    c = problem.camera
    m, d = r.shape
    J = np.zeros((m, d, 3))  # d residual / d point in the camera
    J[:, 0, 0], J[:, 0, 2] = c.fx / z, -c.fx * Xc[:, 0] / z**2
    J[:, 1, 1], J[:, 1, 2] = c.fy / z, -c.fy * Xc[:, 1] / z**2
    if d == 3 and problem.depth_prior is not None and problem.depth_sigma is not None:
        J[:, 2, 2] = np.where(np.isfinite(problem.depth_prior), 1.0 / (z * problem.depth_sigma), 0.0)
    J_cam = np.concatenate([np.matmul(J, -se3.skew(Xc)), J], axis=2)
    return _Linearization(r, weight, J_cam, np.matmul(J, T[problem.cam, :3, :3]), cost)


def _invert_3x3(V: Array) -> Array:
    """Inverse of symmetric positive definite (L,3,3) by cofactors."""
    a, b, c = V[:, 0, 0], V[:, 0, 1], V[:, 0, 2]
    d, e, f = V[:, 1, 1], V[:, 1, 2], V[:, 2, 2]
    A, B, C = d * f - e * e, c * e - b * f, b * e - c * d
    det = a * A + b * B + c * C
    out = np.empty_like(V)
    out[:, 0, 0], out[:, 0, 1], out[:, 0, 2] = A, B, C
    out[:, 1, 0], out[:, 1, 1], out[:, 1, 2] = B, a * f - c * c, b * c - a * e
    out[:, 2, 0], out[:, 2, 1], out[:, 2, 2] = C, b * c - a * e, a * d - b * b
    return out / det[:, None, None]


class _NormalEquations:
    """Blocks of the Gauss-Newton system, and its damped solution through the Schur complement."""

    def __init__(self, problem: BundleProblem, free: Ids, lin: _Linearization) -> None:
        n_points, n_free = len(problem.landmarks), len(free)
        slot = np.full(len(problem.T_cam_world), -1)
        slot[free] = np.arange(n_free)
        w = lin.weight[:, None, None]
        Jp_w = lin.J_point * w
        gradient = np.matmul(lin.J_point.transpose(0, 2, 1), (lin.residual * lin.weight[:, None])[:, :, None])[:, :, 0]
        blocks = np.matmul(lin.J_point.transpose(0, 2, 1), Jp_w)
        self.V = np.zeros((n_points, 3, 3))
        self.gp = np.zeros((n_points, 3))
        for i in range(3):
            self.gp[:, i] = np.bincount(problem.point, gradient[:, i], n_points)
            for j in range(i, 3):
                self.V[:, i, j] = np.bincount(problem.point, blocks[:, i, j], n_points)
                self.V[:, j, i] = self.V[:, i, j]
        self.W = np.zeros((n_free, 6, n_points, 3))
        self.U = np.zeros((n_free, 6, 6))
        self.gc = np.zeros((n_free, 6))
        self.n_free, self.n_points = n_free, n_points
        cams = slot[problem.cam]
        for k in range(n_free):
            rows = np.flatnonzero(cams == k)
            Jc = lin.J_cam[rows]
            flat = Jc.reshape(-1, 6)
            scaled = (Jc * w[rows]).reshape(-1, 6)
            self.U[k] = flat.T @ scaled
            self.gc[k] = scaled.T @ lin.residual[rows].reshape(-1)
            self.W[k][:, problem.point[rows], :] = np.matmul(Jc.transpose(0, 2, 1), Jp_w[rows]).transpose(1, 0, 2)

    def solve(self, damping: float) -> tuple[Array, Array]:
        """Steps of the free cameras (F,6) and of the landmarks (L,3)."""
        i3, i6 = np.arange(3), np.arange(6)
        V = self.V.copy()
        V[:, i3, i3] += damping * V[:, i3, i3] + 1e-9 * V[:, i3, i3].max(initial=1e-6)
        V_inv = _invert_3x3(V)
        n6 = 6 * self.n_free
        if n6 == 0:
            return np.zeros((0, 6)), -np.matmul(V_inv, self.gp[:, :, None])[:, :, 0]
        W = self.W.reshape(n6, self.n_points, 3)
        WV = np.matmul(W.transpose(1, 0, 2), V_inv).transpose(1, 0, 2).reshape(n6, -1)
        S = -WV @ W.reshape(n6, -1).T
        rhs = WV @ self.gp.reshape(-1) - self.gc.reshape(-1)
        for k in range(self.n_free):
            block = S[6 * k : 6 * k + 6, 6 * k : 6 * k + 6]
            block += self.U[k]
            block[i6, i6] += damping * self.U[k][i6, i6] + 1e-9
        step_cam = np.linalg.solve(S, rhs).reshape(-1, 6)
        back = self.gp + (step_cam.reshape(-1) @ W.reshape(n6, -1)).reshape(-1, 3)
        return step_cam, -np.matmul(V_inv, back[:, :, None])[:, :, 0]


def bundle_adjust(
    problem: BundleProblem, max_iterations: int = 6, huber_px: float = 1.5, tolerance: float = 1e-4
) -> BundleResult:
    """Minimise the robust reprojection error over the free cameras and all landmarks.

    Stops when a step lowers the cost by less than `tolerance` of it, or after max_iterations linearisations.
    Raises ValueError if no camera is fixed (the gauge would be free).
    """
    if not problem.is_fixed.any():
        raise ValueError("bundle adjustment needs at least one fixed camera")
    free = np.flatnonzero(~problem.is_fixed)
    T, X = problem.T_cam_world.copy(), problem.landmarks.copy()
    lin = _linearize(problem, T, X, huber_px)
    cost_before, damping, done = lin.cost, 1e-4, 0
    for _ in range(max_iterations):
        done += 1
        equations = _NormalEquations(problem, free, lin)
        improved = False
        for _ in range(4):
            step_cam, step_point = equations.solve(damping)
            T_new = T.copy()
            for k, c in enumerate(free):
                T_new[c] = se3.exp(step_cam[k]) @ T[c]
            X_new = X + step_point
            residual, Xc = _residuals(problem, T_new, X_new)
            cost = _robust(residual, Xc[:, 2] < 1e-3, huber_px)[1]
            if np.isfinite(cost) and cost < lin.cost:
                improved = True
                break
            damping *= 10.0
        if not improved:
            break
        gain = (lin.cost - cost) / max(lin.cost, 1e-12)
        T, X, damping = T_new, X_new, max(damping * 0.2, 1e-8)
        lin = _linearize(problem, T, X, huber_px)
        if gain < tolerance:
            break
    return _result(problem, T, X, cost_before, done, lin)


def _result(
    problem: BundleProblem, T: Array, X: Array, cost_before: float, iterations: int, lin: _Linearization
) -> BundleResult:
    _, Xc = _residuals(problem, T, X)
    norm = np.sqrt((lin.residual[:, :2] ** 2).sum(1))
    norm[Xc[:, 2] < 1e-3] = np.inf
    information = np.zeros((len(X), 3, 3))
    blocks = np.matmul(lin.J_point.transpose(0, 2, 1), lin.J_point * lin.weight[:, None, None])
    for i in range(3):
        for j in range(3):
            information[:, i, j] = np.bincount(problem.point, blocks[:, i, j], len(X))
    return BundleResult(T, X, norm, cost_before, lin.cost, iterations, information)
