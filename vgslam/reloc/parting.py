"""A component is parted where nothing holds its scale.

The depth of a landmark is known where two keyframes see it, and a third one that sees it gets a pose of the same scale
(as images are added one by one in structure from motion; Schoenberger and Frahm, CVPR 2016). Between images far apart a
keyframe may share landmarks with one other alone: their depth was a guess, and so is the length of the step. All that
follows has a scale of its own, though no observation contradicts it, and no adjustment can tell.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vgslam.frontend.mapper import MIN_SHARED
from vgslam.map.slam_map import SlamMap
from vgslam.types import EdgeKind, Ids, Observations, PoseEstimate, Status

MIN_HELD = MIN_SHARED
"""Landmarks of known depth that a keyframe has to see: more than the three that tie its pose."""
LEAST_KEYFRAMES = 3
"""Two keyframes have no scale to lose."""


@dataclass(frozen=True)
class _Views:
    """Who sees what: landmarks[k] of each keyframe, and keyframes[l] of each landmark, all counted from 0."""

    landmarks: list[Ids]
    keyframes: list[Ids]

    @staticmethod
    def of(seen: Sequence[Ids]) -> "_Views":
        lengths = [len(ids) for ids in seen]
        landmark = np.unique(np.concatenate(seen), return_inverse=True)[1].reshape(-1)
        keyframe = np.repeat(np.arange(len(seen)), lengths)
        ends = np.cumsum(np.bincount(landmark, minlength=1))
        by_landmark = keyframe[np.argsort(landmark, kind="stable")]
        return _Views(np.split(landmark, np.cumsum(lengths)[:-1]), np.split(by_landmark, ends[:-1]))


def held_pieces(seen: Sequence[Ids], ties: Iterable[tuple[int, int]] = ()) -> list[list[int]]:
    """Parts of a component that have one scale each, the largest first: indices into `seen`, ascending. seen: the
    distinct landmark ids (n,) that each keyframe sees, in the order of time. ties: pairs of keyframes between which a
    similarity was measured, scale and all."""
    views, left, pieces = _Views.of(seen), np.ones(len(seen), bool), list[list[int]]()
    while left.any():
        seed = _seed(views, np.flatnonzero(left))
        if seed is None:
            pieces += [[k] for k in np.flatnonzero(left).tolist()]
            break
        piece = _grown(views, seed, left)
        left[piece] = False
        pieces.append(piece)
    for a, b in ties:
        of_a, of_b = (next(p for p in pieces if k in p) for k in (a, b))
        if of_a is not of_b:
            pieces = [p for p in pieces if p is not of_a and p is not of_b] + [sorted(of_a + of_b)]
    return sorted(pieces, key=lambda p: (-len(p), p[0]))


def _seed(views: _Views, left: Ids) -> tuple[int, int] | None:
    """The two neighbours among the keyframes `left` that share most; None where none share enough."""
    pairs = list(zip(left[:-1].tolist(), left[1:].tolist(), strict=True))
    shared = [len(np.intersect1d(views.landmarks[a], views.landmarks[b], assume_unique=True)) for a, b in pairs]
    best = int(np.argmax(shared)) if shared else 0
    return pairs[best] if shared and shared[best] >= MIN_HELD else None


def _grown(views: _Views, seed: tuple[int, int], left: np.ndarray) -> list[int]:
    """The keyframes `left` (mask) that hang on the two of the seed, with all that hangs on these. Their order does not
    matter: what is seen twice stays so."""
    times, support = np.zeros(len(views.keyframes), np.int64), np.zeros(len(left), np.int64)
    is_taken, due = np.zeros(len(left), bool), list(seed)
    is_taken[due] = True
    while due:
        own = views.landmarks[due.pop()]
        times[own] += 1
        for landmark in own[times[own] == 2].tolist():
            support[views.keyframes[landmark]] += 1
        more = left & ~is_taken & (support >= MIN_HELD)
        is_taken |= more
        due += np.flatnonzero(more).tolist()
    return [int(k) for k in np.flatnonzero(is_taken)]


def part_components(slam_map: SlamMap, guess_rel_sigma: float, first_frame_id: int = 0) -> list[str]:
    """Parts the components of a run (of frames from `first_frame_id` on) into pieces that have one scale each; the
    largest keeps its number. A keyframe that hangs on nothing is alone, and its frames are lost. Returns a line for
    each component that was parted. Components with keyframes of earlier runs stay as they are. guess_rel_sigma: as in
    `MapperConfig`."""
    m, members = slam_map, dict[int, list[int]]()
    for keyframe in m.keyframes:
        members.setdefault(keyframe.component_id, []).append(keyframe.id)
    notes = []
    for component, ids in members.items():
        if len(ids) < LEAST_KEYFRAMES or m.keyframes[ids[0]].frame_id < first_frame_id:
            continue
        held = held_pieces([m.observed[k].ids for k in ids], loops_among(m, ids))
        pieces = [[ids[n] for n in piece] for piece in held]
        if len(pieces) > 1:
            part(m, pieces, guess_rel_sigma)
            notes.append(_told(m, component, pieces))
    return notes


def loops_among(m: SlamMap, ids: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of keyframes `ids`, as places in that list, between which a loop measured a similarity."""
    at = {k: n for n, k in enumerate(ids)}
    return [(at[a], at[b]) for (a, b), e in m.edges.items() if e.kind is EdgeKind.LOOP and a in at and b in at]


