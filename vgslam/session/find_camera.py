"""The camera of a run: the source's, the one that is given, the map's, or an estimate."""

from vgslam.errors import ConfigError
from vgslam.interfaces import FrameSource
from vgslam.session.choose_camera import camera_with_fov, estimated_camera
from vgslam.session.self_calibration import CalibrationEstimate
from vgslam.session.tracking_args import TrackingArgs
from vgslam.types import Camera


def find_camera(
    args: TrackingArgs, source: FrameSource, of_map: Camera | None
) -> tuple[Camera, CalibrationEstimate | None]:
    """The source's camera, or one with the given field of view, or that of the map, or with the estimated field."""
    if source.camera is not None:
        if args.fov_deg is not None:
            raise ConfigError("the source is calibrated already; leave --fov-deg out or give another --calib")
        return source.camera, None
    if args.fov_deg is not None:
        return camera_with_fov(source, args.fov_deg), None
    if of_map is not None:
        print(f"no calibration: the map's camera is taken, field of view {of_map.fov_deg[0]:.1f} degrees")
        return of_map, None
    print("no calibration: estimating the field of view from the first frames (--calib or --fov-deg skips this)")
    estimate = estimated_camera(source, args.slam)
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
