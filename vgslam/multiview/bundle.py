"""Bundle adjustment of a small window: Levenberg-Marquardt with the landmarks eliminated (Schur complement).

Triggs et al., "Bundle Adjustment - A Modern Synthesis" (2000), sections 5-6. Cameras are updated on the left of
T_cam_world by the tangent (rotation, translation); landmarks are Euclidean. Huber weights act on the pixel residual in
units of its standard deviation. An observation may carry a depth prior (a network's depth): a third residual, log
depth over its standard deviation, with its own Huber weight, so that neither can make the other look wrong.

A point behind a camera has no image. It costs as much as one that is BEHIND_PX off, more than any ahead within the
image, and has no gradient. A step that would take a landmark behind a camera which has it ahead is shortened for that
landmark alone: one badly determined depth does not hold up the rest.

GTSAM solves the same problem (the tests compare both optima) at several times the cost per keyframe, most of it in
thousands of small virtual calls; with at most a dozen cameras the dense reduced system below is faster.
"""

from dataclasses import dataclass

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH, Camera
from vgslam.types import Array, Ids

BEHIND_PX = 1e4
"""An observation of a point behind its camera costs as much as a residual of this length: no image is as wide."""
PRIOR_HUBER_SIGMA = 1.345
"""Huber width of a depth prior in standard deviations; keeps 95 % efficiency for Gaussian errors (Huber, 1981)."""
MAX_APPROACH = 0.5
"""A landmark whose step would pass a camera's plane approaches the plane by this share of its depth instead."""
MAX_TRIES = 8
"""Dampings, each ten times the last, that are tried before a linearisation counts as the last one."""


@dataclass(frozen=True)
class BundleProblem:
    """Cameras T_cam_world (C,4,4), landmarks (L,3) in the world, observations of landmark `point` (M,) by camera
    `cam` (M,) at pixels (M,2). is_fixed (C,) holds a camera where it is. depth_prior (M,) along the optical axis in
    world units, NaN if there is none, with log-depth standard deviation depth_sigma (M,).
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
    behind: np.ndarray  # (M,) whether the point is behind its camera
    weight: Array  # (M, D)
    J_cam: Array  # (M, D, 6)
    J_point: Array  # (M, D, 3)
    cost: float
    cost_ahead: float  # of the points ahead of their cameras


def _residuals(problem: BundleProblem, T: Array, X: Array) -> tuple[Array, Array]:
    """Residuals (M,2|3), points in the camera (M,3)."""
    t = T[:, :3, 3].take(problem.cam, 0)
    Xc = np.matmul(_rotations(T, problem.cam), X.take(problem.point, 0)[:, :, None])[:, :, 0] + t
    z = np.maximum(Xc[:, 2], 1e-6)
    c = problem.camera
    columns = [c.fx * Xc[:, 0] / z + c.cx - problem.pixels[:, 0], c.fy * Xc[:, 1] / z + c.cy - problem.pixels[:, 1]]
    if problem.depth_prior is not None and problem.depth_sigma is not None:
        prior = np.log(z / problem.depth_prior) / problem.depth_sigma
        columns.append(np.where(np.isfinite(prior), prior, 0.0))
    return np.stack(columns, axis=1), Xc


def _rotations(T: Array, cam: Ids) -> Array:
    """(M,3,3): the rotation of the camera of each observation. `take` copies whole matrices, in half the time of
    T[cam, :3, :3]."""
    return T[:, :3, :3].take(cam, 0)


def _length_px(residual: Array) -> Array:
    """(M,): length of the part in the image; a sum over rows of two would take several times as long."""
    return np.asarray(np.sqrt(residual[:, 0] ** 2 + residual[:, 1] ** 2))


def _is_behind(Xc: Array) -> np.ndarray:
    return Xc[:, 2] < MIN_DEPTH


def _huber(norm: Array, width: float) -> tuple[Array, Array]:
    """Weight and cost of residuals of length norm (M,), each (M,)."""
    inside = norm <= width
    rho = np.where(inside, 0.5 * norm**2, width * (norm - 0.5 * width))
    return np.where(inside, 1.0, width / np.maximum(norm, 1e-12)), rho


def _robust(residual: Array, behind: np.ndarray, huber_px: float) -> tuple[Array, float]:
    """Weight (M,D) of each residual, and the cost of all. The two of the pixel share one, a depth prior has its own."""
    weight = np.empty_like(residual)
    weight_px, rho = _huber(_length_px(residual), huber_px)
    weight[:, :2] = weight_px[:, None]
    if residual.shape[1] == 3:
        weight[:, 2], rho_prior = _huber(np.abs(residual[:, 2]), PRIOR_HUBER_SIGMA)
        rho = rho + rho_prior
    weight[behind] = 0.0
    rho[behind] = _cost_behind(huber_px)
    return weight, float(rho.sum())


def _cost_behind(huber_px: float) -> float:
    """Cost of one observation of a point behind its camera."""
    return float(_huber(np.array([BEHIND_PX]), huber_px)[1][0])


def _linearize(problem: BundleProblem, T: Array, seen: tuple[Array, Array], huber_px: float) -> _Linearization:
    """About the cameras T and the landmarks whose `_residuals` are `seen`."""
    r, Xc = seen
    behind = _is_behind(Xc)
    weight, cost = _robust(r, behind, huber_px)
    cost_ahead = cost - int(behind.sum()) * _cost_behind(huber_px)
    z = np.maximum(Xc[:, 2], 1e-6)
    c = problem.camera
    m, d = r.shape
    J = np.zeros((m, d, 3))  # d residual / d point in the camera
    J[:, 0, 0], J[:, 0, 2] = c.fx / z, -c.fx * Xc[:, 0] / z**2
    J[:, 1, 1], J[:, 1, 2] = c.fy / z, -c.fy * Xc[:, 1] / z**2
    if d == 3 and problem.depth_prior is not None and problem.depth_sigma is not None:
        J[:, 2, 2] = np.where(np.isfinite(problem.depth_prior), 1.0 / (z * problem.depth_sigma), 0.0)
    J_cam = np.concatenate([np.matmul(J, -se3.skew(Xc)), J], axis=2)
    return _Linearization(r, behind, weight, J_cam, np.matmul(J, _rotations(T, problem.cam)), cost, cost_ahead)


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
        w = lin.weight[:, :, None]
        Jp_w = lin.J_point * w
        gradient = np.matmul(lin.J_point.transpose(0, 2, 1), (lin.residual * lin.weight)[:, :, None])[:, :, 0]
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

    Stops when a step lowers the cost by less than `tolerance` of what the points ahead of their cameras cost, or after
    max_iterations linearisations.
    Raises ValueError if no camera is fixed (the gauge would be free).
    """
    if not problem.is_fixed.any():
        raise ValueError("bundle adjustment needs at least one fixed camera")
    free = np.flatnonzero(~problem.is_fixed)
    T, X = problem.T_cam_world.copy(), problem.landmarks.copy()
    lin = _linearize(problem, T, _residuals(problem, T, X), huber_px)
    cost_before, damping, done = lin.cost, 1e-4, 0
    for _ in range(max_iterations):
        done += 1
        equations = _NormalEquations(problem, free, lin)
        improved = False
        for _ in range(MAX_TRIES):
            step_cam, step_point = equations.solve(damping)
            T_new = T.copy()
            for k, c in enumerate(free):
                T_new[c] = se3.exp(step_cam[k]) @ T[c]
            X_new = X + _kept_ahead(problem, T, T_new, X, step_point)
            seen = _residuals(problem, T_new, X_new)
            cost = _robust(seen[0], _is_behind(seen[1]), huber_px)[1]
            if np.isfinite(cost) and cost < lin.cost:
                improved = True
                break
            damping *= 10.0
        if not improved:
            break
        gain = (lin.cost - cost) / max(lin.cost_ahead, 1e-12)
        T, X, damping = T_new, X_new, max(damping * 0.2, 1e-8)
        lin = _linearize(problem, T, seen, huber_px)
        if gain < tolerance:
            break
    return _result(problem, T, X, cost_before, done, lin)


