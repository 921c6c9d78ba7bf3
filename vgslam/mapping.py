"""A new keyframe from beginning to end: what ties it to old ones, its place in the map, the loops that it closes."""

from dataclasses import dataclass

import numpy as np

from vgslam.frontend.features import Pixels
from vgslam.frontend.network_role import NetworkRole
from vgslam.frontend.reference import with_more
from vgslam.frontend.tracker import View
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.closing import LoopCloser
from vgslam.reloc.relocalizer import Relocalizer
from vgslam.stage_clock import StageClock
from vgslam.types import Array, Ids


@dataclass(frozen=True)
class Due:
    """A view that becomes a keyframe of a component: its pose (4,4), and landmarks ids (n,) seen at pixels (n,2)."""

    view: View
    T_world_cam: Array
    ids: Ids
    pixels: Pixels
    component_id: int


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
        self, slam_map: SlamMap, role: NetworkRole, relocalizer: Relocalizer, loops: LoopCloser, stages: StageClock
    ) -> None:
        self.map, self.relocalizer, self.loops = slam_map, relocalizer, loops
        self.mapper, self._role, self._stages = role.mapper, role, stages

    def __call__(self, due: Due) -> Mapped:
        """The keyframe, with the landmarks of old ones that it shows, adjusted, and its loop closed if it has one."""
        view, component = due.view, due.component_id
        ids, pixels = self._with_old_landmarks(due)
        with self._stages.of("map"):
            ids, pixels = self.mapper.add_keyframe(view, due.T_world_cam, ids, pixels, component)
            k = len(self.map.keyframes) - 1
            self._role.at_keyframe(k)
        with self._stages.of("loops"):
            if self.loops.at_keyframe(k) is not None:
                seen = self.map.observed[k]
                ids, pixels = seen.ids, seen.pixels.astype(np.float32)
                component = self.map.keyframes[k].component_id
        return Mapped(k, ids, pixels, component)

    def _with_old_landmarks(self, due: Due) -> tuple[Ids, Pixels]:
        """Landmarks that are followed, and those of old keyframes at the same place, which tie the new one to them."""
        before = len(self.map.keyframes) - self.loops.config.min_gap
        if before <= 0 or not self.loops.config.is_on:
            return due.ids, due.pixels
        with self._stages.of("back"):
            seen = self.relocalizer.look_back(
                due.view, self.mapper.camera, due.T_world_cam, due.component_id, before
            )
        return (due.ids, due.pixels) if seen is None else with_more(due.ids, due.pixels, seen.ids, seen.pixels)
