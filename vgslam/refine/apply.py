"""An adjusted problem written back into its map: poses, scales, landmarks, observations, edges, camera and images."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH, Camera
from vgslam.geometry.radial import Straightener, without_radial
from vgslam.geometry.sim3 import Sim3
from vgslam.map.pictures import PictureKind
from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import Adjusted
from vgslam.refine.points import largest_angle_deg
from vgslam.refine.problem import Mask, Problem
from vgslam.types import Array, Edge, EdgeKind, Ids, Keyframe

GUESSED_REL_SIGMA = 0.5
"""Relative deviation of the depth of a landmark that nothing has determined."""
SIGMA_RANGE = (0.003, 0.5)
"""Least and largest relative deviation of a landmark's depth."""
SAME_EDGE_SIGMAS = 4.0
"""An edge takes over the adjusted poses if it differs from them by less than this many deviations; one that differs
more was not believed, and stays as it was measured."""


@dataclass(frozen=True)
class Aligned:
    """The adjusted problem in the world of before: its first keyframe where it was, lengths the same in the median."""

    problem: Problem
    depth_ratio: Array
    """(C,): how much longer the depths of each keyframe have become."""


def aligned(adjusted: Adjusted) -> Aligned:
    """Moves the adjusted problem to where the one before was: what is adjusted is free to drift as a whole."""
    a, b = adjusted.before, adjusted.after
    ratio = _depth_ratios(a, b)
    known = np.isfinite(ratio)
    s = 1.0 / float(np.median(ratio[known])) if known.any() else 1.0
    first = int(np.argmin(adjusted.weak))
    T_new = se3.inverse(b.T_cam_world)
    T_new[:, :3, 3] *= s
    move = se3.inverse(a.T_cam_world[first]) @ se3.inverse(T_new[first])
    T_new = move @ T_new
    points = se3.transform(move, b.points * s)
    ratio = np.where(known, ratio * s, 1.0)
    moved = replace(b, T_cam_world=se3.inverse(T_new), points=points)
    return Aligned(_follow(a, moved, adjusted.weak, ratio), ratio)


def _depth_ratios(a: Problem, b: Problem) -> Array:
    """(C,): median ratio of depths after to before, of the points that are known in both; NaN where there are none."""
    both = b.is_active() & a.has_point[a.point]
    za, zb = a.local_points()[:, 2], b.local_points()[:, 2]
    both &= (za > MIN_DEPTH) & (zb > MIN_DEPTH)
    rows = np.flatnonzero(both)
    rows = rows[np.argsort(b.cam[rows], kind="stable")]
    ratio = np.full(len(a.keyframe_ids), np.nan)
    if not len(rows):
        return ratio
    cams, begin = np.unique(b.cam[rows], return_index=True)
    for c, part in zip(cams.tolist(), np.split(zb[rows] / za[rows], begin[1:]), strict=True):
        ratio[c] = np.median(part)
    return ratio


def _follow(a: Problem, b: Problem, weak: Mask, ratio: Array) -> Problem:
    """Keyframes that were not adjusted keep their place beside the nearest one that was."""
    T_a, T_b = se3.inverse(a.T_cam_world), se3.inverse(b.T_cam_world)
    strong = np.flatnonzero(~weak)
    for c in np.flatnonzero(weak).tolist():
        n = int(strong[np.argmin(np.abs(strong - c))])
        ratio[c] = ratio[n]
        step = se3.inverse(T_a[n]) @ T_a[c]
        step[:3, 3] *= ratio[n]
        T_b[c] = T_b[n] @ step
    return replace(b, T_cam_world=se3.inverse(T_b))


def apply(slam_map: SlamMap, before: Problem, done: Aligned) -> Camera:
    """Changes the map; returns the camera that its keyframes have now. The members' frames follow, as their poses are
    relative to keyframes. The pixels of a camera with radial distortion are straightened, and so are the images: the
    map stays one of pinholes. The camera's `removed_k1` then tells what was taken out."""
    m, p = slam_map, done.problem
    camera = with_removed(p.camera, before.camera, p.k1)
    T = p.T_world_cam()
    for n, k in enumerate(p.keyframe_ids.tolist()):
        S = m.keyframes[k].S_world_keyframe
        m.set_pose(k, Sim3.from_T(T[n], S.s * float(done.depth_ratio[n])))
    _take_observations(m, before, p)
    _straighten(m, p.keyframe_ids, p.camera, p.k1)
    for k in p.keyframe_ids.tolist():
        _set_camera(m.keyframes[k], camera)
        _aim(m, k, p.camera, ~m.landmarks.is_triangulated)
    _set_landmarks(m, p)
    _forget_outliers(m, p)
    update_edges(m, p.keyframe_ids)
    return camera


def _take_observations(m: SlamMap, before: Problem, p: Problem) -> None:
    """Believed observations that the map lacks are added, and those that were measured again replaced."""
    again = (before.pixels != p.pixels).any(1)
    for k, mine in zip(p.keyframe_ids.tolist(), p.rows_by_keyframe(), strict=True):
        ids = p.landmark_ids[p.point[mine]]
        m.unobserve(k, ids[again[mine]])
        m.observe(k, ids, p.pixels[mine])


