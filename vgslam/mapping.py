"""A new keyframe from beginning to end: what ties it to old ones, its place in the map, the loops that it closes."""

from dataclasses import dataclass

import numpy as np

from vgslam.frontend.features import Pixels
from vgslam.frontend.mapper import Mapper
from vgslam.frontend.provisional_starts import ProvisionalStarts
from vgslam.frontend.reference import with_more
from vgslam.frontend.tracker import TrackState
from vgslam.reloc.closing import LoopCloser
from vgslam.reloc.nearby import NearbyLandmarks
from vgslam.stage_clock import StageClock
from vgslam.types import Ids


@dataclass(frozen=True)
class Mapped:
    """A keyframe that has its place in the map, in a component, and the landmarks ids (n,) to follow from its pixels
    (n,2)."""

    keyframe_id: int
    ids: Ids
    pixels: Pixels
    component_id: int


class KeyframeSteps:
    """Makes keyframes of views. It changes the map, and nothing of what tracking holds."""

    def __init__(
        self, mapper: Mapper, provisional: ProvisionalStarts, nearby: NearbyLandmarks, loops: LoopCloser,
        stages: StageClock,
    ) -> None:  # fmt: skip
        self.map, self.mapper, self.provisional = mapper.map, mapper, provisional
        self.nearby, self.loops, self._stages = nearby, loops, stages

    def __call__(self, at: TrackState, component: int) -> Mapped:
        """The keyframe that tracking's view becomes in a component: with the landmarks of old ones that it shows,
        adjusted, and the loop closed that was found at the keyframe before."""
        with self._stages.of("loops"):
            found = self.loops.search.take()
        ids, pixels = self._with_old_landmarks(at, component)
        with self._stages.of("map"):
            ids, pixels = self.mapper.add_keyframe(at.view, at.T_world_cam, ids, pixels, component)
            k = len(self.map.keyframes) - 1
            self.provisional.at_keyframe(k)
        with self._stages.of("loops"):
            if self.loops.close(found) is not None:
                seen = self.map.observed[k]
                ids, pixels = seen.ids, seen.pixels.astype(np.float32)
                component = self.map.keyframes[k].component_id
        return Mapped(k, ids, pixels, component)

    def _with_old_landmarks(self, at: TrackState, component: int) -> tuple[Ids, Pixels]:
        """Landmarks that are followed, and those of old keyframes at the same place, which tie the new one to them."""
        before = len(self.map.keyframes) - self.loops.config.min_gap
        if before <= 0 or not self.loops.config.is_on:
            return at.ids, at.pixels
        with self._stages.of("back"):
            seen = self.nearby.look_back(at.view, self.mapper.camera, at.T_world_cam, component, before)
        return (at.ids, at.pixels) if seen is None else with_more(at.ids, at.pixels, seen.ids, seen.pixels)
