"""What is watched for beside the tracking: parts of the image that never move, things that do, a lens that zooms."""

from vgslam.frontend.moving_evidence import Departure
from vgslam.frontend.moving_note import MovingNote
from vgslam.frontend.static_watch import StaticWatch
from vgslam.frontend.tracker import Tracker, TrackResult, View
from vgslam.frontend.zoom_check import ZoomWatch
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap


class Watches:
    """Looks at every frame of a run, and adds to its `notes`; first_frame_id: id of the run's first frame, from which
    the notes count. is_localizing: the map stays as it is."""

    def __init__(
        self, tracker: Tracker, slam_map: SlamMap, notes: list[str], first_frame_id: int, is_localizing: bool
    ) -> None:
        self.static = StaticWatch(tracker, slam_map, notes, first_frame_id, is_localizing)
        self._tracker, self._map, self._first = tracker, slam_map, first_frame_id
        self._moving = MovingNote(notes)
        self._zoom = ZoomWatch(tracker, notes)

    def take_camera(self, camera: Camera) -> None:
        """Go on with another calibration."""
        self._zoom.take_camera()

    def see(self, view: View, may_change_map: bool) -> None:
        """Take the next frame, before it is tracked; as `StaticWatch.see`."""
        self.static.see(view, may_change_map)

    def tracked(self, view: View, result: TrackResult) -> None:
        """Take what tracking made of it."""
        moving = self._tracker.moving
        if moving.departure is not None:
            self._moving.see(view.frame_id - self._first, moving.share(view.frame_id), moving.departure)
        if not result.is_lost:
            self._zoom.see(view.frame_id - self._first, result)

    def finish(self) -> None:
        """Every frame has its final pose: what was said along the way is looked at once more."""
        self._moving.check(self._is_seen)

    def _is_seen(self, departure: Departure) -> bool | None:
        frames = self._map.frames[departure.frame_a], self._map.frames[departure.frame_b]
        T_a, T_b = (self._map.pose_of(frame) for frame in frames)
        if T_a is None or T_b is None or frames[0].component_id != frames[1].component_id:
            return None
        return departure.is_seen(self._tracker.camera, se3.inverse(T_b) @ T_a)
