"""COLMAP's cameras.bin: the rows of cameras.txt, written as numbers (COLMAP's documentation, "Output Format")."""

import struct

from vgslam.sources.calibration.document import Rows

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
    """The words ID MODEL WIDTH HEIGHT PARAMETERS of each camera. Raises ValueError for what is no cameras.bin, and for
    a model that is not known: how long its parameters are is not either."""
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
