"""`vgslam fleet`: many recordings, each in a process of its own, on this machine or on a Ray cluster."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vgslam.byte_size import parse_size
from vgslam.commands.fleet_merge import FleetMergeArgs, run_fleet_merge
from vgslam.commands.fleet_options import OF_A_RECORDING, Orders, common_args, known_map, tasks_of
from vgslam.errors import ConfigError, InputError, OutputError
from vgslam.fleet.engine import Engine, Workplace, open_engine
from vgslam.fleet.folder import DIGESTS, FleetFolder
from vgslam.fleet.identity import Digests
from vgslam.fleet.items import Item, find_items
from vgslam.fleet.parquet import check_parquet
from vgslam.fleet.summary import PAGE, SUMMARY, Line, counts, write_summary
from vgslam.fleet.task import Ending, Task, TaskLimits, TaskResult
from vgslam.guards.wording import say
from vgslam.session.stop_signals import StopSignals, exit_code

SOME_FAILED = 1  # exit code where some recordings have no results, and others have
WRITE_EVERY_S = 5.0  # seconds between two summaries while it runs
MOST_NAMED = 20  # recordings that failed which are named in the terminal; summary.csv has all


@dataclass(kw_only=True)
class RecordingsArgs:
    """Options of a fleet's recordings."""

    inputs: tyro.conf.Positional[tuple[str, ...]]
    """Recordings: files, folders that are recordings or hold some, wildcards, addresses (s3://, gs://, http://, file://),
    or lists of them (.csv, .jsonl) with options of each."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for all results. What is done there is not done again."""
    run_options: str = ""
    """Options of `vgslam run` for all recordings, in one string, as in --run-options="--network none --stride 2"."""
    config: Path | None = None
    """YAML file with settings, as `vgslam config` prints them."""
    engine: Literal["local", "ray"] = "local"
    """Where the work is done: in processes of this machine, or by a Ray cluster, for which all its machines have to see
    OUT and the recordings under the same paths."""
    address: str | None = None
    """Address of the Ray cluster (HOST:PORT); by default, with --engine ray, one that is begun on this machine for the
    time."""
    jobs: int | None = None
    """Recordings at a time on this machine; by default as many as there are CPUs and memory for."""
    cpus: float = 1.0
    """CPUs that are reserved for a recording."""
    memory: str = "4GiB"
    """Memory that a recording may take; one that takes more is ended, and the others go on."""
    timeout_factor: float = 30.0
    """Seconds that a recording may take for each second of its duration."""
    timeout_least: float = 900.0
    """Seconds that a recording may take besides."""
    retries: int = 1
    """Further tries for a recording whose process died, whose storage failed, or whose machine was lost."""
    max_lost_frames: int | None = None
    """Give a recording up after this many frames in a row without a pose; the results go up to there."""
    cache: Path | None = None
    """Folder of each machine into which recordings from elsewhere are fetched; by default ~/.cache/vgslam."""
    quiet: bool = False
    """No progress bar."""
    json: bool = False
    """Print a line of JSON for each recording, as it ends, in place of the text."""


@dataclass(kw_only=True)
class FleetMapArgs(RecordingsArgs):
    """Maps many recordings: each gives a map, a trajectory and a report of its own."""


@dataclass(kw_only=True)
class FleetLocalizeArgs(RecordingsArgs):
    """Finds the camera of many recordings in one map, which stays as it is."""

    map: str
    """The saved map: a folder, or an address."""


Action = (
    Annotated[FleetMapArgs, tyro.conf.subcommand("map")]
    | Annotated[FleetLocalizeArgs, tyro.conf.subcommand("localize")]
    | Annotated[FleetMergeArgs, tyro.conf.subcommand("merge")]
)


@dataclass
class FleetArgs:
    """Many recordings: map, localize, merge."""

    action: tyro.conf.OmitSubcommandPrefixes[tyro.conf.OmitArgPrefixes[Action]]
    """The action: map, localize or merge."""


def run_fleet(args: FleetArgs) -> int:
    """Returns 0, 1 if some recordings failed, 130 and 143 after a signal. Raises VgslamError for what stops all of
    it."""
    action: Any = args.action
    if isinstance(action, FleetMergeArgs):
        return run_fleet_merge(action)
    return run_recordings(action)


