"""`vgslam report`: the page of a run."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import tyro

from vgslam.atomic import write_text
from vgslam.errors import OutputError, VgslamError
from vgslam.guards.wording import say
from vgslam.results.page.document import page
from vgslam.results.page.plain import mapping
from vgslam.results.page.run_data import RunData, read_run_data
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.sources.trajectory_rows import is_untimed
from vgslam.store.open import load_map
from vgslam.types import Edge, EdgeKind, Trajectory

OPTIONS = {"source": "kind"}
"""Fields of `run` that the source's options call otherwise."""


@dataclass
class ReportArgs:
    """Makes one HTML page of a run: path, errors, statuses, depth, losses, loops, timings, settings. It needs no other
    file and no network, and prints."""

    run: tyro.conf.Positional[Path]
    """Folder of the run."""

    out: Path | None = None
    """The page; the default is report.html in the folder of the run, which is replaced."""

    truth: Path | None = None
    """Trajectory to compare with (TUM, KITTI or EuRoC); the default is the one that the run used, if it is there."""


def run_report(args: ReportArgs) -> int:
    """Writes the page, prints where it is; returns 0. Raises InputError for a folder that holds no run."""
    data = read_run_data(args.run)
    truth = _chosen_truth(args.truth, data) if args.truth is not None else _truth_of_run(data)
    if truth is not None:
        data.compare(truth)
    out = args.out or args.run / "report.html"
    if out.is_dir():
        raise OutputError(f"{out} is a folder; give the name of a file with --out")
    write_text(out, page(data, _edges_of_map(data)))
    say(f"report: {out}")
    return 0


def _chosen_truth(path: Path, data: RunData) -> Trajectory:
    """The reference, mended as far as possible, with a note for each such thing; KITTI's rows are those of the run's
    frames. Raises InputError."""
    if not is_untimed(path):
        return read_trajectory(path, is_metric=True, notes=data.notes)
    times_s = None if data.run is None else data.run.frames.timestamps_s
    return read_trajectory(path, "kitti", times_s, is_metric=True)


def _truth_of_run(data: RunData) -> Trajectory | None:
    """The reference that the run was compared with; None, and a note, when it cannot be found any more."""
    if not data.report.get("evaluation"):
        return None
    try:
        return _reopen(data.config)
    except (VgslamError, TypeError, ValueError, OSError) as error:
        data.notes.append(f"the truth is not where it was, plots are those of the run itself ({error})")
        return None


def _reopen(config: dict[str, Any]) -> Trajectory | None:
    given = {OPTIONS.get(key, key): value for key, value in config.items()}
    known = {f.name for f in fields(SourceOptions)}
    chosen = {k: v for k, v in given.items() if k in known and v is not None}
    for name in ("calib", "truth"):
        if name in chosen:
            chosen[name] = Path(chosen[name])
    return open_source(Path(str(config["path"])), SourceOptions(**chosen)).truth if "path" in config else None


def _edges_of_map(data: RunData) -> list[Edge]:
    """Edges that close a loop or join sessions, where the run was saved as a map that is still there."""
    path = mapping(data.report.get("map")).get("path")
    if not isinstance(path, str) or not path or not Path(path).is_dir():
        return []
    try:
        edges = load_map(Path(path)).edges.values()
    except VgslamError as error:
        data.notes.append(f"the map could not be read for its loops: {error}")
        return []
    return [e for e in edges if e.kind is not EdgeKind.ODOMETRY]