def _set_camera(keyframe: Keyframe, camera: Camera) -> None:
    keyframe.camera = camera
    if keyframe.depth_camera is not None:
        d = keyframe.depth_camera
        keyframe.depth_camera = camera.resized(d.width, d.height)


def take_along(m: SlamMap, others: Ids, camera: Camera, k1: float) -> None:
    """Gives keyframes that were not adjusted the camera of those that were, from whose images k1 was taken out. Poses
    and depths stay, landmarks lie on the rays of their pixels."""
    _straighten(m, others, camera, k1)
    for k in others.tolist():
        _set_camera(m.keyframes[k], camera)
        _aim(m, k, camera, np.ones(len(m.landmarks), bool))


def with_removed(camera: Camera, before: Camera, k1: float) -> Camera:
    """`camera`, which has taken k1 out of the images of the camera `before`, with what was taken out in all. It is a
    coefficient of the square of a radius in focal lengths, so that it changes with them."""
    return replace(camera, removed_k1=before.removed_k1 * (camera.fx / before.fx) ** 2 + k1)


def _straighten(m: SlamMap, keyframe_ids: Ids, camera: Camera, k1: float) -> None:
    if not k1:
        return
    straight = Straightener(camera, k1)
    for k in keyframe_ids.tolist():
        seen = m.observed[k]
        m.observed[k] = type(seen).of(seen.ids, without_radial(camera, k1, seen.pixels))
        m.pictures.change((k, PictureKind.IMAGE), straight)
        for kind in (PictureKind.DEPTH, PictureKind.CONFIDENCE):
            m.pictures.change((k, kind), partial(straight, is_smooth=False))


def _aim(m: SlamMap, k: int, camera: Camera, which: Mask) -> None:
    """Landmarks of keyframe k, those of `which` (L,), lie on the rays of their pixels, which a new calibration
    turns."""
    ids, pixels = m.observed[k]
    mine = (m.landmarks.host[ids] == k) & which[ids]
    z = m.landmarks.xyz_host[ids[mine], 2]
    m.landmarks.xyz_host[ids[mine]] = camera.rays(pixels[mine]) * z[:, None]


def _set_landmarks(m: SlamMap, p: Problem) -> None:
    active = p.is_active()
    known = np.zeros(len(p.points), bool)
    known[p.point[active]] = True
    m.set_landmarks_world(p.landmark_ids[known], p.points[known])
    m.landmarks.is_triangulated[p.landmark_ids] = known
    m.landmarks.rel_sigma[p.landmark_ids[known]] = depth_deviation(p)[known]
    lost = p.landmark_ids[~known]
    m.landmarks.rel_sigma[lost] = np.maximum(m.landmarks.rel_sigma[lost], GUESSED_REL_SIGMA)


def depth_deviation(p: Problem) -> Array:
    """(L,): relative deviation of depth, from the usual error of a pixel, the largest angle between two rays and the
    number of observations."""
    active = p.is_active()
    error = p.errors_px()[active]
    usual = float(np.median(error)) / p.camera.fx if len(error) else 0.0
    count = np.bincount(p.point[active], minlength=len(p.points))
    angle = np.radians(np.maximum(largest_angle_deg(p), 1e-3))
    return np.clip(2.0 * usual / angle / np.sqrt(np.maximum(count, 1) / 2.0), *SIGMA_RANGE)


def _forget_outliers(m: SlamMap, p: Problem) -> None:
    """Observations of known points that do not fit are no longer in the map."""
    active = p.is_active()
    known = np.zeros(len(p.points), bool)
    known[p.point[active]] = True
    bad = np.flatnonzero(known[p.point] & ~active)
    for c in np.unique(p.cam[bad]).tolist():
        mine = bad[p.cam[bad] == c]
        m.unobserve(int(p.keyframe_ids[c]), p.landmark_ids[p.point[mine]])


def update_edges(m: SlamMap, members: Ids) -> None:
    """Edges that agree with the adjusted keyframes, odometry always, take over what these say: a later solve of the
    pose graph would undo the adjustment otherwise."""
    inside = np.zeros(len(m.keyframes), bool)
    inside[members] = True
    for pair, edge in m.edges.items():
        if not (inside[edge.id_a] and inside[edge.id_b]):
            continue
        S = m.keyframes[edge.id_a].S_world_keyframe.inverse() @ m.keyframes[edge.id_b].S_world_keyframe
        if edge.kind is EdgeKind.ODOMETRY or _sigmas_off(edge, S) < SAME_EDGE_SIGMAS:
            m.edges[pair] = replace(edge, S_a_b=S)


def _sigmas_off(edge: Edge, S_a_b: Sim3) -> float:
    """How far an edge is from a similarity, in its standard deviations."""
    difference = edge.S_a_b.inverse() @ S_a_b
    log = np.array([*se3.so3_log(difference.R), *difference.t, np.log(difference.s)])
    return float(np.linalg.norm(log / edge.sigmas))
