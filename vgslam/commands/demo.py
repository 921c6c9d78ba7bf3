"""`vgslam demo`: the whole program on a sequence that comes with it."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from vgslam.commands.run import RunArgs, run_run
from vgslam.commands.self_test import demo_folder
from vgslam.errors import InputError
from vgslam.guards.wording import say
from vgslam.network.options import is_installed
from vgslam.slam_config import SlamConfig


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
    """Runs on the shipped video with its calibration, and its truth where there is evo to compare with it."""
    folder = demo_folder()
    video = folder / "demo.mp4"
    if not video.is_file():
        raise InputError(f"{video}: the demo sequence is missing from this installation; install the package again")
    can_score = is_installed("evo")
    code = run_run(
        RunArgs(
            video, out=args.out, overwrite=args.overwrite, calib=folder / "calib.json",
            truth=folder / "groundtruth.txt" if can_score else None, slam=args.slam, quiet=args.quiet,
        )
    )
    if code == 0 and not can_score:
        say("pip install 'vgslam[eval]' compares it with the truth: the demo's is exact")
    if code == 0:
        program = program_as_called(sys.argv[0])
        say(f"next: {program} report {args.out}, a page of everything; {program} run VIDEO, your own")
    return code


def program_as_called(first_word: str) -> str:
    """How to call the program again: by its path if it was called by that, which may be on no search path."""
    path = Path(first_word)
    if path.name != "vgslam":
        return "python -m vgslam"
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path)
