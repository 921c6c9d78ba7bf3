"""Frames of a live source: captured on a thread, handed out while they are new, the others counted."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2

from vgslam.errors import InputError, VgslamError
from vgslam.interfaces import FrameSource
from vgslam.sources.calibration import doubts, fit_to_image, read_calibration
from vgslam.sources.live_queue import FrameQueue, Waiting
from vgslam.sources.recording import BadImageError, Pixels
from vgslam.sources.source import RecordedSource
from vgslam.sources.undistort import Undistorter
from vgslam.types import Camera, Frame, Trajectory

FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 5.0


@dataclass(frozen=True)
class LiveImage:
    """An image as it arrives."""

    load: Callable[[], Pixels]
    """Decodes it to (H,W) grey or (H,W,3) RGB."""
    source_s: float | None = None
    """Its time by the source's clock; None without one."""
    is_absolute: bool = False
    notes: tuple[str, ...] = ()
    """Lines for the person on the stream up to here."""
    stamp_ns: int | None = None
    """The stamp that the image came with, to the nanosecond; None without one."""


Feed = Callable[[], Iterator[LiveImage]]
"""Connects and yields images until the stream ends. Raises InputError when it cannot connect or the stream breaks, and
NobodyYetError to be called again."""


class BrokenOffError(InputError):
    """A stream broke off, and did not come back."""


@runtime_checkable
class OwnCamera(Protocol):
    """A feed that also says what camera its images are from, and is told when no more of them are wanted."""

    @property
    def uncalibrated(self) -> str | None:
        """Why `camera` is None, in words; None where nothing is known."""
        ...

    def camera(self, width: int, height: int) -> Camera | None:
        """The camera of images of this size; None where it is not known. Raises CalibrationError."""
        ...

    def close(self) -> None: ...


class NobodyYetError(InputError):
    """A feed that waits for others to connect has waited in vain so far, and may wait on."""


@dataclass(frozen=True)
class LiveOptions:
    """How a live source is read, and when it ends."""

    calib: Path | None = None
    """Calibration file."""
    keep_all: bool = False
    """The capture waits for the tracker instead of dropping frames."""
    give_up_s: float = 60.0
    """How long to try to reconnect to a stream that once gave frames, in s; with 0 it ends when the connection does."""
    max_frames: int | None = None
    """An iteration ends after this many frames."""
    duration_s: float | None = None
    """An iteration ends after this time, in s."""
    truth: Trajectory | None = None
    """The reference trajectory of the camera, on the clock of the stream."""
    stream: int | None = None
    """Number of the video stream in an address or a pipe that has several; by default that with the largest images."""


@dataclass(frozen=True)
class _Stamped:
    image: LiveImage
    timestamp_s: float


_Arrived = Waiting[_Stamped]


