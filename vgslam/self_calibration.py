"""The field of view of an uncalibrated camera, from the first frames: track with a guess, adjust with the focal length
free (GTSAM), and again with the better guess, until it stays."""

from dataclasses import dataclass, replace
from itertools import islice

import gtsam
import numpy as np
from gtsam.symbol_shorthand import K, L, X

from vgslam.errors import InputError
from vgslam.geometry import se3
from vgslam.interfaces import FrameSource
from vgslam.slam import Slam, SlamConfig
from vgslam.types import Array, Camera, Ids

START_FOV_DEG = 62.0
RELIABLE_RELATIVE_SIGMA = 0.05


@dataclass(frozen=True)
class CalibrationEstimate:
    """Camera with square pixels and centred principal point; one standard deviation of its horizontal field of view.

    is_reliable: the frames determine the focal length to a few percent.
    """

    camera: Camera
    sigma_deg: float
    is_reliable: bool


def estimate_camera(
    source: FrameSource, config: SlamConfig, n_frames: int = 200, max_rounds: int = 4
) -> CalibrationEstimate:
    """Field of view from the first n_frames of a source. Raises InputError when no frame can be read.

    The guess is returned as unreliable when the frames show no parallax.
    """
    first = next(iter(source), None)
    if first is None:
        raise InputError("no frame could be read")
    h, w = first.image.shape[:2]
    camera = Camera.from_fov(w, h, START_FOV_DEG)
    sigma = 0.5
    sparse = replace(config, mapper=replace(config.mapper, dense_every=0))
    for _ in range(max_rounds):
        slam = Slam(camera, sparse)
        for frame in islice(iter(source), n_frames):
            slam.process(frame)
        solved = _adjust_focal(slam)
        if solved is None:
            break
        focal, sigma = solved
        change = abs(focal / camera.fx - 1.0)
        focal = float(np.clip(focal, 0.3 * w, 4.0 * w))
        camera = replace(camera, fx=focal, fy=focal)
        if change < 0.01:
            break
    return CalibrationEstimate(camera, sigma * _fov_slope_deg(camera), sigma < RELIABLE_RELATIVE_SIGMA)


def _fov_slope_deg(camera: Camera) -> float:
    """Degrees of field of view per relative change of the focal length."""
    half = 0.5 * camera.width / camera.fx
    return float(np.degrees(2.0 * half / (1.0 + half * half)))


def _adjust_focal(slam: Slam, max_keyframes: int = 40) -> tuple[float, float] | None:
    """Focal length (px) and its relative deviation from bundle adjustment of one component's keyframes, or None."""
    m = slam.map
    if not m.keyframes:
        return None
    component = np.array([k.component_id for k in m.keyframes])
    members = np.flatnonzero(component == np.bincount(component).argmax())
    members = members[:max_keyframes]
    if len(members) < 4:
        return None
    frame = np.concatenate([np.full(len(m.observed_ids[i]), n) for n, i in enumerate(members)])
    ids = np.concatenate([m.observed_ids[i] for i in members])
    px = np.concatenate([m.observed_px[i] for i in members])
    usable = m.landmarks.is_triangulated[ids]
    frame, ids, px = frame[usable], ids[usable], px[usable]
    _, index, count = np.unique(ids, return_inverse=True, return_counts=True)
    keep = (count >= 3)[index]
    if keep.sum() < 200:
        return None
    unique, index = np.unique(ids[keep], return_inverse=True)
    return _solve(
        slam.tracker.camera, m.T_world_keyframes(members), m.landmarks_world(unique), frame[keep], index, px[keep]
    )


def _solve(
    camera: Camera, T_world_cam: Array, points: Array, frame: Ids, index: Ids, pixels: Array
) -> tuple[float, float] | None:
    graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
    noise = gtsam.noiseModel.Robust.Create(
        gtsam.noiseModel.mEstimator.Huber.Create(1.5), gtsam.noiseModel.Isotropic.Sigma(2, 1.0)
    )
    for i, j, z in zip(frame.tolist(), index.tolist(), pixels):
        graph.add(gtsam.GeneralSFMFactor2Cal3f(z, noise, X(i), L(j), K(0)))
    for i, T in enumerate(T_world_cam):
        values.insert(X(i), gtsam.Pose3(gtsam.Rot3(se3.orthonormalize(T[:3, :3])), T[:3, 3]))
    for j, p in enumerate(points):
        values.insert(L(j), p)
    values.insert(K(0), gtsam.Cal3f(camera.fx, camera.cx, camera.cy))
    graph.add(gtsam.PriorFactorPose3(X(0), values.atPose3(X(0)), gtsam.noiseModel.Isotropic.Sigma(6, 1e-4)))
    distance = np.linalg.norm(T_world_cam[:, :3, 3] - T_world_cam[0, :3, 3], axis=1)
    far = int(distance.argmax())
    if distance[far] < 1e-6:
        return None
    scale = gtsam.noiseModel.Isotropic.Sigma(1, 1e-3 * distance[far])
    graph.add(gtsam.RangeFactorPose3(X(0), X(far), float(distance[far]), scale))
    parameters = gtsam.LevenbergMarquardtParams()
    parameters.setMaxIterations(25)
    try:
        result = gtsam.LevenbergMarquardtOptimizer(graph, values, parameters).optimize()
        covariance = gtsam.Marginals(graph, result).marginalCovariance(K(0))
    except RuntimeError:
        return None
    focal = float(result.atCal3f(K(0)).fx())
    if not np.isfinite(focal) or focal <= 0:
        return None
    return focal, float(np.sqrt(covariance[0, 0])) / focal
