"""`vgslam calibrate`: a camera from pictures of a board."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import tyro
from rich.console import Console
from rich.progress import Progress

from vgslam.atomic import write_text
from vgslam.calibrate.boards import SYNTAX, Finder, finder
from vgslam.calibrate.judge import Calibration, calibrate
from vgslam.calibrate.views import BoardView
from vgslam.errors import ConfigError, InputError, OutputError
from vgslam.guards.wording import say
from vgslam.sources.calibration import read_calibration
from vgslam.sources.image_files import those_of_other_sizes
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions
from vgslam.sources.source import RecordedSource

MOST_IMAGES = 240  # images that are looked at, evenly chosen: a board that is moved slowly is seen in every place
STRIDE_OF_UNKNOWN = 5  # where the number of images is not known in advance
OF_TIMES = "frames/s assumed"  # what warnings about missing times say; no time matters here


@dataclass
class CalibrateArgs:
    """Calibrates a camera from a video or images of a checkerboard, a ChArUco board or an AprilGrid, and writes the
    file that --calib reads. A board that was seen too little, or only parallel to the image, is refused, with what to
    film."""

    path: tyro.conf.Positional[Path]
    """Video, or folder of images, with one zoom and one focus."""
    board: str = ""
    """checkerboard:9x6 (inner corners), charuco:11x8:5x5_100[:MARKER/SQUARE] (squares), or
    aprilgrid:6x6[:36h11[:GAP/EDGE]] (tags)."""
    out: Path = Path("camera.json")
    """The calibration file."""
    overwrite: bool = False
    """Replace the file if it is there."""
    lens: Literal["auto", "pinhole", "fisheye"] = "auto"
    """Lens model; auto tries a fisheye where the view is wide or a pinhole does not fit."""
    start: int = 0
    """First image used."""
    end: int | None = None
    """Image after the last one used."""
    stride: int | None = None
    """Look at every n-th image; the default looks at 240 or fewer."""
    json: bool = False
    """Print JSON instead of text."""


def run_calibrate(args: CalibrateArgs) -> int:
    """Writes the calibration, says how good it is; returns 0. Raises CalibrationError, with what to film, ConfigError
    for a board that is not understood, InputError."""
    if not args.board:
        raise ConfigError(f"--board is missing; give {SYNTAX}")
    board = finder(args.board)
    if args.out.is_dir():
        raise OutputError(f"{args.out} is a folder; give the name of a file with --out")
    if args.out.exists() and not args.overwrite:
        raise OutputError(f"{args.out} is there already; add --overwrite or give another file with --out")
    views, n_images, size = _views(args, board)
    if board.note and not args.json:
        say(f"note: {board.note}")
    found = calibrate(views, size, n_images, args.lens)
    write_text(args.out, json.dumps(written(found), indent=2) + "\n")
    _check(args.out, found)
    if args.json:
        say(json.dumps({**written(found), "doubts": list(found.doubts)}, indent=2))
    else:
        for line in found.lines():
            say(line)
        say(f"calibration: {args.out} (vgslam run ... --calib {args.out})")
    return 0


def _views(args: CalibrateArgs, board: Finder) -> tuple[list[BoardView], int, tuple[int, int]]:
    """Views of the board, the number of images looked at, and their width and height; images are as recorded."""
    stride = args.stride
    if stride is None:
        n = open_source(args.path, SourceOptions(start=args.start, end=args.end)).n_frames
        stride = STRIDE_OF_UNKNOWN if n is None else max(1, -(-n // MOST_IMAGES))
    source = open_source(args.path, SourceOptions(start=args.start, end=args.end, stride=stride))
    if not isinstance(source, RecordedSource):
        raise InputError(f"{args.path}: is no recording; record a video first")
    source.take_camera(None)
    others = those_of_other_sizes(source.files)
    source.leave_out(others)
    views, n_images, size = [], 0, (0, 0)
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        for frame in progress.track(source, total=source.n_frames, description="looking for the board"):
            n_images += 1
            size = (frame.image.shape[1], frame.image.shape[0])
            corners = board.find(cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY))
            if corners is not None:
                views.append(BoardView(frame.name or f"frame {frame.id * stride}", *corners))
    for line in [*_left_out(others, size), *source.warnings]:
        if OF_TIMES not in line:
            say(f"warning: {line}", is_error=True)
    return views, n_images, size


def _left_out(others: Mapping[str, tuple[int, int]], size: tuple[int, int]) -> list[str]:
    """What is said of images of another size: a camera may see another part of the scene in each."""
    if not others:
        return []
    told = ", ".join(f"{name} ({w}x{h})" for name, (w, h) in list(others.items())[:5])
    told += ", ..." if len(others) > 5 else ""
    return [f"{len(others)} images are not of {size[0]}x{size[1]} px, the size of most, and are left out: {told}"]


def written(found: Calibration) -> dict[str, Any]:
    """The calibration as a file has it: px, pixel (0, 0) the centre of the top-left one."""
    c = found.camera
    return {
        "width": c.width, "height": c.height, "fx": c.fx, "fy": c.fy, "cx": c.cx, "cy": c.cy,
        "distortion_model": "fisheye" if c.is_fisheye else "radtan", "distortion": list(c.distortion),
        "rms_px": found.rms_px, "n_views": found.n_views, "coverage": found.coverage, "fx_sigma_px": found.fx_sigma_px,
    }  # fmt: skip


def _check(path: Path, found: Calibration) -> None:
    """What was written is what --calib reads."""
    camera = read_calibration(path, is_chosen=True)
    if camera != found.camera:
        raise OutputError(f"{path}: is not read back as it was written ({camera})")
