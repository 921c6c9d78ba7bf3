"""Loops: places seen again, verified from both sides, and components joined where they meet.

A look-alike is not a place: a loop needs landmarks of each side found in the other's image, one scale from both sides,
inliers all over the image, no second place that fits as well, and several keyframes in a row that agree.
"""

from dataclasses import dataclass, field

import numpy as np

from vgslam.frontend.matching import MatcherConfig
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.interfaces import LoopVerifier
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.locate import LocateConfig, Recovered
from vgslam.reloc.places import Places
from vgslam.reloc.reach import (
    DRIFT_KEYFRAMES,
    are_unbroken,
    is_straight_on,
    median_depths,
    most_drift,
    out_of_reach,
)
from vgslam.types import Edge

PENDING_GAP, ROW_GAP = 2, 4
"""Keyframes without a meeting after which the last ones are forgotten, and within which two count as in a row."""
NEAR_GAPS, FAR_SHARED = 3, 4
"""Beyond the first multiple of `LoopConfig.min_gap` a place is left out only if the second multiple of
`LoopConfig.max_shared` is shared with it: a few landmarks do not measure a drift."""
MOST_REST = 8
"""Most keyframes that are passed over after loops that moved nothing: over so few, drift is small."""
TIED_REST, LEAST_TIE = 12, 20
"""Keyframes that are passed over after such a loop while each sees at least this many landmarks of an earlier visit:
these hold it as a loop would."""
KNOWN_SIGMAS = 3.0
"""The map says what a meeting says if they differ by less than this many of the meeting's own deviations."""
NEIGHBOURS = 2
"""Keyframes within this distance of one that is looked at show the same and are passed over."""
RIVAL_SHARE = 0.7
"""Another place with at least this share of the best one's inliers makes a meeting ambiguous."""
SAME_PLACE_DEG, SAME_PLACE_SHARE = 15.0, 0.5
"""Rotation, and position as a share of the median depth, within which it is no other place: drift allowed for."""
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
    """Do not wait for the search for loops, as `vgslam live`: which keyframes are looked at then depends on the
    machine's speed. Else what is found at a keyframe is taken over at the next."""
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
        self._rest, self._next = 0, 0  # keyframes passed over after the last loop, and the next to look at
        self._held_until = 0  # a stretch that the map was right about is looked at no earlier, while it stays tied

    def forget(self) -> None:
        """The map has moved, or tracking was lost: what was seen must be seen again."""
        self._pending = []

    def may_find(self, k: int) -> bool:
        """Whether `find` may find something at keyframe k, as far as can be said without a look at images."""
        if not self._is_tied(k):
            self._held_until = 0
        elif k < self._held_until:
            self.places.pass_over(k)
        is_early = k < max(self._next, self._held_until)
        return bool(self._pending) or not (is_early or self._is_straight_on(k, self._depth(k)))

    def find(self, k: int, other_components: bool = False) -> list[Meeting]:
        """Confirmed meetings that end at keyframe k or shortly before; mostly none. other_components: look only at
        keyframes of other components than k's."""
        if not self._pending and not other_components and k < self._next:
            return []
        meeting = self.meeting(k, other_components)
        if meeting is None:
            self._pending = [p for p in self._pending if k - p.edge.id_b <= PENDING_GAP]
            return []
        m = self.map.keyframes
        joins = m[meeting.edge.id_a].component_id != m[k].component_id
        if self.is_known(meeting):  # the map is the other witness, and the longer it is right the less it is asked
            self._pending, self._rest = [], min(max(1, 2 * self._rest), MOST_REST)
            self._next, self._held_until = k + 1 + self._rest, k + TIED_REST
            return [meeting]
        agreeing = [p for p in self._pending if k - p.edge.id_b <= ROW_GAP and self.agree(p, meeting)]
        self._pending = [*agreeing, meeting]
        if len(self._pending) < (self.config.n_joining if joins else self.config.n_agreeing):
            return []
        confirmed, self._pending = self._pending, [meeting]
        self._rest, self._next = 0, k + 1
        return confirmed

    def meeting(self, k: int, other_components: bool = False) -> Meeting | None:
        """The best meeting of keyframe k with a place that looks like it, not yet confirmed by others."""
        return self._best(k, self._candidates(k, other_components))

    def _candidates(self, k: int, other_components: bool) -> list[int]:
        c, m = self.config, self.map
        depth = self._depth(k)
        if not other_components and self._is_straight_on(k, depth):
            return []
        similar, _ = self.places.like_keyframe(k, c.n_similar + 2 * c.min_gap)
        component = m.keyframes[k].component_id
        is_same = np.array([m.keyframes[j].component_id == component for j in similar.tolist()], bool)
        may = (similar != k) & ~(is_same & ((np.abs(similar - k) < c.min_gap) | other_components))
        same = np.flatnonzero(may & is_same)
        may[same] = ~out_of_reach(m, similar[same], k, depth, c.max_correction)
        taken: list[int] = []
        for i in np.flatnonzero(may).tolist():
            j = int(similar[i])
            if is_same[i] and self._shares_much(j, k):
                continue
            if all(abs(j - other) > NEIGHBOURS for other in taken):
                taken.append(j)
            if len(taken) == c.n_verified:
                break
        return taken

    def _depth(self, k: int) -> float:
        return float(median_depths(self.map, np.array([k]))[0])

    def _is_straight_on(self, k: int, depth: float) -> bool:
        """Whether no older keyframe can be seen again from the newest, k, so that none needs to be described. Not asked
        beside the tracking: there all that was passed by would be described at once when the camera turns back."""
        c, m = self.config, self.map
        return not c.in_background and k + 1 == len(m.keyframes) and is_straight_on(m, k, c.min_gap, depth)

    def _is_tied(self, k: int) -> bool:
        """Whether keyframe k sees enough landmarks that an earlier visit saw first."""
        m = self.map
        hosts = m.landmarks.host[m.observed[k].ids]
        old = np.sort(hosts[hosts <= k - self.config.min_gap])
        return len(old) >= LEAST_TIE and m.is_revisit(int(old[len(old) // 2]), m.centres(np.array([k]))[0])

    def _shares_much(self, j: int, k: int) -> bool:
        """Whether keyframes j and k of one component are tied by so many landmarks that to see one place from both
        tells nothing new."""
        c, m = self.config, self.map
        shared = int(np.isin(m.observed[j].ids, m.observed[k].ids, kind="table").sum())
        return shared > c.max_shared * (1 if abs(j - k) < NEAR_GAPS * c.min_gap else FAR_SHARED)

    def is_known(self, meeting: Meeting) -> bool:
        """Whether the path between the two keyframes says what a meeting says."""
        edge, m = meeting.edge, self.map
        a, b = m.keyframes[edge.id_a], m.keyframes[edge.id_b]
        if a.component_id != b.component_id or not are_unbroken(m, np.array([edge.id_a]), edge.id_b)[0]:
            return False
        S, limit = a.S_world_keyframe.inverse() @ b.S_world_keyframe, KNOWN_SIGMAS * edge.sigmas
        return (
            float(np.radians(se3.angle_deg(S.R.T @ edge.S_a_b.R))) < limit[0]
            and float(np.linalg.norm(S.t - edge.S_a_b.t)) < limit[3]
            and abs(float(np.log(S.s / edge.S_a_b.s))) < limit[6]
        )

    def _best(self, k: int, candidates: list[int]) -> Meeting | None:
        """The best meeting of k with the candidates; None without one, or when another place fits nearly as well. One
        that says what the map says is taken at once: two witnesses leave no doubt about the place."""
        meetings: list[Meeting] = []
        for j in candidates:
            meeting = self.verifier.verify(j, k)
            if meeting is not None and self.is_known(meeting):
                return meeting
            meetings += [] if meeting is None else [meeting]
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

    def agree(self, earlier: Meeting, later: Meeting) -> bool:
        """Whether two keyframes call for the same correction of the map."""
        m = self.map.keyframes
        if m[earlier.edge.id_a].component_id != m[later.edge.id_a].component_id:
            return False
        correction = earlier.S_world_b @ m[earlier.edge.id_b].S_world_keyframe.inverse()
        predicted = correction @ m[later.edge.id_b].S_world_keyframe
        return is_same(predicted, later.S_world_b, later.depth, self.config.agreement)

    def is_drift(self, meeting: Meeting) -> bool:
        """Whether the correction that a meeting within a component calls for can be drift of the path between."""
        a, b = meeting.edge.id_a, meeting.edge.id_b
        S_b = self.map.keyframes[b].S_world_keyframe
        shift = float(np.linalg.norm(meeting.S_world_b.t - S_b.t))
        drift = float(most_drift(self.map, np.array([a]), b, self.config.max_correction)[0])
        is_near = shift <= drift + MATCHING_ERROR * meeting.depth
        most = self.config.max_log_scale * max(1.0, abs(b - a) / DRIFT_KEYFRAMES)
        return is_near and abs(float(np.log(meeting.S_world_b.s / S_b.s))) < most


def is_same(S: Sim3, other: Sim3, depth: float, agreement: tuple[float, float, float]) -> bool:
    """Whether two placements agree within (rotation deg, position as a share of the depth, log-scale)."""
    degrees, share, log_scale = agreement
    return (
        se3.angle_deg(S.R.T @ other.R) < degrees
        and float(np.linalg.norm(S.t - other.t)) < share * depth
        and abs(float(np.log(S.s / other.s))) < log_scale
    )
