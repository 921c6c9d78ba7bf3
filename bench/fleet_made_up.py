"""Made-up maps of drives along a trajectory: their codes, where they lie, and bonds between them, true and false."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgslam.fleet.overlap import MOST_LOOKS, Overlap
from vgslam.fleet.sights import APART_DEPTHS, Sight, Witnesses
from vgslam.fleet.ties import Bond
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.types import Array, Ids

PLACE_M, TURN_DEG = 4.0, 45.0  # views within this distance and angle show the same place
CHANGED_BITS = 400  # bits of 2048 that differ between a place and a view of it: a likeness of 0.3 to 0.4 of two views
SIGMAS = np.array([0.02] * 3 + [1.0] * 3 + [0.05])
FALSE_TURN_RAD, FALSE_SHIFT_M = 0.7, 20.0
DEPTH_M, KEYFRAME_M = 10.0, 2.5  # how far ahead a keyframe's place lies, and how far it is to the next keyframe
ROW = 4  # keyframes in a row that a look-alike deceives while it is in view: three have to agree

SEEN_TRUE, SEEN_FALSE = 0.9, 0.05
"""The share of places that both maps must show which verifies where they do, and where another place is there: less
and more than was found for rendered and recorded drives (docs/bench/fleet.md)."""


@dataclass(frozen=True)
class Drives:
    """Pieces of a trajectory, each a map."""

    begins: Ids  # (n,): first frame of each
    length: int  # frames of each


def places_of(T: Array) -> Ids:
    """Number of the place that each pose (N,4,4) sees: its cell and heading."""
    heading = np.degrees(np.arctan2(T[:, 0, 2], T[:, 2, 2]))
    cells = np.column_stack([np.floor(T[:, [0, 2], 3] / PLACE_M), np.floor(heading / TURN_DEG)]).astype(np.int64)
    return np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def codes_of(places: Ids, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Codes (n,256) of views of numbered places (n,)."""
    out = np.zeros((len(places), 256), np.uint8)
    for row, place in enumerate(places.tolist()):
        bits = np.random.default_rng([place, 3]).integers(0, 2, 2048, dtype=np.uint8)
        bits[rng.choice(2048, CHANGED_BITS, replace=False)] ^= 1
        out[row] = np.packbits(bits)
    return out


