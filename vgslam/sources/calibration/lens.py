"""Lens models of other programs, brought to the two of `Camera`: OpenCV's radial-tangential and fisheye.

Lenses of one angle (double sphere, EUCM, FOV, omnidirectional), which see a ray at the angle theta off the axis at a
radius r(theta), are read as the fisheye polynomial r = s theta (1 + k1 theta^2 + ... + k4 theta^8), if it agrees with
them to `MAX_ERROR_PX` in the image.
"""

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vgslam.sources.undistort import MAX_HALF_FOV
from vgslam.types import Camera

Angles = npt.NDArray[np.float64]
Coefficients = tuple[float, ...]

N_PINHOLE = (4, 5, 8, 12, 14)
"""Numbers of coefficients that OpenCV takes."""
MAX_ERROR_PX = 0.05
_LENSES = {
    "pinhole": "none norectification rectified undistorted nodistortion linear inversebrownconrady",
    "radtan": "radtan radialtangential plumbbob rationalpolynomial opencv fullopencv pinhole simplepinhole perspective "
              "radial simpleradial brown brownconrady modifiedbrownconrady radtan5 radtan8 pinholeradtan rational "
              "pinholeradtan5 pinholeradtan8",
    "fisheye": "fisheye equidistant equi kannalabrandt kannalabrandt4 kannalabrandt8 kb kb4 kb8 opencvfisheye "
               "fisheyeopencv radialfisheye simpleradialfisheye simplefisheye pinholeequi",
    "fov": "fov atan arctan",
    "ds": "ds doublesphere",
    "eucm": "eucm extendedunified",
    "omni": "omni mei omnidirectional unified cataomni",
}  # fmt: skip
LENSES = {word: lens for lens, words in _LENSES.items() for word in words.split()}


def family(model: str) -> str:
    """The lens of a model's name in a file. Raises ValueError for one that is not supported."""
    word = re.sub(r"[\s_\-]", "", model).lower().removeprefix("distortion.")
    if word and word not in LENSES:
        supported = "radtan, fisheye (equidistant), fov, ds or eucm"
        raise ValueError(f"camera distortion_model '{model}' is not supported; use {supported}, or undistorted images")
    return LENSES.get(word, "radtan")


def make_camera(four: tuple[float, float, float, float], size: tuple[int, int], model: str, k: Coefficients) -> Camera:
    """Camera of fx fy cx cy (px), (width, height), and a model with its coefficients: radtan k1 k2 p1 p2 k3 k4 k5 k6,
    fisheye k1 k2 k3 k4, fov w (radians), ds xi alpha, eucm alpha beta, omni xi k1 k2 p1 p2. Raises ValueError."""
    lens = family(model)
    if lens == "pinhole" and any(k):
        if "brownconrady" in re.sub(r"[\s_\-]", "", model).lower():
            raise ValueError(f"camera distortion of the model '{model}' is supported with coefficients of 0 alone; "
                             "calibrate with radtan")  # fmt: skip
        raise ValueError(f"camera distortion has coefficients, but the distortion_model is '{model}'; correct one")
    if lens in ("pinhole", "radtan"):
        return Camera(*four, *size, _radtan(k))
    if lens == "fisheye":  # bends the image with coefficients of zero too: r = f theta
        if not any(k[4:]):
            k = k[:4]  # some drivers write a fifth, of 0
        if len(k) not in (0, 4):
            raise ValueError(f"camera distortion of the fisheye model needs 4 coefficients, got {len(k)}")
        return Camera(*four, *size, tuple(k) or (0.0,) * 4, True)
    return _as_fisheye(Camera(*four, *size), _curve(lens, k), model)


def _radtan(k: Coefficients) -> Coefficients:
    if not any(k):  # NaN counts as true and is refused by Camera
        return ()
    lengths = [n for n in N_PINHOLE if n >= len(k)]
    if not lengths:
        raise ValueError(f"camera distortion has {len(k)} coefficients; OpenCV's model has at most {N_PINHOLE[-1]}")
    return tuple(k) + (0.0,) * (lengths[0] - len(k))


