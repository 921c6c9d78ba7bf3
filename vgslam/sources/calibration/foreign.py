"""Files of programs whose cameras are not read, by the words that only they have: each is refused by name."""

import re

_POSES = "holds poses and a lens for each photo in the program's own units"
_FOREIGN: tuple[tuple[str, str], ...] = (
    (r"\A\s*Pix4D|\A(?:#.*\n|\s)*F\s+\S+\s*\nPx\s", "is a camera of Pix4D, in millimetres; give its "
     "calibrated_camera_parameters as fx fy cx cy in px with k1 k2 p1 p2 k3 (JSON or YAML), or export to COLMAP"),
    (r"\AfileName imageWidth imageHeight", "is Pix4D's list of the cameras of all photos; give one of them: fx fy cx "
     "cy in px with k1 k2 p1 p2 k3 (T1 T2 are p1 p2), in a JSON or YAML file"),
    (r"capturingreality\.com", f"is a sidecar of RealityCapture, which {_POSES} (35 mm); export to COLMAP"),
    (r"\A#?name,x,y,alt", f"is a table of RealityCapture, which {_POSES} (35 mm); export to COLMAP"),
    (r"\A# Bundle file", f"is a bundle.out of Bundler, which {_POSES}; give COLMAP's cameras.txt, or fx and k1 k2 in a "
     "JSON or YAML file"),
    (r"\ANVM_V\d", f"is a file of VisualSFM, which {_POSES}; give COLMAP's cameras.txt"),
    (r"<document[^>]*>\s*<chunk", "is a project or an export of cameras of Metashape; save the calibration instead "
     "(Tools, Camera Calibration, Save: Agisoft or OpenCV XML)"),
    (r"\A# (?:Image list with two lines|3D point list)", "is COLMAP's list of images or points; give cameras.txt, "
     "which lies beside it"),
    (r"\A# oST version|^\[narrow_stereo\]", "is an INI file of ROS's calibrator; give ost.yaml, which lies beside it"),
    (r"\ACalibration results\b[\s\S]*\bcam0\b", "is Kalibr's text for people; give camchain.yaml, which lies beside "
     "it"),
    (r"^\s*(?:fc|KK)\s*=\s*\[", "is a result of Bouguet's toolbox for MATLAB; give fx fy (fc), cx cy (cc), distortion "
     "(kc), width and height (nx, ny) in a JSON or YAML file"),
    (r"\A#polynomial coefficients for the DIRECT", "is a camera of OCamCalib, whose model is not supported; calibrate "
     "with the fisheye model"),
    (r"\A\s*Intrinsic of \"", "is what rs-enumerate-devices prints for people; give fx fy cx cy (PPX, PPY) and "
     "distortion in a JSON or YAML file"),
    (r"\AMATLAB 5\.0 MAT-file", "is a file of MATLAB; write K and the distortion as a JSON or YAML file"),
    (r"\"fisheye_params\"", "is a lens profile of Gyroflow; give camera_matrix and distortion_coeffs of its "
     "fisheye_params with distortion_model: fisheye, and width and height of its calib_dimension (JSON or YAML)"),
    (r"<!DOCTYPE html|<html[\s>]", "is a web page, not a calibration; download the file itself"),
)  # fmt: skip
"""What the text of a file holds, and what is said of the file."""
_HEAD = 4000


def why_foreign(text: str) -> str | None:
    """Why a text is refused whatever else it holds, None if it may be a calibration."""
    if not text.strip():
        return "is empty"
    found = next((said for pattern, said in _FOREIGN if re.search(pattern, text[:_HEAD], re.I | re.M)), None)
    return found or _table(text)


def _table(text: str) -> str | None:
    """A table with a row for each frame: which of its cameras is meant?"""
    words = [word.strip(" #\"'").lower() for word in re.split(r"[,;\t]", text.splitlines()[0])]
    if len(words) > 4 and len(text.splitlines()) > 2 and {"fx", "fy"} <= set(words):
        return (f"is a table with a camera for each frame ({', '.join(words[:6])}, ...); give one of them: fx fy cx cy "
                "in px in a JSON or YAML file")  # fmt: skip
    return None
