"""Camera pose from landmarks whose depth is only partly known.

Each landmark was first seen in a host keyframe, so its error is along the host's ray: with relative depth deviation
`rel_sigma`, the projected landmark is uncertain along one image direction e = rel_sigma * d pixel / d log depth.
The residual's covariance is sigma_px^2 I + e e^T (first-order propagation; Civera et al., "Inverse Depth
Parametrization", T-RO 2008, section IV uses the same fact). A corner with a guessed depth then constrains rotation and
the epipolar direction fully and the translation hardly, and one formula serves triangulated, guessed and
network-given depths.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH, Camera
from vgslam.types import Array

MIN_POINTS = 6
"""Least points of a pose: twice the three that determine it up to a few answers."""
CAUCHY_SIGMAS, WIDE_CAUCHY_SIGMAS, WIDE_STEPS = 2.0, 4.0, 2
"""Width of the Cauchy weights, in standard deviations: wide for the first steps, or a coarse start would be trapped."""
NEGLIGIBLE_SIGMAS = 0.01
"""A step that is shorter than this share of the pose's own deviation is the last."""
MAX_E_PX = 1e3
"""Largest deviation along the epipolar line, in px: more is as good as unknown."""
MIN_RANSAC_POINTS = 8
"""Least points of RANSAC: a sample has five, and a few more have to confirm it."""
RANSAC_ITERATIONS, RANSAC_CONFIDENCE = 200, 0.999
"""Samples at most, and the probability at which fewer do: enough where half of the points are right."""

_DIAGONAL = np.arange(6), np.arange(6)


@dataclass(frozen=True)
class PoseFit:
    """The pose of a camera that sees N landmarks."""

    T_cam_world: Array
    """(4,4)."""
    inliers: np.ndarray
    """(N,): which landmarks agree."""
    covariance: Array
    """(6,6) of xi (rotation rad x3, translation in map units x3) in exp(xi) T_cam_world, which is also that of
    T_world_cam exp(xi)."""
    median_error_px: float


@dataclass(frozen=True)
class PosePoints:
    """N landmarks, and where they are seen."""

    landmarks: Array  # (N,3) in the world
    pixels: Array  # (N,2)
    direction: Array  # (N,3): from the centre of the keyframe that first saw it
    rel_sigma: Array  # (N,): relative standard deviation of that distance

    def __len__(self) -> int:
        return len(self.landmarks)

    def select(self, rows: np.ndarray) -> "PosePoints":
        """The points at `rows` (boolean mask or indices)."""
        return PosePoints(self.landmarks[rows], self.pixels[rows], self.direction[rows], self.rel_sigma[rows])

    def seen_at(self, pixels: npt.NDArray) -> "PosePoints":
        """The same landmarks at other pixels (N,2)."""
        return PosePoints(self.landmarks, np.asarray(pixels, np.float64), self.direction, self.rel_sigma)


@dataclass(frozen=True)
class CentrePrior:
    """Where the camera's centre is thought to be: centre (3,) in the world, with standard deviation sigma of each
    coordinate in map units. It decides where landmarks of guessed depth leave turning and moving sideways alike."""

    centre: Array
    sigma: float

    def normal_equations(self, T_cam_world: Array) -> tuple[Array, Array]:
        """H (6,6) and gradient g (6,) of |c - centre|^2 / (2 sigma^2) for a step xi in exp(xi) T_cam_world. The step's
        translation v moves the centre c = -R^T t by -R^T v; its rotation turns about c and does not."""
        R = T_cam_world[:3, :3]
        off = T_cam_world[:3, 3] + R @ self.centre  # -R (c - centre)
        H, g = np.zeros((6, 6)), np.zeros(6)
        H[3:, 3:] = np.eye(3) / self.sigma**2
        g[3:] = off / self.sigma**2
        return H, g


def fill_pose_jacobian(
    J: Array, camera: Camera, x: Array, y: Array, z: Array
) -> tuple[Array, Array, Array, Array]:
    """Derivatives of the pixels of points x, y, z (N,), in the camera's frame, by a step xi in exp(xi) T_cam_world:
    those of the column into J[:, 0] (6,N), those of the row into J[:, 1]. Returns x / z, y / z, fx / z and fy / z."""
    fx, fy = camera.fx, camera.fy
    u, v, a, b = x / z, y / z, fx / z, fy / z
    J[0, 0], J[1, 0], J[2, 0] = -u * (a * y), fx + u * (a * x), -a * y
    J[3, 0], J[4, 0], J[5, 0] = a, 0.0, -a * u
    J[0, 1], J[1, 1], J[2, 1] = -fy - v * (b * y), v * (b * x), b * x
    J[3, 1], J[4, 1], J[5, 1] = 0.0, b, -b * v
    return u, v, a, b


