"""Cameras beside one another in a file: pairs such as M1 D1 M2 D2, and mappings such as left: {...}, right: {...}."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vgslam.sources.calibration.document import Document
from vgslam.sources.calibration.fields import Fields, spelled
from vgslam.sources.calibration.lens import LENSES

WRAPPERS = re.compile(r"(camera|cam|calib|intrinsic|left|color|colour|rgb|value0)", re.I)
SECOND_WRAPPERS = re.compile(r"right|depth|ir|infra|value\d", re.I)
"""Names of mappings that hold a camera beside others, and are not looked into where they are alone."""
PARAMETERS = re.compile(r"(projection|mirror)parameters|intrinsics?|dist(ortion)?(vector|coef\w*|param\w*)?")
"""Groups of named parameters of a camera, as `spelled`."""
_OF_LENS = {"parameters": "distortion_parameters", "type": "distortion_type", "model": "distortion_model"}
"""What `distortion: {type: ..., parameters: ...}` is called outside of it."""
MATRIX = ("cameramatrix", "intrinsicmatrix", "k", "mtx", "m1", "matrix", "intrinsicsmatrix", "cammatrix", "kmatrix")
FOCAL_X = ("fx", "flx", "fu", "focalx", "focallengthx", "gamma1")
FOCAL_Y = ("fy", "fly", "fv", "focaly", "focallengthy", "gamma2")
FOCAL = ("f", "focal", "focallength", "focallengthpx")
LISTS = ("intrinsics", "calibration", "intrinsic", "cameraintrinsics", "cameraintrinsic")
_PAIR = re.compile(r"(.+?)(?:(1|left|l)|(2|right|r))")
"""A name, as `spelled`, and whether it is of the first or the second camera of a pair."""


def has_focal(fields: Fields) -> bool:
    """Whether the fields say a focal length, or that it is unknown."""
    return fields.has(*MATRIX, *FOCAL_X, *FOCAL_Y, *FOCAL, "mu") or fields.has_numbers(*LISTS)


def opened(document: Document) -> dict[str, Any]:
    """Groups of named parameters (projection_parameters: {fx: ...}) as fields of their own."""
    flat: dict[str, Any] = {}
    for name, value in document.items():
        is_group = isinstance(value, Mapping) and "data" not in value
        if is_group and PARAMETERS.fullmatch(spelled(str(name))):
            is_lens = spelled(str(name)) == "distortion"
            flat.update({_OF_LENS.get(str(key), str(key)) if is_lens else str(key): v for key, v in value.items()})
        else:
            flat[str(name)] = value
    return flat


def cameras_flat(document: Document) -> dict[str, Document]:
    """The cameras of a pair, under the names of their matrices, or of several mappings; none where there is one."""
    return _pair(document) or _several(document)


def unwrapped(document: Document) -> Document:
    """The mapping that holds the camera, with groups such as `projection_parameters` opened, and with what stands
    beside it and around it."""
    flat = opened(document)
    found = {} if has_focal(Fields(flat)) else _holding(document)
    if not found:
        return flat
    first = next(iter(found))
    beside = {n: v for n, v in flat.items() if n != first} if len(found) == 1 else _beside(document, 0)
    if spelled(str(beside.get("type"))) not in LENSES:
        beside.pop("type", None)  # that of a data set
    return {**beside, **found[first].flat}


def _several(document: Document) -> dict[str, Document]:
    if has_focal(Fields(opened(document))):
        return {}
    found = _holding(document)
    if len(found) == 1:
        inner = _several(next(iter(found.values())).given)
        return {name: {**_beside(document, 0), **camera} for name, camera in inner.items()}
    return {name: {**_beside(document, i), "camera": held.given} for i, (name, held) in enumerate(found.items())}


@dataclass(frozen=True)
class _Held:
    """A mapping within another that holds a camera."""

    given: Document
    flat: Document
    """`unwrapped`."""


def _holding(document: Document) -> dict[str, _Held]:
    """The mappings that hold a camera, or hold one that does, those that are called so first, and those of any other
    name where none is; camera 1 of a list is NAME[1]."""
    first: dict[str, _Held] = {}
    others: dict[str, _Held] = {}
    unnamed: dict[str, _Held] = {}
    for name, value in document.items():
        is_first, is_other = WRAPPERS.match(str(name)), SECOND_WRAPPERS.match(str(name))
        found = first if is_first else others if is_other else unnamed
        listed = value if isinstance(value, list) else [value]
        for i, one in enumerate(listed):
            held = _Held(one, unwrapped(one)) if isinstance(one, Mapping) else None
            if held is not None and has_focal(Fields(held.flat)):
                found[f"{name}[{i}]" if len(listed) > 1 else str(name)] = held
    return {**first, **others} if first else unnamed


def _beside(document: Document, i: int) -> dict[str, Any]:
    """What stands beside the mappings and may belong to the camera i: numbers, words and resolutions."""
    beside = {n: v for n, v in document.items() if n == "resolution" or not isinstance(v, Mapping | list)}
    each = beside.get("resolution")
    if isinstance(each, list) and i < len(each) and isinstance(each[i], list):
        beside["resolution"] = each[i]
    return beside


def _pair(document: Document) -> dict[str, Document]:
    """The two cameras of a pair, each with its fields called as those of a camera alone."""
    sides: dict[int, dict[str, tuple[str, Any]]] = {1: {}, 2: {}}
    for name, value in document.items():
        match = _PAIR.fullmatch(spelled(str(name)))
        if match and isinstance(value, list | Mapping):
            sides[1 if match[2] else 2][match[1]] = (str(name), value)
    common = sides[1].keys() & sides[2].keys()
    matrix = next((stem for stem in ("m", *MATRIX) if stem in common), None)
    if matrix is None:
        return {}
    paired = {name for side in sides.values() for stem, (name, _) in side.items() if stem in common}
    shared = {name: value for name, value in document.items() if name not in paired}
    return {side[matrix][0]: {**shared, **{_alone(stem): side[stem][1] for stem in common}} for side in sides.values()}


def _alone(stem: str) -> str:
    return {"m": "cameramatrix"}.get(stem, stem)