def run_recordings(args: RecordingsArgs) -> int:
    """Does what is to be done."""
    at, limits = Workplace(args.engine, args.address, args.jobs), _limits(args)
    check_parquet()
    common = common_args(args.run_options, args.config)
    items = find_items(args.inputs, OF_A_RECORDING)
    if not items:
        raise InputError("no recordings were given; name files, folders, addresses or a list")
    where, identity = known_map(args.map) if isinstance(args, FleetLocalizeArgs) else (None, None)
    with StopSignals(), FleetFolder.driving(args.out) as folder:
        orders = Orders(
            folder, common, limits, Digests(folder.path / DIGESTS), where, identity, args.max_lost_frames,
            None if args.cache is None else str(args.cache.resolve()),
        )  # fmt: skip
        items, tasks = tasks_of(items, orders)
        for item in items:
            if item.trouble:
                say(f"vgslam: {item.trouble}", is_error=True)
        if not tasks:
            raise InputError(f"none of {len(items)} recordings can be worked on")
        return _Run(folder, args, items, tasks).to_the_end(open_engine(at, limits))


def _limits(args: RecordingsArgs) -> TaskLimits:
    if args.max_lost_frames is not None and args.max_lost_frames < 1:
        raise ConfigError("--max-lost-frames must be at least 1")
    try:
        return TaskLimits(args.cpus, parse_size(args.memory), args.timeout_factor, args.timeout_least, args.retries)
    except ValueError as error:
        raise ConfigError(str(error)) from error


@dataclass
class _Run:
    """The tasks of one call, and what has become of them."""

    folder: FleetFolder
    args: RecordingsArgs
    items: Sequence[Item]
    tasks: dict[str, Task]  # tasks by the names of the recordings; several may have the same key
    results: dict[str, TaskResult] = field(default_factory=dict)  # results by the keys of the tasks
    now: Callable[[], float] = time.monotonic
    _written_s: float = float("-inf")

    def to_the_end(self, engine: Engine) -> int:
        """Runs all tasks; returns the exit code."""
        by_key = {task.key: task for task in self.tasks.values()}
        interrupt: KeyboardInterrupt | None = None
        bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            disable=self.args.quiet or not sys.stderr.isatty(), transient=True,
        )  # fmt: skip
        with bar, closing(engine.run(list(by_key.values()))) as run:
            shown = bar.add_task("recordings", total=len(by_key))
            try:
                for result in run:
                    self.results[result.key] = result
                    bar.update(shown, advance=1)
                    self._tell(by_key[result.key], result)
                    self._write(is_last=False)
            except KeyboardInterrupt as error:
                interrupt = error
        self._write(is_last=True)
        return self._end(interrupt)

    def _lines(self) -> list[Line]:
        lines = []
        for item in self.items:
            task = self.tasks.get(item.name)
            lines.append(Line(item, None if task is None else self.results.get(task.key)))
        return lines

    def _write(self, is_last: bool) -> None:
        """The summary; one that cannot be written along the way is tried again, at last when all is done."""
        if not is_last and self.now() - self._written_s < WRITE_EVERY_S:
            return
        with nullcontext() if is_last else suppress(OutputError):
            write_summary(self.folder.path, f"{self.folder.path.name} – vgslam fleet", self._lines())
        self._written_s = self.now()

    def _tell(self, task: Task, result: TaskResult) -> None:
        if self.args.json:
            say(json.dumps({"name": task.name, **json.loads(result.to_json())}))
        elif not result.was_there:
            f = result.facts
            what = f"{100 * f.coverage:.1f} % of {f.n_frames} frames" if result.is_usable else result.error
            say(f"{task.name}: {result.ending}, {what}")

    def _end(self, interrupt: KeyboardInterrupt | None) -> int:
        lines, out = self._lines(), sys.stderr if self.args.json else sys.stdout
        n_there = sum(r.was_there for r in self.results.values())
        there = f"; {n_there} were there already" if n_there else ""
        say(f"{len(lines)} recordings: {counts(lines)}{there}", is_error=out is sys.stderr)
        say(f"results: {self.folder.path}/  ({SUMMARY}, {PAGE})", is_error=out is sys.stderr)
        if interrupt is not None:
            say("vgslam: interrupted; the same command goes on", is_error=True)
            return exit_code(interrupt)
        failed = [line for line in lines if line.ending == Ending.FAILED]
        if failed:
            names = ", ".join(line.item.name for line in failed[:MOST_NAMED])
            more = f" and {len(failed) - MOST_NAMED} more" if len(failed) > MOST_NAMED else ""
            say(f"vgslam: {len(failed)} of {len(lines)} recordings failed: {names}{more}", is_error=True)
        return SOME_FAILED if failed else 0
