"""Loops: places seen again, verified from both sides, and components joined where they meet.

A look-alike is not a place: a loop needs landmarks of each side found in the other's image, one scale from both sides,
inliers all over the image, no second place that fits as well, and several keyframes in a row that agree.
"""

from dataclasses import dataclass, field

import numpy as np

from vgslam.frontend.locate import LocateConfig, Recovered
from vgslam.frontend.matching import MatcherConfig
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.interfaces import LoopVerifier
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.places import Places
from vgslam.types import Edge

PENDING_GAP, ROW_GAP = 2, 4
"""Keyframes without a meeting after which the last ones are forgotten, and within which two count as in a row."""
NEAR_GAPS = 3
"""Within this multiple of `LoopConfig.min_gap` a place may still be in view: only there shared landmarks count."""
NEIGHBOURS = 2
"""Keyframes at most this many away from one that is looked at show the same and are passed over."""
RIVAL_SHARE = 0.7
"""Another place with at least this share of the best one's inliers makes a meeting ambiguous."""
SAME_PLACE_DEG, SAME_PLACE_SHARE = 15.0, 0.5
"""Rotation, and position as a share of the median depth, within which it is no other place: drift allowed for."""
DRIFT_KEYFRAMES, MOST_CORRECTION = 300, 0.5
"""Keyframes between two ends of a loop up to which `LoopConfig` says what drift can be; it grows in proportion on
longer paths, as a scale that is a little off everywhere does, up to this share of the path."""
MATCHING_ERROR = 0.05
"""Allowance for a correction besides drift, as a share of the median depth: no meeting is measured better."""


@dataclass(frozen=True)
class LoopConfig:
    """Which places are looked at, and when a loop is believed."""

    is_on: bool = True
    """Look for loops."""
    n_similar: int = 20
    """Places that look alike and are considered."""
    n_verified: int = 3
    """How many of these are verified."""
    min_gap: int = 15
    """Least number of keyframes between the two ends of a loop, within a component."""
    max_shared: int = 10
    """Landmarks in common above which a place belongs to the present window."""
    min_matches: int = 25
    """Least number of matches with a place."""
    agreement: tuple[float, float, float] = (3.0, 0.15, 0.15)
    """Rotation (degrees), position (share of the median depth) and log-scale within which two answers are the same."""
    n_agreeing: int = 2
    """Keyframes in a row that must agree on a loop."""
    n_joining: int = 3
    """Keyframes in a row that must agree on joining two components."""
    max_correction: float = 0.15
    """Largest correction of position, as a share of the path between the two ends; more is no drift. In proportion more
    where more than 300 keyframes lie between them."""
    max_log_scale: float = 0.7
    """Largest correction of scale, as its natural logarithm. In proportion more beyond 300 keyframes."""
    min_cells: int = 4
    """Least number of the 16 cells of the image that hold inliers."""
    is_metric: bool = False
    """All scales are 1 (the depth that the map is made of is metric): loops correct place and rotation alone."""
    in_background: bool = False
    """Look for loops on a thread beside the tracking, as `vgslam live` always does: which keyframes are looked at then
    depends on the machine's speed."""
    verifier: str = "landmarks"
    """Who decides whether two keyframes show the same place: `landmarks`, by their landmarks found in each other's
    image, or what another package adds by a name (docs/extend.md)."""
    matcher: MatcherConfig = field(default_factory=MatcherConfig)
    """Matching by descriptors."""
    locate: LocateConfig = field(default_factory=lambda: LocateConfig(25, 0.6, 20, 2.0, 2.0, 0.03))
    """Conditions on the pose of a loop."""


@dataclass(frozen=True)
class Meeting:
    """Keyframe b, seen from the place of keyframe a."""

    edge: Edge
    """The measurement."""
    S_world_b: Sim3
    """Where b would be if the map were right at a."""
    n_inliers: int
    """Landmarks of a that were found in b."""
    depth: float
    """Median depth of b, in world units at a."""
    found: Recovered
    """The landmarks of a in b."""


