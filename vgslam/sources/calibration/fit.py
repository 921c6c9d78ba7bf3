"""A camera is brought to the size of the images."""

from vgslam.errors import CalibrationError
from vgslam.types import Camera

SAME_ASPECT = 0.01
"""Images whose aspect ratios differ by more are cropped or rotated, not scaled."""


def fit_to_image(camera: Camera, width: int, height: int) -> tuple[Camera, str | None]:
    """The camera for images of (width, height), and a warning if it was scaled. Raises CalibrationError when the aspect
    ratios differ by more than 1 %: such images are cropped or rotated."""
    if (camera.width, camera.height) == (width, height):
        return camera, None
    sizes = f"calibration is for {camera.width}x{camera.height}, the images are {width}x{height}"
    if not is_same_aspect((camera.width, camera.height), (width, height)):
        raise CalibrationError(f"{sizes}: the aspect differs, so scaling would be wrong; calibrate at this resolution")
    try:
        resized = camera.resized(width, height)
    except ValueError as err:
        raise CalibrationError(f"{sizes}: {err}") from err
    return resized, f"{sizes}: scaled by {width / camera.width:.4g}"


def is_same_aspect(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether images of two sizes (width, height) may show the same, one scaled."""
    return abs((size[0] / size[1]) / (other[0] / other[1]) - 1.0) <= SAME_ASPECT
