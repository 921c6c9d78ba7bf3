"""Calibrations whose fields lie side by side: our JSON, OpenCV, ROS camera_info, EuRoC sensor.yaml and more."""

import re
from collections.abc import Mapping
from typing import Any

from vgslam.sources.calibration.document import Document
from vgslam.sources.calibration.fields import Fields, number, numbers, spelled
from vgslam.sources.calibration.groups import FOCAL, FOCAL_X, FOCAL_Y, LISTS, MATRIX, unwrapped
from vgslam.sources.calibration.lens import family
from vgslam.sources.calibration.stated import NoFocal, NotCalibrated, Size, Stated

COEFFICIENTS = (
    "distortion", "distortioncoefficients", "distortioncoeffs", "distcoeffs", "distcoefs", "dist", "d", "d1", "coeffs",
    "distortioncoef", "distortionparams", "distortionparameters", "distortionvector", "distcoefficients",
    "cameradistcoeffs",
)  # fmt: skip
MODELS = ("distortionmodel", "distortiontype", "cameramodel", "modeltype", "cameratype", "projectiontype", "lensmodel",
          "model", "type")  # fmt: skip
WITHOUT_FOCAL = {"width", "height", "cx", "cy", "distortion", "note"}
"""The fields of our own JSON for a sequence whose focal length is not known."""


def read_flat(document: Document, size: Size | None) -> Stated:
    """The camera of fields side by side, or in a mapping such as `camera:`. Raises ValueError, NotCalibrated."""
    fields = Fields(unwrapped(document))
    family(_model(fields))  # a lens that is not supported is named before what else is missing
    stated_size = resolution(fields)
    fx, fy, cx, cy = _intrinsics(fields)
    fields.first("p", "projectionmatrix", "p1matrix")
    model, k = _lens(fields)
    left = fields.unused()
    notes = (f"calibration: not used: {', '.join(left)}",) if left else ()
    camera = Stated(fx, fy, cx, cy, stated_size, model, k, notes)
    return _region(camera, fields, size)


def resolution(fields: Fields) -> Size | None:
    """Width and height of the calibration images. Raises ValueError, naming the field."""
    given = fields.first("resolution", "imagesize", "imgsize", "size")
    if isinstance(given, Mapping):
        given = [given.get("width"), given.get("height")]
    is_nested = isinstance(given, list) and len(given) > 0 and isinstance(given[0], list)
    pair = numbers("resolution", given[0] if is_nested else given)
    if not pair:
        width = fields.first("width", "imagewidth", "w", "cols", "imgwidth")
        height = fields.first("height", "imageheight", "h", "rows", "imgheight")
        if width is None or height is None:
            return None
        pair = [number("width", width), number("height", height)]
    if len(pair) != 2:
        raise ValueError(f"camera resolution must be [width, height], got {pair}")
    return whole_size(pair[0], pair[1])


def whole_size(width: float, height: float) -> Size | None:
    """The two as whole numbers; None where both are 0, as in messages of cameras that do not know them."""
    if width == 0 and height == 0:
        return None
    for name, value in (("width", width), ("height", height)):
        if not (0 < value < 1e6 and value == int(value)):
            raise ValueError(f"camera {name} must be a positive whole number, got {value}")
    return int(width), int(height)


def _intrinsics(fields: Fields) -> tuple[float, float, float | None, float | None]:
    matrix = fields.first(*MATRIX)
    if matrix is not None:
        fields.first("aspectratio")  # what OpenCV held fixed while it calibrated
        return _of_matrix(numbers("camera_matrix", matrix))
    four = fields.first(*LISTS)
    if four is not None and not (isinstance(four, Mapping) and "data" not in four):
        values = _of_one_frame(four)
        if len(values) == 16 or (len(values) == 9 and values[8] == 1):
            return _of_matrix(values)
        if len(values) < 4:
            raise ValueError(f"camera intrinsics must be [fx, fy, cx, cy], got {len(values)} numbers")
        return values[0], values[1], values[2], values[3]
    fx, fy = fields.number(*FOCAL_X, "mu"), fields.number(*FOCAL_Y, "mv")
    both = _one_or_two("focal_length", fields.first(*FOCAL))
    cx, cy = fields.number("cx", "cu", "ppx", "u0", "px"), fields.number("cy", "cv", "ppy", "v0", "py")
    middle = numbers("principal_point", fields.first("principalpoint", "principlepoint", "opticalcenter"))
    if len(middle) not in (0, 2):
        raise ValueError(f"camera principal_point must be [cx, cy], got {len(middle)} numbers")
    cx, cy = (cx, cy) if cx is not None or not middle else (middle[0], middle[1])
    aspect = fields.number("pixelaspectratio")
    if both is not None and both[0] == both[1] and aspect:
        both = both[0], both[0] * aspect
    if both is not None:
        _refuse_mm(fields, fx)
        fx, fy = fx if fx is not None else both[0], fy if fy is not None else both[1]
    if fx is None and fy is None:
        if fields.has(*FOCAL_X, *FOCAL_Y, *FOCAL):
            raise NotCalibrated("fx is null")
        if {spelled(name) for name in fields.names()} <= WITHOUT_FOCAL:
            raise NoFocal(missing(fields, ["fx, fy"]))
        raise ValueError(missing(fields, ["fx, fy (or camera_matrix, or intrinsics)"]))
    some = fx if fx is not None else fy
    assert some is not None
    return fx if fx is not None else some, fy if fy is not None else some, cx, cy