def bonds_of(
    T: Array, drives: Drives, pairs: Sequence[tuple[int, int]], rng: np.random.Generator, false_share: float = 0.0
) -> tuple[list[Sim3], list[Bond], list[bool]]:  # fmt: skip
    """Frames of the maps' middles, in units of their own, and a bond a pair; some are false, at one place."""
    nodes = [Sim3.from_T(T[b + drives.length // 2], float(np.exp(rng.normal(0, 0.7)))) for b in drives.begins]
    places, bonds, is_false = places_of(T), list[Bond](), list[bool]()
    for a, b in pairs:
        is_false.append(bool(rng.random() < false_share))
        if is_false[-1]:
            turn, shift = rng.normal(0, FALSE_TURN_RAD, 3), rng.normal(0, FALSE_SHIFT_M, 3) / nodes[b].s
            wrong = Sim3(se3.so3_exp(turn), shift, float(np.exp(rng.normal(0, 0.5))))
            at = int(rng.integers(0, drives.length // 2))
            bonds.append(false_bond(T, drives, nodes, (a, b), wrong, at, rng))
            continue
        sigmas = _sigmas(nodes[a])
        x = rng.normal(0, sigmas)
        noise = Sim3(se3.so3_exp(x[:3]), x[3:6] * nodes[a].s / nodes[b].s, float(np.exp(x[6])))
        S = nodes[a].inverse() @ nodes[b] @ noise
        overlap = overlap_of(T, places, drives, (a, b), np.random.default_rng([a, b]))
        bonds.append(Bond(a, b, S, sigmas, 0.02, 4, _witnesses(T, places, drives, nodes, (a, b)), overlap))
    return nodes, bonds, is_false


def overlap_of(
    T: Array, places: Ids, drives: Drives, pair: tuple[int, int], rng: np.random.Generator,
    alike: Sequence[int] | None = None,
) -> Overlap:  # fmt: skip
    """What two drives that lie on each other must both show, and how much of it verifies. alike: the frames at which
    they look alike, where the second goes through another city; None where all is the same."""
    a, b = pair
    others = set(places[drives.begins[b] : drives.begins[b] + drives.length].tolist())
    looks: list[int] = []
    for i in _keyframes(T, drives, a):
        far = np.linalg.norm(T[looks, :3, 3] - T[i, :3, 3], axis=1)
        if int(places[i]) in others and (far > APART_DEPTHS * DEPTH_M).all():
            looks.append(i)
    looks = looks[:: -(-len(looks) // MOST_LOOKS) or 1]
    share = SEEN_TRUE if alike is None else SEEN_FALSE
    seen = sum(bool(rng.random() < share) or i in (alike or ()) for i in looks)
    return Overlap(len(looks), seen)


def deceived(T: Array, drives: Drives, a: int, at: int) -> list[int]:
    """Frames of the keyframes of drive a that take what they see from frame `at` on for another place."""
    keyframes = _keyframes(T, drives, a)
    return [f for f in keyframes if f >= drives.begins[a] + at][:ROW] or keyframes[-1:]


def false_bond(
    T: Array, drives: Drives, nodes: Sequence[Sim3], pair: tuple[int, int], wrong: Sim3, at: int,
    rng: np.random.Generator,
) -> Bond:  # fmt: skip
    """A bond of a map with another, which is off by `wrong`: a row of keyframes from frame `at` of the first goes past
    something that looks like what the other map shows."""
    a, b = pair
    S = nodes[a].inverse() @ nodes[b] @ wrong
    frames = deceived(T, drives, a, at)
    copy = _ahead(T[frames[0]])
    sights = []
    for f in frames:
        here = Sight(T[f, :3, 3], copy + rng.normal(0, 0.05 * DEPTH_M, 3)).through(nodes[a].inverse())
        sights.append((here, here.through(S.inverse())))
    return Bond(a, b, S, _sigmas(nodes[a]), 0.02, ROW, Witnesses.of(sights))


def _witnesses(T: Array, places: Ids, drives: Drives, nodes: Sequence[Sim3], pair: tuple[int, int]) -> Witnesses:
    """What keyframes of the first map and the nearest frames of the other see where both show the same places."""
    a, b = pair
    others = np.arange(drives.begins[b], drives.begins[b] + drives.length)
    found = []
    for i in _keyframes(T, drives, a):
        same = others[places[others] == places[i]]
        if not len(same):
            continue
        j = int(same[np.linalg.norm(T[same, :3, 3] - T[i, :3, 3], axis=1).argmin()])
        seen = _ahead(T[i])
        sights = Sight(T[i, :3, 3], seen).through(nodes[a].inverse()), Sight(T[j, :3, 3], seen)
        found.append((sights[0], sights[1].through(nodes[b].inverse())))
    return Witnesses.of(found)


def _keyframes(T: Array, drives: Drives, n: int) -> list[int]:
    """Frames of a drive that become keyframes: the next after KEYFRAME_M each."""
    begin = int(drives.begins[n])
    path = np.linalg.norm(np.diff(T[begin : begin + drives.length, :3, 3], axis=0), axis=1)
    far = np.concatenate([[0.0], np.cumsum(path)])
    return (begin + np.unique(np.searchsorted(far, np.arange(0.0, far[-1], KEYFRAME_M)))).tolist()


def _ahead(T_world_cam: Array) -> Array:
    return np.asarray(T_world_cam[:3, 3] + DEPTH_M * T_world_cam[:3, 2])


def _sigmas(node: Sim3) -> Array:
    return np.asarray(SIGMAS / np.array([1, 1, 1, *[node.s] * 3, 1]))