class _Rows:
    """The points with a row of numbers for each coordinate: sums over thousands of small matrices cost several times
    those over a few long rows."""

    def __init__(self, camera: Camera, points: PosePoints, sigma_px: float) -> None:
        self.camera, self.s2 = camera, sigma_px * sigma_px
        self.landmarks = np.ascontiguousarray(points.landmarks.T)
        self.along = np.ascontiguousarray((points.direction * points.rel_sigma[:, None]).T)
        self.u, self.v = np.ascontiguousarray(points.pixels.T)
        self.M = np.empty((6, 3, len(points)))
        self.r = np.empty((3, len(points)))

    def see(self, T: Array) -> tuple[Array, Array]:
        """Errors at the pose T_cam_world: squared Mahalanobis distance (N,), infinite behind the camera, and 1 / (s2 +
        e'e) (N,). Fills r (3,N): error u, v in px and e'r; and M (6,3,N): Jacobians of u and v and e'J."""
        fx, fy = self.camera.fx, self.camera.fy
        R, M, r = T[:3, :3], self.M, self.r
        x, y, z = R @ self.landmarks + T[:3, 3:]
        behind = z < MIN_DEPTH
        z = np.where(behind, 1.0, z)
        u, v, a, b = fill_pose_jacobian(M, self.camera, x, y, z)
        dx, dy, dz = R @ self.along
        eu, ev = (a * (dx - u * dz)).clip(-MAX_E_PX, MAX_E_PX), (b * (dy - v * dz)).clip(-MAX_E_PX, MAX_E_PX)
        r[0], r[1] = fx * u + (self.camera.cx - self.u), fy * v + (self.camera.cy - self.v)
        r[2] = eu * r[0] + ev * r[1]
        np.add(eu * M[:, 0], ev * M[:, 1], out=M[:, 2])
        share = 1.0 / (self.s2 + eu * eu + ev * ev)
        d2 = (r[0] * r[0] + r[1] * r[1] - r[2] * r[2] * share) / self.s2
        d2[behind] = np.inf
        return d2, share

    def normal_equations(self, weights: Array, share: Array) -> tuple[Array, Array]:
        """H (6,6) and gradient (6,) of sum w r' (s2 I + e e')^-1 r / 2, after `see`; by Sherman and Morrison the
        inverse is (I - e e' / (s2 + e'e)) / s2."""
        w = weights / self.s2
        scale = np.stack([w, w, -w * share])
        weighted = (self.M * scale).reshape(6, -1)
        return weighted @ self.M.reshape(6, -1).T, weighted @ self.r.reshape(-1)


def refine_pose(
    camera: Camera, T_start: Array, points: PosePoints, sigma_px: float = 1.0, iterations: int = 8, gate: float = 3.0,
    prior: CentrePrior | None = None,
) -> PoseFit:  # fmt: skip
    """Gauss-Newton with Cauchy weights from T_cam_world = T_start; `gate` (sigmas) decides the inliers. sigma_px:
    standard deviation of a tracked pixel. prior: on the camera's centre; the covariance leaves it out. Needs at least
    MIN_POINTS points (ValueError)."""
    if len(points) < MIN_POINTS:
        raise ValueError(f"a pose needs at least {MIN_POINTS} points")
    T, rows = T_start, _Rows(camera, points, sigma_px)
    H = np.eye(6)  # of the points alone: the prior is an assumption, and adds nothing to what is known
    for i in range(iterations):
        d2, share = rows.see(T)
        width = WIDE_CAUCHY_SIGMAS if i < WIDE_STEPS else CAUCHY_SIGMAS
        H, g = rows.normal_equations(1.0 / (1.0 + d2 / width**2), share)  # no weight behind the camera
        H[_DIAGONAL] += 1e-9
        damped = H.copy()
        damped[_DIAGONAL] *= 1.0 + 1e-6
        if prior is not None:
            H_prior, g_prior = prior.normal_equations(T)
            damped, g = damped + H_prior, g + g_prior
        try:
            step = np.linalg.solve(damped, -g)
        except np.linalg.LinAlgError:
            break
        if not np.isfinite(step).all():
            break
        T = se3.exp(step.astype(np.float64)) @ T
        if i + 1 >= WIDE_STEPS and float(step @ damped @ step) < NEGLIGIBLE_SIGMAS**2:
            break
    d2, _ = rows.see(T)
    inliers = d2 < gate * gate
    error = np.hypot(rows.r[0], rows.r[1])[inliers]
    covariance = np.linalg.pinv(H).astype(np.float64)
    T = se3.from_rt(se3.orthonormalize(T[:3, :3]), T[:3, 3])
    return PoseFit(T, inliers, covariance, float(np.median(error)) if len(error) else np.inf)


def ransac_pose(camera: Camera, points: PosePoints, threshold_px: float, seed: int = 0) -> Array | None:
    """T_cam_world (4,4) from minimal samples of the points (their depths taken as they are), or None."""
    if len(points) < MIN_RANSAC_POINTS:
        return None
    cv2.setRNGSeed(seed)
    ok, rvec, tvec, inliers = cv2.solvePnPRansac(
        np.ascontiguousarray(points.landmarks), np.ascontiguousarray(points.pixels), camera.K, None,
        iterationsCount=RANSAC_ITERATIONS, reprojectionError=threshold_px,
        confidence=RANSAC_CONFIDENCE, flags=cv2.SOLVEPNP_EPNP,
    )  # fmt: skip
    if not ok or inliers is None or len(inliers) < MIN_POINTS or not np.isfinite(rvec).all():
        return None
    return se3.from_rt(se3.so3_exp(rvec.reshape(3)), tvec.reshape(3))
