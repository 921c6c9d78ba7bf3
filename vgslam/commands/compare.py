"""`vgslam compare`: several runs side by side."""

import json
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from vgslam.atomic import make_folder, write_bytes, write_text
from vgslam.commands.cells import wide_console
from vgslam.errors import InputError, MissingDependencyError, OutputError
from vgslam.guards.wording import say, shown
from vgslam.results.comparison.compare import Comparison, compare
from vgslam.results.page.run_data import RunData, chosen_truth, read_run_data, truth_of_run
from vgslam.types import Trajectory

PAGE, PICTURE, FIGURES = "compare.html", "paths.png", "compare.json"
TABLE_WIDTH = 400  # characters: a table is as wide as what is in it
MOST_SETTINGS = 60  # rows of settings on the terminal; the files have all


@dataclass
class CompareArgs:
    """Compares runs: paths over one another, coverage, errors, CPU, memory, components, keyframes, and the settings
    that differ. A folder that holds no run is named and left out; the exit code is then 2."""

    runs: tyro.conf.Positional[list[Path]]
    """Folders of runs; without a truth the others are aligned with the first."""
    out: Path | None = None
    """Folder for compare.html, paths.png and compare.json, which are replaced."""
    truth: Path | None = None
    """Trajectory to compare with (TUM, KITTI or EuRoC); the default is that of the first run that was scored, if it
    is there."""
    same_input: bool = False
    """The runs are of one recording, though the names of their inputs differ."""
    json: bool = False
    """Print JSON instead of tables."""


def run_compare(args: CompareArgs) -> int:
    """Prints the comparison; returns 0, or 2 when a folder holds no run. Raises InputError for fewer than two runs."""
    runs, n_bad = _read(args.runs)
    comparison = _compared(args, runs)
    if args.json:
        say(json.dumps(comparison.to_dict(), indent=2, allow_nan=False))
    else:
        _print(comparison)
    if args.out is not None:
        _write(args.out, comparison, is_quiet=args.json)
    return 2 if n_bad else 0


def _read(folders: list[Path]) -> tuple[list[RunData], int]:
    """The runs, and how many folders hold none; each of those is named on stderr."""
    if len(folders) < 2:
        raise InputError("give the folders of two runs or more")
    runs, n_bad = [], 0
    for folder in folders:
        try:
            runs.append(read_run_data(folder))
        except InputError as error:
            n_bad += 1
            say(f"vgslam: left out: {error}", is_error=True)
    if len(runs) < 2:
        raise InputError(f"{len(runs)} of {len(folders)} folders hold a run, two are needed")
    return runs, n_bad


def _compared(args: CompareArgs, runs: list[RunData]) -> Comparison:
    one_input = args.same_input or len({data.name for data in runs}) == 1
    for data in runs:
        if args.truth is not None:
            truth: Trajectory | None = chosen_truth(args.truth, data)
        else:  # one truth for all where they are of one input
            source = next((d for d in runs if d.report.get("evaluation")), data) if one_input else data
            before = len(source.notes)
            truth = truth_of_run(source)
            if data is not source:
                del source.notes[before:]  # said of the run itself
        if truth is None:
            continue
        try:
            data.compare(truth)
        except MissingDependencyError as error:
            data.notes.append(str(error))
    return compare(runs, args.same_input)


def _print(comparison: Comparison) -> None:
    console = wide_console(TABLE_WIDTH)
    for note in comparison.notes:
        say(f"note: {note}")
    table = Table(title="figures", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("run", overflow="fold")
    for figure in comparison.columns:
        heading = f"{figure.heading}\n[{figure.unit}]" if figure.unit else figure.heading
        table.add_column(escape(heading), justify="right", no_wrap=True)
    for name, row in zip(comparison.names, comparison.rows, strict=True):
        table.add_row(escape(shown(name)), *[f.shown(row[f.key]) for f in comparison.columns])
    console.print(table)
    if not comparison.settings:
        say("settings: the same in all runs")
        return
    table = Table(title="settings that differ", title_justify="left", box=SIMPLE_HEAD)
    for heading in ("setting", *comparison.names):
        table.add_column(escape(shown(heading)), overflow="fold")
    for name, values in list(comparison.settings.items())[:MOST_SETTINGS]:
        table.add_row(*[escape(shown(text)) for text in (name, *values)])
    console.print(table)
    if len(comparison.settings) > MOST_SETTINGS:
        say(f"and {len(comparison.settings) - MOST_SETTINGS} more (--out writes all)")


def _write(out: Path, comparison: Comparison, is_quiet: bool) -> None:
    from vgslam.results.comparison.document import page, paths_of  # matplotlib, which a table needs not
    from vgslam.viewer.plots import overlaid_paths
    from vgslam.viewer.style import png_bytes

    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; give a folder with --out")
    make_folder(out, "; choose another --out")
    overlay = comparison.overlay
    write_text(out / PAGE, page(comparison))
    write_text(out / FIGURES, json.dumps(comparison.to_dict(), indent=2, allow_nan=False) + "\n")
    if any(overlay.pieces):
        write_bytes(out / PICTURE, png_bytes(overlaid_paths(paths_of(comparison), overlay.truth, overlay.is_metric)))
    if not is_quiet:
        say(f"comparison: {out / PAGE}")
