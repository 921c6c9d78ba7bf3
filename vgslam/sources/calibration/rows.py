"""Calibrations as rows of numbers: DSO's camera.txt, the text files of DROID-SLAM and DPVO, a matrix."""

from vgslam.guards.documents import is_number
from vgslam.sources.calibration.document import Rows
from vgslam.sources.calibration.fields import numbers
from vgslam.sources.calibration.stated import Layout, Size, Stated

_DSO = {"pinhole": "pinhole", "radtan": "radtan", "fov": "fov", "atan": "fov", "equidistant": "fisheye",
        "kannalabrandt": "fisheye"}  # fmt: skip


def _is_dso(rows: Rows) -> bool:
    """Whether the first row is a model's name and numbers, or five numbers with a size in the second row."""
    first = rows[0]
    if first[0].rstrip(":").lower() in _DSO and all(map(is_number, first[1:])):
        return True
    return len(rows) >= 3 and len(first) in (5, 8) and all(map(is_number, first)) and len(rows[1]) == 2


def _read_dso(rows: Rows, size: Size | None) -> Stated:
    """The input camera: the model's row and the size. What DSO makes of it (the rows after) is not needed.

    Values below 1 are relative to width and height, with the edge of the image at 0.
    """
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


def _is_numbers(rows: Rows) -> bool:
    """Whether there is one row of four numbers or more, or a matrix."""
    return all(is_number(word) for row in rows for word in row)


def _read_numbers(rows: Rows, size: Size | None) -> Stated:
    """fx fy cx cy [k1 k2 p1 p2 [k3 ...]] in one row, or a camera matrix 3x3 or 4x4."""
    lengths = {len(row) for row in rows}
    if len(rows) in (3, 4) and lengths in ({3}, {4}):
        m = [[float(word) for word in row] for row in rows]
        if m[1][0] or m[0][1] or m[2][:3] != [0.0, 0.0, 1.0]:
            raise ValueError("is no camera matrix [fx 0 cx; 0 fy cy; 0 0 1]")
        return Stated(m[0][0], m[1][1], m[0][2], m[1][2], None)
    values = [float(word) for word in rows[0]]
    if len(rows) > 1 or len(values) not in (4, 5, 8, 9, 12):
        raise ValueError("needs one row fx fy cx cy [k1 k2 p1 p2 [k3]], or three rows of a camera matrix")
    if len(values) == 5 and values[4]:
        raise ValueError("a fifth number may be k1 or a FOV lens; give fx fy cx cy k1 0 0 0, or FOV before the numbers")
    fx, fy, cx, cy = values[:4]
    return Stated(fx, fy, cx, cy, None, "radtan", tuple(values[4:]) if len(values) > 5 else ())


DSO: Layout[Rows] = Layout(_is_dso, _read_dso)
NUMBERS: Layout[Rows] = Layout(_is_numbers, _read_numbers)
