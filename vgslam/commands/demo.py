"""`vgslam demo`: the whole program on a sequence that comes with it."""

from dataclasses import dataclass, field
from pathlib import Path

from vgslam.commands.run import RunArgs, run_run
from vgslam.commands.self_test import demo_folder
from vgslam.errors import InputError
from vgslam.system import SlamConfig


@dataclass
class DemoArgs:
    """Tracks the sequence that comes with the program (a rendered room) and compares with its exact truth."""

    out: Path = Path("out/demo")
    """Folder for the results."""

    overwrite: bool = False
    """Replace the results of an earlier demo."""

    quiet: bool = False
    """No progress bar."""

    slam: SlamConfig = field(default_factory=SlamConfig)
    """Settings of tracking and mapping."""


def run_demo(args: DemoArgs) -> int:
    """Runs on the shipped video with its calibration and truth."""
    folder = demo_folder()
    video = folder / "demo.mp4"
    if not video.is_file():
        raise InputError(f"{video}: the demo sequence is missing from this installation; install the package again")
    return run_run(
        RunArgs(
            video, out=args.out, overwrite=args.overwrite, calib=folder / "calib.json",
            truth=folder / "groundtruth.txt", slam=args.slam, quiet=args.quiet,
        )
    )
