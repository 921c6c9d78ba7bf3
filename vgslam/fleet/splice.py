"""One map from the maps of the pieces of a recording: every keyframe and frame once, in the order of the recording."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vgslam.geometry.sim3 import Sim3
from vgslam.map.paged_keyframe import PagedKeyframe
from vgslam.map.slam_map import SlamMap, with_lengths_times
from vgslam.store.merge import take_pictures
from vgslam.types import Array, Edge, EdgeKind, Ids, PoseEstimate, Status

SEAM_ROT_RAD, SEAM_SHARE, SEAM_LOG_SCALE = 0.01, 0.03, 0.03
"""Deviations of the step across a seam: rotation, share of the depth, log-scale. A little more than within a piece."""


@dataclass(frozen=True)
class Part:
    """The map of a piece, and what of it becomes part of the whole."""

    slam_map: SlamMap
    frames: Ids  # (n,): the number in the whole of each row of the map's frames
    placed: dict[int, tuple[int, Sim3]]  # where each component lies: its component in the whole, and S_whole_component
    begin: int
    end: int  # the frames of the whole, from `begin` to before `end`, whose keyframes are taken from this map


def splice(parts: Sequence[Part], timestamps_s: Array, into: SlamMap) -> list[int]:
    """Fills an empty map with keyframes, landmarks, edges and a row for each frame (N timestamps), LOST without a pose;
    returns the parts that the keyframes come from. Raises MapError and OutputError."""
    source: list[int] = []
    codes = []
    for n, part in enumerate(parts):
        kept = _kept(part)
        codes.append(part.slam_map.place_codes.codes.view[kept] if _has_codes(part, parts[0]) else None)
        _add(into, part, kept)
        source += [n] * len(kept)
    known = [c for c in codes if c is not None]
    if parts and len(known) == len(codes):  # or else they are made when they are asked for
        into.place_codes.vocabulary = parts[0].slam_map.place_codes.vocabulary.copy()
        for c in known:
            into.place_codes.codes.extend(c)
    _step_over_seams(into, source)
    _add_frames(into, parts, timestamps_s)
    return source


def _has_codes(part: Part, first: Part) -> bool:
    mine = part.slam_map.place_codes
    same = np.array_equal(mine.vocabulary, first.slam_map.place_codes.vocabulary)
    return same and len(mine.codes) == len(part.slam_map.keyframes)


def _numbers(part: Part) -> dict[int, int]:
    """The number in the whole of a frame, by its id in the part's map."""
    return dict(zip(part.slam_map.frames.column("frame_id").tolist(), part.frames.tolist(), strict=True))


def _kept(part: Part) -> Ids:
    """The keyframes that are taken, in the order of their frames."""
    numbers = _numbers(part)
    at = [(numbers[k.frame_id], k.id) for k in part.slam_map.keyframes if k.frame_id in numbers]
    return np.array([k for number, k in sorted(at) if part.begin <= number < part.end], np.int64)


def _add(m: SlamMap, part: Part, kept: Ids) -> None:
    other, numbers = part.slam_map, _numbers(part)
    new_id = dict(zip(kept.tolist(), range(len(m.keyframes), len(m.keyframes) + len(kept)), strict=True))
    landmarks = _add_landmarks(m, other, kept, new_id)
    for k in kept.tolist():
        keyframe = other.keyframes[k]
        mine = PagedKeyframe.without_pictures(keyframe, m.pictures)
        mine.id, mine.frame_id = new_id[k], numbers[keyframe.frame_id]
        mine.component_id, S = part.placed[keyframe.component_id]
        mine.S_world_keyframe = S @ keyframe.S_world_keyframe
        take_pictures(m, mine.id, other, k)
        ids, pixels = other.observed[k]
        m.add_keyframe(mine, landmarks[ids], pixels)
        if keyframe.frame_id in other.image_names:
            m.image_names[mine.frame_id] = other.image_names[keyframe.frame_id]
    for (a, b), edge in other.edges.items():
        if a in new_id and b in new_id:
            pair = new_id[a], new_id[b]
            m.edges[pair] = replace(edge, id_a=pair[0], id_b=pair[1])


