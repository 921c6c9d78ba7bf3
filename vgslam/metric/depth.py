"""Scale from measured depth: its ratio to the depth of the landmarks that a keyframe sees."""

from collections import defaultdict
from dataclasses import replace

import numpy as np

from vgslam.errors import InputError
from vgslam.geometry import se3
from vgslam.metric.measured import Scale, SessionView
from vgslam.sources.depth_images import DepthOf
from vgslam.types import Array, Float32, Ids, Keyframe

MIN_POINTS = 8  # landmarks with a depth that a keyframe needs to count
MAX_REL_SIGMA = 0.1  # relative deviation of its depth up to which a landmark counts
EDGE = 0.03
"""Largest relative difference of depth around a pixel: at the rim of things, colour and depth show different ones."""
SAME_S = 1e-3
METHOD = "measured depth"
MIN_FOR_DRIFT = 4  # keyframes with depth from which the drift of the scale is looked at
TOLD_DRIFT = 0.05
AT_REST = 0.1  # what keyframes count for together where the camera does not move, relative to the whole path
SENSOR_REL_SIGMA = 0.01
"""What all measurements of a depth camera have in common: its calibration, the step of its disparity."""


def scales_of_depth(view: SessionView, depth: DepthOf) -> dict[int, Scale]:
    """Scale by component. Raises InputError when no keyframe has depth images with enough landmarks in them."""
    times = np.array([i.time_s for i in depth.images])
    ratios: dict[int, list[tuple[int, float]]] = defaultdict(list)
    n_with_image = 0
    for keyframe in view.keyframes():
        i = int(np.abs(times - keyframe.timestamp_s).argmin())
        if abs(times[i] - keyframe.timestamp_s) > SAME_S:
            continue
        n_with_image += 1
        of_keyframe = keyframe_ratios(view, keyframe, depth.read_m(depth.images[i]), depth)
        if len(of_keyframe) >= MIN_POINTS:
            ratios[keyframe.component_id].append((keyframe.id, float(np.median(of_keyframe))))
    if not ratios:
        raise InputError(f"depth: {n_with_image} of {len(view.keyframes())} keyframes have a depth image, and none "
                         f"{MIN_POINTS} map points with a measured depth")  # fmt: skip
    return {c: _scale(view, c, measured) for c, measured in ratios.items()}


def _scale(view: SessionView, component: int, measured: list[tuple[int, float]]) -> Scale:
    """Scale of a component from (keyframe id, ratio) in order: each counts for the piece of the path around it, so that
    the whole path has the right length. Where the first and the second half differ, the deviation says so."""
    ids, ratios = np.array([k for k, _ in measured]), np.array([r for _, r in measured])
    weights = _path_around(view, component, ids)
    found = Scale.of(ratios, METHOD, floor=SENSOR_REL_SIGMA)
    middle = _weighted_median(np.log(ratios), weights)
    half = len(ids) // 2
    if half < MIN_FOR_DRIFT // 2:
        return replace(found, metres_per_unit=float(np.exp(middle)))
    early, late = (_weighted_median(np.log(ratios[part]), weights[part]) for part in (slice(half), slice(half, None)))
    drift = abs(late - early)
    notes = (f"the scale of the map drifts by {100 * drift:.0f} % between its halves",) if drift > TOLD_DRIFT else ()
    rel_sigma = float(np.hypot(found.rel_sigma, drift / 2))
    return replace(found, metres_per_unit=float(np.exp(middle)), rel_sigma=rel_sigma, notes=notes)


def _path_around(view: SessionView, component: int, ids: Ids) -> Array:
    """The share (n,) of the component's path that is nearest to each of its keyframes `ids`, ascending."""
    members = np.array([k.id for k in view.keyframes(component)])
    steps = np.linalg.norm(np.diff(view.slam_map.centres(members), axis=0), axis=1)
    way = np.concatenate([[0.0], np.cumsum(steps)])
    at = way[np.searchsorted(members, ids)]
    borders = np.concatenate([[0.0], 0.5 * (at[1:] + at[:-1]), way[-1:]])
    share = np.diff(borders) / max(float(way[-1]), 1e-12)
    return np.asarray(share + AT_REST / len(ids))


def _weighted_median(values: Array, weights: Array) -> float:
    order = np.argsort(values)
    passed = np.cumsum(weights[order]) / weights.sum()
    return float(np.interp(0.5, passed - 0.5 * weights[order] / weights.sum(), values[order]))


def keyframe_ratios(view: SessionView, keyframe: Keyframe, depth_m: Float32, depth: DepthOf) -> Array:
    """Measured depth in metres over the depth in map units (n,) of the landmarks that a keyframe sees."""
    m = view.slam_map
    ids = m.observed[keyframe.id].ids
    ids = ids[m.landmarks.is_triangulated[ids] & (m.landmarks.rel_sigma[ids] < MAX_REL_SIGMA)]
    local = se3.transform(se3.inverse(keyframe.S_world_keyframe.pose), m.landmarks_world(ids))
    local = local[local[:, 2] > 0]
    if not len(local):
        return np.zeros(0)
    px = np.round(depth.pixels(local / local[:, 2:], depth_m.shape)).astype(int)
    h, w = depth_m.shape
    inside = ((px >= 1) & (px < [w - 1, h - 1])).all(axis=1)
    px, z = px[inside], local[inside, 2]
    around = np.stack([depth_m[px[:, 1] + dv, px[:, 0] + du] for dv in (-1, 0, 1) for du in (-1, 0, 1)])
    middle = around[4]
    sure = (around > 0).all(axis=0) & (np.ptp(around, axis=0) < EDGE * middle)
    return (middle[sure] / z[sure]).astype(np.float64)
