"""What keyframes see, and how many independent witnesses of one similarity they are.

Two views of one house are one witness: a look-alike deceives both. Another place is a second, or the same from so far
aside that its shape, too, must be the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vgslam.geometry.sim3 import Sim3
from vgslam.types import Array

APART_DEPTHS = 0.4
"""Two views show different places if the middles of what they see lie this far apart, as shares of the larger depth: a
third of an image's width at 60 degrees. Keyframes that the wall of another room deceived lay 0.2 apart; walks through
one room 0.7 to 1.4, pieces of a kitchen 0.1 to 0.8 (docs/bench/fleet.md)."""
PARALLAX = 0.2
"""Two views of a place are independent if the cameras are this far apart, in depths: 11 degrees for what lies abeam."""
LEAST_ALONE = 6
"""Independent views that verify a place which stands alone: the camera moves by as much as it sees. A look-alike ahead
of a car is in view for less."""


@dataclass(frozen=True)
class Sight:
    """What a keyframe sees of a place."""

    eye: Array  # (3,): where the camera is
    seen: Array  # (3,): the middle of the landmarks that were found

    @property
    def depth(self) -> float:
        """Distance of the landmarks from the camera."""
        return float(np.linalg.norm(self.seen - self.eye))

    def through(self, S: Sim3) -> "Sight":
        """The same in another frame: S takes points there."""
        eye, seen = S.apply(np.stack([self.eye, self.seen]))
        return Sight(eye, seen)


@dataclass(frozen=True)
class Witnesses:
    """N places that two sides show, each as both see it: in one frame, or each side in a frame of its own."""

    eyes: Array  # (N,2,3): cameras of the two sides
    seen: Array  # (N,2,3): the middle of what they see

    @staticmethod
    def of(sights: Sequence[tuple[Sight, Sight]]) -> "Witnesses":
        """All that two sides see."""
        eyes = np.array([[x.eye for x in pair] for pair in sights], np.float64).reshape(-1, 2, 3)
        seen = np.array([[x.seen for x in pair] for pair in sights], np.float64).reshape(-1, 2, 3)
        return Witnesses(eyes, seen)

    @staticmethod
    def together(parts: Sequence["Witnesses"]) -> "Witnesses":
        """All of several."""
        return Witnesses(np.concatenate([x.eyes for x in parts]), np.concatenate([x.seen for x in parts]))

    def through(self, S_a: Sim3, S_b: Sim3) -> "Witnesses":
        """The same in one frame: the similarities take points of the two sides there."""
        eyes, seen = (np.stack([S_a.apply(x[:, 0]), S_b.apply(x[:, 1])], axis=1) for x in (self.eyes, self.seen))
        return Witnesses(eyes, seen)

    @property
    def _depths(self) -> Array:
        """(N,2)."""
        return np.asarray(np.linalg.norm(self.seen - self.eyes, axis=2))

    def elsewhere(self, other: "Witnesses") -> np.ndarray:
        """Mask (N,M): whether one here shows another place than one of the others, on both sides."""
        return _apart(self.seen, other.seen) > APART_DEPTHS * _larger(self._depths, other._depths)

    @property
    def has_two_places(self) -> bool:
        """Whether two of them show one place, and two others another."""
        elsewhere = self.elsewhere(self).astype(np.int64)
        in_common = elsewhere @ elsewhere
        np.fill_diagonal(in_common, 0)
        return bool((in_common >= 2).any())

    @property
    def n_views(self) -> int:
        """Views of which each is as far from all others as an independent verification has to be."""
        far = _apart(self.eyes, self.eyes) > PARALLAX * _larger(self._depths, self._depths)
        taken: list[int] = []
        for i in range(len(far)):
            if far[i, taken].all():
                taken.append(i)
        return len(taken)

    @property
    def are_enough(self) -> bool:
        """Whether they bear a bridge: two places, or one that independent views have verified."""
        return self.has_two_places or self.n_views >= LEAST_ALONE


NO_WITNESSES = Witnesses.of(())


def _apart(a: Array, b: Array) -> Array:
    """(N,M): distance of points (N,2,3) and (M,2,3), that on the side where it is less."""
    return np.asarray(np.linalg.norm(a[:, None] - b[None], axis=3).min(2))


def _larger(a: Array, b: Array) -> Array:
    """(N,M): the larger of depths (N,2) and (M,2)."""
    return np.maximum(a.max(1)[:, None], b.max(1)[None])
