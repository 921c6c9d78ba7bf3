"""Measured similarities between two maps: as keyframes saw them, and condensed to one bond between the two."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vgslam.fleet.overlap import UNCHECKED, Overlap
from vgslam.fleet.sights import NO_WITNESSES, Sight, Witnesses
from vgslam.geometry import se3
from vgslam.geometry.robust_similarity import MAD_TO_SIGMA
from vgslam.geometry.sim3 import Sim3
from vgslam.types import Array, Edge, EdgeKind

SAME_DEG, SAME_LOG_SCALE, SAME_SHARE = 8.0, 0.3, 0.25
"""Two ties say the same if their bonds differ by less: in rotation, log-scale, and position as a share of the distance
from the map's middle to the tie, or of its depth if that is more. Maps drift: wider than a tie's own noise."""
DRIFT_RAD, DRIFT_SHARE, DRIFT_LOG_SCALE = 0.02, 0.05, 0.05
"""Least deviations of a bond for the drift of both maps: rotation, position as a share of that distance, log-scale."""


@dataclass(frozen=True)
class Tie:
    """A place that keyframe a of one map and keyframe b of another show."""

    a: int
    """Keyframe id in the first map."""
    b: int
    """Keyframe id in the second."""
    part_a: int
    """Component of the first map."""
    part_b: int
    S_a_b: Sim3
    """Keyframe b in a, as measured."""
    sigmas: Array
    """(7,) as of `Edge`."""
    inlier_ratio: float
    S_middle: Sim3
    """The bond that the tie makes by itself: the middle of part b in that of part a."""
    reach: float
    """Distance from the middle of part a to the tie, or the depth there, whichever is more, in units of part a."""
    sight_a: Sight
    """The place as keyframe a sees it, in the frame of the middle of part a."""
    sight_b: Sight
    """The same place as keyframe b sees it, in the frame of the middle of part b."""

    def edge(self, offset_a: int, offset_b: int) -> Edge:
        """The tie between keyframes of a map that holds both, whose ids begin at the offsets."""
        return Edge(self.a + offset_a, self.b + offset_b, self.S_a_b, self.sigmas, EdgeKind.LOOP, self.inlier_ratio)


@dataclass(frozen=True)
class Bond:
    """One measurement between two nodes: parts of maps, each in the frame of its middle."""

    a: int
    b: int
    S_a_b: Sim3
    sigmas: Array
    """(7,) as of `Edge`."""
    spread: float
    """Standard deviation of the log-scales of its ties, robust."""
    n_ties: int
    witnesses: Witnesses = NO_WITNESSES
    """What the two keyframes of each tie see, each side in the frame of its own middle."""
    overlap: Overlap = UNCHECKED
    """How much of what the two parts must have in common, if the bond is true, was found."""

    @cached_property
    def edge(self) -> Edge:
        """The measurement as the graph weighs it: errors are in units of b, not of a."""
        sigmas = self.sigmas / np.array([1, 1, 1, *[self.S_a_b.s] * 3, 1])
        return Edge(self.a, self.b, self.S_a_b, sigmas, EdgeKind.LOOP)


def bond_of(node_a: int, node_b: int, ties: Sequence[Tie]) -> tuple[Bond, list[Tie]]:
    """The bond that most ties between two parts agree on, and these ties. Raises ValueError for none."""
    if not ties:
        raise ValueError("no ties")
    agree = np.array([[_is_same(x, y) for y in ties] for x in ties])
    leader = int(agree.sum(1).argmax())
    kept = [tie for tie, yes in zip(ties, agree[leader], strict=True) if yes]
    S = ties[leader].S_middle
    logs = np.log([tie.S_middle.s for tie in ties])
    kept_logs = np.log([tie.S_middle.s for tie in kept])
    scale = float(np.exp(np.median(kept_logs)))
    t = np.median([tie.S_middle.t for tie in kept], axis=0)
    spread = MAD_TO_SIGMA * float(np.median(np.abs(logs - np.log(scale)))) if len(ties) > 1 else 0.0
    best = min(kept, key=lambda tie: tie.reach)
    n = np.sqrt(min(len(kept), 4))  # ties of one row err together: more of them tell little
    sigma_R = max(float(best.sigmas[0]) / n, DRIFT_RAD)
    sigma_t = max(sigma_R, DRIFT_SHARE) * best.reach
    sigma_s = max(float(best.sigmas[6]) / n, spread / n, DRIFT_LOG_SCALE)
    sigmas = np.array([sigma_R] * 3 + [sigma_t] * 3 + [sigma_s])
    witnesses = Witnesses.of([(tie.sight_a, tie.sight_b) for tie in kept])
    return Bond(node_a, node_b, Sim3(S.R, t, scale), sigmas, spread, len(kept), witnesses), kept


def _is_same(x: Tie, y: Tie) -> bool:
    S, other = x.S_middle, y.S_middle
    return (
        se3.angle_deg(S.R.T @ other.R) < SAME_DEG
        and abs(float(np.log(S.s / other.s))) < SAME_LOG_SCALE
        and float(np.linalg.norm(S.t - other.t)) < SAME_SHARE * (x.reach + y.reach)
    )