def _add_landmarks(m: SlamMap, other: SlamMap, kept: Ids, new_id: dict[int, int]) -> Ids:
    """Adds landmarks that kept keyframes see, each on the first of them; returns their new ids (L,) by the old, or
    -1."""
    marks = other.landmarks
    first = np.full(len(marks), -1, np.int64)
    for k in kept[::-1].tolist():
        first[other.observed[k].ids] = k
    used = np.flatnonzero(first >= 0)
    is_kept = np.zeros(len(other.keyframes), bool)
    is_kept[kept] = True
    host = np.where(is_kept[marks.host[used]], marks.host[used], first[used])
    xyz = marks.xyz_host[used].copy()
    moved = np.flatnonzero(host != marks.host[used])
    world = other.landmarks_world(used[moved])
    for h in np.unique(host[moved]).tolist():
        rows = host[moved] == h
        xyz[moved[rows]] = other.keyframes[h].S_world_keyframe.inverse().apply(world[rows])
    new = np.full(len(marks), -1, np.int64)
    if len(used):
        new_host = np.array([new_id[int(h)] for h in host], np.int64)
        new[used] = m.landmarks.add(0, xyz, marks.rel_sigma[used], marks.color[used])
        m.landmarks.host[new[used]] = new_host
        m.landmarks.is_triangulated[new[used]] = marks.is_triangulated[used]
    return new


def _step_over_seams(m: SlamMap, source: Sequence[int]) -> None:
    """A step of odometry between neighbouring keyframes of two parts that lie in one component."""
    for b in range(1, len(m.keyframes)):
        a = b - 1
        first, second = m.keyframes[a], m.keyframes[b]
        if source[a] == source[b] or first.component_id != second.component_id:
            continue
        depth = _depth(m, a) / first.S_world_keyframe.s
        sigmas = np.array([SEAM_ROT_RAD] * 3 + [SEAM_SHARE * depth] * 3 + [SEAM_LOG_SCALE])
        S = first.S_world_keyframe.inverse() @ second.S_world_keyframe
        m.edges[a, b] = Edge(a, b, S, sigmas, EdgeKind.ODOMETRY)


def _depth(m: SlamMap, k: int) -> float:
    """Median depth of what a keyframe sees, in units of the world; its scale where it sees nothing."""
    ids = m.observed[k].ids
    T = m.T_world_keyframes(np.array([k]))[0]
    z = (m.landmarks_world(ids) - T[:3, 3]) @ T[:3, 2]
    z = z[z > 0]
    return float(np.median(z)) if len(z) else m.keyframes[k].S_world_keyframe.s


@dataclass(frozen=True)
class _Row:
    """What a part says of a frame."""

    part: Part
    estimate: PoseEstimate
    is_owner: bool


def _add_frames(m: SlamMap, parts: Sequence[Part], timestamps_s: Array) -> None:
    rows: dict[int, list[_Row]] = {}
    for part in parts:
        for number, e in zip(part.frames.tolist(), part.slam_map.frames, strict=True):
            rows.setdefault(number, []).append(_Row(part, e, part.begin <= number < part.end))
    keyframes: dict[int, tuple[Ids, Ids]] = {}
    component = np.array([k.component_id for k in m.keyframes], np.int64)
    frame = np.array([k.frame_id for k in m.keyframes], np.int64)
    for c in np.unique(component).tolist():
        keyframes[c] = frame[component == c], np.flatnonzero(component == c)
    has_begun = False
    for number, t in enumerate(timestamps_s.tolist()):
        said = sorted(rows.get(number, []), key=lambda r: not r.is_owner)
        posed = next((p for r in said if (p := _posed(m, r, number, keyframes)) is not None), None)
        has_begun |= posed is not None
        is_waiting = not has_begun and bool(said) and said[0].estimate.status is Status.INITIALIZING
        status = Status.INITIALIZING if is_waiting else Status.LOST
        m.frames.append(PoseEstimate(number, t, status) if posed is None else posed)


def _posed(m: SlamMap, row: _Row, number: int, keyframes: dict[int, tuple[Ids, Ids]]) -> PoseEstimate | None:
    """The estimate of a frame relative to the keyframe before it; None without a pose, or a keyframe of its
    component."""
    e, other = row.estimate, row.part.slam_map
    T = other.pose_of(e)
    if T is None or e.component_id not in row.part.placed:
        return None
    component, S = row.part.placed[e.component_id]
    if component not in keyframes:
        return None
    frames, ids = keyframes[component]
    k = int(ids[max(int(np.searchsorted(frames, number, side="right")) - 1, 0)])
    covariance = other.covariance_of(e)
    if covariance is not None:
        covariance = m.covariance_relative_to(k, with_lengths_times(S.s, covariance))
    return replace(
        e, frame_id=number, ref_id=k, T_ref_cam=m.relative_to(k, S.compose_pose(T)), covariance=covariance,
        component_id=component,
    )  # fmt: skip