def _depth(problem: BundleProblem, T: Array, X: Array) -> Array:
    """Depth (M,) of each observed point along the optical axis of the camera that observes it."""
    x, y, z = (T[problem.cam, 2, :3] * X[problem.point]).T
    return np.asarray(x + y + z + T[problem.cam, 2, 3])


def _kept_ahead(problem: BundleProblem, T: Array, T_new: Array, X: Array, step: Array) -> Array:
    """Steps (L,3) of the landmarks, shortened where one would pass the plane of a camera that has it ahead.

    After the cameras' step the depth is linear in the landmark's, so the share of it that is left is known at once.
    """
    go = _depth(problem, T_new, X + step)
    if go.min(initial=np.inf) >= MIN_DEPTH:
        return step
    before, stay = _depth(problem, T, X), _depth(problem, T_new, X)
    passes = (before >= MIN_DEPTH) & (go < MIN_DEPTH) & (stay > MIN_DEPTH)
    share = np.ones(len(X))
    np.minimum.at(share, problem.point[passes], MAX_APPROACH * stay[passes] / (stay - go)[passes])
    return step * share[:, None]


def _result(
    problem: BundleProblem, T: Array, X: Array, cost_before: float, iterations: int, lin: _Linearization
) -> BundleResult:
    norm = _length_px(lin.residual)
    norm[lin.behind] = np.inf
    information = np.zeros((len(X), 3, 3))
    blocks = np.matmul(lin.J_point.transpose(0, 2, 1), lin.J_point * lin.weight[:, :, None])
    for i in range(3):
        for j in range(3):
            information[:, i, j] = np.bincount(problem.point, blocks[:, i, j], len(X))
    return BundleResult(T, X, norm, cost_before, lin.cost, iterations, information)
