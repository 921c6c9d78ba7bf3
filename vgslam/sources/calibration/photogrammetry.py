"""Cameras of OpenMVG's sfm_data.json, AliceVision (Meshroom), ScanNet, Metashape (XML; its manual, "Camera models").

What is not stated in px is brought to px; the origin of pixels is left as the programs have it.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from vgslam.sources.calibration.document import Document
from vgslam.sources.calibration.fields import number, numbers
from vgslam.sources.calibration.stated import Layout, Size, Stated

_LENS = {"k1": ("radtan", "k1"), "k3": ("radtan", "k1 k2 k3"), "t2": ("radtan", "k1 k2 k3 p1 p2"),
         "fisheye": ("fisheye", "k1 k2 k3 k4")}  # fmt: skip
"""OpenMVG's fields `disto_NAME` and `fisheye`, and the order of their coefficients."""
_TYPES = {"pinhole": ("pinhole", ""), "radial1": ("radtan", "k1"), "radial3": ("radtan", "k1 k2 k3"),
          "brown": ("radtan", "k1 k2 k3 p1 p2"), "fisheye1": ("fov", "w"),
          "equidistant": ("fisheye", "k1 k2 k3 k4"), "fisheye4": ("fisheye", "k1 k2 k3 k4")}  # fmt: skip
"""AliceVision's types of intrinsics."""
_ORDER = {"radtan": "k1 k2 p1 p2 k3", "fisheye": "k1 k2 k3 k4", "fov": "w", "pinhole": ""}


def _cameras(name: str, document: Document) -> dict[str, Document]:
    """The cameras by their field `name`, or by their places where they have none."""
    listed = [camera for camera in document["intrinsics"] if isinstance(camera, Mapping)]
    found: dict[str, Document] = {
        str(camera.get(name, i)): {**document, "intrinsics": [camera]} for i, camera in enumerate(listed)
    }
    return found if len(found) > 1 else {}


def _read_openmvg(document: Document, size: Size | None) -> Stated:
    """The first camera. Raises ValueError."""
    data: Any = _first(document)
    for name in ("value", "ptr_wrapper", "data"):
        data = data.get(name) if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping):
        raise ValueError("its first camera has no value, ptr_wrapper, data")
    data = {**data.get("value0", {}), **data} if isinstance(data.get("value0"), Mapping) else data
    f = _stated("focal_length", data.get("focal_length"))
    middle = _two("principal_point", data.get("principal_point"))
    of = _size_of(data, size)
    for name, (model, order) in _LENS.items():
        given = data.get(f"disto_{name}", data.get(name))
        if given is not None:
            return Stated(f, f, *middle, of, model, _coefficients(model, order, given))
    return Stated(f, f, *middle, of, "pinhole")


def _is_alicevision(document: Document) -> bool:
    """Whether it is a scene of AliceVision's (cameras.sfm)."""
    listed = document.get("intrinsics")
    return isinstance(listed, list) and bool(listed) and isinstance(listed[0], Mapping) and "intrinsicId" in listed[0]


def _read_alicevision(document: Document, size: Size | None) -> Stated:
    """The first camera: focal length in px, or in mm of a sensor; principal point from the middle or, in older files,
    from the corner of the image. Raises ValueError."""
    camera = _first(document)
    of = _size_of(camera, size)
    if of is None:
        raise ValueError("camera width and height are missing")
    kind = str(camera.get("type", "pinhole"))
    if kind not in _TYPES:
        raise ValueError(f"camera type '{kind}' of AliceVision is not supported; export to COLMAP")
    f = camera.get("pxFocalLength")
    if isinstance(f, list):
        f = f[0] if f else None
    if f is None:
        f_mm, width_mm = (_stated(name, camera.get(name)) for name in ("focalLength", "sensorWidth"))
        f = f_mm / width_mm * of[0]
    cx, cy = _two("principalPoint", camera.get("principalPoint", [0, 0]))
    is_from_middle = abs(cx) < of[0] / 4 and abs(cy) < of[1] / 4
    middle = (cx + of[0] / 2 - 0.5, cy + of[1] / 2 - 0.5) if is_from_middle else (cx, cy)
    model, order = _TYPES[kind]
    k = _coefficients(model, order, camera.get("distortionParams") or [0.0] * len(order.split()))
    return Stated(_stated("pxFocalLength", f), _stated("pxFocalLength", f), *middle, of, model, k)


