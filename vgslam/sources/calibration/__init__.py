"""Camera calibrations: files of many programs in, one camera out, or one line that says what is missing."""

from vgslam.sources.calibration.document import Document, read_document
from vgslam.sources.calibration.plausible import check_plausible, doubts, fit_to_image
from vgslam.sources.calibration.read import camera_from_document, read_calibration, with_projection

__all__ = [
    "Document", "camera_from_document", "check_plausible", "doubts", "fit_to_image", "read_calibration",
    "read_document", "with_projection",
]  # fmt: skip
