"""Cameras that cannot be are refused, and the reason says how to mend them; others are brought to the images' size."""

from itertools import permutations

import numpy as np

from vgslam.errors import CalibrationError
from vgslam.types import Camera

MIN_FOV_DEG, MAX_FOV_DEG = 3.0, 170.0
"""The views of a long lens and of a wide one, both pinholes; beyond them the focal length is in another unit."""
MAX_FISHEYE_DEG = 280.0
NORMALISED_PX = 10.0
"""A focal length below it is no number of pixels."""
REFUSED_RATIO, DOUBTED_RATIO = 1.7, 1.1
"""fx to fy: lenses that squeeze the image go to 1.55 in common use; other ratios are slips of the pen."""
REFUSED_EDGE, DOUBTED_OFFSET = 0.02, 0.15
"""Principal point, as a share of the image: distance to a border, and distance from the middle."""
DOUBTED_TANGENTIAL = 0.02
"""Largest p1 or p2 of a lens that is not broken: twice what cheap ones have."""
OTHER_SIZE, SAME_SHAPE = 0.3, 0.05
"""By how much more or less a calibration has to be for another size than the images', and be of the same aspect, to be
seen by its principal point."""
CENTRED, MIDDLE = 0.1, 0.08
"""How far from the middle a principal point is that raises no question, as a share of the image; and how far that of
another order of the numbers, in half images."""


def check_plausible(camera: Camera) -> None:
    """Raises ValueError, saying what is wrong and how to mend it, for a camera that cannot be."""
    c = camera
    if max(c.fx, c.fy) < NORMALISED_PX and max(abs(c.cx), abs(c.cy)) < NORMALISED_PX:
        raise ValueError(
            f"camera fx {c.fx:g}, cx {c.cx:g} are normalised, not pixels; multiply fx and cx by the width ({c.width}) "
            f"and fy and cy by the height ({c.height}), or all by the larger, as the program that wrote them defines it"
        )  # fmt: skip
    _check_order(c)
    if not (-0.5 <= c.cx <= c.width - 0.5 and -0.5 <= c.cy <= c.height - 0.5):
        raise ValueError(
            f"camera principal point ({c.cx:g}, {c.cy:g}) is outside the image of {c.width}x{c.height}; give cx, cy in "
            "pixels, and the width and height of the calibration images if they were larger"
        )  # fmt: skip
    if _edge(c) < REFUSED_EDGE:
        raise ValueError(
            f"camera principal point ({c.cx:g}, {c.cy:g}) is at the border of the image of {c.width}x{c.height}; "
            f"leave cx and cy out if they are not known: the middle is taken"
        )
    ratio = max(c.fx / c.fy, c.fy / c.fx)
    if ratio > REFUSED_RATIO:
        raise ValueError(
            f"camera fx {c.fx:g} and fy {c.fy:g} differ by a factor of {ratio:.3g}; pixels are nearly square: correct "
            "one, or calibrate on the images as they are (not squeezed)"
        )
    _check_field_of_view(c)


def doubts(camera: Camera) -> list[str]:
    """Lines about what is unusual in a camera, but may be."""
    c, found = camera, []
    if max(c.fx / c.fy, c.fy / c.fx) > DOUBTED_RATIO:
        found.append(f"calibration: fx {c.fx:.4g} and fy {c.fy:.4g} differ much; right only for squeezed images")
    if max(_offset(c)) > DOUBTED_OFFSET:
        found.append(f"calibration: the principal point ({c.cx:.4g}, {c.cy:.4g}) is far from the middle of the image "
                     f"of {c.width}x{c.height}; right only for cropped images")  # fmt: skip
    if not c.is_fisheye and max(map(abs, c.distortion[2:4]), default=0.0) > DOUBTED_TANGENTIAL:
        p1, p2 = c.distortion[2:4]
        found.append(f"calibration: p1 and p2 of {p1:.4g} and {p2:.4g} are large; if they are k3 and k4 of a fisheye, "
                     "add distortion_model: fisheye")  # fmt: skip
    return found


def check_stated_size(camera: Camera) -> None:
    """Raises ValueError if a camera without a resolution is clearly for another: its principal point is in the middle
    of a larger or smaller image of the same aspect."""
    scale = (2 * camera.cx + 1) / camera.width, (2 * camera.cy + 1) / camera.height
    if min(abs(s - 1) for s in scale) > OTHER_SIZE and abs(scale[0] / scale[1] - 1) < SAME_SHAPE:
        w, h = (round(s * n) for s, n in zip(scale, (camera.width, camera.height), strict=True))
        raise ValueError(
            f"camera principal point ({camera.cx:g}, {camera.cy:g}) is the middle of an image of about {w}x{h}, and "
            f"the images are {camera.width}x{camera.height}; add the width and height of the calibration images"
        )


def _offset(c: Camera) -> tuple[float, float]:
    return abs(2 * c.cx + 1 - c.width) / (2 * c.width), abs(2 * c.cy + 1 - c.height) / (2 * c.height)


def _edge(c: Camera) -> float:
    return min(c.cx / c.width, 1 - (c.cx + 1) / c.width, c.cy / c.height, 1 - (c.cy + 1) / c.height)


def _check_order(c: Camera) -> None:
    """Refuses four numbers that another order makes a camera with a centred principal point."""
    if max(_offset(c)) < CENTRED:
        return
    given = (c.fx, c.fy, c.cx, c.cy)
    is_swapped = abs(2 * c.cx + 1 - c.height) < MIDDLE * c.height and abs(2 * c.cy + 1 - c.width) < MIDDLE * c.width
    if is_swapped and c.width != c.height:
        raise ValueError(
            f"camera principal point ({c.cx:g}, {c.cy:g}) is the middle of an image of {c.height}x{c.width}, not "
            f"{c.width}x{c.height}: width and height, or cx and cy, are in the wrong order"
        )
    for order in permutations(range(4)):
        fx, fy, cx, cy = (given[i] for i in order)
        is_centred = abs(2 * cx + 1 - c.width) < MIDDLE * c.width and abs(2 * cy + 1 - c.height) < MIDDLE * c.height
        if is_centred and fx > 0 and fy > 0 and max(fx / fy, fy / fx) < DOUBTED_RATIO:
            raise ValueError(
                f"camera fx {c.fx:g}, fy {c.fy:g}, cx {c.cx:g}, cy {c.cy:g} seem to be in the wrong order for "
                f"{c.width}x{c.height} images; fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g} would fit"
            )


def _check_field_of_view(c: Camera) -> None:
    """A fisheye's view is about that of r = f theta."""
    if c.is_fisheye:
        views, most = np.degrees([c.width / c.fx, c.height / c.fy]), MAX_FISHEYE_DEG
    else:
        views, most = np.array(c.fov_deg), MAX_FOV_DEG
    if views.max() > most or views.max() < MIN_FOV_DEG:
        raise ValueError(
            f"camera fx {c.fx:g} in an image of {c.width}x{c.height} is a field of view of {views.max():.3g} degrees; "
            f"{MIN_FOV_DEG:g} to {most:g} are possible: give fx and fy in pixels, and the resolution that they are for"
        )


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
