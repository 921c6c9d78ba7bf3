"""`python -m bench fleet`: many recordings on a cluster whose machines die, and the merging of many maps."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.record import claim_folder, provenance, write_record

NAME = "fleet"
PARTS = ("cluster", "merge", "scale", "drives", "sessions", "deaths")


@dataclass
class BenchFleetArgs:
    """Recordings on a cluster whose machines die and join, maps merged, the size of it with made-up maps, and sessions
    of one trajectory."""

    data: Path = Path("../shared/data")
    """Folder of the recorded sequences."""

    parts: tuple[str, ...] = PARTS
    """What is measured: cluster, merge, scale, drives, sessions, deaths; and speed, on a machine that is idle."""

    frames: int = 60
    """Frames of each recording."""

    maps: tuple[int, ...] = (100, 1000)
    """Numbers of made-up maps."""

    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    """Seeds of the made-up drives and of the simulated odometry of sessions."""

    films: Path = Path("out/fleet-films")
    """Folder for the rendered drives, which are made once."""

    out: Path = Path("out/bench-fleet")
    """Folder for fleet.json and fleet.md, and for all that is made on the way."""

    overwrite: bool = False
    """Replace earlier results in OUT."""


def run_bench_fleet(args: BenchFleetArgs) -> int:
    """Measures, prints and writes; returns 0. OutputError, InputError and ConfigError."""
    from bench.fleet_cluster import measure_cluster
    from bench.fleet_deaths import measure_deaths, measure_speed
    from bench.fleet_drives import measure_drives
    from bench.fleet_merging import measure_merging
    from bench.fleet_scale import measure_scale
    from bench.fleet_sessions import measure_sessions

    claim_folder(args.out, NAME, args.overwrite)
    measures: dict[str, Callable[[Path], tuple[dict[str, Any], list[str]]]] = {
        "cluster": lambda work: measure_cluster(args.data, args.frames, work),
        "merge": lambda work: measure_merging(args.films, work),
        "scale": lambda work: measure_scale(args.data, args.maps),
        "drives": lambda work: measure_drives(args.data, args.seeds),
        "deaths": lambda work: measure_deaths(args.data, args.films, work),
        "speed": lambda work: measure_speed(args.data, args.films, work),
        "sessions": lambda work: measure_sessions(args.data, args.seeds, work),
    }
    figures: dict[str, Any] = provenance()
    machine = figures["machine"]
    where = f"`{figures['command']}` (commit {figures['commit']}, {machine['cpu']}, {machine['cores']} cores)."
    pages = ["# Many recordings, many maps", "", where, ""]
    for part in args.parts:
        work = args.out / part
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        figures[part], lines = measures[part](work)
        pages += [*lines, ""]
    page = "\n".join(pages)
    Console().print(page, soft_wrap=True, markup=False)
    print(write_record(args.out, NAME, figures, page))
    return 0