class LoopFinder:
    """Looks for places that the newest keyframes show again. Holds what has been seen but not yet confirmed."""

    def __init__(self, slam_map: SlamMap, places: Places, verifier: LoopVerifier, config: LoopConfig) -> None:
        self.map, self.places, self.verifier, self.config = slam_map, places, verifier, config
        self._pending: list[Meeting] = []

    def forget(self) -> None:
        """The map has moved, or tracking was lost: what was seen must be seen again."""
        self._pending = []

    def find(self, k: int, other_components: bool = False) -> list[Meeting]:
        """Confirmed meetings that end at keyframe k or shortly before; mostly none.

        other_components: look only at keyframes of other components than k's.
        """
        meeting = self._best(k, self._candidates(k, other_components))
        if meeting is None:
            self._pending = [p for p in self._pending if k - p.edge.id_b <= PENDING_GAP]
            return []
        m = self.map.keyframes
        joins = m[meeting.edge.id_a].component_id != m[k].component_id
        agreeing = [p for p in self._pending if k - p.edge.id_b <= ROW_GAP and self._agree(p, meeting)]
        self._pending = [*agreeing, meeting]
        if len(self._pending) < (self.config.n_joining if joins else self.config.n_agreeing):
            return []
        confirmed, self._pending = self._pending, [meeting]
        return confirmed

    def _candidates(self, k: int, other_components: bool) -> list[int]:
        c, m = self.config, self.map
        component = m.keyframes[k].component_id
        similar, _ = self.places.like_keyframe(k, c.n_similar + 2 * c.min_gap)
        taken: list[int] = []
        for j in similar.tolist():
            same = m.keyframes[j].component_id == component
            if j == k or (same and (abs(j - k) < c.min_gap or other_components)):
                continue
            is_near = same and abs(j - k) < NEAR_GAPS * c.min_gap
            if is_near and np.isin(m.observed[j].ids, m.observed[k].ids).sum() > c.max_shared:
                continue
            if all(abs(j - i) > NEIGHBOURS for i in taken):
                taken.append(j)
            if len(taken) == c.n_verified:
                break
        return taken

    def _best(self, k: int, candidates: list[int]) -> Meeting | None:
        """The best meeting of k with the candidates; None without one, or when another place fits nearly as well."""
        meetings = [x for x in (self.verifier.verify(j, k) for j in candidates) if x is not None]
        if not meetings:
            return None
        best = max(meetings, key=lambda x: x.n_inliers)
        for other in meetings:
            if other.n_inliers >= RIVAL_SHARE * best.n_inliers and not self._same_place(best, other):
                return None
        return best

    def _same_place(self, meeting: Meeting, other: Meeting) -> bool:
        """Two meetings of one keyframe: the places they put it at, the map's drift between them allowed for."""
        return (
            se3.angle_deg(meeting.S_world_b.R.T @ other.S_world_b.R) < SAME_PLACE_DEG
            and float(np.linalg.norm(meeting.S_world_b.t - other.S_world_b.t)) < SAME_PLACE_SHARE * meeting.depth
        )

    def _agree(self, earlier: Meeting, later: Meeting) -> bool:
        """Whether two keyframes call for the same correction of the map."""
        m = self.map.keyframes
        if m[earlier.edge.id_a].component_id != m[later.edge.id_a].component_id:
            return False
        correction = earlier.S_world_b @ m[earlier.edge.id_b].S_world_keyframe.inverse()
        predicted = correction @ m[later.edge.id_b].S_world_keyframe
        return is_same(predicted, later.S_world_b, later.depth, self.config.agreement)

    def is_drift(self, meeting: Meeting) -> bool:
        """Whether the correction that a meeting within a component calls for can be drift of the path between."""
        c, m = self.config, self.map
        a, b = sorted((meeting.edge.id_a, meeting.edge.id_b))
        centres = m.centres(np.arange(a, b + 1))
        path = float(np.linalg.norm(np.diff(centres, axis=0), axis=1).sum())
        S_b = m.keyframes[meeting.edge.id_b].S_world_keyframe
        shift = float(np.linalg.norm(meeting.S_world_b.t - S_b.t))
        longer = max(1.0, (b - a) / DRIFT_KEYFRAMES)
        share = max(c.max_correction, min(c.max_correction * longer, MOST_CORRECTION))
        is_near = shift <= share * path + MATCHING_ERROR * meeting.depth
        return is_near and abs(float(np.log(meeting.S_world_b.s / S_b.s))) < c.max_log_scale * longer


def is_same(S: Sim3, other: Sim3, depth: float, agreement: tuple[float, float, float]) -> bool:
    """Whether two placements agree within (rotation deg, position as a share of the depth, log-scale)."""
    degrees, share, log_scale = agreement
    return (
        se3.angle_deg(S.R.T @ other.R) < degrees
        and float(np.linalg.norm(S.t - other.t)) < share * depth
        and abs(float(np.log(S.s / other.s))) < log_scale
    )
