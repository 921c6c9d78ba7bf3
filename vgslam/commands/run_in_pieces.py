"""`vgslam run`: a sequence in one go, or with `--pieces` in pieces that are mapped side by side and joined."""

import sys
import time
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from typing import Literal

from vgslam.commands.run import RunArgs, run_run
from vgslam.errors import ConfigError


@dataclass
class RunCommandArgs(RunArgs):
    """Tracks a camera through a sequence: poses for every frame, dense depth, a coloured cloud, plots and a report."""

    pieces: str | None = None
    """Map a long recording in so many pieces, or `auto`. They are mapped side by side, overlap by 30 frames, are joined
    there and adjusted as one (docs/fleet.md); `auto` makes one for 500 frames."""
    engine: Literal["local", "ray"] = "local"
    """Where the pieces are mapped: in processes of this machine, or by a Ray cluster, for which all its machines have
    to see OUT and the recording under the same paths."""
    address: str | None = None
    """Address of the Ray cluster (HOST:PORT); by default, with --engine ray, one that is begun on this machine for the
    time."""
    jobs: int | None = None
    """Pieces at a time on this machine; by default as many as there are CPUs and memory for."""
    piece_memory: str = "4GiB"
    """Memory that a piece may take; one that takes more is ended, and the others go on."""

    def settings(self) -> RunArgs:
        """The settings of the run, however it is made."""
        return RunArgs(**{f.name: getattr(self, f.name) for f in fields(RunArgs)})

    @property
    def n_pieces(self) -> int | None:
        """The number that was asked for; None for `auto`. Raises ConfigError."""
        if self.pieces is None or self.pieces == "auto":
            return None
        if not self.pieces.isdecimal() or int(self.pieces) < 1:
            raise ConfigError(f"--pieces {self.pieces}: give auto or a number of 1 or more")
        return int(self.pieces)


def run_command(args: RunCommandArgs) -> int:
    """Runs, writes, prints; returns the exit code, as `run_run`, and 1 if a piece has no map."""
    if args.pieces is None:
        if args.engine != "local" or args.address is not None or args.jobs is not None:
            raise ConfigError("--engine, --address and --jobs say where pieces are mapped: add --pieces auto")
        return run_run(args.settings())
    check(args)
    from vgslam.byte_size import parse_size
    from vgslam.commands.pieces import PiecesRun
    from vgslam.fleet.engine import Workplace
    from vgslam.fleet.task import TaskLimits

    at, limits = Workplace(args.engine, args.address, args.jobs), TaskLimits(memory_bytes=parse_size(args.piece_memory))
    began = time.process_time(), time.monotonic()
    out = sys.stdout
    with redirect_stdout(sys.stderr if args.json else out):
        outcome = PiecesRun(args.settings(), args.n_pieces, at, limits, began).to_the_end()
    if outcome is None:
        return run_run(args.settings())
    if args.json:
        out.write(outcome.report.to_json())
    return outcome.exit_code


def check(args: RunCommandArgs) -> None:
    """Raises ConfigError for what pieces cannot do."""
    _ = args.n_pieces
    if "://" in str(args.path) or str(args.path).startswith(("rtsp:", "http:", "https:", "udp:")):
        raise ConfigError(f"--pieces: {args.path} is a stream, which has no length; pieces are for recordings")
    unfit = {
        "--realtime plays a recording as a camera would": args.realtime,
        "--localize looks for the camera in a map that is there": args.localize,
        "--viewer shows one run": args.viewer is not None,
        "--poses hands out poses as they happen": bool(args.poses),
        "--adapt learns from frame to frame": args.adapt != "off",
        "--metric takes all scales for 1, and joins find them": args.metric,
    }
    for why, is_given in unfit.items():
        if is_given:
            raise ConfigError(f"--pieces does not go with it: {why}; leave one of them out")
    if args.map is not None and args.map.exists():
        raise ConfigError(f"--pieces begins a map and goes on with none; {args.map} is there already")
