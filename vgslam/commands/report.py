"""`vgslam report`: the page of a run."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from vgslam.atomic import write_text
from vgslam.errors import OutputError, VgslamError
from vgslam.guards.wording import say
from vgslam.results.page.document import page
from vgslam.results.page.run_data import RunData, chosen_truth, mapping, read_run_data, truth_of_run
from vgslam.store.open import load_map
from vgslam.types import Edge, EdgeKind


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
    truth = chosen_truth(args.truth, data) if args.truth is not None else truth_of_run(data)
    if truth is not None:
        data.compare(truth)
    out = args.out or args.run / "report.html"
    if out.is_dir():
        raise OutputError(f"{out} is a folder; give the name of a file with --out")
    write_text(out, page(data, _edges_of_map(data)))
    say(f"report: {out}")
    return 0


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
