"""The field of view of an uncalibrated camera, from the first frames: track with a guess, find the focal length for
which bundle adjustment leaves the least error, and again with the better guess, until it stays."""

from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from vgslam.errors import InputError
from vgslam.geometry import se3
from vgslam.interfaces import FrameSource
from vgslam.multiview.bundle import BundleProblem, bundle_adjust
from vgslam.system import SlamConfig, SlamSystem
from vgslam.types import Array, Camera, Ids

START_FOV_DEG = 62.0
RELIABLE_RELATIVE_SIGMA = 0.05
# Tracks drift and lenses differ from a pinhole: on three cameras of known focal length the estimate was 6 to 8 % off,
# far more than the curvature of the cost says.
SYSTEMATIC_RELATIVE_SIGMA = 0.07
STEPS = np.log([0.8, 0.88, 0.94, 1.0, 1.06, 1.14, 1.25])


@dataclass(frozen=True)
class CalibrationEstimate:
    """Camera with square pixels and centred principal point; one standard deviation of its horizontal field of view.

    is_reliable: the frames determine the focal length to a few percent.
    """

    camera: Camera
    sigma_deg: float
    is_reliable: bool

    @property
    def focal_rel_sigma(self) -> float:
        """The same deviation as a share of the focal length."""
        return self.sigma_deg / _fov_slope_deg(self.camera)


def estimate_camera(
    source: FrameSource, config: SlamConfig, n_frames: int = 150, max_rounds: int = 4
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
    refine = replace(config.refine, while_running=False)
    sparse = replace(config, mapper=replace(config.mapper, dense_every=0), refine=refine)
    for _ in range(max_rounds):
        slam = SlamSystem(camera, sparse)
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
    total = float(np.hypot(sigma, SYSTEMATIC_RELATIVE_SIGMA))
    return CalibrationEstimate(camera, total * _fov_slope_deg(camera), sigma < RELIABLE_RELATIVE_SIGMA)


def _fov_slope_deg(camera: Camera) -> float:
    """Degrees of field of view per relative change of the focal length."""
    half = 0.5 * camera.width / camera.fx
    return float(np.degrees(2.0 * half / (1.0 + half * half)))


def _adjust_focal(slam: SlamSystem, max_keyframes: int = 30) -> tuple[float, float] | None:
    """Focal length (px) and its relative deviation from bundle adjustment of one component's keyframes, or None."""
    m = slam.map
    if not m.keyframes:
        return None
    component = np.array([k.component_id for k in m.keyframes])
    members = np.flatnonzero(component == np.bincount(component).argmax())
    members = members[:max_keyframes]
    if len(members) < 4:
        return None
    seen = [m.observed[i] for i in members]
    frame = np.concatenate([np.full(len(s.ids), n) for n, s in enumerate(seen)])
    ids = np.concatenate([s.ids for s in seen])
    px = np.concatenate([s.pixels for s in seen])
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
    """The minimum over log focal length of the adjusted cost, and its deviation from the cost's curvature.

    The poses and landmarks are adjusted again at each of STEPS; the cost's unit is taken from its minimum, so that the
    deviation does not depend on the assumed noise of a pixel.
    """
    is_fixed = np.arange(len(T_world_cam)) == 0
    T_cam_world = se3.inverse(T_world_cam)
    cost = np.zeros(len(STEPS))
    for i, step in enumerate(STEPS):
        focal = camera.fx * np.exp(step)
        problem = BundleProblem(
            replace(camera, fx=focal, fy=focal), T_cam_world, is_fixed, points, frame, index, pixels
        )
        cost[i] = bundle_adjust(problem, max_iterations=12, tolerance=1e-3).cost_after
    best = int(cost.argmin())
    inner = min(max(best, 1), len(STEPS) - 2)
    a, b, _ = np.polyfit(STEPS[inner - 1 : inner + 2], cost[inner - 1 : inner + 2], 2)
    if best in (0, len(STEPS) - 1):
        return camera.fx * float(np.exp(STEPS[best])), 1.0
    if a <= 0:
        return None
    offset = float(np.clip(-b / (2 * a), STEPS[0], STEPS[-1]))
    unknowns = 6 * len(T_world_cam) + 3 * len(points)
    unit = max(2.0 * float(cost.min()) / max(2 * len(frame) - unknowns, 1), 1e-6)
    return camera.fx * float(np.exp(offset)), float(np.sqrt(unit / (2.0 * a)))
