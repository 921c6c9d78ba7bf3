"""`python -m bench live-kills`: a live run that keeps a map is killed at random moments; its map has to open."""

import json
import random
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from bench.record import claim_folder, provenance, write_record
from bench.served import PoseLines, Served, follow, free_port, live_run, server, write_calibration
from vgslam.errors import ConfigError, InputError, MapError
from vgslam.results.run_folder import STATUS
from vgslam.results.status import read_status
from vgslam.session.map_session import SAVE_FRACTION, SAVE_MIN_KEYFRAMES
from vgslam.sources.open import open_source
from vgslam.store.manifest import MANIFEST
from vgslam.store.open import load_map

NAME, CALIB_NAME = "live_kills", "calib.json"


@dataclass
class BenchLiveKillsArgs:
    """Serves a sequence on loopback and kills (-9) `vgslam live --map` on it at random moments."""

    sequence: tyro.conf.Positional[Path]
    """A calibrated sequence: anything that `vgslam run` takes."""

    n: int = 30
    """Kills. Every second one meets a run that goes on with the map of the one before."""

    seed: int = 1
    """Chooses the moments."""

    rate_hz: float = 30.0
    """Frames a second."""

    out: Path = Path("out/bench-live-kills")
    """Folder for the results, the runs and their maps."""

    overwrite: bool = False
    """Replace earlier results in OUT."""


@dataclass(frozen=True)
class Kill:
    """One run that was killed."""

    placed_at: int  # frames that had a pose when it was killed
    n_keyframes: int  # keyframes of the map at the run's last report, up to a second before
    n_before: int  # keyframes of the map when the run began
    n_saved: int  # keyframes of the map that opens afterwards
    n_status: int  # frames in the run's status.csv
    failure: str = ""  # why the map does not open

    @property
    def interval(self) -> int:
        """Keyframes from one save to the next."""
        return max(SAVE_MIN_KEYFRAMES, round(SAVE_FRACTION * self.n_keyframes))

    @property
    def n_lost(self) -> int:
        return max(0, self.n_keyframes - self.n_saved)


def run_bench_live_kills(args: BenchLiveKillsArgs) -> int:
    """Measures, prints and writes; returns 0. ConfigError, InputError, OutputError with one line."""
    if args.n < 1 or not args.rate_hz > 0:
        raise ConfigError("give at least one kill and a positive rate")
    source = open_source(args.sequence)
    if source.camera is None:
        raise InputError(f"{args.sequence}: needs a calibration for this")
    n_frames = sum(1 for _ in source)
    claim_folder(args.out, NAME, args.overwrite)
    write_calibration(args.out / CALIB_NAME, source.camera)
    chance, kills = random.Random(args.seed), []
    for i in range(args.n):
        kills.append(_kill(args, chance.uniform(0.02, 0.9) * n_frames, begins_anew=i % 2 == 0))
        print(f"{i + 1} of {args.n}: {_row(kills[-1])}")
    page = markdown(args, kills)
    write_record(args.out, NAME, {**provenance(), "kills": [asdict(k) for k in kills]}, page)
    print(page)
    return 0


def _kill(args: BenchLiveKillsArgs, at: float, begins_anew: bool) -> Kill:
    """Kill a run when `at` frames have been sent, and open its map."""
    map_dir, run_dir, port = args.out / "map", args.out / "run", free_port()
    for old in (run_dir, map_dir) if begins_anew else (run_dir,):
        shutil.rmtree(old, ignore_errors=True)
    n_before = _n_keyframes(map_dir)
    served = Served(args.sequence, rate_hz=args.rate_hz)
    words = ["--map", str(map_dir), "--stats", "json"]
    with server(served, port) as sender, live_run(served, port, args.out / CALIB_NAME, run_dir, words) as live:
        poses = PoseLines(live)
        follow(sender, live, round(at))
        live.kill()
        live.wait()
    n_keyframes = max([n_before, *_told(run_dir.with_suffix(".log"))])
    n_status = len(read_status(run_dir / STATUS).frame_ids) if (run_dir / STATUS).exists() else 0
    try:
        return Kill(poses.n_placed, n_keyframes, n_before, _n_keyframes(map_dir), n_status)
    except MapError as error:
        return Kill(poses.n_placed, n_keyframes, n_before, 0, n_status, str(error))


def _n_keyframes(map_dir: Path) -> int:
    """Keyframes of a saved map, 0 where none has been saved. Raises MapError for one that does not open."""
    return len(load_map(map_dir).keyframes) if (map_dir / MANIFEST).exists() else 0


def _told(log: Path) -> list[int]:
    """The numbers of keyframes that the run reported."""
    lines = log.read_text(errors="replace").splitlines()
    return [json.loads(line)["n_keyframes"] for line in lines if line.startswith('{"n_frames"') and line.endswith("}")]


def _row(k: Kill) -> str:
    return (
        f"| {k.placed_at} | {k.n_before} | {k.n_keyframes} | {k.n_saved} | {k.n_lost} | {k.interval} | {k.n_status} | "
        f"{k.failure or 'opens'} |"
    )


def markdown(args: BenchLiveKillsArgs, kills: list[Kill]) -> str:
    """The table."""
    n_within = sum(not k.failure and k.n_lost <= k.interval and k.n_saved >= k.n_before for k in kills)
    return "\n".join([
        "# Live runs killed at random moments", "",
        f"`python -m bench live-kills {args.sequence.name} --n {args.n} --seed {args.seed}`", "",
        f"{sum(not k.failure for k in kills)} of {len(kills)} maps open; {n_within} of {len(kills)} lost at most what "
        "came after the last save was due.", "",
        "| frames placed | keyframes before | at the kill | in the map | lost | save to save | in status.csv | map |",
        "|---:|---:|---:|---:|---:|---:|---:|---|",
        *map(_row, kills), "",
    ])  # fmt: skip
