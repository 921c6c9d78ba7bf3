"""The camera of a ROS image topic: which camera_info belongs to it, and what that says."""

from typing import Any

from vgslam.errors import CalibrationError
from vgslam.guards.wording import one_line
from vgslam.sources.calibration import camera_from_document, with_projection
from vgslam.types import Camera

UNCALIBRATED = "camera_info says that the camera is not calibrated (zeros)"


def info_topics(topic: str) -> list[str]:
    """Where the camera_info of an image topic is, by the convention of image_transport: beside it, or one level higher
    (/cam/image_raw/compressed)."""
    levels = topic.split("/")
    return ["/".join([*levels[:n], "camera_info"]) for n in (len(levels) - 1, len(levels) - 2) if n > 0]


def is_rectified(topic: str) -> bool:
    """Whether the name says that the images are rectified, as image_rect_color[/compressed] does."""
    return any("rect" in level for level in topic.split("/")[-2:])


def camera_of_info(name: str, info: Any, topic: str, size_px: tuple[int, int]) -> Camera | None:
    """Camera of a CameraInfo message (fields K D P in ROS 1, k d p in ROS 2): K and distortion, or P where the images
    of the topic are rectified; None where it says that it is not calibrated. Raises CalibrationError."""
    try:
        K, D, P = (list(getattr(info, name, getattr(info, name.lower(), ()))) for name in ("K", "D", "P"))
        roi = {name: getattr(info.roi, name) for name in ("x_offset", "y_offset", "width", "height")}
        document = {"width": info.width, "height": info.height, "K": K, "D": D, "roi": roi}
        camera = camera_from_document({**document, "distortion_model": info.distortion_model}, size_px)
        if camera is None or not is_rectified(topic) or not any(P):
            return camera
        is_region = (camera.width, camera.height) != (info.width, info.height)
        return with_projection(camera, P, (roi["x_offset"], roi["y_offset"]) if is_region else (0.0, 0.0))
    except ValueError as err:
        raise CalibrationError(f"{name}, camera_info: {err}; give --calib") from err
    except (AttributeError, TypeError, IndexError) as err:  # a message says itself what it holds
        reason = one_line(str(err))[:200] or type(err).__name__
        raise CalibrationError(f"{name}, camera_info: is no calibration ({reason}); give --calib") from err