def _curve(lens: str, k: Coefficients) -> Callable[[Angles], Angles]:
    """r(theta) of a lens, as a multiple of the focal length."""
    n = {"fov": (1,), "ds": (2,), "eucm": (2,), "omni": (1, 3, 5)}[lens]
    if len(k) not in n:
        names = {"fov": "w", "ds": "xi alpha", "eucm": "alpha beta", "omni": "xi [k1 k2 [p1 p2]]"}[lens]
        raise ValueError(f"camera distortion of the {lens} model needs {names}, got {len(k)} number(s)")
    if not np.isfinite(k).all():
        raise ValueError("camera distortion holds a number that is not finite")
    if lens == "fov":
        if not 0 < k[0] < np.pi:
            raise ValueError(f"camera distortion of the fov model must be between 0 and pi, got {k[0]}")
        return lambda theta: fov_radius(theta, k[0])
    if lens == "omni":
        return _omni(k)
    if lens == "ds":
        return lambda theta: double_sphere_radius(theta, *k)
    return lambda theta: eucm_radius(theta, *k)


def fov_radius(theta: Angles, w: float) -> Angles:
    """Devernay and Faugeras, Straight lines have to be straight, 2001, equation 13."""
    return np.asarray(np.arctan(2 * np.tan(theta) * np.tan(w / 2)) / w)


def double_sphere_radius(theta: Angles, xi: float, alpha: float) -> Angles:
    """Usenko et al., The Double Sphere Camera Model, 3DV 2018, equations 40 to 42, for points on the unit sphere."""
    x, z = np.sin(theta), np.cos(theta)
    return np.asarray(x / (alpha * np.hypot(x, xi + z) + (1 - alpha) * (xi + z)))


def eucm_radius(theta: Angles, alpha: float, beta: float) -> Angles:
    """Khomutenko et al., An Enhanced Unified Camera Model, RA-L 2016, equation 10."""
    x, z = np.sin(theta), np.cos(theta)
    return np.asarray(x / (alpha * np.sqrt(beta * x**2 + z**2) + (1 - alpha) * z))


def _omni(k: Coefficients) -> Callable[[Angles], Angles]:
    """Mei and Rives, ICRA 2007: a sphere seen from xi behind its centre, then radial distortion."""
    xi, k1, k2, *tangential = (*k, 0.0, 0.0)[: max(3, len(k))]
    if any(abs(p) > 1e-5 for p in tangential):
        p1, p2 = tangential
        raise ValueError(
            f"camera distortion of the omni (Mei) model with p1, p2 ({p1:g}, {p2:g}) is not supported; calibrate with "
            "ds, eucm or the equidistant fisheye model, or with p1 and p2 held at 0"
        )

    def radius(theta: Angles) -> Angles:
        m = np.sin(theta) / (xi + np.cos(theta))
        return np.asarray(m * (1 + k1 * m**2 + k2 * m**4))

    return radius


def _as_fisheye(camera: Camera, curve: Callable[[Angles], Angles], model: str) -> Camera:
    """The fisheye camera that agrees with a curve in the image. Raises ValueError if none does."""
    theta = np.linspace(1e-3, MAX_HALF_FOV, 1500)
    with np.errstate(all="ignore"):
        r = curve(theta)
    if not np.isfinite(r).all() or (r <= 0).any() or (np.diff(r) <= 0).any():
        raise ValueError(f"camera distortion of the {model} model folds the image over; check its coefficients")
    corner = np.hypot(max(camera.cx, camera.width - camera.cx) / camera.fx,
                      max(camera.cy, camera.height - camera.cy) / camera.fy)  # fmt: skip
    in_image = r <= 1.05 * corner
    powers = theta[:, None] ** np.array([1, 3, 5, 7, 9])
    for used in (np.ones_like(in_image), in_image):
        if used.sum() < 10:
            continue
        found = np.linalg.lstsq(powers[used], r[used], rcond=None)[0]
        error = np.abs(powers[in_image] @ found - r[in_image]).max(initial=0.0) * max(camera.fx, camera.fy)
        if error <= MAX_ERROR_PX and found[0] > 0:
            s, *k = found.tolist()
            return Camera(camera.fx * s, camera.fy * s, camera.cx, camera.cy, camera.width, camera.height,
                          tuple(x / s for x in k), True)  # fmt: skip
    raise ValueError(f"camera distortion of the {model} model cannot be followed; calibrate with the fisheye model")
