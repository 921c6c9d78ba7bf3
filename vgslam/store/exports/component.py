"""The part of a map that goes into an export: one component, in its own frame of reference."""

from dataclasses import dataclass

import numpy as np

from vgslam.errors import InputError
from vgslam.map.slam_map import SlamMap
from vgslam.map.world import World
from vgslam.types import Array, Ids, Keyframe, Trajectory


@dataclass(frozen=True)
class Component:
    """One component of a map: components do not share a frame of reference, so that an export holds one."""

    slam_map: SlamMap
    id: int

    @staticmethod
    def of(slam_map: SlamMap, component_id: int | None = None) -> "Component":
        """The component with that id, or the one with most keyframes. Raises InputError when there is none."""
        ids, counts = np.unique([k.component_id for k in slam_map.keyframes], return_counts=True)
        if not len(ids):
            raise InputError("the map is empty: there is nothing to export")
        if component_id is None:
            return Component(slam_map, int(ids[np.argmax(counts)]))
        if component_id not in ids:
            raise InputError(f"the map has no component {component_id}; it has {', '.join(map(str, ids.tolist()))}")
        return Component(slam_map, component_id)

    @property
    def world(self) -> World:
        """What is known about its frame of reference."""
        return self.slam_map.world_of(self.id)

    @property
    def keyframes(self) -> list[Keyframe]:
        return [k for k in self.slam_map.keyframes if k.component_id == self.id]

    def trajectory(self, session: int | None = None) -> Trajectory:
        """Poses of the component's frames of one session, which may be left out where there is only one.

        Raises InputError when it is needed or does not exist, or has no pose in the component.
        """
        n = max(1, len(self.slam_map.sessions))
        if session is None and n > 1:
            raise InputError(f"the map has {n} sessions, whose times may overlap: choose one with --session 0..{n - 1}")
        if session is not None and not 0 <= session < n:
            raise InputError(f"the map has no session {session}; they count from 0 to {n - 1}")
        whole = self.slam_map.trajectory(session or 0)
        keyframes = self.slam_map.keyframes
        frames = [f for f in self.slam_map.session_frames(session or 0) if f.T_ref_cam is not None]
        mine = np.array([keyframes[f.ref_id].component_id == self.id for f in frames], bool)
        if not mine.any():
            raise InputError(f"session {session or 0} has no pose in component {self.id}")
        return Trajectory(
            whole.timestamps_s[mine], whole.T_world_cam[mine], whole.frame_ids[mine], whole.component_ids[mine],
            self.world.is_metric,
        )

    def landmark_ids(self, max_rel_sigma: float = 0.1) -> Ids:
        """Triangulated landmarks whose depth is known to better than max_rel_sigma."""
        marks = self.slam_map.landmarks
        component = np.array([k.component_id for k in self.slam_map.keyframes], np.int64)
        sure = marks.is_triangulated & (marks.rel_sigma < max_rel_sigma)
        return np.flatnonzero(sure & (component[marks.host] == self.id)) if len(marks) else np.zeros(0, np.int64)

    def landmarks(self) -> tuple[Array, np.ndarray]:
        """Positions (n,3) in the component's frame and colours (n,3) of `landmark_ids`."""
        ids = self.landmark_ids()
        return self.slam_map.landmarks_world(ids), self.slam_map.landmarks.color[ids]
