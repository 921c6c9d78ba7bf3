"""Cameras of reconstructions: nerfstudio and instant-ngp, OpenSfM, Open3D's trajectories, COLMAP.

COLMAP, and what follows it, has the centre of the top-left pixel at (0.5, 0.5); here it is (0, 0).
"""

import struct
from collections.abc import Mapping
from dataclasses import replace
from math import pi, tan
from typing import Any

from vgslam.guards.documents import is_number
from vgslam.sources.calibration.document import Document, Rows
from vgslam.sources.calibration.fields import Fields, number, numbers
from vgslam.sources.calibration.flat import read_flat, resolution
from vgslam.sources.calibration.lens import family
from vgslam.sources.calibration.stated import Layout, Size, Stated

_NERF = ("fl_x", "fl_y", "camera_angle_x", "cx", "cy", "w", "h", "k1", "k2", "k3", "k4", "p1", "p2", "camera_model")
_COLMAP: dict[str, tuple[str, str]] = {
    "SIMPLE_PINHOLE": ("pinhole", "f cx cy"),
    "PINHOLE": ("pinhole", "fx fy cx cy"),
    "SIMPLE_RADIAL": ("radtan", "f cx cy k1"),
    "RADIAL": ("radtan", "f cx cy k1 k2"),
    "OPENCV": ("radtan", "fx fy cx cy k1 k2 p1 p2"),
    "FULL_OPENCV": ("radtan", "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6"),
    "OPENCV_FISHEYE": ("fisheye", "fx fy cx cy k1 k2 k3 k4"),
    "SIMPLE_FISHEYE": ("fisheye", "f cx cy"),
    "FISHEYE": ("fisheye", "fx fy cx cy"),
    "SIMPLE_RADIAL_FISHEYE": ("fisheye", "f cx cy k1"),
    "RADIAL_FISHEYE": ("fisheye", "f cx cy k1 k2"),
    "THIN_PRISM_FISHEYE": ("fisheye", "fx fy cx cy k1 k2 p1 p2 k3 k4 sx1 sy1"),
    "FOV": ("fov", "fx fy cx cy w"),
    "EUCM": ("eucm", "fx fy cx cy alpha beta"),
}
"""COLMAP's models: the lens, and the order of the parameters. Those that the lens does not have must be 0."""


def _is_nerf(document: Document) -> bool:
    """Whether it is a transforms.json."""
    frames = document.get("frames")
    first = frames[0] if isinstance(frames, list) and frames else None
    is_listed = isinstance(first, Mapping) and bool({"fl_x", "camera_angle_x", "transform_matrix"} & set(first))
    return "fl_x" in document or "camera_angle_x" in document or is_listed


def _read_nerf(document: Document, size: Size | None) -> Stated:
    """Intrinsics for all frames, or those of the first, where they are the same."""
    fields = {name: value for name, value in document.items() if name != "frames"}
    if "fl_x" not in fields and "camera_angle_x" not in fields:
        fields |= next((_intrinsics_of(frame) for frame in document["frames"] if isinstance(frame, Mapping)), {})
    model = str(fields.get("camera_model") or "").lower()
    if model == "opencv":
        fields["camera_model"] = "radtan"
    of = resolution(Fields(fields)) or size
    angle_x, angle_y = fields.pop("camera_angle_x", None), fields.pop("camera_angle_y", None)
    if fields.get("fl_x") is None and angle_x is not None and of is not None:
        fields["fl_x"] = 0.5 * of[0] / tan(0.5 * _angle("camera_angle_x", angle_x))
        if angle_y is not None:
            fields["fl_y"] = 0.5 * of[1] / tan(0.5 * _angle("camera_angle_y", angle_y))
    if fields.get("k4") and family(str(fields.get("camera_model") or "")) == "radtan" and not fields.get("is_fisheye"):
        raise ValueError("camera k4 of transforms.json is not supported without a fisheye model; calibrate without it")
    for name in ("aabb_scale", "scale", "offset"):
        fields.pop(name, None)
    read = read_flat(fields, size)
    return replace(read, cx=None if read.cx is None else read.cx - 0.5, cy=None if read.cy is None else read.cy - 0.5)


def _angle(name: str, value: Any) -> float:
    """A field of view in radians. Raises ValueError for one in degrees."""
    angle = number(name, value)
    if not 0.0 < angle < pi:
        raise ValueError(f"camera {name} {angle:g} is no field of view in radians; multiply degrees by pi / 180")
    return angle


