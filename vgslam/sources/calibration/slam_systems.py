"""Settings of ORB-SLAM and stella_vslam, and camera chains of Kalibr."""

import re
from collections.abc import Mapping
from typing import Any

from vgslam.sources.calibration.document import Document
from vgslam.sources.calibration.fields import numbers
from vgslam.sources.calibration.flat import read_flat
from vgslam.sources.calibration.stated import Size, Stated

_ORB = re.compile(r"^(Camera1?|Cam1?|Left|LEFT)\.(.+)$")
_KALIBR = re.compile(r"^cam(\d+)$")
_BEFORE = {"ds": 2, "eucm": 2, "omni": 1}
"""Numbers before fu fv pu pv in Kalibr's `intrinsics`."""


def is_orbslam(document: Document) -> bool:
    """Whether fields are called Camera.fx and the like."""
    return any(_ORB.match(name) for name in document)


def read_orbslam(document: Document, size: Size | None) -> Stated:
    """Camera.fx, or Camera1.fx in ORB-SLAM3. newWidth only says what that program resizes to."""
    fields = {match[2]: value for name, value in document.items() if (match := _ORB.match(name))}
    for name in ("newWidth", "newHeight", "newImSize"):
        fields.pop(name, None)
    if str(fields.get("type", "")).lower() == "rectified":
        fields["type"] = "rectified"
    return read_flat(fields, size)


def is_kalibr(document: Document) -> bool:
    """Whether there is a cam0 (or the like) with intrinsics."""
    return bool(_chain(document))


def read_kalibr(document: Document, size: Size | None) -> Stated:
    """The first camera of a chain."""
    chain = _chain(document)
    name = chain[0]
    cam: dict[str, Any] = dict(document[name])
    model = str(cam.get("camera_model") or "pinhole").lower()
    if model in _BEFORE:
        n = _BEFORE[model]
        values = numbers("intrinsics", cam["intrinsics"])
        if len(values) != n + 4:
            raise ValueError(f"{name}: intrinsics of the {model} model are {n + 4} numbers, got {len(values)}")
        cam["intrinsics"] = values[n:]
        is_bent = cam.get("distortion_model") not in (None, "none")
        more = numbers("distortion", cam.get("distortion_coeffs")) if is_bent else []
        if any(more) and model != "omni":
            raise ValueError(f"{name}: {model} with {cam['distortion_model']} is not supported; use one of them")
        cam["distortion_coeffs"] = [*values[:n], *(more if model == "omni" else [])]
        cam["distortion_model"] = model
    read = read_flat(cam, size)
    if not chain[1:]:
        return read
    note = f"calibration: {name} of the chain is used, not {', '.join(chain[1:])}"
    return Stated(read.fx, read.fy, read.cx, read.cy, read.size, read.model, read.coefficients, (*read.notes, note))


def _chain(document: Document) -> list[str]:
    found = [name for name, value in document.items()
             if _KALIBR.match(name) and isinstance(value, Mapping) and "intrinsics" in value]  # fmt: skip
    return sorted(found, key=lambda name: int(name[3:]))
