"""What two maps must have in common if a similarity between them is true, and how much of it they have.

Two look-alike places may agree. But where the similarity puts keyframes of both maps at one place with one view, a true
one lets nearly all of them verify, a false one those alone that deceived it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vgslam.fleet.sights import APART_DEPTHS
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.reach import median_depths
from vgslam.types import Array, Ids

LIKE_DEG, LIKE_DEPTHS, LIKE_RATIO = 15.0, 0.25, 2.0
"""Views are alike within this direction, distance as a share of the lesser depth, and ratio of depths, much closer than
verification needs."""
REACH_DEPTHS = 5.0
"""How far from a tie, in depths, a similarity can say what is seen: the drift of a bond (5 %) makes LIKE_DEPTHS
there."""
LEAST_PREDICTED, LEAST_SEEN = 4, 0.5
"""A similarity that predicts this many places is contradicted if less than this share is seen. Seen were all of 4 and 5
of rendered drives, 4 of pieces of KITTI, none of 8 and 9 of another city (docs/bench/fleet.md)."""
MOST_LOOKS = 12  # places of a pair of maps that are looked at, spread over what they have in common
TRIES = 2  # pairs of keyframes that are tried at a place: one may be blurred, or half hidden


@dataclass(frozen=True)
class Overlap:
    """How much of what two maps must have in common was found."""

    n_predicted: int = 0  # places, APART_DEPTHS from one another, that both must show from a like viewpoint
    n_seen: int = 0  # places among these at which keyframes of both verify one another

    def __add__(self, other: "Overlap") -> "Overlap":
        return Overlap(self.n_predicted + other.n_predicted, self.n_seen + other.n_seen)

    @property
    def contradicts(self) -> bool:
        """Whether so little was found of what must be there that the maps do not lie so."""
        return self.n_predicted >= LEAST_PREDICTED and self.n_seen < LEAST_SEEN * self.n_predicted


UNCHECKED = Overlap()


@dataclass(frozen=True)
class Views:
    """Keyframes of one map, in the frame of the other."""

    ids: Ids  # (N,)
    eyes: Array  # (N,3)
    axes: Array  # (N,3): the direction of view
    depths: Array  # (N,): median depth of what is seen

    @staticmethod
    def of(m: SlamMap, ids: Ids, S: Sim3) -> "Views":
        """Keyframes of a map that see landmarks; S takes its points to the frame."""
        depths = median_depths(m, ids) if len(ids) else np.zeros(0)
        ids, depths = ids[depths > 0], depths[depths > 0]
        T = m.T_world_keyframes(ids)
        return Views(ids, S.apply(T[:, :3, 3]), T[:, :3, 2] @ S.R.T, depths * S.s)

    @property
    def seen(self) -> Array:
        """(N,3): the middle of what is seen."""
        return np.asarray(self.eyes + self.depths[:, None] * self.axes)


def alike(a: Views, b: Views) -> Array:
    """(N,M): how far two views are from being the same, 0 to 1; infinite beyond the limits."""
    apart = np.linalg.norm(a.eyes[:, None] - b.eyes[None], axis=2)
    lesser = np.minimum(a.depths[:, None], b.depths[None])
    cosine = np.clip(a.axes @ b.axes.T, -1, 1)
    ratio = np.abs(np.log(a.depths[:, None] / b.depths[None])) / np.log(LIKE_RATIO)
    off = np.stack([apart / (LIKE_DEPTHS * lesser), np.degrees(np.arccos(cosine)) / LIKE_DEG, ratio]).max(0)
    return np.where(off <= 1.0, off, np.inf)


def places(a: Views, b: Views, ties: Array) -> list[list[tuple[int, int]]]:
    """Pairs of keyframes (of a, of b) that must show the same, by place: TRIES at each, the most alike first. ties
    (K,3): what the ties that say so show, in the frame of the views."""
    off = alike(a, b)
    seen = a.seen
    near = np.linalg.norm(seen[:, None] - ties[None], axis=2).min(1, initial=np.inf) <= REACH_DEPTHS * a.depths
    rows = np.flatnonzero(near & np.isfinite(off).any(1))
    found: list[list[tuple[int, int]]] = []
    taken: list[int] = []
    for i in rows.tolist():
        apart = np.linalg.norm(seen[taken] - seen[i], axis=1)
        if (apart > APART_DEPTHS * np.maximum(a.depths[taken], a.depths[i])).all():
            taken.append(i)
            best = np.argsort(off[i], kind="stable")[:TRIES]
            found.append([(int(a.ids[i]), int(b.ids[j])) for j in best if np.isfinite(off[i, j])])
    return found


def spread_out(found: Sequence[list[tuple[int, int]]]) -> list[list[tuple[int, int]]]:
    """MOST_LOOKS of the places, spread along the first map."""
    found = sorted(found)
    chosen = np.unique(np.linspace(0, len(found) - 1, min(len(found), MOST_LOOKS)).round().astype(np.int64))
    return [found[i] for i in chosen.tolist()]


def overlap(
    looks: Sequence[list[tuple[int, int]]], tied: set[tuple[int, int]], verifies: Callable[[int, int], bool]
) -> Overlap:
    """How many of the places verify. tied: pairs that have verified already."""
    seen = [bool(tied.intersection(pairs)) or any(verifies(i, j) for i, j in pairs) for pairs in looks]
    return Overlap(len(seen), sum(seen))
