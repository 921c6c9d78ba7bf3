"""The one main loop: the frames of a source, one after another, through the system."""

import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace

from vgslam import beside
from vgslam.errors import InputError
from vgslam.interfaces import FrameSource
from vgslam.refine.adjust import Watch
from vgslam.session.map_session import MapSession
from vgslam.session.read_ahead import read_ahead
from vgslam.session.stop_signals import StopSignals
from vgslam.sources.live import LiveSource
from vgslam.sources.source import RecordedSource
from vgslam.system import SlamSystem
from vgslam.two_lanes import TwoLaneSystem
from vgslam.types import Camera, Frame, PoseEstimate


@dataclass(frozen=True)
class Tracked:
    """A frame and its first result."""

    frame: Frame  # the frame as its source gave it
    estimate: PoseEstimate  # its first estimate; the id there is that in the map
    arrived_s: float  # when it came, or when its turn came, on the monotonic clock
    took_s: float  # how long the system worked on it


SWITCH_S = 0.0005
"""How long Python lets a thread run while another waits, if there are two lanes: the longest that a step of tracking
waits while mapping computes. The usual 5 ms, several times a frame, are more than tracking itself takes."""
Follower = Callable[[Tracked], None]


class MainLoop:
    """Takes the frames of a source through the system, as a part of a map session: what `vgslam run`, `vgslam live` and
    `Slam.open` have in common."""

    def __init__(
        self, source: FrameSource, slam: SlamSystem, map_session: MapSession, signals: StopSignals | None = None
    ) -> None:
        self.source, self.slam, self.map_session = source, slam, map_session
        if source.n_frames is not None:
            slam.expect(source.n_frames)
        self.signals = signals or StopSignals()

    @property
    def live(self) -> LiveSource | None:
        """The source, if it is one that does not wait."""
        return self.source if isinstance(self.source, LiveSource) else None

    def run(self, *followers: Follower) -> Iterator[Tracked]:
        """Process the source's frames, tell the followers of each in this order, and yield it. Ctrl-C waits until the
        followers are through (see `StopSignals`). Raises InputError for a frame that is not of the camera's size, and
        whatever the source and followers raise."""
        with self._two_lanes(), self._frames() as frames:
            for frame in frames:
                check_size(frame, self.slam.tracker.camera.of_frames)
                with self.signals.held():
                    tracked = self._track(frame)
                    for follow in followers:
                        follow(tracked)
                yield tracked
            self.close()  # frames that come while the map is finished are nobody's

    def _frames(self) -> AbstractContextManager[Iterable[Frame]]:
        """The source's frames; those of a recording are read ahead where there is a second core."""
        if isinstance(self.source, RecordedSource) and beside.is_allowed():
            return read_ahead(self.source, self.slam.tracker.prepare)
        return nullcontext(self.source)

    @contextmanager
    def _two_lanes(self) -> Iterator[None]:
        """End the second lane with the block, however that ends. An error of the lane is raised here, unless the block
        was ended by something else."""
        slam = self.slam
        if not isinstance(slam, TwoLaneSystem):
            yield
            return
        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        try:
            yield
            with self.map_session.changing():
                slam.rest()
        except BaseException:
            self._rest_quietly(slam)
            raise
        finally:
            sys.setswitchinterval(interval_s)

    def _rest_quietly(self, slam: TwoLaneSystem) -> None:
        """Wait for the second lane, after something else has failed."""
        try:
            slam.rest()
        except Exception:
            self.map_session.is_whole = False

    def _track(self, frame: Frame) -> Tracked:
        began_s = time.monotonic()
        with self.map_session.changing():
            if frame.name is not None:
                self.slam.map.image_names[self.slam.next_frame_id] = frame.name
            estimate = self.slam.process(replace(frame, id=self.slam.next_frame_id))
        arrived_s = began_s if self.live is None else self.live.arrived_s
        return Tracked(frame, estimate, arrived_s, time.monotonic() - began_s)

    def finish(self, say: Callable[[str], None] | None = None) -> None:
        """Finish the map. Ctrl-C, also a second one after the frames were ended by it, ends the adjustment of the whole
        map and leaves the map as it was before. After SIGTERM the adjustment does not begin: whoever sends that does
        not wait for long."""
        is_in_a_hurry = self.signals.first is signal.SIGTERM
        watch = Watch(say or (lambda line: None), lambda: is_in_a_hurry or self.signals.is_due, self.signals.anew)
        with self.signals.held(), self.map_session.changing():
            self.slam.finish(watch)
            if self.map_session.anchors:
                self.map_session.keep_world()

    def close(self) -> None:
        """End a source that does not end by itself; safe to call twice, and from within the loop."""
        if self.live is not None:
            self.live.close()


def check_size(frame: Frame, camera: Camera) -> None:
    """Raises InputError for a frame that is not of the camera's size."""
    h, w = frame.image.shape[:2]
    if (w, h) != (camera.width, camera.height):
        raise InputError(f"frame {frame.id} is {w}x{h}, the camera {camera.width}x{camera.height}")
