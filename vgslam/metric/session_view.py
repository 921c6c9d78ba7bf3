"""The frames and keyframes of one session of a map, numbered as in its source."""

from dataclasses import dataclass

import numpy as np

from vgslam.errors import InputError
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Keyframe, PoseEstimate


@dataclass(frozen=True)
class SessionView:
    """One session (by default the newest) of a map."""

    slam_map: SlamMap
    session: int = -1

    @property
    def first_frame_id(self) -> int:
        """Id in the map of the session's frame 0."""
        sessions = self.slam_map.sessions
        return sessions[self.session].first_frame_id if sessions else 0

    def posed_frame(self, number: int) -> tuple[PoseEstimate, Array]:
        """A frame, by its number in the source, and T_world_cam (4,4). Raises InputError without one."""
        wanted = number + self.first_frame_id
        frames = self.slam_map.session_frames(self.session)
        frame = next((f for f in frames if f.frame_id == wanted), None)
        if frame is None:
            raise InputError(f"there is no frame {number}; the session has {len(frames)}, counted from 0")
        T = self.slam_map.pose_of(frame)
        if T is None:
            raise InputError(f"frame {number} has no pose ({frame.status}); name another frame")
        return frame, T

    def component_of(self, frame: PoseEstimate) -> int:
        """The component that a frame with a pose belongs to."""
        return self.slam_map.keyframes[frame.ref_id].component_id

    def keyframes(self, component: int | None = None) -> list[Keyframe]:
        """The keyframes that the session added, of one component or of all."""
        begin = self.first_frame_id
        sessions = self.slam_map.sessions
        later = [s.first_frame_id for s in sessions if s.first_frame_id > begin]
        end = min(later, default=np.inf)
        return [
            k for k in self.slam_map.keyframes
            if begin <= k.frame_id < end and (component is None or k.component_id == component)
        ]  # fmt: skip

    def components(self) -> list[int]:
        """Components in which the session has keyframes, ascending."""
        return sorted({k.component_id for k in self.keyframes()})
