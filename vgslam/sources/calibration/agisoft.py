"""Calibrations that Agisoft Metashape saves as XML (its manual, appendix "Camera models")."""

from vgslam.sources.calibration.document import Document
from vgslam.sources.calibration.fields import number
from vgslam.sources.calibration.stated import Layout, Size, Stated

_LENSES = {"frame": "radtan", "fisheye": "fisheye"}
MOST_SKEW_PX = 0.5
"""Shift of a corner that a skew may cause and be left out."""


def _is_agisoft(document: Document) -> bool:
    """Whether it has a projection and a focal length, side by side."""
    return isinstance(document.get("projection"), str) and "f" in document and "width" in document


def _read_agisoft(document: Document, size: Size | None) -> Stated:
    """The camera: cx and cy are from the middle of the image, b1 belongs to the width alone, p1 and p2 are OpenCV's p2
    and p1. Raises ValueError for another projection, and terms that OpenCV does not have."""
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