def _read_scannet(document: Document, size: Size | None) -> Stated:
    """The colour camera. Raises ValueError."""
    matrix = document.get("m_calibrationColorIntrinsic")
    of = (document.get("m_colorWidth"), document.get("m_colorHeight")) if matrix else (
        document.get("colorWidth"), document.get("colorHeight"))  # fmt: skip
    stated = size if None in of else (int(_stated("colorWidth", of[0])), int(_stated("colorHeight", of[1])))
    if matrix is not None:
        m = numbers("m_calibrationColorIntrinsic", matrix)
        if len(m) != 16:
            raise ValueError(f"m_calibrationColorIntrinsic must be 16 numbers, got {len(m)}")
        return Stated(m[0], m[5], m[2], m[6], stated)
    fx, fy, cx, cy = (_stated(name, document.get(name)) for name in ("fx_color", "fy_color", "mx_color", "my_color"))
    return Stated(fx, fy, cx, cy, stated)


def _first(document: Document) -> Mapping[str, Any]:
    camera = document["intrinsics"][0] if document["intrinsics"] else None
    if not isinstance(camera, Mapping):
        raise ValueError("no camera in it: intrinsics is empty")
    return camera


def _size_of(camera: Mapping[str, Any], size: Size | None) -> Size | None:
    if camera.get("width") is None or camera.get("height") is None:
        return size
    return int(_stated("width", camera["width"])), int(_stated("height", camera["height"]))


def _stated(name: str, value: Any) -> float:
    if value is None:
        raise ValueError(f"camera {name} is missing")
    return number(name, value)


def _two(name: str, value: Any) -> tuple[float, float]:
    pair = numbers(name, value)
    if len(pair) != 2:
        raise ValueError(f"camera {name} must be two numbers, got {len(pair)}")
    return pair[0], pair[1]


def _coefficients(model: str, order: str, given: Any) -> tuple[float, ...]:
    names, values = order.split(), numbers("distortion", given)
    if len(values) != len(names):
        raise ValueError(f"camera distortion must be {order or 'empty'}, got {len(values)} numbers")
    of = dict(zip(names, values, strict=True))
    return tuple(of.get(name, 0.0) for name in _ORDER[model].split())


OPENMVG: Layout[Document] = Layout(
    lambda document: "sfm_data_version" in document and isinstance(document.get("intrinsics"), list), _read_openmvg,
    partial(_cameras, "key"),
)  # fmt: skip
ALICEVISION: Layout[Document] = Layout(_is_alicevision, _read_alicevision, partial(_cameras, "intrinsicId"))
SCANNET: Layout[Document] = Layout(
    lambda document: "fx_color" in document or "m_calibrationColorIntrinsic" in document, _read_scannet
)  # fmt: skip


_LENSES = {"frame": "radtan", "fisheye": "fisheye"}
MOST_SKEW_PX = 0.5
"""Shift of a corner that a skew may cause and be left out."""


def _is_agisoft(document: Document) -> bool:
    """Whether it has a projection and a focal length, side by side."""
    return isinstance(document.get("projection"), str) and "f" in document and "width" in document


def _read_agisoft(document: Document, size: Size | None) -> Stated:
    """The camera: cx and cy are from the middle of the image, b1 belongs to the width alone, p1 and p2 are OpenCV's p2
    and p1. Raises ValueError for what OpenCV does not have."""
    projection = str(document["projection"]).lower()
    if projection not in _LENSES:
        raise ValueError(f"Metashape's projection '{projection}' is not supported; use frame or fisheye")
    width, height = (number(name, document[name]) for name in ("width", "height"))
    f, cx, cy, b1, b2, k1, k2, k3, k4, p1, p2, p3, p4 = (
        number(name, document.get(name, 0.0))
        for name in ("f", "cx", "cy", "b1", "b2", "k1", "k2", "k3", "k4", "p1", "p2", "p3", "p4")
    )
    if not (f > 0 and 0 < width < 1e6 and 0 < height < 1e6):
        raise ValueError(f"camera f, width and height must be positive, got {f:g}, {width:g}, {height:g}")
    excess = {"p3": p3, "p4": p4, "b2": b2 if abs(b2) * height / f > MOST_SKEW_PX else 0.0}
    is_frame = projection == "frame"
    coefficients: tuple[float, ...] = (k1, k2, p2, p1, k3) if is_frame else (k1, k2, k3, k4)
    excess |= {"k4": k4} if is_frame else {"p1": p1, "p2": p2}
    left = [f"{name} ({value:g})" for name, value in excess.items() if value]
    if left:
        raise ValueError(f"Metashape's {projection} with {', '.join(left)} is not supported; calibrate without")
    middle = (width - 1) / 2 + cx, (height - 1) / 2 + cy
    return Stated(f + b1, f, *middle, (int(width), int(height)), _LENSES[projection], coefficients)


METASHAPE: Layout[Document] = Layout(_is_agisoft, _read_agisoft)
