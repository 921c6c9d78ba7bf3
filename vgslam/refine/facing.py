"""Keyframes that look the same way while the camera turns differently: how fast it turned, and what matches."""

from dataclasses import dataclass

import numpy as np

from vgslam.frontend.matching import MatcherConfig, match
from vgslam.geometry import se3
from vgslam.map.slam_map import SlamMap
from vgslam.multiview.shutter import FacingMatches
from vgslam.reloc.places import Places
from vgslam.types import Array, Ids

LONGEST_GAP_S = 0.15
"""Frames that are further apart do not say how fast the camera turned between them."""
LEAST_GAP = 3
"""Keyframes nearer than this turn alike and share landmarks already."""
MIN_FACING = 0.88
"""Least cosine between the optical axes: half of the usual image is seen by both."""
N_PARTNERS = 3
"""Pairs of each keyframe with older ones: those in which the camera turned most differently."""


def velocities(m: SlamMap, members: Ids) -> Array:
    """(C,3): how fast the camera turned at keyframes `members` of one component, rad/s in its own axes, from the frames
    before and after; NaN where these are too far away in time."""
    T, has_pose = m.frames.poses()
    rows = np.flatnonzero(has_pose & np.isin(m.frames.column("ref_id"), members))
    ids, times, refs = (m.frames.column(name)[rows] for name in ("frame_id", "timestamp_s", "ref_id"))
    keyframes = np.stack([k.S_world_keyframe.R for k in m.keyframes])
    R = np.matmul(keyframes[refs], T[rows, :3, :3])
    found = np.full((len(members), 3), np.nan)
    for n, k in enumerate(members.tolist()):
        at, i = m.keyframes[k].timestamp_s, int(np.searchsorted(ids, m.keyframes[k].frame_id))
        near = [j for j in (i - 1, i, i + 1) if 0 <= j < len(times) and abs(times[j] - at) <= LONGEST_GAP_S]
        if len(near) >= 2 and times[near[-1]] > times[near[0]]:
            a, b = near[0], near[-1]
            found[n] = se3.so3_log(R[a].T @ R[b]) / (times[b] - times[a])
    return found


def facing_pairs(R_world_cam: Array, velocity: Array) -> list[tuple[int, int]]:
    """Pairs (a, b) of keyframes, a before b, ascending by b. NaN velocities (C,3) take no part."""
    axes, numbers = R_world_cam[:, :, 2], np.arange(len(velocity))
    known = np.isfinite(velocity).all(1)
    pairs = []
    for b in np.flatnonzero(known).tolist():
        may = np.flatnonzero(known & (axes @ axes[b] > MIN_FACING) & (numbers <= b - LEAST_GAP))
        unlike = np.linalg.norm((velocity[may] - velocity[b])[:, :2], axis=1)
        pairs += [(int(a), b) for a in may[np.argsort(-unlike, kind="stable")[:N_PARTNERS]]]
    return pairs


@dataclass(frozen=True)
class Facing:
    """Matches of pairs of keyframes, with the features that they are of."""

    matches: FacingMatches
    feature_a: Ids
    """(M,): which feature of the first image of its pair."""
    feature_b: Ids


def matched(places: Places, members: Ids, pairs: list[tuple[int, int]]) -> Facing:
    """Quick features of pairs of keyframes matched. The numbers of `pairs` are places in `members`."""
    config = MatcherConfig()
    begins, ia, ib, pixels_a, pixels_b = [0], [], [], [], []
    for a, b in pairs:
        first, second = places.features(int(members[a])), places.features(int(members[b]))
        rows_a, rows_b = match(first, second, config)
        begins.append(begins[-1] + len(rows_a))
        ia.append(rows_a)
        ib.append(rows_b)
        pixels_a.append(first.pixels[rows_a])
        pixels_b.append(second.pixels[rows_b])
    both = np.array(pairs, np.int64).reshape(-1, 2)
    none, flat = np.zeros(0, np.int64), np.zeros((0, 2))
    matches = FacingMatches(
        both[:, 0], both[:, 1], np.array(begins), np.concatenate([flat, *pixels_a]), np.concatenate([flat, *pixels_b]),
    )  # fmt: skip
    return Facing(matches, np.concatenate([none, *ia]), np.concatenate([none, *ib]))
