"""The similarity between two maps of pieces of one recording, from the frames that both have seen.

Rotations give the rotation even where the path is straight; positions and the depths of landmarks that both maps see in
the same images give the scale; all of it is checked frame by frame before it is believed.
"""

from dataclasses import dataclass

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH
from vgslam.geometry.robust_similarity import MAD_TO_SIGMA
from vgslam.geometry.rotation_mean import robust_mean_rotation
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Camera, Ids

LEAST_FRAMES, LEAST_SHARE = 5, 0.7  # common frames that have to agree on one similarity, and the share of them
SAME_DEG, SAME_SHARE = 2.0, 0.1
"""A frame agrees if both maps put it there within this angle, and this share of the depth of what it sees."""
LEAST_RATIOS = 30  # landmarks seen by both maps from which their depths say something of the scale
SAME_PX = 1.5  # two landmarks that a frame sees at most this far apart are one corner
SAME_LOG_SCALE, WORST_LOG_SIGMA = 0.1, 0.05
"""The difference of log-scales by positions and by landmarks (or three deviations); the most deviation of the scale."""
LEAST_LOG_SIGMA = 0.005
"""Least deviation of a log-scale: errors of one map are common to many of its landmarks and positions."""
ROUNDS, TUKEY = 10, 4.685


@dataclass(frozen=True)
class Seam:
    """Where one map lies in another."""

    S_a_b: Sim3  # world of b in that of a
    n_frames: int  # common frames that agree
    n_landmarks: int  # depths that were compared
    angle_deg: float  # median angle that remains between the two poses of a frame
    distance_share: float  # median distance that remains, as a share of the depth
    log_sigma: float  # deviation of the log-scale


def seam_of(T_a: Array, T_b: Array, log_ratios: Array, depth: float) -> tuple[Seam | None, str]:
    """The seam of maps that hold n common frames at T_a and T_b (n,4,4); None, and why, where they do not agree.
    log_ratios (m,): logarithms of the depths of common landmarks, in a over in b. depth: of what the frames see, in
    units of a."""
    if len(T_a) < LEAST_FRAMES:
        return None, f"{len(T_a)} common frames have poses in both, {LEAST_FRAMES} are needed"
    R, _ = robust_mean_rotation(np.matmul(T_a[:, :3, :3], T_b[:, :3, :3].transpose(0, 2, 1)), SAME_DEG)
    turned = T_b[:, :3, 3] @ R.T
    scale, reason = _scale(_scale_of_positions(T_a[:, :3, 3], turned), _scale_of_depths(log_ratios))
    if scale is None:
        return None, reason
    log, sigma = scale
    s = float(np.exp(log))
    S = Sim3(se3.orthonormalize(R), np.median(T_a[:, :3, 3] - s * turned, axis=0), s)
    angle = np.array([se3.angle_deg(a.T @ R @ b) for a, b in zip(T_a[:, :3, :3], T_b[:, :3, :3], strict=True)])
    share = np.linalg.norm(T_a[:, :3, 3] - S.apply(T_b[:, :3, 3]), axis=1) / max(depth, 1e-9)
    fits = (angle < SAME_DEG) & (share < SAME_SHARE)
    if fits.sum() < max(LEAST_FRAMES, LEAST_SHARE * len(fits)):
        return None, (
            f"{int(fits.sum())} of {len(fits)} common frames agree (median {np.median(angle):.1f} deg, "
            f"{100 * np.median(share):.0f} % of the depth)"
        )
    found = float(np.median(angle)), float(np.median(share)), sigma
    return Seam(S, int(fits.sum()), len(log_ratios), *found), ""


def _scale(positions: tuple[float, float] | None, depths: tuple[float, float] | None) -> tuple[
    tuple[float, float] | None, str]:  # fmt: skip
    """Log-scale and its deviation from what both say, weighed by their variances; or why there is none."""
    said = [x for x in (positions, depths) if x is not None]
    if positions is not None and depths is not None:
        off = abs(positions[0] - depths[0])
        if off > max(SAME_LOG_SCALE, 3.0 * float(np.hypot(positions[1], depths[1]))):
            return None, f"the paths and the landmarks differ in scale by {100 * (np.exp(off) - 1):.0f} %"
    if not said:
        return None, "nothing says how their scales compare"
    weights = np.array([1.0 / x[1] ** 2 for x in said])
    log, sigma = float(weights @ [x[0] for x in said] / weights.sum()), float(1.0 / np.sqrt(weights.sum()))
    if sigma > WORST_LOG_SIGMA:
        return None, f"their scales compare only to {100 * sigma:.0f} %"
    return (log, sigma), ""


