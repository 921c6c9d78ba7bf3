"""Settings of ORB-SLAM and stella_vslam, chains of Kalibr, KITTI's calibrations, rows of numbers (DSO, DROID-SLAM)."""

import re
from collections.abc import Mapping
from typing import Any

from vgslam.guards.documents import is_number
from vgslam.sources.calibration.document import Document, Rows
from vgslam.sources.calibration.fields import numbers
from vgslam.sources.calibration.flat import read_flat, whole_size
from vgslam.sources.calibration.lens import family
from vgslam.sources.calibration.stated import Layout, Size, Stated

_ORB = re.compile(r"^(Camera1?|Cam1?|Left|LEFT)\.(.+)$")
_SVO = re.compile(r"^cam_(.+)$")
_SVO_NAMES = {"d0": "k1", "d1": "k2", "d2": "p1", "d3": "p2"}
_SECOND = {"Camera2": "Camera1", "Cam2": "Cam1", "Right": "Left", "RIGHT": "LEFT"}
"""The second camera of a pair, and how the first is called."""
_KALIBR = re.compile(r"^cam(\d+)$")
_KITTI = re.compile(r"^P(\d|_rect_\d+)$")
_BEFORE = {"ds": 2, "eucm": 2, "omni": 1}
"""Numbers before fu fv pu pv in Kalibr's `intrinsics`."""


def _read_orbslam(document: Document, size: Size | None) -> Stated:
    """Camera.fx, or Camera1.fx in ORB-SLAM3. newWidth only says what that program resizes to."""
    fields = {match[2]: value for name, value in document.items() if (match := _ORB.match(name))}
    for name in ("newWidth", "newHeight", "newImSize"):
        fields.pop(name, None)
    if str(fields.get("type", "")).lower() == "rectified":
        fields["type"] = "rectified"
    if "fxl" in fields:  # OV2SLAM's left camera
        names = (re.sub(r"^([fc][xy]|[kp]\d)l$|^(model)_left$|^left_n(width|height)$", r"\1\2\3", n) for n in fields)
        fields = dict(zip(names, fields.values(), strict=True))
    return read_flat(fields, size)


def _read_svo(document: Document, size: Size | None) -> Stated:
    """cam_fx, and cam_d0 for k1."""
    fields = {match[1]: value for name, value in document.items() if (match := _SVO.match(name))}
    return read_flat({_SVO_NAMES.get(name, name): value for name, value in fields.items()}, size)


def _cameras_orbslam(document: Document) -> dict[str, Document]:
    """Camera1 and Camera2, or LEFT and RIGHT; what is said of `Camera` belongs to both."""
    for second, first in _SECOND.items():
        if any(f"{second}.{name}" in document for name in ("fx", "K")):
            with_first = {name: value for name, value in document.items() if not name.startswith(f"{second}.")}
            shared = {name: value for name, value in with_first.items() if not name.startswith(f"{first}.")}
            own = {first + name.removeprefix(second): value for name, value in document.items()
                   if name.startswith(f"{second}.")}  # fmt: skip
            return {first: with_first, second: {**shared, **own}}
    return {}


def _read_kalibr(document: Document, size: Size | None) -> Stated:
    """The camera of a chain of one."""
    name = _chain(document)[0]
    cam: dict[str, Any] = dict(document[name])
    called = str(cam.get("camera_model") or "pinhole")
    model = family(called)
    n, values = _BEFORE.get(model, 0), numbers("intrinsics", cam["intrinsics"])
    if len(values) != n + 4:
        raise ValueError(f"{name}: intrinsics of the {model if n else called} model are {n + 4} numbers, got "
                         f"{len(values)}")  # fmt: skip
    if n:
        cam["intrinsics"] = values[n:]
        is_bent = cam.get("distortion_model") not in (None, "none")
        more = numbers("distortion", cam.get("distortion_coeffs")) if is_bent else []
        if any(more) and (model != "omni" or family(str(cam["distortion_model"])) != "radtan"):
            raise ValueError(f"{name}: {model} with {cam['distortion_model']} is not supported; use one of them")
        cam["distortion_coeffs"] = [*values[:n], *(more if model == "omni" else [])]
        cam["distortion_model"] = model
    return read_flat(cam, size)


def _is_kitti(document: Document) -> bool:
    """Whether there are projections P0, P1, ... (odometry), or P_rect_00, ... (raw). P1 and P2 alone are OpenCV's."""
    return any(name == "P0" or name.startswith("P_rect") for name in _cameras_kitti(document))


def _cameras_kitti(document: Document) -> dict[str, Document]:
    """The rectified cameras, each a matrix (3,4)."""
    found = {name: value for name, value in document.items() if _KITTI.match(name)}
    return {name: {name: value} for name, value in found.items() if len(_numbers_of(value)) == 12}