def _refuse_mm(fields: Fields, fx: float | None) -> None:
    """Raises ValueError for a focal length alone beside the size of a sensor."""
    sensor = next((name for name in fields.names() if re.search(r"sensor|aperture|35mm", name, re.I)), None)
    if sensor is not None and fx is None:
        raise ValueError(f"a focal length beside {sensor} is in mm, not in px; give fx and fy in px")


def _one_or_two(name: str, value: Any) -> tuple[float, float] | None:
    """One number for both axes, or one for each. Raises ValueError, naming the field."""
    if value is None or not isinstance(value, list | Mapping):
        return None if value is None else (number(name, value),) * 2
    pair = numbers(name, value)
    if len(pair) not in (1, 2):
        raise ValueError(f"camera {name} must be [fx, fy], got {len(pair)} numbers")
    return pair[0], pair[-1]


def missing(fields: Fields, what: list[str]) -> str:
    """What a file lacks, and what it holds instead."""
    found = ", ".join(fields.names()[:8]) + (", ..." if len(fields.names()) > 8 else "") or "nothing"
    return f"no camera in it: {' and '.join(what)} missing (found: {found})"


def _of_matrix(m: list[float]) -> tuple[float, float, float | None, float | None]:
    """fx fy cx cy of a matrix 3x3, or 4x4 with one in its corner, by rows or (Open3D, ARKit) by columns."""
    if len(m) == 16:
        m = [*m[0:3], *m[4:7], *m[8:11]]
    if len(m) != 9:
        raise ValueError(f"camera_matrix must be 3x3, got {len(m)} numbers")
    if not any(m):
        raise NotCalibrated("the camera matrix is all zeros")
    if not m[2] and not m[5] and (m[6] or m[7]):
        m = [m[i] for i in (0, 3, 6, 1, 4, 7, 2, 5, 8)]
    if abs(m[1]) > 0.01 * abs(m[0]) or m[8] != 1:
        raise ValueError(f"camera_matrix must be [fx 0 cx; 0 fy cy; 0 0 1], got {m}")
    return m[0], m[4], m[2], m[5]


def _lens(fields: Fields) -> tuple[str, tuple[float, ...]]:
    """The model, and its coefficients in the order of `lens`."""
    model = _model(fields)
    lens = family(model)
    listed = numbers("distortion", fields.first(*COEFFICIENTS))
    listed = listed or _after_four(fields) or _radial_tangential(fields)
    if lens == "radtan" and any(numbers("xi", fields.first("xi"))):  # OpenCV's omnidir and Mei's files name no model
        model = lens = "ds" if fields.has("alpha") else "omni"
    if lens in ("ds", "eucm", "omni", "fov"):
        return model, tuple(_of_one_angle(fields, lens, listed))
    if listed:
        return model, tuple(listed)
    if lens == "fisheye" and fields.has("k5") and fields.has("mu"):  # camodocal counts from k2
        return model, tuple(_named(fields, "k2", "k3", "k4", "k5"))
    k1, k2, k3, k4, k5, k6 = _named(fields, "k1", "k2", "k3", "k4", "k5", "k6")
    p1, p2 = _named(fields, "p1", "p2")
    if lens == "fisheye":
        return model, (k1, k2, k3, k4)
    if not model and k4 and not fields.has("p1", "k5"):
        raise ValueError("camera k1 k2 k3 k4 may be of a fisheye or not; add distortion_model (radtan or fisheye)")
    prism = _named(fields, "s1", "s2", "s3", "s4", "taux", "tauy")
    return model, _without_end_zeros((k1, k2, p1, p2, k3, k4, k5, k6, *prism))


