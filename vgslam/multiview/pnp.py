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
MIN_RANSAC_POINTS = 8
"""Least points of RANSAC: a sample has five, and a few more have to confirm it."""
RANSAC_ITERATIONS, RANSAC_CONFIDENCE = 200, 0.999
"""Samples at most, and the probability at which fewer do: enough where half of the points are right."""


@dataclass(frozen=True)
class PoseFit:
    """T_cam_world (4,4), which points agree (N,), covariance (6,6) of xi (rotation rad x3,
    translation in map units x3) in exp(xi) T_cam_world, which is also that of T_world_cam exp(xi)."""

    T_cam_world: Array
    inliers: np.ndarray
    covariance: Array
    median_error_px: float


@dataclass(frozen=True)
class PosePoints:
    """Landmarks (N,3) in the world, pixels (N,2), direction (N,3) = landmark - host centre, rel_sigma (N,) of depth."""

    landmarks: Array
    pixels: Array
    direction: Array
    rel_sigma: Array

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
        """H (6,6) and gradient g (6,) of |c - centre|^2 / (2 sigma^2) for a step xi in exp(xi) T_cam_world.

        The step's translation v moves the centre c = -R^T t by -R^T v; its rotation turns about c and does not.
        """
        R = T_cam_world[:3, :3]
        off = T_cam_world[:3, 3] + R @ self.centre  # -R (c - centre)
        H, g = np.zeros((6, 6)), np.zeros(6)
        H[3:, 3:] = np.eye(3) / self.sigma**2
        g[3:] = off / self.sigma**2
        return H, g


def _whitened(camera: Camera, T: Array, points: PosePoints, sigma_px: float) -> tuple[Array, Array, Array, Array]:
    """Residual (N,2) px, squared Mahalanobis distance (N,), Jacobian (N,2,6), information (N,2,2)."""
    R = T[:3, :3]
    Xc = points.landmarks @ R.T + T[:3, 3]
    behind = Xc[:, 2] < MIN_DEPTH
    z = np.where(behind, 1.0, Xc[:, 2])
    u, v = Xc[:, 0] / z, Xc[:, 1] / z
    r = np.stack([camera.fx * u + camera.cx, camera.fy * v + camera.cy], axis=1) - points.pixels
    a, b = camera.fx / z, camera.fy / z
    zero = np.zeros_like(z)
    J3 = np.stack([np.stack([a, zero, -a * u], 1), np.stack([zero, b, -b * v], 1)], axis=1)
    e = np.matmul(J3, ((points.direction * points.rel_sigma[:, None]) @ R.T)[:, :, None])[:, :, 0]
    e = np.clip(e, -1e3, 1e3)
    s2 = sigma_px * sigma_px
    info = (np.eye(2) - e[:, :, None] * e[:, None, :] / (s2 + (e * e).sum(1))[:, None, None]) / s2
    d2 = (r * np.matmul(info, r[:, :, None])[:, :, 0]).sum(1)
    d2[behind] = np.inf
    J = np.concatenate([np.matmul(J3, -se3.skew(Xc)), J3], axis=2)
    return r, d2, J, info


def refine_pose(
    camera: Camera, T_start: Array, points: PosePoints, sigma_px: float = 1.0, iterations: int = 8, gate: float = 3.0,
    prior: CentrePrior | None = None,
) -> PoseFit:  # fmt: skip
    """Gauss-Newton with Cauchy weights from T_cam_world = T_start; `gate` (sigmas) decides the inliers.

    sigma_px: standard deviation of a tracked pixel. prior: on the camera's centre; the covariance leaves it out.
    Needs at least MIN_POINTS points (ValueError).
    """
    if len(points) < MIN_POINTS:
        raise ValueError(f"a pose needs at least {MIN_POINTS} points")
    T = T_start
    H = np.eye(6)  # of the points alone: the prior is an assumption, and adds nothing to what is known
    for i in range(iterations):
        r, d2, J, info = _whitened(camera, T, points, sigma_px)
        width = WIDE_CAUCHY_SIGMAS if i < WIDE_STEPS else CAUCHY_SIGMAS
        w = np.where(np.isfinite(d2), 1.0 / (1.0 + d2 / width**2), 0.0)
        A = np.matmul(J.transpose(0, 2, 1), info * w[:, None, None])
        H = np.matmul(A, J).sum(0) + 1e-9 * np.eye(6)
        g = np.matmul(A, r[:, :, None])[:, :, 0].sum(0)
        damped = H + 1e-6 * np.diag(np.diag(H))
        if prior is not None:
            H_prior, g_prior = prior.normal_equations(T)
            damped, g = damped + H_prior, g + g_prior
        try:
            step = np.linalg.solve(damped, -g)
        except np.linalg.LinAlgError:
            break
        if not np.isfinite(step).all():
            break
        T = se3.exp(step) @ T
        if np.linalg.norm(step[:3]) < 1e-6 and np.linalg.norm(step[3:]) < 1e-6:
            break
    r, d2, _, _ = _whitened(camera, T, points, sigma_px)
    inliers = d2 < gate * gate
    error = np.linalg.norm(r[inliers], axis=1)
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
        iterationsCount=RANSAC_ITERATIONS, reprojectionError=threshold_px, confidence=RANSAC_CONFIDENCE,
        flags=cv2.SOLVEPNP_EPNP,
    )  # fmt: skip
    if not ok or inliers is None or len(inliers) < MIN_POINTS or not np.isfinite(rvec).all():
        return None
    return se3.from_rt(se3.so3_exp(rvec.reshape(3)), tvec.reshape(3))
