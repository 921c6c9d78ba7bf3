"""Pixels of ROS image messages (encodings as in sensor_msgs/image_encodings), and which camera_info belongs to them."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.errors import CalibrationError
from vgslam.guards.images import too_large
from vgslam.guards.wording import one_line
from vgslam.sources.calibration import camera_from_document, with_projection
from vgslam.sources.image_files import decode_image, to_8bit
from vgslam.sources.recording import BadImageError, Pixels
from vgslam.types import Camera

IMAGE, COMPRESSED, INFO = (f"sensor_msgs/msg/{name}" for name in ("Image", "CompressedImage", "CameraInfo"))
# Encoding -> (bits, channels, OpenCV colour conversion to RGB or None).
_ENCODINGS: dict[str, tuple[int, int, int | None]] = {
    "mono8": (8, 1, None),
    "8UC1": (8, 1, None),
    "mono16": (16, 1, None),
    "16UC1": (16, 1, None),
    "rgb8": (8, 3, None),
    "rgb16": (16, 3, None),
    "bgr8": (8, 3, cv2.COLOR_BGR2RGB),
    "8UC3": (8, 3, cv2.COLOR_BGR2RGB),
    "bgr16": (16, 3, cv2.COLOR_BGR2RGB),
    "16UC3": (16, 3, cv2.COLOR_BGR2RGB),
    "rgba8": (8, 4, cv2.COLOR_RGBA2RGB),
    "rgba16": (16, 4, cv2.COLOR_RGBA2RGB),
    "bgra8": (8, 4, cv2.COLOR_BGRA2RGB),
    "8UC4": (8, 4, cv2.COLOR_BGRA2RGB),
    "bgra16": (16, 4, cv2.COLOR_BGRA2RGB),
    "yuv422": (8, 2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": (8, 2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (8, 2, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": (8, 2, cv2.COLOR_YUV2RGB_YUY2),
    # OpenCV names a pattern by the second row's second and third pixel, ROS by the first two rows.
    "bayer_rggb8": (8, 1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": (8, 1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": (8, 1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": (8, 1, cv2.COLOR_BayerGB2RGB),
    "bayer_rggb16": (16, 1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr16": (16, 1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg16": (16, 1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg16": (16, 1, cv2.COLOR_BayerGB2RGB),
}


def stamp_ns_of(message: Any) -> int:
    """header.stamp of a message of ROS 1 or ROS 2 in ns."""
    return int(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)


def message_pixels(message: Any) -> Pixels:
    """Image or CompressedImage message -> (H,W) grey or (H,W,3) RGB uint8. Raises BadImageError."""
    try:
        return _pixels(message)
    except (cv2.error, AttributeError, TypeError, ValueError, OverflowError) as err:  # a bag says itself what is in it
        raise BadImageError(f"the message holds no image ({type(err).__name__})") from err


def _pixels(message: Any) -> Pixels:
    if hasattr(message, "format"):
        return decode_image(bytes(message.data))
    if message.encoding not in _ENCODINGS:
        raise BadImageError(f"encoding '{message.encoding}' is not supported")
    bits, channels, conversion = _ENCODINGS[message.encoding]
    image = _array(message, bits, channels)
    if conversion is not None:
        image = cv2.cvtColor(image, conversion)
    return np.ascontiguousarray(to_8bit(image))


def _array(message: Any, bits: int, channels: int) -> npt.NDArray[Any]:
    """(H,W) or (H,W,C) in native byte order, the padding of the rows (`step`) removed."""
    height, width, step = int(message.height), int(message.width), int(message.step)
    row_bytes = width * channels * bits // 8
    data = np.frombuffer(bytes(message.data), np.uint8)
    refused = too_large(width, height)
    if refused is not None:
        raise BadImageError(refused)
    if height <= 0 or width <= 0 or step < row_bytes or data.size < (height - 1) * step + row_bytes:
        raise BadImageError("message holds fewer bytes than its size and encoding need")
    whole = data[: (height - 1) * step].reshape(height - 1, step)[:, :row_bytes]  # the last row may lack its padding
    last = data[(height - 1) * step :][:row_bytes]
    rows = np.ascontiguousarray(np.concatenate([whole, last[None]]))
    if bits == 16:
        rows = rows.view(">u2" if message.is_bigendian else "<u2").astype(np.uint16)
    return rows if channels == 1 else rows.reshape(height, width, channels)


UNCALIBRATED = "camera_info says that the camera is not calibrated (zeros)"


def info_topics(topic: str) -> list[str]:
    """Where an image topic's camera_info is (image_transport): beside it, or a level higher
    (/cam/image_raw/compressed)."""
    levels = topic.split("/")
    return ["/".join([*levels[:n], "camera_info"]) for n in (len(levels) - 1, len(levels) - 2) if n > 0]


def is_rectified(topic: str) -> bool:
    """Whether the name says that the images are rectified, as image_rect_color[/compressed] does."""
    return any("rect" in level for level in topic.split("/")[-2:])


def camera_of_info(name: str, info: Any, topic: str, size_px: tuple[int, int]) -> Camera | None:
    """Camera of a CameraInfo message (K D P in ROS 1, k d p in ROS 2): K and distortion, or P for rectified images;
    None where it says that it is not calibrated. Raises CalibrationError."""
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
