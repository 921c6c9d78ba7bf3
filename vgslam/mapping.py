"""A new keyframe from beginning to end: what ties it to old ones, its place in the map, the loops that it closes."""

from dataclasses import dataclass, replace

import numpy as np

from vgslam.frontend.features import Pixels
from vgslam.frontend.mapper import Mapper
from vgslam.frontend.provisional_starts import ProvisionalStarts
from vgslam.frontend.reference import with_more
from vgslam.frontend.tracker import TrackState
from vgslam.reloc.closing import LoopCloser
from vgslam.reloc.nearby import NearbyLandmarks, visits
from vgslam.stage_clock import StageClock
from vgslam.types import Ids

ENOUGH_VISITS, VISIT_GAP, MOST_NEW = 5, 15, 0.3
"""Earlier visits to a place, the keyframes from one visit to the next, and the share of new corners among what is seen.
After this many visits a view becomes a keyframe only if it has more than that share: the map of a room does not grow
for hours. The first few visits still make keyframes, as they make the poses of the first one more exact."""


@dataclass(frozen=True)
class Mapped:
    """A keyframe that has its place in the map."""

    keyframe_id: int
    ids: Ids
    """(n,): the landmarks to follow from here."""
    pixels: Pixels
    """(n,2): where the keyframe sees them."""
    component_id: int
    is_new: bool = True
    """False where the map showed the view already, and the keyframe is an old one."""


class KeyframeSteps:
    """Makes keyframes of views. It changes the map, and nothing of what tracking holds."""

    def __init__(
        self, mapper: Mapper, provisional: ProvisionalStarts, nearby: NearbyLandmarks, loops: LoopCloser,
        stages: StageClock,
    ) -> None:  # fmt: skip
        self.map, self.mapper, self.provisional = mapper.map, mapper, provisional
        self.nearby, self.loops, self._stages = nearby, loops, stages
        self._n_before_loss = 0  # keyframes there were when a lost camera was last found again

    def found_again(self) -> None:
        """The camera was lost and is found: all keyframes so far are of an earlier visit."""
        self._n_before_loss = len(self.map.keyframes)

    def __call__(self, at: TrackState, component: int) -> Mapped:
        """The keyframe that tracking's view becomes in a component, once the loop found at the keyframe before is
        closed: with the landmarks of old ones that it shows, adjusted. An old one where the map shows the view."""
        before_loop = at
        with self._stages.of("loops"):
            at, component = self._after_loop(at, component)
        old = self._old_keyframes(at, component)
        with self._stages.of("back"):
            seen = self.nearby.look_back(at.view, self.mapper.camera, at.T_world_cam, old)
        ids, pixels = (at.ids, at.pixels) if seen is None else with_more(at.ids, at.pixels, seen.ids, seen.pixels)
        if seen is not None and at is before_loop and self._is_known(at, old, pixels):
            return Mapped(seen.keyframe_id, ids, pixels, component, is_new=False)
        with self._stages.of("map"):
            ids, pixels = self.mapper.add_keyframe(at.view, at.T_world_cam, ids, pixels, component)
            k = len(self.map.keyframes) - 1
            self.provisional.at_keyframe(k)
        return Mapped(k, ids, pixels, component)

    def _after_loop(self, at: TrackState, component: int) -> tuple[TrackState, int]:
        """Close the loop that the search has found, if any; the view, in a component, moves as the newest keyframe of
        that does."""
        m, found = self.map, self.loops.search.take()
        last = max((k.id for k in m.keyframes if k.component_id == component), default=-1) if found else -1
        if last < 0:
            self.loops.close(found)
            return at, component
        T_last_view, before = m.relative_to(last, at.T_world_cam), m.keyframes[last].S_world_keyframe
        self.loops.close(found)
        keyframe = m.keyframes[last]
        if keyframe.S_world_keyframe is before:
            return at, keyframe.component_id
        T_world_cam = keyframe.S_world_keyframe.compose_pose(T_last_view)
        return replace(at, T_world_cam=T_world_cam), keyframe.component_id

    def _is_known(self, at: TrackState, old: Ids, pixels: Pixels) -> bool:
        """Whether a keyframe would add little to a map that shows landmarks at pixels (n,2) of the view, which is that
        of keyframes `old`."""
        few_new = MOST_NEW * len(pixels)
        return visits(old, VISIT_GAP) >= ENOUGH_VISITS and len(self.mapper.tracker.detect(at.view, pixels)) < few_new

    def _old_keyframes(self, at: TrackState, component: int) -> Ids:
        """Keyframes of earlier visits to the same place, whose landmarks tie a new one to them."""
        before = max(len(self.map.keyframes) - self.loops.config.min_gap, self._n_before_loss)
        if before <= 0 or not self.loops.config.is_on:
            return np.zeros(0, np.int64)
        with self._stages.of("back"):
            return self.nearby.old(at.T_world_cam, component, before)