def _read_kitti(document: Document, size: Size | None) -> Stated:
    """The left 3x3 of one projection: images are rectified."""
    p = _numbers_of(next(value for camera in _cameras_kitti(document).values() for value in camera.values()))
    return Stated(p[0], p[5], p[2], p[6], None, "pinhole")


def _numbers_of(value: Any) -> list[float]:
    try:
        return numbers("P", value)
    except ValueError:
        return []


def _chain(document: Document) -> list[str]:
    """The names cam0, cam1, ... of what has intrinsics."""
    found = [name for name, value in document.items()
             if _KALIBR.match(name) and isinstance(value, Mapping) and "intrinsics" in value]  # fmt: skip
    return sorted(found, key=lambda name: int(name[3:]))


ORB_SLAM: Layout[Document] = Layout(lambda document: any(map(_ORB.match, document)), _read_orbslam, _cameras_orbslam)
SVO: Layout[Document] = Layout(lambda document: "cam_fx" in document, _read_svo)
KALIBR: Layout[Document] = Layout(
    lambda document: bool(_chain(document)), _read_kalibr,
    lambda document: {name: {name: document[name]} for name in _chain(document)},
)  # fmt: skip
KITTI: Layout[Document] = Layout(_is_kitti, _read_kitti, _cameras_kitti)


_DSO = {"pinhole": "pinhole", "radtan": "radtan", "fov": "fov", "atan": "fov", "equidistant": "fisheye",
        "kannalabrandt": "fisheye"}  # fmt: skip


def _is_dso(rows: Rows) -> bool:
    """Whether the first row is a model's name and numbers, or five numbers with a size in the second row."""
    first = rows[0]
    if first[0].rstrip(":").lower() in _DSO and all(map(is_number, first[1:])):
        return True
    return len(rows) >= 3 and len(first) in (5, 8) and all(map(is_number, first)) and len(rows[1]) == 2


def _read_dso(rows: Rows, size: Size | None) -> Stated:
    """The input camera: the model's row and the size. Values below 1 are relative to width and height, with the edge of
    the image at 0."""
    first = rows[0]
    model = first[0].rstrip(":").lower() if not is_number(first[0]) else "fov" if len(first) == 5 else "radtan"
    values = numbers("parameters", first[1:] if not is_number(first[0]) else first)
    if len(values) < 4:
        raise ValueError(f"camera {first[0]} needs fx fy cx cy, got {len(values)} numbers")
    given = numbers("size", rows[1][:2]) if len(rows) > 1 and all(map(is_number, rows[1][:2])) else []
    of = (int(given[0]), int(given[1])) if len(given) == 2 else size
    fx, fy, cx, cy, *k = values
    if cx < 1 and cy < 1:
        if of is None:
            raise ValueError("camera width and height are missing; add a second row with them")
        fx, fy, cx, cy = fx * of[0], fy * of[1], cx * of[0] - 0.5, cy * of[1] - 0.5
    lens = _DSO[model]
    if not any(k) and lens in ("pinhole", "fov"):
        lens, k = "pinhole", []
    return Stated(fx, fy, cx, cy, of, lens, tuple(k))


def _read_numbers(rows: Rows, size: Size | None) -> Stated:
    """fx fy cx cy [k1 k2 p1 p2 [k3 ...]] in one row, or a camera matrix 3x3 or 4x4."""
    lengths = {len(row) for row in rows}
    if len(rows) in (3, 4) and lengths in ({3}, {4}):
        m = [[float(word) for word in row] for row in rows]
        if m[1][0] or m[0][1] or m[2][:3] != [0.0, 0.0, 1.0]:
            raise ValueError("is no camera matrix [fx 0 cx; 0 fy cy; 0 0 1]")
        return Stated(m[0][0], m[1][1], m[0][2], m[1][2], None)
    values = [float(word) for word in rows[0]]
    if len(rows) > 1 or len(values) not in (4, 5, 6, 8, 9, 12):
        raise ValueError("needs one row fx fy cx cy [k1 k2 p1 p2 [k3]], or three rows of a camera matrix")
    if len(values) == 6:  # the size before or after: it is about twice the principal point
        for four, of in ((values[:4], values[4:]), (values[2:], values[:2])):
            if all(abs(n - 2 * c) < c / 2 for n, c in zip(of, four[2:], strict=True)):
                return Stated(four[0], four[1], four[2], four[3], whole_size(of[0], of[1]), "pinhole")
        raise ValueError("six numbers need to be fx fy cx cy width height, or width height fx fy cx cy")
    if len(values) == 5 and values[4]:
        raise ValueError("a fifth number may be k1 or a FOV lens; give fx fy cx cy k1 0 0 0, or FOV before the numbers")
    fx, fy, cx, cy = values[:4]
    return Stated(fx, fy, cx, cy, None, "radtan", tuple(values[4:]) if len(values) > 5 else ())


DSO: Layout[Rows] = Layout(_is_dso, _read_dso)
NUMBERS: Layout[Rows] = Layout(lambda rows: all(is_number(word) for row in rows for word in row), _read_numbers)
