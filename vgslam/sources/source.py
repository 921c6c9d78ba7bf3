"""The frame source that every format ends in: selection, decoding, checks, undistortion."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import cv2

from vgslam.errors import InputError
from vgslam.sources.options import SourceOptions
from vgslam.sources.recording import BadImageError, Pixels, RawImage, Recording
from vgslam.sources.undistort import Undistorter
from vgslam.types import Camera, Frame, Trajectory


class RecordedSource:
    """Frames of a recording; see `vgslam.interfaces.FrameSource`."""

    def __init__(
        self, recording: Recording, distorted: Camera | None, options: SourceOptions, folder: Path = Path()
    ) -> None:  # fmt: skip
        """distorted: calibration of the images as they were recorded, already of their resolution."""
        self.kind: str = recording.kind
        self.name: str = recording.name
        self.truth: Trajectory | None = recording.truth
        self.warnings: list[str] = recording.warnings
        """What went wrong, images that were skipped while iterating among it."""
        self.n_frames: int | None = None if recording.n_images is None else options.count(recording.n_images)
        """The images selected, skipped ones included."""
        self.folder: Path = folder
        """Where the images lie."""
        self.uncalibrated: str | None = recording.uncalibrated
        """What says that the camera is not calibrated, in words; None where nothing does."""
        self.files: list[Path] = recording.files
        """The images, where they are files."""
        self._recording = recording
        self._left_out: frozenset[str] = frozenset()
        self._options = options
        self.take_camera(distorted)
        if self.n_frames == 0:
            raise InputError(f"{self.name}: start {options.start} is beyond its {recording.n_images} images")

    def take_camera(self, distorted: Camera | None) -> None:
        """Take the images to be those of this camera from now on, and give them out without its distortion."""
        self.camera: Camera | None = distorted
        self.recorded_camera: Camera | None = distorted
        self.undistorter: Undistorter | None = None
        if distorted is not None and (distorted.is_distorted or distorted.is_fisheye):
            self.undistorter = Undistorter(distorted)
            self.camera = self.undistorter.camera

    def __iter__(self) -> Iterator[Frame]:
        """Frames with ids from 0. Raises InputError at the end if none could be delivered."""
        n, latest_s = 0, float("-inf")
        for raw in self._selected():
            if not latest_s < raw.timestamp_s < float("inf"):
                self._recording.warnings.tally("timestamp duplicate or decreasing", raw.name)
                continue
            try:
                image = self._image(raw)
            except BadImageError as err:
                self._recording.warnings.tally(str(err), raw.name)
                continue
            yield Frame(n, raw.timestamp_s, image, self.camera, raw.name if self._recording.files else None)
            n, latest_s = n + 1, raw.timestamp_s
        if n == 0:
            reasons = "; ".join(self.warnings) or f"start {self._options.start} is beyond its end"
            raise InputError(f"{self.name}: not one frame could be read ({reasons})")

    def names_and_times(self) -> list[tuple[str, float]]:
        """Name and time in seconds of each image selected; none is decoded where they are files."""
        return [(raw.name, raw.timestamp_s) for raw in self._selected()]

    def _selected(self) -> Iterator[RawImage]:
        o = self._options
        wanted = (raw for raw in self._recording.stream() if raw.name not in self._left_out)
        return islice(islice(wanted, o.start, o.end, o.stride), o.max_frames)

    def leave_out(self, names: Iterable[str]) -> None:
        """Skip images of these names from now on."""
        self._left_out = frozenset(names)

    def _image(self, raw: RawImage) -> Pixels:
        """(H,W,3) RGB, undistorted. Raises BadImageError."""
        image = raw.load()
        width, height = self._recording.size
        if image.shape[:2] != (height, width):
            raise BadImageError(f"size differs from {width}x{height}")
        if self.undistorter is not None:
            image = self.undistorter(image)  # before grey is replicated: a third of the work
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image
