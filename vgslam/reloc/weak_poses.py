"""Poses from the matches of many keyframes together, where no single one has enough of them.

They are weak: a handful of matches agrees, among several times as many that are wrong. Each only says where the map's
landmarks are to be looked for, which is what decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vgslam.frontend.locate import RANSAC_SIGMAS, SURE_REL_SIGMA, Locator
from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH, Camera
from vgslam.map.slam_map import SlamMap
from vgslam.multiview.pnp import PosePoints, ransac_pose, refine_pose
from vgslam.types import Array, Ids

MIN_WEAK = 8
"""Least features of the image that agree with a weak pose: three determine it, and the others have to confirm it."""
MOST_WEAK = 3
"""Weak poses of a component that are tried: the strongest, and those of the matches that do not agree with it."""
NEAR_SIGMAS = 6.0
"""Deviations within which points take part in the refinement of a weak pose: the many others would pull it away."""
WEAK_ITERATIONS = 15
"""Steps to the pose of all that agree."""


@dataclass(frozen=True)
class Matches:
    """Pixels (N,2) of a keyframe matched with pixels (N,2) of an image; many may be wrong."""

    keyframe_id: int
    px_keyframe: Array
    px: Array


@dataclass(frozen=True)
class WeakPose:
    """Where matches of several keyframes put a camera, T_cam_world (4,4), in a component."""

    T_cam_world: Array
    component_id: int
    n_features: int
    """Features of the image that agree."""
    references: tuple[int, ...]
    """Keyframes whose matches agree, those with most of them first."""


def weak_poses(locator: Locator, matches: Sequence[Matches], camera: Camera) -> list[WeakPose]:
    """Poses that the matches of the keyframes of a component agree on, those with most features first."""
    keyframes = locator.map.keyframes
    found: list[WeakPose] = []
    for component in dict.fromkeys(keyframes[x.keyframe_id].component_id for x in matches):
        mine = [x for x in matches if keyframes[x.keyframe_id].component_id == component and len(x.px)]
        if mine:
            found += _of_component(locator, mine, camera, component)
    return sorted(found, key=lambda p: -p.n_features)


def _of_component(locator: Locator, matches: list[Matches], camera: Camera, component: int) -> list[WeakPose]:
    parts = [locator.matched_points(x.keyframe_id, x.px_keyframe, x.px) for x in matches]
    points = PosePoints(
        np.concatenate([p.landmarks for p in parts]), np.concatenate([p.pixels for p in parts]),
        np.concatenate([p.direction for p in parts]), np.concatenate([p.rel_sigma for p in parts]),
    )  # fmt: skip
    of = np.concatenate([np.full(len(x.px), x.keyframe_id, np.int64) for x in matches])
    left = np.flatnonzero(points.rel_sigma < SURE_REL_SIGMA)
    sigma_px = locator.config.sigma_px
    out: list[WeakPose] = []
    while len(out) < MOST_WEAK:
        T = ransac_pose(camera, points.select(left), RANSAC_SIGMAS * sigma_px, are_few_right=True)
        if T is None:
            break
        near = refine_pose(camera, T, points.select(left), sigma_px, iterations=0, gate=NEAR_SIGMAS).inliers
        if near.sum() < MIN_WEAK:
            break
        T = refine_pose(camera, T, points.select(left[near]), sigma_px, iterations=WEAK_ITERATIONS).T_cam_world
        fit = refine_pose(camera, T, points.select(left), sigma_px, iterations=0)
        agree = left[fit.inliers]
        n_features = _n_places(points.pixels[agree])
        if n_features < MIN_WEAK:
            break
        out.append(WeakPose(fit.T_cam_world, component, n_features, _by_count(of[agree])))
        left = left[~fit.inliers]
    return out


def _n_places(pixels: Array) -> int:
    """How many different pixels there are among (N,2): a feature may match in several keyframes."""
    return len(np.unique(pixels.round().astype(np.int64), axis=0))


def _by_count(ids: Ids) -> tuple[int, ...]:
    """The different ids, the most frequent first."""
    unique, counts = np.unique(ids, return_counts=True)
    return tuple(int(k) for k in unique[np.argsort(-counts, kind="stable")])


N_NEAREST = 40
"""Keyframes of which the best are taken: in a large map, those whose cameras were nearest."""
MIN_SHOWN = 20
"""Least landmarks of a keyframe that the pose puts into the image."""


def covisible(slam_map: SlamMap, T_cam_world: Array, component_id: int, camera: Camera) -> list[int]:
    """Keyframes of a component whose landmarks the pose puts into the image, those with most of them first."""
    mine = np.array([k.id for k in slam_map.keyframes if k.component_id == component_id], np.int64)
    centre = se3.inverse(T_cam_world)[:3, 3]
    apart = np.linalg.norm(slam_map.T_world_keyframes(mine)[:, :3, 3] - centre, axis=1)
    near = mine[np.argsort(apart, kind="stable")[:N_NEAREST]]
    shown = np.array([_n_inside(slam_map, int(k), T_cam_world, camera) for k in near])
    order = np.argsort(-shown, kind="stable")
    return [int(k) for k in near[order[shown[order] >= MIN_SHOWN]]]


def _n_inside(slam_map: SlamMap, k: int, T_cam_world: Array, camera: Camera) -> int:
    """How many landmarks of keyframe k the pose puts into the image, from their front."""
    points = slam_map.landmarks_world(slam_map.observed[k].ids)
    local = se3.transform(T_cam_world, points)
    ahead = local[:, 2] > MIN_DEPTH
    if not ahead.any():
        return 0
    mine = points[ahead] - slam_map.keyframes[k].S_world_keyframe.t
    other = points[ahead] - se3.inverse(T_cam_world)[:3, 3]
    px = camera.project(local[ahead])
    inside = ((px >= 0) & (px < [camera.width, camera.height])).all(1) & ((mine * other).sum(1) > 0)
    return int(inside.sum())
