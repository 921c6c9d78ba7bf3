"""What a person says about scale and gravity, read strictly: `--scale-from` and `--gravity`."""

import re
from dataclasses import dataclass
from pathlib import Path

from vgslam.errors import ConfigError
from vgslam.guards.documents import to_number

SCALE_HELP = (
    "frames:A,B=METRES, points:FRAME:u,v;FRAME:u,v=METRES, aruco:DICTIONARY:EDGE_M, positions:FILE[=SIGMA_M] or "
    "depth[:FOLDER][=UNITS_PER_M]"
)
GRAVITY_HELP = "upright, positions or accelerometer:FILE"


@dataclass(frozen=True)
class FramesLength:
    """The distance between the cameras of two frames."""

    frame_a: int
    frame_b: int
    length_m: float


@dataclass(frozen=True)
class Pixel:
    """A pixel of a frame."""

    frame: int
    u: float
    v: float


@dataclass(frozen=True)
class PointsLength:
    """The distance between what two pixels show."""

    a: Pixel
    b: Pixel
    length_m: float


@dataclass(frozen=True)
class Tags:
    """ArUco markers or AprilTags of one size."""

    dictionary: str  # the name in OpenCV, without DICT_
    edge_m: float


@dataclass(frozen=True)
class PositionFile:
    """Positions of the camera over time."""

    path: Path
    sigma_m: float | None  # their deviation; None: that of the file, or else measured


@dataclass(frozen=True)
class DepthImages:
    """Measured depth."""

    path: Path | None  # its sequence, None for the one that runs
    units_per_m: float | None  # None for the data set's own


ScaleSpec = FramesLength | PointsLength | Tags | PositionFile | DepthImages


@dataclass(frozen=True)
class Upright:
    """The camera is held upright on average."""


@dataclass(frozen=True)
class FromPositions:
    """The z axis of the positions that give the scale points up."""


@dataclass(frozen=True)
class Accelerometer:
    """A file of measured accelerations in the camera's axes."""

    path: Path


GravitySpec = Upright | FromPositions | Accelerometer


def parse_scale(text: str) -> ScaleSpec:
    """The meaning of `--scale-from`. Raises ConfigError, saying what would be right."""
    kind, _, rest = text.partition(":")
    if kind.partition("=")[0] == "depth":
        return _depth(text)
    if kind == "frames" and (m := re.fullmatch(r"(\d+),(\d+)=(.+)", rest)):
        length = FramesLength(int(m[1]), int(m[2]), _positive(m[3], text))
        if length.frame_a == length.frame_b:
            raise ConfigError(f"--scale-from {text}: names one frame twice; give two frames that are apart")
        return length
    number = r"(-?\d+(?:\.\d*)?)"
    if kind == "points" and (m := re.fullmatch(rf"(\d+):{number},{number};(\d+):{number},{number}=(.+)", rest)):
        a, b = Pixel(int(m[1]), float(m[2]), float(m[3])), Pixel(int(m[4]), float(m[5]), float(m[6]))
        return PointsLength(a, b, _positive(m[7], text))
    if kind == "aruco" and (m := re.fullmatch(r"([^:]+):([^:]+)", rest)):
        return Tags(m[1].removeprefix("DICT_"), _positive(m[2], text))
    if kind == "positions" and rest:
        path, _, sigma = rest.partition("=")
        return PositionFile(Path(path), _positive(sigma, text) if sigma else None)
    raise ConfigError(f"--scale-from {text}: not understood; give {SCALE_HELP}")


def _depth(text: str) -> DepthImages:
    m = re.fullmatch(r"depth(?::([^=]+))?(?:=(.+))?", text)
    if m is None:
        raise ConfigError(f"--scale-from {text}: not understood; give depth, depth:FOLDER or depth:FOLDER=UNITS_PER_M")
    return DepthImages(Path(m[1]) if m[1] else None, _positive(m[2], text) if m[2] else None)


def _positive(number: str, text: str) -> float:
    try:
        value = to_number(number)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise ConfigError(f"--scale-from {text}: '{number}' is not a positive number")
    return value


def parse_gravity(text: str) -> GravitySpec:
    """The meaning of `--gravity`. Raises ConfigError, saying what would be right."""
    kind, _, rest = text.partition(":")
    if text == "upright":
        return Upright()
    if text == "positions":
        return FromPositions()
    if kind == "accelerometer" and rest:
        return Accelerometer(Path(rest))
    raise ConfigError(f"--gravity {text}: not understood; give {GRAVITY_HELP}")
