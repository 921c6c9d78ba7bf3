"""The work on one task, on whatever node: fetch, run, publish. A pure function but for the fleet's folder."""

import json
import os
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vgslam.atomic import write_text
from vgslam.errors import OutputError, TrackingError, VgslamError
from vgslam.fleet.folder import FACTS, FleetFolder
from vgslam.fleet.identity import program_id
from vgslam.fleet.storage import fetch, is_address, retried
from vgslam.fleet.supervise import PROGRESS, CutShort, Watched, watch
from vgslam.fleet.task import Ending, Facts, Task, TaskResult

RUN, MAP, ORDER, SETTINGS = "run", "map.vgslam", "order.json", "settings.yaml"


@dataclass(frozen=True)
class Order:
    """What the process of one recording is told, as JSON in a file."""

    settings: str  # YAML file with settings of `vgslam run`
    recording: str
    out: str  # folder for the results, made by the process
    map: str  # the map to localize in, or the folder of the map to make
    is_localizing: bool
    max_lost_frames: int | None
    progress: str  # file to be written with the seconds of the recording that are through
    parent: int  # process that watches

    @staticmethod
    def read(file: Path) -> "Order":
        """Raises ValueError, TypeError or OSError for what is no order."""
        return Order(**json.loads(file.read_text()))


def do_task(text: str) -> str:
    """`work_on` for a task and its result as JSON: what is sent to another machine."""
    return work_on(Task.from_json(text)).to_json()


def work_on(task: Task, stop: threading.Event | None = None) -> TaskResult:
    """Does a task, unless its results are there. What goes wrong is a result. stop: ends it from another thread."""
    began_s = time.monotonic()
    try:
        folder = FleetFolder.seen(task.folder, task.tag)
        there = folder.result_of(task.key)
        if there is not None:
            return found(folder, task, there)
        if task.program != program_id():
            raise VgslamError(f"this node has another version of vgslam ({program_id()} instead of {task.program})")
        cache = default_cache() if task.cache is None else Path(task.cache)
        recording = retried(lambda: _local(task.where, cache), task.limits.retries)
        slam_map = None if task.map is None else retried(lambda: _local(task.map or "", cache), task.limits.retries)
        result = _tries(task, folder, recording, slam_map, stop)
    except VgslamError as error:
        result = TaskResult(task.key, Ending.FAILED, str(error))
    except Exception as error:  # a fault of this program must not stop the others
        result = TaskResult(task.key, Ending.FAILED, f"{type(error).__name__}: {error}")
    return replace(result, wall_s=round(time.monotonic() - began_s, 3))


def found(folder: FleetFolder, task: Task, there: str) -> TaskResult:
    """The result of a task that an earlier run has done. Raises OutputError for results that are damaged."""
    file = folder.path / there / FACTS
    try:
        data = json.loads(file.read_text())
        facts, ending = Facts(**data["facts"]), Ending(data["ending"])
        return TaskResult(task.key, ending, str(data["error"]), there, facts, was_there=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise OutputError(f"{file}: is damaged ({error}); remove {there} to have it made again") from error


def default_cache() -> Path:
    """The folder of this machine where recordings are fetched to."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "vgslam" / "recordings"


def _local(where: str, cache: Path) -> Path:
    return fetch(where, cache) if is_address(where) else Path(where)


def _tries(
    task: Task, folder: FleetFolder, recording: Path, slam_map: Path | None, stop: threading.Event | None
) -> TaskResult:  # fmt: skip
    """Runs the process, again where it died by a signal that nobody here has sent."""
    attempts, may_go_on = 0, True
    while may_go_on:
        attempts += 1
        with folder.working(task.key) as work:
            watched = _run(task, work, recording, slam_map, stop)
            result = _ended(task, folder, work, watched)
        has_died = watched.cut is None and watched.exit_code < 0
        may_go_on = has_died and attempts <= task.limits.retries
    return replace(result, attempts=attempts, peak_mib=round(watched.peak_bytes / 2**20, 1))


def _run(task: Task, work: Path, recording: Path, slam_map: Path | None, stop: threading.Event | None) -> Watched:
    order = Order(
        str(work / SETTINGS), str(recording), str(work / RUN), str(work / MAP if slam_map is None else slam_map),
        slam_map is not None, task.max_lost_frames, str(work / PROGRESS), os.getpid(),
    )  # fmt: skip
    write_text(work / SETTINGS, task.settings)
    write_text(work / ORDER, json.dumps(asdict(order)))
    return watch([*task.words, str(work / ORDER)], work, task.limits, stop)


def _ended(task: Task, folder: FleetFolder, work: Path, watched: Watched) -> TaskResult:
    """Publishes what the process has made, or keeps its log. The process says by its exit code whether it is whole."""
    failure = watched.failure(task.limits)
    is_lost = watched.cut is None and watched.exit_code == TrackingError.exit_code and (work / RUN / FACTS).exists()
    if failure and not is_lost:
        if watched.cut is not CutShort.STOPPED:
            with suppress(OSError):
                shutil.copy(work / "log", folder.log(task.name, task.key))
        return TaskResult(task.key, Ending.FAILED, failure)
    if (work / MAP).is_dir():
        os.rename(work / MAP, work / RUN / MAP)
    there = folder.publish(work / RUN, task.name, task.key)
    return replace(found(folder, task, there), was_there=False)