def _cameras_nerf(document: Document) -> dict[str, Document]:
    """The different intrinsics of single frames, each under the file of the first frame that has them."""
    frames = document.get("frames")
    if "fl_x" in document or "camera_angle_x" in document or not isinstance(frames, list):
        return {}
    different: dict[str, tuple[str, Document]] = {}
    for i, frame in enumerate(frames):
        if isinstance(frame, Mapping):
            own = str(sorted(_intrinsics_of(frame).items()))
            different.setdefault(own, (str(frame.get("file_path", i)), {**document, "frames": [frame]}))
    return dict(different.values()) if len(different) > 1 else {}


def _intrinsics_of(frame: Mapping[str, Any]) -> dict[str, Any]:
    return {name: frame[name] for name in _NERF if name in frame}


def _read_opensfm(document: Document, size: Size | None) -> Stated:
    """The only camera. Lengths are in units of the larger side, from the middle of the image."""
    camera = dict(next(iter(_opensfm(document).values())))
    of = resolution(Fields(camera)) or size
    if of is None:
        raise ValueError("camera width and height are missing; add the resolution of the calibration images")
    larger = max(of)
    for key in ("focal", "focal_x", "focal_y"):
        if key in camera:
            camera[key] = number(key, camera[key]) * larger
    camera["cx"] = number("c_x", camera.pop("c_x", 0.0)) * larger + (of[0] - 1) / 2
    camera["cy"] = number("c_y", camera.pop("c_y", 0.0)) * larger + (of[1] - 1) / 2
    return read_flat(camera, size)


def _opensfm(document: Document) -> dict[str, Mapping[str, Any]]:
    """The cameras of a camera_models.json, or of the first part of a reconstruction.json."""
    cameras = document.get("cameras", document)
    if not isinstance(cameras, Mapping):
        return {}
    return {str(name): value for name, value in cameras.items()
            if isinstance(value, Mapping) and "projection_type" in value}  # fmt: skip


def _cameras_open3d(document: Document) -> dict[str, Document]:
    """The different cameras, by the number of the first view that has them."""
    different: dict[str, tuple[str, Document]] = {}
    for i, view in enumerate(_open3d(document)):
        different.setdefault(str(sorted(view.items())), (f"parameters[{i}]", {"parameters": [{"intrinsic": view}]}))
    return dict(different.values()) if len(different) > 1 else {}


def _open3d(document: Document) -> list[Mapping[str, Any]]:
    """The views of a PinholeCameraTrajectory, each with its camera."""
    views = document.get("parameters")
    found = [view.get("intrinsic") for view in views if isinstance(view, Mapping)] if isinstance(views, list) else []
    return [one for one in found if isinstance(one, Mapping) and "intrinsic_matrix" in one]


def _is_colmap(rows: Rows) -> bool:
    """Whether rows are ID MODEL WIDTH HEIGHT PARAMETERS, or NAME MODEL ..., as hloc lists images of known cameras."""
    row = rows[0]
    is_one = len(row) >= 5 and not is_number(row[1]) and all(map(is_number, row[2:]))
    return is_one and (row[0].isdecimal() or row[1].upper() in _COLMAP)


def _cameras_colmap(rows: Rows) -> dict[str, Rows]:
    """The cameras by their numbers, or, of images, the different ones by the first image that has them."""
    if rows[0][0].isdecimal():
        return {row[0]: [row] for row in rows}
    different: dict[tuple[str, ...], str] = {}
    for row in rows:
        different.setdefault(tuple(row[1:]), row[0])
    return {name: [[name, *camera]] for camera, name in different.items()} if len(different) > 1 else {}


def _read_colmap(rows: Rows, size: Size | None) -> Stated:
    """The only camera of a cameras.txt."""
    _, model, width, height, *words = rows[0]
    return _colmap_camera(model, (int(width), int(height)), numbers(model, words))


