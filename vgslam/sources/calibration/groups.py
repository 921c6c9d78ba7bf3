"""Cameras beside one another in a file: pairs such as M1 D1 M2 D2, and mappings such as left: {...}, right: {...}."""

import re
from collections.abc import Mapping
from typing import Any

from vgslam.sources.calibration.document import Document
from vgslam.sources.calibration.fields import Fields, spelled

WRAPPERS = re.compile(r"(camera|cam|calib|intrinsic|left|color|colour|rgb|value0)", re.I)
SECOND_WRAPPERS = re.compile(r"right|depth|ir|infra|value\d", re.I)
"""Names of mappings that hold a camera beside others, and are not looked into where they are alone."""
PARAMETERS = (
    "projectionparameters", "distortionparameters", "mirrorparameters", "intrinsics", "intrinsic", "distortion",
)  # fmt: skip
_OF_LENS = {"parameters": "distortion_parameters", "type": "distortion_type", "model": "distortion_model"}
"""What `distortion: {type: ..., parameters: ...}` is called outside of it."""
MATRIX = ("cameramatrix", "intrinsicmatrix", "k", "mtx", "m1", "matrix", "intrinsicsmatrix", "cammatrix", "kmatrix")
FOCAL_X = ("fx", "flx", "fu", "focalx", "focallengthx", "gamma1")
FOCAL_Y = ("fy", "fly", "fv", "focaly", "focallengthy", "gamma2")
FOCAL = ("f", "focal", "focallength", "focallengthpx")
LISTS = ("intrinsics", "calibration", "intrinsic", "cameraintrinsics")
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
        if is_group and spelled(str(name)) in PARAMETERS:
            is_lens = spelled(str(name)) == "distortion"
            flat.update({_OF_LENS.get(str(key), str(key)) if is_lens else str(key): v for key, v in value.items()})
        else:
            flat[str(name)] = value
    return flat


def cameras_flat(document: Document) -> dict[str, Document]:
    """The cameras of a pair, under the names of their matrices, or of several mappings; none where there is one."""
    return _pair(document) or _several(document)


def unwrapped(document: Document) -> Document:
    """The mapping that holds the camera, with groups such as `projection_parameters` opened."""
    if has_focal(Fields(opened(document))):
        return opened(document)
    found = _holding(document)
    if not found:
        deeper = _deeper(document)
        return opened(document) if deeper is None else unwrapped(deeper)
    return {**_beside(document, 0), **opened(next(iter(found.values())))}


def _several(document: Document) -> dict[str, Document]:
    if has_focal(Fields(opened(document))):
        return {}
    found = _holding(document)
    if not found:
        deeper = _deeper(document)
        return {} if deeper is None else _several(deeper)
    if len(found) == 1:
        return {}
    return {name: {**_beside(document, i), "camera": camera} for i, (name, camera) in enumerate(found.items())}


def _holding(document: Document) -> dict[str, Document]:
    """The mappings that hold a camera, those that are called so first; camera 1 of a list is NAME[1]."""
    first: dict[str, Document] = {}
    others: dict[str, Document] = {}
    for name, value in document.items():
        if not (WRAPPERS.match(str(name)) or SECOND_WRAPPERS.match(str(name))):
            continue
        found = first if WRAPPERS.match(str(name)) else others
        one_or_more = {f"{name}[{i}]": v for i, v in enumerate(value)} if isinstance(value, list) else {name: value}
        if isinstance(value, list) and len(value) == 1:
            one_or_more = {name: value[0]}
        found.update({str(key): v for key, v in one_or_more.items()
                      if isinstance(v, Mapping) and has_focal(Fields(opened(v)))})  # fmt: skip
    return {**first, **others} if first else {}


def _deeper(document: Document) -> Document | None:
    inner = {name: value[0] if isinstance(value, list) and value else value for name, value in document.items()}
    deeper = [v for name, v in inner.items() if isinstance(v, Mapping) and WRAPPERS.match(str(name))]
    return deeper[0] if len(deeper) == 1 else None


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
