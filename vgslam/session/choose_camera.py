"""The camera of frames that come without a calibration: from a field of view, or estimated."""

from collections.abc import Iterator
from itertools import islice

from vgslam.errors import ConfigError, InputError
from vgslam.interfaces import FrameSource
from vgslam.session.self_calibration import CalibrationEstimate, estimate_camera
from vgslam.slam import SlamConfig
from vgslam.sources.live import LiveSource
from vgslam.types import Camera, Frame, Trajectory

N_FRAMES, MAX_BYTES = 150, 300 * 2**20
"""Of a live source, kept for the estimate: it cannot be played twice."""


def camera_with_fov(source: FrameSource, fov_deg: float) -> Camera:
    """Camera with a horizontal field of view (degrees) for the source's images. Raises ConfigError for one out of
    range, InputError when no frame can be read."""
    if not 5.0 < fov_deg < 170.0:
        raise ConfigError(f"the field of view must be between 5 and 170 degrees, got {fov_deg}")
    if isinstance(source, LiveSource) and source.recorded is None:
        width, height = source.open()
        return Camera.from_fov(width, height, fov_deg)
    first = next(iter(_recorded(source)), None)
    if first is None:
        raise InputError(f"{source.name}: no frame could be read")
    height, width = first.image.shape[:2]
    return Camera.from_fov(width, height, fov_deg)


def estimated_camera(source: FrameSource, config: SlamConfig) -> CalibrationEstimate:
    """Field of view estimated from the first frames; those of a live source are used up. Errors as
    `estimate_camera`."""
    return estimate_camera(_recorded(source), config)


def _recorded(source: FrameSource) -> FrameSource:
    """The frames in a form that can be played several times."""
    if not isinstance(source, LiveSource):
        return source
    return source.recorded or FirstFrames(source)


class FirstFrames:
    """The first frames of a live source (up to 150, or 300 MiB), kept: a FrameSource that plays them as often as one
    likes."""

    kind = "first frames"
    camera: Camera | None = None
    truth: Trajectory | None = None

    def __init__(self, source: LiveSource) -> None:
        w, h = source.open()
        n = max(30, min(N_FRAMES, MAX_BYTES // (3 * w * h)))
        self.name, self.warnings = source.name, source.warnings
        self._frames = list(islice(iter(source), n))
        self.n_frames: int | None = len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)