def _colmap_camera(model: str, size: Size, values: list[float]) -> Stated:
    """Camera of a COLMAP model with its parameters. Raises ValueError."""
    if model.upper() not in _COLMAP:
        raise ValueError(f"COLMAP's camera model {model} is not supported; use OPENCV or OPENCV_FISHEYE")
    lens, order = _COLMAP[model.upper()]
    names = order.split()
    if len(values) != len(names):
        raise ValueError(f"COLMAP's camera model {model} has the parameters {order}, got {len(values)} numbers")
    p = dict(zip(names, values, strict=True))
    known = {"pinhole": "", "radtan": "k1 k2 p1 p2 k3 k4 k5 k6", "fisheye": "k1 k2 k3 k4", "fov": "w",
             "eucm": "alpha beta"}[lens].split()  # fmt: skip
    excess = [name for name in names if name not in ("f", "fx", "fy", "cx", "cy", *known) and p[name]]
    if excess:
        raise ValueError(f"COLMAP's camera model {model} with {', '.join(excess)} is not supported; use OPENCV_FISHEYE")
    k = tuple(p.get(name, 0.0) for name in known)
    fx, fy = (p.get(name, p.get("f", 0.0)) for name in ("fx", "fy"))
    return Stated(fx, fy, p["cx"] - 0.5, p["cy"] - 0.5, size, lens, k)


NERFSTUDIO: Layout[Document] = Layout(_is_nerf, _read_nerf, _cameras_nerf, is_first_taken=False)
OPENSFM: Layout[Document] = Layout(
    lambda document: bool(_opensfm(document)), _read_opensfm,
    lambda document: {name: {"cameras": {name: camera}} for name, camera in _opensfm(document).items()},
)  # fmt: skip
OPEN3D: Layout[Document] = Layout(
    lambda document: bool(_open3d(document)), lambda document, size: read_flat(_open3d(document)[0], size),
    _cameras_open3d, is_first_taken=False,
)  # fmt: skip
COLMAP: Layout[Rows] = Layout(_is_colmap, _read_colmap, _cameras_colmap)


MODELS: dict[int, tuple[str, int]] = {
    0: ("SIMPLE_PINHOLE", 3), 1: ("PINHOLE", 4), 2: ("SIMPLE_RADIAL", 4), 3: ("RADIAL", 5), 4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8), 6: ("FULL_OPENCV", 12), 7: ("FOV", 5), 8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5), 10: ("THIN_PRISM_FISHEYE", 12), 11: ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
    12: ("SIMPLE_DIVISION", 4), 13: ("DIVISION", 5), 14: ("SIMPLE_FISHEYE", 3), 15: ("FISHEYE", 4), 16: ("EUCM", 6),
    17: ("EQUIRECTANGULAR", 2),
}  # fmt: skip
"""Name and number of parameters of each model, by its number in the file."""
MOST_MODELS, MOST_SIDE_PX = 1000, 1_000_000
_COUNT, _HEAD = struct.Struct("<Q"), struct.Struct("<iiQQ")


def rows_of_bin(data: bytes) -> Rows:
    """The words ID MODEL WIDTH HEIGHT PARAMETERS of each camera. Raises ValueError for another file, or an unknown
    model."""
    try:
        rows, at = _read(data)
    except struct.error:
        rows, at = [], -1
    if not rows or at != len(data):
        raise ValueError("is no cameras.bin of COLMAP's, or one that was cut off; give cameras.bin, or cameras.txt")
    return rows


def _is_camera(number: int, kind: int, width: int, height: int) -> bool:
    """Whether the head of a camera may be one, but for its model; else the file is another."""
    return number >= 0 and 0 <= kind < MOST_MODELS and min(width, height) > 0 and max(width, height) < MOST_SIDE_PX


def _read(data: bytes) -> tuple[Rows, int]:
    """The rows, and where they end."""
    (n,), at, rows = _COUNT.unpack_from(data), _COUNT.size, []
    if n * _HEAD.size > len(data):
        return [], -1
    for _ in range(n):
        number, kind, width, height = _HEAD.unpack_from(data, at)
        if kind not in MODELS:
            if not _is_camera(number, kind, width, height):
                return [], -1
            known = ", ".join(f"{k} {name}" for k, (name, _) in MODELS.items())
            raise ValueError(f"camera {number} has COLMAP's model {kind}, which is not known here; known are {known}")
        name, n_parameters = MODELS[kind]
        at += _HEAD.size
        parameters = struct.unpack_from(f"<{n_parameters}d", data, at)
        at += 8 * n_parameters
        rows.append([str(number), name, str(width), str(height), *map(repr, parameters)])
    return rows, at