def _scale_of_positions(a: Array, b: Array) -> tuple[float, float] | None:
    """Log-scale from positions (n,3) that differ by a scale and a shift, by least squares with Tukey's weights."""
    w = np.ones(len(a))
    for _ in range(ROUNDS):
        da, db = a - w @ a / w.sum(), b - w @ b / w.sum()
        aa, bb = float(w @ (da * da).sum(1)), float(w @ (db * db).sum(1))
        ab = float(w @ (da * db).sum(1))
        if not (bb > 0 and aa > 0 and ab > 0):
            return None
        s = float(np.sqrt(aa / bb))  # the same from both sides: neither has all of the errors
        off = np.linalg.norm(da - s * db, axis=1)
        sigma = max(MAD_TO_SIGMA * float(np.median(off)), 1e-9 * float(np.sqrt(aa)))
        w = np.clip(1.0 - (off / (TUKEY * sigma)) ** 2, 0.0, None) ** 2
    return float(np.log(s)), max(sigma / float(np.sqrt(aa)), LEAST_LOG_SIGMA)


def _scale_of_depths(log_ratios: Array) -> tuple[float, float] | None:
    if len(log_ratios) < LEAST_RATIOS:
        return None
    middle = float(np.median(log_ratios))
    spread = MAD_TO_SIGMA * float(np.median(np.abs(log_ratios - middle)))
    return middle, max(spread / float(np.sqrt(len(log_ratios) / 10.0)), LEAST_LOG_SIGMA)  # ten of them err together


@dataclass(frozen=True)
class Side:
    """One map's part in a seam."""

    slam_map: SlamMap
    component: int
    T_world_cam: dict[int, Array]  # poses (4,4) of the common frames, by their numbers in the recording
    keyframes: dict[int, int]  # ids of the keyframes among the common frames, by the numbers of the frames


def depth_ratios(a: Side, b: Side) -> tuple[Array, float]:
    """Log-ratios (m,) of the depths of landmarks that both maps see at common frames, a over b, and the median depth in
    a: landmarks of one, projected, near what a keyframe of the other sees."""
    ahead, depths = _compared(b, a)
    back, _ = _compared(a, b)
    ratios = np.concatenate([ahead, -back])
    own = [z for k in a.keyframes.values() if len(z := _seen(a, k)[1])]
    median = float(np.median(np.concatenate([*own, depths]))) if own or len(depths) else 0.0
    return ratios, median


def _compared(at: Side, other: Side) -> tuple[Array, Array]:
    """Log-ratios of depths in the other map over a side's own, at the side's keyframes, and the depths in the other."""
    near = _nearby(other)
    points = other.slam_map.landmarks_world(near)
    ratios, depths = [np.zeros(0)], [np.zeros(0)]
    for frame, k in at.keyframes.items():
        pixels, z = _seen(at, k)
        camera = at.slam_map.keyframes[k].camera
        seen, z_other = _projected(camera, other.T_world_cam[frame], points)
        if not len(pixels) or not len(seen):
            continue
        i, j = _mutually_nearest(pixels, seen)
        ratios.append(np.log(z_other[j] / z[i]))
        depths.append(z_other[j])
    return np.concatenate(ratios), np.concatenate(depths)


def _nearby(side: Side) -> Ids:
    """Triangulated landmarks that the keyframes of the common frames see, and the two keyframes before."""
    m = side.slam_map
    ids = {i for k in side.keyframes.values() for i in (k - 2, k - 1, k) if i >= 0}
    seen = [m.observed[k].ids for k in sorted(ids) if m.keyframes[k].component_id == side.component]
    found = np.unique(np.concatenate(seen)) if seen else np.zeros(0, np.int64)
    return found[m.landmarks.is_triangulated[found]]


def _seen(side: Side, k: int) -> tuple[Array, Array]:
    """Pixels (n,2) and depths (n,), in units of the world, of the triangulated landmarks that a keyframe sees."""
    m = side.slam_map
    ids, pixels = m.observed[k]
    T = m.T_world_keyframes(np.array([k]))[0]
    z = (m.landmarks_world(ids) - T[:3, 3]) @ T[:3, 2]
    good = m.landmarks.is_triangulated[ids] & (z > MIN_DEPTH)
    return pixels[good], z[good]


def _projected(camera: Camera, T_world_cam: Array, points: Array) -> tuple[Array, Array]:
    """Pixels (n,2) and depths (n,) of the points that lie before a camera and within its image."""
    local = (points - T_world_cam[:3, 3]) @ T_world_cam[:3, :3]
    local = local[local[:, 2] > MIN_DEPTH]
    pixels = camera.project(local)
    inside = ((pixels > 0) & (pixels < [camera.width - 1, camera.height - 1])).all(1)
    return pixels[inside], local[inside, 2]


def _mutually_nearest(a: Array, b: Array) -> tuple[Ids, Ids]:
    """Indices of pixels (n,2) and (m,2) that are the nearest to one another, and near."""
    apart = np.linalg.norm(a[:, None] - b[None], axis=2)
    j = apart.argmin(1)
    i = np.arange(len(a))
    good = (apart.argmin(0)[j] == i) & (apart[i, j] < SAME_PX)
    return i[good], j[good]