class LiveSource:
    """A FrameSource over a Feed. Capture begins with the first use; `close` ends it.

    A few frames wait for their turn; a reader that is slower than the stream goes on with the newest (`live_queue`),
    and `dropped` counts the others by reason. Iterating again goes on with the stream, with ids from 0. A stream that
    broke off and did not come back ends with BrokenOffError.
    """

    n_frames: int | None = None
    arrived_s: float
    """Monotonic time at which the frame that was handed out last arrived."""
    recorded: FrameSource | None
    """The recording that is played, if any; camera, truth and warnings are its own then."""

    def __init__(
        self, kind: str, name: str, feed: Feed, options: LiveOptions | None = None,
        wait: Callable[[float], object] | None = None, now: Callable[[], float] = time.monotonic,
        recorded: FrameSource | None = None,
    ) -> None:  # fmt: skip
        """wait and now: the clock, which tests replace."""
        options = options or LiveOptions()
        self.kind, self.name, self.recorded = kind, name, recorded
        self.camera: Camera | None = recorded.camera if recorded else None
        self.truth: Trajectory | None = recorded.truth if recorded else options.truth
        self.warnings: list[str] = recorded.warnings if recorded else []
        self.n_reconnects = self.n_damaged = 0
        self.arrived_s = 0.0
        self._feed, self._options = feed, options
        self._now = now
        self._queue: FrameQueue[_Stamped] = FrameQueue(options.keep_all, now)
        self._error: VgslamError | None = None
        self._stop = threading.Event()
        self._wait = wait or self._stop.wait
        self._thread: threading.Thread | None = None
        self.undistorter: Undistorter | None = None
        self.recorded_camera: Camera | None = None
        self.uncalibrated: str | None = recorded.uncalibrated if isinstance(recorded, RecordedSource) else None

    @property
    def n_captured(self) -> int:
        """Frames that have arrived."""
        return self._queue.n_put

    @property
    def keeps_all(self) -> bool:
        """Whether the capture waits for the reader, so that no frame is dropped."""
        return self._options.keep_all

    @property
    def dropped(self) -> dict[str, int]:
        """Frames that arrived and were never worked on, by reason (`live_queue.Drop`)."""
        return {str(why): n for why, n in sorted(self._queue.dropped.items())}

    @property
    def n_dropped(self) -> int:
        """All of `dropped`."""
        return self._queue.dropped.total()

    def open(self) -> tuple[int, int]:
        """Wait for the first image, which is handed out again; returns its width and height, and sets `camera` where it
        is known. Raises InputError when there is no image, CalibrationError; whatever is raised, the capture has ended
        then."""
        try:
            return self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> tuple[int, int]:
        while True:
            arrived = self._take()
            if arrived is None:
                raise self._error or InputError(f"{self.name}: the stream ended before its first image")
            image = self._load(arrived)
            if image is not None:
                break
        self._queue.give_back(arrived)
        height, width = image.shape[:2]
        if self.camera is None:
            self._calibrate(width, height)
        return width, height

    def __iter__(self) -> Iterator[Frame]:
        n, began_s = 0, self._now()
        while not self._is_enough(n, began_s):
            arrived = self._take()
            if arrived is None:
                if self._error is not None:
                    raise self._error
                return
            image = self._load(arrived)
            if image is None:
                continue
            self.arrived_s = arrived.arrival_s
            pixels = image if self.undistorter is None else self.undistorter(image)
            yield Frame(n, arrived.item.timestamp_s, pixels, stamp_ns=arrived.item.image.stamp_ns)
            n += 1

    def _is_enough(self, n: int, began_s: float) -> bool:
        """Whether an iteration that has given n frames since began_s is at its end."""
        o = self._options
        if o.duration_s is not None and self._now() - began_s >= o.duration_s:
            return True
        return o.max_frames is not None and n >= o.max_frames

    def close(self) -> None:
        """End the capture; safe to call twice."""
        self._stop.set()
        self._queue.end()
        if isinstance(self._feed, OwnCamera):
            self._feed.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=2.0)

    def _calibrate(self, width: int, height: int) -> None:
        """Take the camera of the calibration file, or else what the feed knows."""
        if self._options.calib is not None:
            camera = read_calibration(self._options.calib, (width, height), self.warnings.append, is_chosen=True)
            self.uncalibrated = None if camera else f"{self._options.calib} holds a camera that is not calibrated"
        elif isinstance(self._feed, OwnCamera):
            camera = self._feed.camera(width, height)
            self.uncalibrated = None if camera else self._feed.uncalibrated
        else:
            return
        if camera is None:
            return
        camera, warning = fit_to_image(camera, width, height)
        self.warnings += [*([warning] if warning else []), *doubts(camera)]
        self.recorded_camera = camera
        if camera.is_distorted or camera.is_fisheye:
            self.undistorter = Undistorter(camera)
            camera = self.undistorter.camera
        self.camera = camera

    def _load(self, arrived: _Arrived) -> Pixels | None:
        try:
            image = arrived.item.image.load()
        except BadImageError:
            self.n_damaged += 1
            return None
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image

    def _take(self) -> _Arrived | None:
        """The next image, as soon as there is one; None at the end."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._capture, name="capture", daemon=True)
            self._thread.start()
        return self._queue.take()

    def _capture(self) -> None:
        """The capture thread: connect, read, and connect again, waiting longer each time."""
        try:
            self._connect_and_read()
        except VgslamError as error:
            self._error = error
        except Exception as error:
            self._error = InputError(f"{self.name}: the capture broke down ({type(error).__name__}: {error})")
        self._queue.end()

    def _connect_and_read(self) -> None:
        clock = LiveClock()
        wait_s, last_s, is_broken = FIRST_WAIT_S, self._now(), False
        while not self._stop.is_set():
            reason, is_broken_off = "the stream ended", False
            try:
                for image in self._feed():
                    if self._stop.is_set():
                        return
                    if is_broken:
                        clock.reconnected()
                        self.n_reconnects, is_broken = self.n_reconnects + 1, False
                    last_s, wait_s = self._now(), FIRST_WAIT_S
                    self.warnings += [line for line in image.notes if line not in self.warnings]
                    stamp_s = clock.stamp(image.source_s, time.time(), image.is_absolute)
                    self._queue.put(_Stamped(image, stamp_s), last_s)
            except NobodyYetError:
                self._wait(FIRST_WAIT_S)
                continue
            except InputError as error:
                if not self.n_captured:
                    raise
                if self._stop.is_set():
                    return
                reason, is_broken_off = str(error), True
            if not self._tries_again(reason, is_broken_off, is_broken, last_s):
                return
            is_broken = True
            self._wait(wait_s)
            wait_s = min(2.0 * wait_s, LONGEST_WAIT_S)

    def _tries_again(self, reason: str, is_broken_off: bool, was_broken: bool, last_s: float) -> bool:
        """Whether to connect again after a connection that ended. Raises BrokenOffError for one that broke off and is
        given up."""
        give_up_s = self._options.give_up_s
        if give_up_s <= 0 and is_broken_off:
            raise BrokenOffError(f"after {self.n_captured} frames: {reason}")
        if not self.n_captured or give_up_s <= 0:
            return False
        if not was_broken:
            self.warnings.append(f"after {self.n_captured} frames: {reason}; trying to connect again")
        if self._now() - last_s > give_up_s:
            raise BrokenOffError(
                f"{self.name}: no frame for {give_up_s:g} s after {self.n_captured} frames: given up ({reason})"
            )
        return True


SMALLEST_STEP_S = 1e-6
AHEAD_S = 60.0
"""A clock that gains this much on the time of arrival from one frame to the next is wrong: streams buffer for less."""


class LiveClock:
    """Strictly increasing timestamps over any number of connections of one stream. A source that tells the time of day
    (`is_absolute`) is trusted; one that counts from its own zero (pts) runs on from the arrival of the connection's
    first frame. A clock that runs backwards, or ahead by more than AHEAD_S, is put at the time of arrival again: one
    wild stamp moves no other."""

    def __init__(self) -> None:
        self._offset_s: float | None = None
        self._last_s = float("-inf")
        self._last_arrival_s = 0.0
        self._has_begun = False

    def reconnected(self) -> None:
        """The next frame comes from a new connection."""
        self._offset_s = None

    def stamp(self, source_s: float | None, arrival_s: float, is_absolute: bool = False) -> float:
        """Time (s) of a frame that arrived at arrival_s (s, the same epoch for all frames)."""
        if source_s is None:
            time_s = arrival_s
        else:
            if self._offset_s is None:
                self._offset_s = 0.0 if is_absolute else arrival_s - source_s
            time_s = source_s + self._offset_s
            waited_s = max(arrival_s - self._last_arrival_s, SMALLEST_STEP_S)
            is_ahead = self._has_begun and time_s - self._last_s > waited_s + AHEAD_S
            if time_s <= self._last_s or is_ahead:
                self._offset_s = self._last_s + waited_s - source_s
                time_s = source_s + self._offset_s
        self._last_s = max(time_s, self._last_s + SMALLEST_STEP_S)
        self._last_arrival_s, self._has_begun = arrival_s, True
        return self._last_s
