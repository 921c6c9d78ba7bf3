"""The camera of a source: its own, one with a given field of view, the map's, or an estimate."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from vgslam.errors import ConfigError, InputError
from vgslam.interfaces import FrameSource
from vgslam.session.self_calibration import CalibrationEstimate, estimate_camera
from vgslam.slam_config import SlamConfig
from vgslam.sources.live import LiveSource
from vgslam.sources.source import RecordedSource
from vgslam.types import Camera, Frame, Trajectory

N_FRAMES, MAX_BYTES = 150, 300 * 2**20
"""Most frames and bytes of a live source that are kept for the estimate: it cannot be played twice."""


def choose_camera(
    source: FrameSource, fov_deg: float | None, of_map: Camera | None, config: SlamConfig, say: Callable[[str], None]
) -> tuple[Camera, CalibrationEstimate | None]:
    """The source's camera, or one with the given field of view (degrees), or that of the map, or with the estimated
    field; with the estimate, if that is what it is. Raises ConfigError for a field of view beside a calibration, and
    errors as `camera_with_fov`."""
    if source.camera is not None:
        if fov_deg is not None:
            raise ConfigError("the source is calibrated already; leave --fov-deg out or give another --calib")
        return source.camera, None
    if fov_deg is not None:
        return camera_with_fov(source, fov_deg), None
    why = "no calibration"
    if isinstance(source, RecordedSource | LiveSource) and source.uncalibrated is not None:
        why = source.uncalibrated
    if of_map is not None:
        say(f"{why}: the map's camera is taken, field of view {of_map.fov_deg[0]:.1f} degrees")
        return of_map, None
    say(f"{why}: estimating the field of view from the first frames (--calib or --fov-deg skips this)")
    estimate = estimated_camera(source, config)
    say(in_words(describe_camera(estimate.camera, estimate)))
    return estimate.camera, estimate


def in_words(described: dict[str, Any]) -> str:
    """A line on an estimated camera, as `describe_camera` has it: its field of view, and how sure it is."""
    note = "" if described["is_reliable"] else "; the motion does not determine it well, a calibration would help"
    bent = f", radial distortion {described['removed_k1']:.3f}" if described["removed_k1"] else ""
    return f"field of view {described['fov_x_deg']:.1f} degrees, +- {described['fov_sigma_deg']:.1f}{bent}{note}"


def describe_camera(camera: Camera, estimated: CalibrationEstimate | None) -> dict[str, Any]:
    """The camera for the report."""
    described: dict[str, Any] = {
        "fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy, "width": camera.width,
        "height": camera.height, "fov_x_deg": camera.fov_deg[0], "is_estimated": estimated is not None,
    }  # fmt: skip
    if estimated is not None:
        described["fov_sigma_deg"] = estimated.sigma_deg
        described["is_reliable"] = estimated.is_reliable
        described["removed_k1"] = camera.removed_k1
    return described


def camera_with_fov(source: FrameSource, fov_deg: float) -> Camera:
    """Camera with a horizontal field of view (degrees) for the source's images. Raises ConfigError for one out of
    range, InputError when no frame can be read."""
    if not 5.0 < fov_deg < 170.0:
        raise ConfigError(f"the field of view must be between 5 and 170 degrees, got {fov_deg}")
    return Camera.from_fov(*frame_size(source), fov_deg)


def frame_size(source: FrameSource) -> tuple[int, int]:
    """(width, height) of a source's frames. Raises InputError when no frame can be read."""
    if isinstance(source, LiveSource) and source.recorded is None:
        return source.open()
    first = next(iter(_recorded(source)), None)
    if first is None:
        raise InputError(f"{source.name}: no frame could be read")
    height, width = first.image.shape[:2]
    return width, height


def calibrate(source: FrameSource, recorded: Camera, say: Callable[[str], None]) -> None:
    """Take the distortion of the camera that made the map out of a recording's images that nothing calibrates."""
    if isinstance(source, RecordedSource) and (recorded.is_distorted or recorded.is_fisheye):
        source.calibrate(recorded)
        say("no calibration: that of the camera that made the map is taken, with its distortion")


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
