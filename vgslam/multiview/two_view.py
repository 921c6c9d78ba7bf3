"""Relative pose of two views without any map, refusing what the views cannot tell."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import cv2
import numpy as np

from vgslam.config import ABOVE_ZERO
from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_RAY_Z, Camera
from vgslam.multiview.triangulate import triangulate
from vgslam.types import Array

MIN_MATCHES = 12
"""Least matches that are looked at: five determine an essential matrix, and more than twice as many should speak."""
ROTATION_WIDTH = 2.0
"""Inlier distance of a pure rotation, in those of the epipolar test: the distance has two components, not one."""
ROTATION_SHARE = 0.8
"""Least share of matches that a rotation has to explain before it is called one."""
IN_FRONT_SHARE = 0.9
"""Least share of the inliers in front of both cameras: noise puts a few far ones behind, a wrong pose many."""
CONFIDENCE = 0.9999
"""Probability of a good sample at which MAGSAC stops: a start is made once, and all that follows stands on it."""
FAR = 1e6
"""Depth, in lengths of the motion, up to which points are asked on which side of the cameras they are: OpenCV's 50
would leave out nearly all that a small motion sees."""
LEAST_SCALE_PX, SCALE_OF_MEDIAN = 0.5, 1.5
"""Cauchy scale of the rotation: this multiple of the median residual (about its deviation), at least half a pixel."""


class TwoViewVerdict(StrEnum):
    """OK: translation is observable. ROTATION: a rotation alone explains the matches. WEAK: neither is certain."""

    OK = "OK"
    ROTATION = "ROTATION"
    WEAK = "WEAK"


@dataclass(frozen=True)
class TwoViewConfig:
    """When a pair of views is accepted, as a start or as a pure rotation."""

    min_parallax_px: float = 10.0
    """Least median parallax after removing the rotation, in px."""
    min_angle_deg: float = 1.0
    """Least median angle of triangulation, in degrees."""
    min_inliers: int = 50
    """Least number of points that agree."""
    min_rotation_inliers: int = 30
    """Least number of points that agree with a pure rotation."""
    min_inlier_ratio: float = 0.6
    """Least share of points that agree."""
    threshold_px: Annotated[float, ABOVE_ZERO] = 1.0
    """Largest distance of an inlier from its epipolar line, in px."""


@dataclass(frozen=True)
class TwoView:
    """The motion between two views with N points in common."""

    verdict: TwoViewVerdict
    T_a_b: Array  # (4,4); |t| = 1 for OK, t = 0 for ROTATION
    inliers: np.ndarray  # (N,)
    parallax_px: float  # median of what is left of the points' motion without the rotation


def rotation_between(camera: Camera, pixels_a: Array, pixels_b: Array, iterations: int = 8) -> tuple[Array, Array]:
    """R_a_b that best aligns the rays (weighted Kabsch with Cauchy weights), and the residual (N,) in px of image a."""
    a, b = camera.rays(pixels_a), camera.rays(pixels_b)
    a_unit = a / np.linalg.norm(a, axis=1, keepdims=True)
    b_unit = b / np.linalg.norm(b, axis=1, keepdims=True)
    w = np.ones(len(a))
    R = np.eye(3)
    residual = np.zeros(len(a))
    for _ in range(iterations):
        U, _, Vt = np.linalg.svd((a_unit * w[:, None]).T @ b_unit)
        R = U @ np.diag([1.0, 1.0, np.linalg.det(U @ Vt)]) @ Vt
        residual = _off_rotation(camera, R, pixels_a, b)
        scale = max(LEAST_SCALE_PX, SCALE_OF_MEDIAN * float(np.median(residual)))
        w = 1.0 / (1.0 + (residual / scale) ** 2)
    return R, residual


def _off_rotation(camera: Camera, R_a_b: Array, pixels_a: Array, rays_b: Array) -> Array:
    """(N,): distance in px of image a between pixels (N,2) and where the rotation puts their rays (N,3) of b."""
    p = rays_b @ R_a_b.T
    p = np.where(p[:, 2:] > MIN_RAY_Z, p, np.array([0.0, 0.0, 1.0]))
    return np.asarray(np.linalg.norm(camera.project(p) - pixels_a, axis=1))


def two_view(camera: Camera, pixels_a: Array, pixels_b: Array, config: TwoViewConfig, seed: int = 0) -> TwoView:
    """Relative pose T_a_b from matched pixels (N,2), (N,2). Parallax is measured after removing the best rotation: a
    turning camera moves every pixel and shows no depth."""
    n = len(pixels_a)
    nothing = TwoView(TwoViewVerdict.WEAK, np.eye(4), np.zeros(n, bool), 0.0)
    if n < MIN_MATCHES:
        return nothing
    R, residual = rotation_between(camera, pixels_a, pixels_b)
    parallax = float(np.median(residual))
    rotation_inliers = residual < ROTATION_WIDTH * config.threshold_px
    if parallax < config.min_parallax_px:
        is_rotation = rotation_inliers.mean() > ROTATION_SHARE and n >= config.min_rotation_inliers
        verdict = TwoViewVerdict.ROTATION if is_rotation else TwoViewVerdict.WEAK
        return TwoView(verdict, se3.from_rt(R, np.zeros(3)), rotation_inliers, parallax)
    E, mask = _epipolar(camera, pixels_a, pixels_b, config, seed)
    if mask.sum() < config.min_inliers:
        return nothing
    _, R, t, good = cv2.recoverPose(E, pixels_b, pixels_a, camera.K, mask=mask.copy())
    T_a_b = se3.from_rt(R, t[:, 0])
    inliers = good[:, 0] > 0
    if inliers.sum() < max(config.min_inliers, config.min_inlier_ratio * n):
        return nothing
    k = int(inliers.sum())
    pair = triangulate(
        camera, np.stack([np.eye(4), T_a_b]), np.repeat([0, 1], k), np.tile(np.arange(k), 2),
        np.concatenate([pixels_a[inliers], pixels_b[inliers]]),
    )  # fmt: skip
    if pair.is_valid.mean() < IN_FRONT_SHARE or np.median(pair.angle_deg) < config.min_angle_deg:
        return nothing
    return TwoView(TwoViewVerdict.OK, T_a_b, inliers, parallax)


def is_nearly_rotation(camera: Camera, pixels_a: Array, pixels_b: Array, config: TwoViewConfig, seed: int = 0) -> bool:
    """Whether matches (N,2), (N,2) are those of a camera that mostly turned, if it also moved a little. What the best
    rotation leaves is less than the parallax of a start, and either a rotation or an essential matrix explains the
    matches: it does not explain those of two places."""
    if len(pixels_a) < config.min_rotation_inliers:
        return False
    _, residual = rotation_between(camera, pixels_a, pixels_b)
    if np.median(residual) >= config.min_parallax_px:
        return False
    if _is_explained(residual, config):
        return True
    return _epipolar(camera, pixels_a, pixels_b, config, seed)[1].mean() >= config.min_inlier_ratio


def is_rotation_alone(camera: Camera, pixels_a: Array, pixels_b: Array, config: TwoViewConfig) -> bool:
    """Whether a rotation explains matches (N,2), (N,2), and nothing else is needed."""
    return _is_explained(rotation_between(camera, pixels_a, pixels_b)[1], config)


def _is_explained(residual: Array, config: TwoViewConfig) -> bool:
    """Whether a rotation that leaves `residual` (N,) in px explains most matches."""
    return bool((residual < ROTATION_WIDTH * config.threshold_px).mean() > ROTATION_SHARE)


def denies_rotation(
    camera: Camera, R_a_b: Array, pixels_a: Array, pixels_b: Array, config: TwoViewConfig, seed: int = 0
) -> bool:
    """Whether matches (N,2), (N,2) by appearance say that a camera thought to have turned by R_a_b (3,3) has moved.
    Between views far apart, optical flow keeps the corners that moved least, and these look like a rotation. Matches by
    appearance are found wherever they went; those that one essential matrix explains have to lie where a camera that
    mostly turned sees them. Fewer than `min_rotation_inliers` of them deny nothing."""
    seen = _epipolar(camera, pixels_a, pixels_b, config, seed)[1][:, 0] > 0
    if seen.sum() < config.min_rotation_inliers:
        return False
    residual = _off_rotation(camera, R_a_b, pixels_a[seen], camera.rays(pixels_b[seen]))
    return bool((residual < config.min_parallax_px).mean() < ROTATION_SHARE)


@dataclass(frozen=True)
class EpipolarMotion:
    """What matches (N,2), (N,2) say of the motion between two views without being asked whether they determine it."""

    camera: Camera
    E: Array  # (3,3)
    mask: np.ndarray  # (N,1) uint8: which matches agree with it
    pixels_a: Array  # (N,2)
    pixels_b: Array  # (N,2)

    def rotations(self) -> list[Array]:
        """The two R_b_a (3,3) that the essential matrix leaves open, one of them right."""
        R, other, _ = cv2.decomposeEssentialMat(self.E)
        return [np.asarray(R).T, np.asarray(other).T]

    def motion(self) -> tuple[Array, Array]:
        """T_b_a (4,4) with |t| = 1, and the depths (N,) in view a in units of that length, 0 where there is none."""
        a, b, n = self.pixels_a, self.pixels_b, len(self.pixels_a)
        _, R, t, _, _ = cv2.recoverPose(self.E, b, a, self.camera.K, distanceThresh=FAR, mask=self.mask.copy())
        T = np.stack([np.eye(4), se3.from_rt(R, t[:, 0])])
        pair = triangulate(self.camera, T, np.repeat([0, 1], n), np.tile(np.arange(n), 2), np.concatenate([a, b]))
        depth = np.where(pair.is_valid & (self.mask[:, 0] > 0), pair.points[:, 2], 0.0)
        return se3.inverse(T[1]), depth


def epipolar_motion(
    camera: Camera, pixels_a: Array, pixels_b: Array, config: TwoViewConfig | None = None, seed: int = 0
) -> EpipolarMotion | None:
    """The essential matrix that most matches (N,2), (N,2) agree with; None where there is none."""
    if len(pixels_a) < MIN_MATCHES:
        return None
    E, mask = _epipolar(camera, pixels_a, pixels_b, config or TwoViewConfig(), seed)
    return EpipolarMotion(camera, E, mask, pixels_a, pixels_b) if mask.sum() >= MIN_MATCHES else None


def _epipolar(
    camera: Camera, pixels_a: Array, pixels_b: Array, config: TwoViewConfig, seed: int
) -> tuple[Array, np.ndarray]:
    """The essential matrix (3,3) of the matches and a mask (N,1) uint8 of its inliers; none if there is no matrix."""
    cv2.setRNGSeed(seed)
    E, mask = cv2.findEssentialMat(
        pixels_b, pixels_a, camera.K, method=cv2.USAC_MAGSAC, prob=CONFIDENCE, threshold=config.threshold_px
    )
    if E is None or E.shape != (3, 3) or mask is None:
        return np.eye(3), np.zeros((len(pixels_a), 1), np.uint8)
    return E, mask