def part(m: SlamMap, pieces: Sequence[list[int]], guess_rel_sigma: float) -> None:
    """Makes components of the pieces of one, which are the ids of their keyframes; the first keeps its number. A
    keyframe alone takes its frames into LOST."""
    number = 1 + max(k.component_id for k in m.keyframes)
    for piece in pieces:
        _own_landmarks(m, piece)
    for piece in pieces:
        _forget_depth(m, piece, guess_rel_sigma)
    for n, piece in enumerate(pieces[1:]):
        _part(m, piece, number + n)


def _told(m: SlamMap, component: int, pieces: list[list[int]]) -> str:
    alone = sorted(m.keyframes[p[0]].frame_id for p in pieces if len(p) == 1)
    spans = [f"{m.keyframes[p[0]].frame_id}-{m.keyframes[p[-1]].frame_id}" for p in pieces if len(p) > 1]
    lost = f"; frames alone, which are lost: {', '.join(map(str, alone))}" if alone else ""
    return (
        f"component {component} was parted, as too few landmarks hold one scale: frames {', '.join(spans)} have an "
        f"origin and a scale each{lost}"
    )


def _part(m: SlamMap, piece: list[int], number: int) -> None:
    """Keyframes become component `number`, with the frames that hang on them, and without edges to others."""
    inside = set(piece)
    for k in piece:
        m.keyframes[k].component_id = number
    for pair in [p for p in m.edges if (p[0] in inside) != (p[1] in inside)]:
        del m.edges[pair]
    for row in np.flatnonzero(np.isin(m.frames.column("ref_id"), piece)).tolist():
        frame = m.frames[row]
        if frame.T_ref_cam is not None:
            lost = PoseEstimate(frame.frame_id, frame.timestamp_s, Status.LOST)
            m.frames[row] = lost if len(piece) == 1 else replace(frame, component_id=number)


def _own_landmarks(m: SlamMap, piece: list[int]) -> None:
    """Landmarks that keyframes of a piece see and that hang on a keyframe outside get a copy that hangs on the first
    of the piece to see them."""
    copies = np.full(len(m.landmarks), -1)
    for k in piece:
        seen, marks = m.observed[k], m.landmarks
        foreign = seen.ids[~np.isin(marks.host[seen.ids], piece)]
        new = foreign[copies[foreign] < 0]
        world, about = m.landmarks_world(new), (marks.rel_sigma[new], marks.color[new])
        local = m.keyframes[k].S_world_keyframe.inverse().apply(world)
        is_known = marks.is_triangulated[new]
        copies[new] = marks.add(k, local, *about)
        m.landmarks.is_triangulated[copies[new]] = is_known
        own = seen.ids.copy()
        own[np.isin(own, foreign)] = copies[own[np.isin(own, foreign)]]
        m.observed[k] = Observations.of(own, seen.pixels)


def _forget_depth(m: SlamMap, piece: list[int], guess_rel_sigma: float) -> None:
    """What one keyframe of the piece alone sees has no depth there: that was of another scale, and would join the
    pieces again as they were."""
    ids, times = np.unique(np.concatenate([m.observed[k].ids for k in piece]), return_counts=True)
    m.landmarks.is_triangulated[ids[times < 2]] = False
    m.landmarks.rel_sigma[ids[times < 2]] = guess_rel_sigma
