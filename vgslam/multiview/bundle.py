"""Bundle adjustment of a small window: Levenberg-Marquardt with the landmarks eliminated (Schur complement).

Triggs et al., "Bundle Adjustment - A Modern Synthesis" (2000), sections 5-6. Cameras are updated on the left of
T_cam_world by the tangent (rotation, translation); landmarks are Euclidean. Huber weights act on the pixel residual in
units of its standard deviation. An observation may carry a depth prior (a network's depth): a third residual, log
depth over its standard deviation, with its own Huber weight, so that neither can make the other look wrong.

A point behind a camera has no image. It costs as much as one that is BEHIND_PX off, more than any ahead within the
image, and has no gradient. A step that would take a landmark behind a camera which has it ahead is shortened for that
landmark alone: one badly determined depth does not hold up the rest.

GTSAM solves the same problem (the tests compare both optima) at several times the cost per keyframe, most of it in
thousands of small virtual calls; with at most a dozen cameras the dense reduced system below is faster. Numbers of all
observations, or landmarks, lie in long rows, the last axis: sums over thousands of small matrices take twice as long.
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
    """C cameras, L landmarks, and M observations of them."""

    camera: Camera
    T_cam_world: Array  # (C,4,4)
    is_fixed: np.ndarray  # (C,): whether a camera stays where it is
    landmarks: Array  # (L,3) in the world
    cam: Ids  # (M,): the camera of each observation
    point: Ids  # (M,): its landmark
    pixels: Array  # (M,2): where it is seen
    depth_prior: Array | None = None  # (M,): its depth along the optical axis in world units; NaN: not known
    depth_sigma: Array | None = None  # (M,): standard deviation of the logarithm of that depth


@dataclass(frozen=True)
class BundleResult:
    """A problem at its optimum."""

    T_cam_world: Array  # (C,4,4)
    landmarks: Array  # (L,3)
    residual_px: Array  # (M,): length of each observation's error; infinite behind a camera
    cost_before: float
    cost_after: float
    iterations: int
    landmark_information: Array  # (L,3,3) in the world, cameras held fixed, for a deviation of 1 px


class _Observations:
    """The observations of a problem sorted by camera: those of one are a slice."""

    def __init__(self, problem: BundleProblem) -> None:
        self.camera = problem.camera
        self.order = np.argsort(problem.cam, kind="stable")
        self.point = problem.point[self.order]
        ends = np.cumsum(np.bincount(problem.cam, minlength=len(problem.T_cam_world))).tolist()
        self.of_camera = [slice(begin, end) for begin, end in zip([0, *ends], ends)]
        self.u, self.v = np.ascontiguousarray(problem.pixels[self.order].T)
        self.has_depth = problem.depth_prior is not None and problem.depth_sigma is not None
        if problem.depth_prior is not None and problem.depth_sigma is not None:
            self.depth, self.depth_sigma = problem.depth_prior[self.order], problem.depth_sigma[self.order]

    def local(self, T: Array, X: Array) -> Array:
        """(3,M): landmarks X (L,3) in the frames of the cameras T (C,4,4)."""
        seen = np.ascontiguousarray(X.T).take(self.point, axis=1)
        for T_cam_world, rows in zip(T, self.of_camera, strict=True):
            seen[:, rows] = T_cam_world[:3, :3] @ seen[:, rows] + T_cam_world[:3, 3:]
        return seen

    def residuals(self, Xc: Array) -> Array:
        """(D,M): errors in px and, with depth priors, that of the depth, whitened."""
        c, z = self.camera, np.maximum(Xc[2], 1e-6)
        r = np.empty((3 if self.has_depth else 2, len(z)))
        r[0], r[1] = c.fx * Xc[0] / z + (c.cx - self.u), c.fy * Xc[1] / z + (c.cy - self.v)
        if self.has_depth:
            prior = np.log(z / self.depth) / self.depth_sigma
            r[2] = np.where(np.isfinite(prior), prior, 0.0)
        return r

    def derivatives(self, Xc: Array) -> Array:
        """(D,3,M): of the residuals by the point in the camera."""
        c, z = self.camera, np.maximum(Xc[2], 1e-6)
        J = np.zeros((3 if self.has_depth else 2, 3, len(z)))
        J[0, 0], J[0, 2] = c.fx / z, -c.fx * Xc[0] / z**2
        J[1, 1], J[1, 2] = c.fy / z, -c.fy * Xc[1] / z**2
        if self.has_depth:
            J[2, 2] = np.where(np.isfinite(self.depth), 1.0 / (z * self.depth_sigma), 0.0)
        return J


@dataclass(frozen=True)
class _Linearization:
    residual: Array  # (D, M) whitened
    behind: np.ndarray  # (M,) whether the point is behind its camera
    weight: Array  # (D, M)
    J_cam: Array  # (6, D, M)
    J_point: Array  # (3, D, M)
    cost: float
    cost_ahead: float  # of the points ahead of their cameras

    def weighted(self) -> Array:
        """(3,D,M): derivatives by the landmarks, weighted."""
        return self.J_point * self.weight

    def information(self, weighted: Array, point: Ids, n_points: int) -> Array:
        """(3,3,L): what the residuals say about each landmark, cameras held."""
        V = np.empty((3, 3, n_points))
        for i in range(3):
            for j in range(i, 3):
                V[i, j] = V[j, i] = np.bincount(point, (weighted[i] * self.J_point[j]).sum(0), n_points)
        return V


def _length_px(residual: Array) -> Array:
    """(M,): length of the part in the image."""
    return np.asarray(np.sqrt(residual[0] ** 2 + residual[1] ** 2))


def _huber(norm: Array, width: float) -> tuple[Array, Array]:
    """Weight and cost of residuals of length norm (M,), each (M,)."""
    inside = norm <= width
    rho = np.where(inside, 0.5 * norm**2, width * (norm - 0.5 * width))
    return np.where(inside, 1.0, width / np.maximum(norm, 1e-12)), rho


def _robust(residual: Array, behind: np.ndarray, huber_px: float) -> tuple[Array, float]:
    """Weight (D,M) of each residual, and the cost of all. The two of the pixel share one, a depth prior has its own."""
    weight = np.empty_like(residual)
    weight[0], rho = _huber(_length_px(residual), huber_px)
    weight[1] = weight[0]
    if len(residual) == 3:
        weight[2], rho_prior = _huber(np.abs(residual[2]), PRIOR_HUBER_SIGMA)
        rho = rho + rho_prior
    weight[:, behind] = 0.0
    rho[behind] = _cost_behind(huber_px)
    return weight, float(rho.sum())


def _cost_behind(huber_px: float) -> float:
    """Cost of one observation of a point behind its camera."""
    return float(_huber(np.array([BEHIND_PX]), huber_px)[1][0])


def _linearize(seen: _Observations, T: Array, Xc: Array, huber_px: float) -> _Linearization:
    """About the cameras T and the landmarks that are at Xc (3,M) in them."""
    r, behind = seen.residuals(Xc), Xc[2] < MIN_DEPTH
    weight, cost = _robust(r, behind, huber_px)
    cost_ahead = cost - int(behind.sum()) * _cost_behind(huber_px)
    (x, y, z), J = Xc, seen.derivatives(Xc)
    J_cam, J_point = np.empty((6, *r.shape)), np.empty((3, *r.shape))
    J_cam[0] = J[:, 2] * y - J[:, 1] * z  # by the rotation: J times -skew(Xc)
    J_cam[1] = J[:, 0] * z - J[:, 2] * x
    J_cam[2] = J[:, 1] * x - J[:, 0] * y
    J_cam[3:] = J.transpose(1, 0, 2)
    for T_cam_world, rows in zip(T, seen.of_camera, strict=True):
        J_point[:, :, rows] = np.matmul(T_cam_world[:3, :3].T, J[:, :, rows]).transpose(1, 0, 2)
    return _Linearization(r, behind, weight, J_cam, J_point, cost, cost_ahead)


def _invert_3x3(V: Array) -> Array:
    """Inverse of symmetric positive definite (3,3,L) by cofactors."""
    (a, b, c), (_, d, e), (_, _, f) = V
    A, B, C = d * f - e * e, c * e - b * f, b * e - c * d
    det = a * A + b * B + c * C
    return np.array([[A, B, C], [B, a * f - c * c, b * c - a * e], [C, b * c - a * e, a * d - b * b]]) / det


class _NormalEquations:
    """Blocks of the Gauss-Newton system, and its damped solution through the Schur complement."""

    def __init__(self, seen: _Observations, n_points: int, free: Ids, lin: _Linearization) -> None:
        n_free = len(free)
        weighted = lin.weighted()
        self.V = lin.information(weighted, seen.point, n_points)
        gradient = (weighted * lin.residual).sum(1)
        self.gp = np.stack([np.bincount(seen.point, g, n_points) for g in gradient])
        self.W = np.zeros((n_free, 6, 3, n_points))
        self.U = np.zeros((n_free, 6, 6))
        self.gc = np.zeros((n_free, 6))
        self.n_free, self.n_points = n_free, n_points
        for k, c in enumerate(free.tolist()):
            rows = seen.of_camera[c]
            J = lin.J_cam[:, :, rows]
            scaled = (J * lin.weight[:, rows]).reshape(6, -1)
            self.U[k] = scaled @ J.reshape(6, -1).T
            self.gc[k] = scaled @ lin.residual[:, rows].reshape(-1)
            self.W[k][:, :, seen.point[rows]] = (J[:, None] * weighted[:, :, rows]).sum(2)

    def solve(self, damping: float) -> tuple[Array, Array]:
        """Steps of the free cameras (F,6) and of the landmarks (L,3)."""
        i3, i6 = np.arange(3), np.arange(6)
        V = self.V.copy()
        V[i3, i3] += damping * V[i3, i3] + 1e-9 * V[i3, i3].max(initial=1e-6)
        V_inv = _invert_3x3(V)
        n6 = 6 * self.n_free
        if n6 == 0:
            return np.zeros((0, 6)), -(V_inv * self.gp).sum(1).T
        W = self.W.reshape(n6, 3, self.n_points)
        WV = (W[:, 0, None] * V_inv[0] + W[:, 1, None] * V_inv[1] + W[:, 2, None] * V_inv[2]).reshape(n6, -1)
        flat = W.reshape(n6, -1)
        S = -WV @ flat.T
        rhs = WV @ self.gp.reshape(-1) - self.gc.reshape(-1)
        for k in range(self.n_free):
            block = S[6 * k : 6 * k + 6, 6 * k : 6 * k + 6]
            block += self.U[k]
            block[i6, i6] += damping * self.U[k][i6, i6] + 1e-9
        step_cam = np.linalg.solve(S, rhs).reshape(-1, 6)
        back = self.gp + (step_cam.reshape(-1) @ flat).reshape(3, -1)
        return step_cam, -(V_inv * back).sum(1).T


def bundle_adjust(
    problem: BundleProblem, max_iterations: int = 6, huber_px: float = 1.5, tolerance: float = 1e-4
) -> BundleResult:
    """Minimise the robust reprojection error over the free cameras and all landmarks. Stops when a step lowers the cost
    by less than `tolerance` of what the points ahead of their cameras cost, or after max_iterations linearisations.
    Raises ValueError if no camera is fixed (the gauge would be free)."""
    if not problem.is_fixed.any():
        raise ValueError("bundle adjustment needs at least one fixed camera")
    free, seen = np.flatnonzero(~problem.is_fixed), _Observations(problem)
    T, X = problem.T_cam_world.copy(), problem.landmarks.copy()
    lin = _linearize(seen, T, seen.local(T, X), huber_px)
    cost_before, damping, done = lin.cost, 1e-4, 0
    for _ in range(max_iterations):
        done += 1
        equations = _NormalEquations(seen, len(X), free, lin)
        improved = False
        for _ in range(MAX_TRIES):
            step_cam, step_point = equations.solve(damping)
            T_new = T.copy()
            for k, c in enumerate(free):
                T_new[c] = se3.exp(step_cam[k]) @ T[c]
            X_new, Xc = _moved(seen, (T, X), T_new, step_point)
            cost = _robust(seen.residuals(Xc), Xc[2] < MIN_DEPTH, huber_px)[1]
            if np.isfinite(cost) and cost < lin.cost:
                improved = True
                break
            damping *= 10.0
        if not improved:
            break
        gain = (lin.cost - cost) / max(lin.cost_ahead, 1e-12)
        T, X, damping = T_new, X_new, max(damping * 0.2, 1e-8)
        lin = _linearize(seen, T, Xc, huber_px)
        if gain < tolerance:
            break
    return _result(seen, T, X, (cost_before, done), lin)


def _moved(seen: _Observations, before: tuple[Array, Array], T_new: Array, step: Array) -> tuple[Array, Array]:
    """Landmarks (L,3) after their step (L,3), and where they are in the new cameras (3,M); before: cameras and
    landmarks. The step is shortened where it would pass the plane of a camera that has the landmark ahead. After the
    cameras' step the depth is linear in the landmark's, so the share of it that is left is known at once."""
    T, X = before
    Xc = seen.local(T_new, X + step)
    go = Xc[2]
    if go.min(initial=np.inf) >= MIN_DEPTH:
        return X + step, Xc
    was, stay = seen.local(T, X)[2], seen.local(T_new, X)[2]
    passes = (was >= MIN_DEPTH) & (go < MIN_DEPTH) & (stay > MIN_DEPTH)
    share = np.ones(len(X))
    np.minimum.at(share, seen.point[passes], MAX_APPROACH * stay[passes] / (stay - go)[passes])
    X_new = X + step * share[:, None]
    return X_new, seen.local(T_new, X_new)


def _result(seen: _Observations, T: Array, X: Array, cost: tuple[float, int], lin: _Linearization) -> BundleResult:
    """cost: before, and the number of iterations."""
    norm = np.empty(len(seen.order))
    norm[seen.order] = np.where(lin.behind, np.inf, _length_px(lin.residual))
    information = np.ascontiguousarray(lin.information(lin.weighted(), seen.point, len(X)).transpose(2, 0, 1))
    return BundleResult(T, X, norm, cost[0], lin.cost, cost[1], information)