def _after_four(fields: Fields) -> list[float]:
    """The coefficients of lists such as MASt3R-SLAM's `calibration: [fx, fy, cx, cy, k1, k2, p1, p2]`."""
    four = fields.first(*LISTS)
    if four is None or fields.has(*MATRIX) or isinstance(four, Mapping):
        return []
    values = _of_one_frame(four)
    return [] if len(values) == 16 or (len(values) == 9 and values[8] == 1) else values[4:]


def _of_one_frame(given: Any) -> list[float]:
    """The numbers of `intrinsics`; the first row of an array (frames,4), where all are the same. Raises ValueError."""
    rows = given if isinstance(given, list) and given and isinstance(given[0], list) else []
    if len(rows) < 2 or len(rows[0]) < 4 or (len(rows) == 4 and rows[0] != rows[1]):  # a column, or a matrix
        return numbers("intrinsics", given)
    if any(row != rows[0] for row in rows):
        raise ValueError(f"camera intrinsics of {len(rows)} frames differ; give those of one")
    return numbers("intrinsics", rows[0])


def _radial_tangential(fields: Fields) -> list[float]:
    """k1 k2 [k3] and p1 p2 in lists of their own, as MATLAB and Nerfies write them."""
    radial = numbers("radial_distortion", fields.first("radialdistortion", "radial"))
    tangential = numbers("tangential_distortion", fields.first("tangentialdistortion", "tangential"))
    if not radial and not tangential:
        return []
    if len(radial) > 3 or len(tangential) not in (0, 2):
        raise ValueError("camera radial_distortion must be k1 k2 [k3] and tangential_distortion p1 p2, got "
                         f"{len(radial)} and {len(tangential)} numbers")  # fmt: skip
    k1, k2, k3 = [*radial, 0.0, 0.0, 0.0][:3]
    p1, p2 = tangential or (0.0, 0.0)
    return [k1, k2, p1, p2, *([k3] if k3 else [])]


_OWN = {"ds": ("xi", "alpha"), "eucm": ("alpha", "beta"), "fov": ("w", "omega", "k1"), "omni": ("xi",)}
"""The coefficients that only these lenses have."""


def _of_one_angle(fields: Fields, lens: str, listed: list[float]) -> list[float]:
    """The coefficients of a lens of one angle (`lens`), listed or by their names."""
    if lens == "omni":
        xi = numbers("xi", fields.first("xi"))
        more = _named(fields, "k1", "k2", "p1", "p2")
        if xi and len(listed) != 5:
            return [*xi, *(listed or more)]
    if listed:
        return listed
    named = [x for name in _OWN[lens] for x in numbers(name, fields.first(name))]
    if lens == "fov" and sum(map(bool, named)) > 1:
        raise ValueError(f"camera distortion of the fov model is one number, w; got {named}")
    return named[:1] if lens == "fov" else named


def _without_end_zeros(k: tuple[float, ...]) -> tuple[float, ...]:
    n = max((i + 1 for i, x in enumerate(k) if x), default=0)
    return k[: max(n, 4)] if n else ()


def _named(fields: Fields, *names: str) -> list[float]:
    return [fields.number(name) or 0.0 for name in names]


def _model(fields: Fields) -> str:
    """The first model that says more than "pinhole"; a projection that is no pinhole goes before its distortion."""
    if fields.first("fisheyemodel", "isfisheye", "fisheye"):
        return "fisheye"
    words = [str(value) for name in MODELS if isinstance(value := fields.first(name), str) and value]
    for word in words:
        if not re.fullmatch(r"(?i)pinhole|perspective|none|opencv|radtan|plumb_bob", word.strip()):
            return word
    return words[0] if words else ""


def _region(camera: Stated, fields: Fields, images: Size | None) -> Stated:
    """ROS: K is of the whole sensor; images smaller than it may be a region of interest. Binned ones are scaled
    later."""
    roi = fields.first("roi")
    if not isinstance(roi, Mapping) or not camera.size or camera.cx is None or camera.cy is None:
        return camera
    width, height = (int(number(name, roi.get(name) or 0)) for name in ("width", "height"))
    if width <= 0 or height <= 0 or camera.size in ((width, height), images):
        return camera
    x, y = (number(name, roi.get(name) or 0) for name in ("x_offset", "y_offset"))
    note = f"calibration: of the region {width}x{height} at ({x:g}, {y:g}) of the sensor"
    return Stated(camera.fx, camera.fy, camera.cx - x, camera.cy - y, (width, height), camera.model,
                  camera.coefficients, (*camera.notes, note))  # fmt: skip
