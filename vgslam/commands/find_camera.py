"""The camera of a run: the source's, the one that is given, the map's, or an estimate."""

from collections.abc import Iterator
from itertools import islice

from vgslam.commands.tracking_args import TrackingArgs
from vgslam.errors import ConfigError, InputError
from vgslam.interfaces import FrameSource
from vgslam.self_calibration import CalibrationEstimate, estimate_camera
from vgslam.sources.live import LiveSource
from vgslam.types import Camera, Frame, Trajectory

N_FRAMES, MAX_BYTES = 150, 300 * 2**20
"""Of a live source, kept for the estimate: it cannot be played twice."""


def find_camera(
    args: TrackingArgs, source: FrameSource, of_map: Camera | None, title: str
) -> tuple[Camera, CalibrationEstimate | None]:
    """The source's camera, or one with the given field of view, or that of the map, or with the estimated field."""
    if source.camera is not None:
        if args.fov_deg is not None:
            raise ConfigError("the source is calibrated already; leave --fov-deg out or give another --calib")
        return source.camera, None
    if args.fov_deg is not None:
        if not 5.0 < args.fov_deg < 170.0:
            raise ConfigError(f"--fov-deg must be between 5 and 170 degrees, got {args.fov_deg}")
        w, h = _size(source, title)
        return Camera.from_fov(w, h, args.fov_deg), None
    if of_map is not None:
        print(f"no calibration: the map's camera is taken, field of view {of_map.fov_deg[0]:.1f} degrees")
        return of_map, None
    print("no calibration: estimating the field of view from the first frames (--calib or --fov-deg skips this)")
    estimate = estimate_camera(_again_and_again(source), args.slam)
    note = "" if estimate.is_reliable else "; the motion does not determine it well, a calibration would help"
    print(f"field of view {estimate.camera.fov_deg[0]:.1f} degrees, +- {estimate.sigma_deg:.1f}{note}")
    return estimate.camera, estimate


def describe_camera(camera: Camera, estimated: CalibrationEstimate | None) -> dict[str, object]:
    """The camera for the report."""
    described: dict[str, object] = {
        "fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy, "width": camera.width,
        "height": camera.height, "fov_x_deg": camera.fov_deg[0], "is_estimated": estimated is not None,
    }  # fmt: skip
    if estimated is not None:
        described["fov_sigma_deg"] = estimated.sigma_deg
        described["is_reliable"] = estimated.is_reliable
    return described


def _size(source: FrameSource, title: str) -> tuple[int, int]:
    if isinstance(source, LiveSource):
        return source.open()
    first = next(iter(source), None)
    if first is None:
        raise InputError(f"{title}: no frame could be read")
    h, w = first.image.shape[:2]
    return w, h


def _again_and_again(source: FrameSource) -> FrameSource:
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
