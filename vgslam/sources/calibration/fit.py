"""A camera is brought to the size of the images."""

from vgslam.errors import CalibrationError
from vgslam.types import Camera


def fit_to_image(camera: Camera, width: int, height: int) -> tuple[Camera, str | None]:
    """The camera for images of (width, height), and a warning when it had to be scaled.

    Raises CalibrationError when the aspect ratios differ by more than 1 %: such images are cropped or rotated.
    """
    if (camera.width, camera.height) == (width, height):
        return camera, None
    sizes = f"calibration is for {camera.width}x{camera.height}, the images are {width}x{height}"
    ratio = (camera.width / camera.height) / (width / height)
    if abs(ratio - 1.0) > 0.01:
        raise CalibrationError(f"{sizes}: the aspect differs, so scaling would be wrong; calibrate at this resolution")
    return camera.resized(width, height), f"{sizes}: scaled by {width / camera.width:.4g}"
