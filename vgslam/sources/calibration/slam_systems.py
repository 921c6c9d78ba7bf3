"""Settings of ORB-SLAM and stella_vslam, camera chains of Kalibr, calibrations of KITTI."""

import re
from collections.abc import Mapping
from typing import Any

from vgslam.sources.calibration.document import Document
from vgslam.sources.calibration.fields import numbers
from vgslam.sources.calibration.flat import read_flat
from vgslam.sources.calibration.lens import family
from vgslam.sources.calibration.stated import Layout, Size, Stated

_ORB = re.compile(r"^(Camera1?|Cam1?|Left|LEFT)\.(.+)$")
_SECOND = {"Camera2": "Camera1", "Cam2": "Cam1", "Right": "Left", "RIGHT": "LEFT"}
"""The second camera of a pair, and how the first is called."""
_KALIBR = re.compile(r"^cam(\d+)$")
_KITTI = re.compile(r"^P(\d|_rect_\d+)$")
_BEFORE = {"ds": 2, "eucm": 2, "omni": 1}
"""Numbers before fu fv pu pv in Kalibr's `intrinsics`."""


def _is_orbslam(document: Document) -> bool:
    """Whether fields are called Camera.fx and the like."""
    return any(_ORB.match(name) for name in document)


def _read_orbslam(document: Document, size: Size | None) -> Stated:
    """Camera.fx, or Camera1.fx in ORB-SLAM3. newWidth only says what that program resizes to."""
    fields = {match[2]: value for name, value in document.items() if (match := _ORB.match(name))}
    for name in ("newWidth", "newHeight", "newImSize"):
        fields.pop(name, None)
    if str(fields.get("type", "")).lower() == "rectified":
        fields["type"] = "rectified"
    return read_flat(fields, size)


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


def _cameras_kalibr(document: Document) -> dict[str, Document]:
    """The cameras of a chain."""
    return {name: {name: document[name]} for name in _chain(document)}


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


ORB_SLAM: Layout[Document] = Layout(_is_orbslam, _read_orbslam, _cameras_orbslam)
KALIBR: Layout[Document] = Layout(lambda document: bool(_chain(document)), _read_kalibr, _cameras_kalibr)
KITTI: Layout[Document] = Layout(_is_kitti, _read_kitti, _cameras_kitti)
