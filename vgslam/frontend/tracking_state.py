"""The state of tracking: tracked, unsure, lost, relocalized, or on new ground; every change is on record.

    TRACKED -> UNSURE -> TRACKED            followed again, or confirmed by the map
               UNSURE -> LOST               after unsure_s
               UNSURE, LOST -> RELOCALIZED  found elsewhere, or after a loss; -> TRACKED after settle_s
               LOST -> NEW_COMPONENT        not before the patience is over; -> TRACKED at once
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from vgslam.frontend.tracker import TrackResult


class Phase(StrEnum):
    INITIALIZING = "INITIALIZING"
    TRACKED = "TRACKED"
    UNSURE = "UNSURE"
    LOST = "LOST"
    RELOCALIZED = "RELOCALIZED"
    NEW_COMPONENT = "NEW_COMPONENT"


@dataclass(frozen=True)
class StateConfig:
    """When tracking is sure, unsure or lost; only frames that show something count."""

    sure_inliers: int = 20
    """A followed frame with fewer inliers is unsure until the map confirms it or tracking is sure again."""
    sure_ratio: float = 0.5
    """The same for the share of the followed landmarks that are inliers."""
    look_share: float = 0.25
    """If a smaller share of the landmarks could be followed, those that the map shows from there are used as well."""
    strict_inliers: int = 30
    """The same as sure_inliers, for settle_s after a relocalization, and for frames with a rotation only."""
    strict_ratio: float = 0.6
    """The same as sure_ratio, for settle_s after a relocalization, and for frames with a rotation only."""
    unsure_s: float = 0.12
    """How long a frame that cannot be followed leaves tracking unsure before it is lost, in s."""
    settle_s: float = 1.0
    """How long acceptance is strict after a relocalization, in s."""
    patience_s: float = 0.5
    """Time after a loss before a new component may begin, in s; `slam.patience` frames must have passed as well."""


@dataclass(frozen=True)
class Transition:
    """A change of phase at a frame."""

    frame_id: int
    timestamp_s: float
    before: Phase
    after: Phase
    lost_s: float = 0.0
    """Seconds since the last frame with a pose, if the pose is back; otherwise 0."""
    component: int = -1
    """The component that the frame belongs to."""
    trust: float | None = None
    """Trust of a relocalization, else None."""

    def to_dict(self) -> dict[str, Any]:
        """The transition as a row for the report."""
        return asdict(self) | {"before": str(self.before), "after": str(self.after)}


class TrackingState:
    """The phase that tracking is in, and how it came there."""

    def __init__(self, config: StateConfig, phase: Phase = Phase.INITIALIZING) -> None:
        self.config, self.phase = config, phase
        self.transitions: list[Transition] = []
        self._with_pose_s: float | None = None  # time of the last frame that had a pose
        self._unsure_since_s = 0.0
        self._found_s = -float("inf")
        self._seen_s: list[float] = []  # times of the frames that showed something since the loss

    @property
    def lost_s(self) -> float:
        """Seconds without a pose that ended with one."""
        return sum(t.lost_s for t in self.transitions)

    def is_settling(self, timestamp_s: float) -> bool:
        """Whether a relocalization is so fresh that acceptance is strict."""
        return timestamp_s - self._found_s < self.config.settle_s

    def is_sure(self, result: TrackResult, timestamp_s: float) -> bool:
        """Whether a followed frame needs no other proof."""
        c = self.config
        if self.is_settling(timestamp_s) or result.rotation_only:  # guessed depths agree with almost any pose
            return result.n_inliers >= c.strict_inliers and result.ratio >= c.strict_ratio
        return result.n_inliers >= c.sure_inliers and result.ratio >= c.sure_ratio

    def is_worth_a_look(self, result: TrackResult) -> bool:
        """Whether so much was lost from one frame to the next that the map should be asked as well."""
        return result.survived < self.config.look_share

    def may_stay_unsure(self, timestamp_s: float) -> bool:
        """Whether a frame without proof leaves tracking unsure, rather than lost."""
        if self.phase is Phase.UNSURE:
            return timestamp_s - self._unsure_since_s <= self.config.unsure_s
        return self.phase in (Phase.TRACKED, Phase.RELOCALIZED) and not self.is_settling(timestamp_s)

    def tracked(self, frame_id: int, timestamp_s: float, component: int) -> None:
        """The frame has a pose that follows from the frame before."""
        is_back = self.phase not in (Phase.TRACKED, Phase.RELOCALIZED)
        if is_back or (self.phase is Phase.RELOCALIZED and not self.is_settling(timestamp_s)):
            self._enter(Phase.TRACKED, frame_id, timestamp_s, component)
        self._with_pose_s = timestamp_s

    def unsure(self, frame_id: int, timestamp_s: float, component: int) -> None:
        """The frame has no pose that can be given, but tracking has not given up."""
        if self.phase is not Phase.UNSURE:
            self._unsure_since_s = timestamp_s
            self._enter(Phase.UNSURE, frame_id, timestamp_s, component)

    def lost(self, frame_id: int, timestamp_s: float) -> None:
        """The frame has no pose, and what was followed is given up."""
        if self.phase is not Phase.LOST:
            self._seen_s = []
            self._enter(Phase.LOST, frame_id, timestamp_s, -1)

    def shows_something(self, timestamp_s: float) -> None:
        """A lost frame has features: it counts for the patience."""
        self._seen_s.append(timestamp_s)

    def is_patience_over(self, n_frames: int) -> bool:
        """Whether a new component may begin."""
        seen = self._seen_s
        return len(seen) > n_frames and seen[-1] - seen[0] >= self.config.patience_s

    def relocalized(self, frame_id: int, timestamp_s: float, component: int, trust: float) -> None:
        """The frame was found in the map."""
        self._enter(Phase.RELOCALIZED, frame_id, timestamp_s, component, trust)
        self._found_s = self._with_pose_s = timestamp_s

    def began(self, frame_id: int, timestamp_s: float, component: int, first_pose_s: float) -> None:
        """A new component has begun with this frame; its first pose is that of an earlier one."""
        self._enter(Phase.NEW_COMPONENT, frame_id, timestamp_s, component, pose_s=first_pose_s)
        self.phase, self._with_pose_s, self._found_s = Phase.TRACKED, timestamp_s, -float("inf")

    def _enter(
        self, phase: Phase, frame_id: int, timestamp_s: float, component: int, trust: float | None = None,
        pose_s: float | None = None,
    ) -> None:  # fmt: skip
        has_pose = phase in (Phase.TRACKED, Phase.RELOCALIZED, Phase.NEW_COMPONENT)
        was_without = self.phase in (Phase.UNSURE, Phase.LOST) and self._with_pose_s is not None
        back_s = timestamp_s if pose_s is None else pose_s
        lost_s = max(0.0, back_s - (self._with_pose_s or 0.0)) if has_pose and was_without else 0.0
        self.transitions.append(Transition(frame_id, timestamp_s, self.phase, phase, lost_s, component, trust))
        self.phase = phase
