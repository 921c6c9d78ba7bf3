"""The folder of a fleet: what is done, what is being done, and what failed.

fleet.json            what the folder is
results/NAME-KEY/     results of a recording; they appear complete or not at all
logs/NAME-KEY.log     what a task that failed has printed
summary.csv, index.html
.work/                what is being made; swept when its task has gone
.starts/              an empty file for each time a task was started
"""

import fcntl
import json
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from vgslam.atomic import shortened, write_bytes, write_text
from vgslam.errors import OutputError
from vgslam.fleet.task import Ending, Facts
from vgslam.types import Image, Trajectory

MARKER, LOCK, DIGESTS = "fleet.json", ".lock", ".digests.json"
RESULTS, LOGS, WORK, STARTS = "results", "logs", ".work", ".starts"
FORMAT = "vgslam fleet"
LONGEST_NAME = 100
FACTS = "facts.json"  # the file of a recording's results that says what they are


class FleetFolder:
    """A folder of results, as one driver or node sees it. Raises OutputError where something cannot be written."""

    def __init__(self, path: Path, tag: str) -> None:
        self.path, self.tag = path, tag

    @staticmethod
    @contextmanager
    def driving(path: Path) -> Iterator["FleetFolder"]:
        """The folder, made where it is missing, held by this driver. Raises OutputError where that cannot be."""
        path = path.resolve()
        lock = _locked(path)
        try:
            folder = FleetFolder(path, _tag(path))
            folder.sweep()
            yield folder
        finally:
            os.close(lock)

    @staticmethod
    def seen(path: str, tag: str) -> "FleetFolder":
        """The folder as a node sees it. Raises OutputError where it is not that of the driver."""
        folder = FleetFolder(Path(path), tag)
        if _tag(folder.path) != tag:
            raise OutputError(f"{socket.gethostname()} does not see {path} as it is; results need a shared file system")
        return folder

    def done(self) -> dict[str, str]:
        """Folders of the results that are there, relative to the fleet's, by key."""
        return {p.name.rsplit("-", 1)[-1]: f"{RESULTS}/{p.name}" for p in (self.path / RESULTS).glob("*-*")}

    def result_of(self, key: str) -> str | None:
        """The folder with the results of a key, relative to the fleet's; None where it is not done."""
        found = next((self.path / RESULTS).glob(f"*-{key}"), None)
        return None if found is None else f"{RESULTS}/{found.name}"

    def log(self, name: str, key: str) -> Path:
        """Where the log of a task that failed is kept."""
        return self.path / LOGS / f"{stem(name, key)}.log"

    @contextmanager
    def working(self, key: str) -> Iterator[Path]:
        """A new folder for the work on a task, removed at the end. A start is noted."""
        try:
            folder = Path(tempfile.mkdtemp(prefix=f"{key}-", dir=self.path / WORK))
            (self.path / STARTS / folder.name).touch()
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written ({error.strerror or error})") from error
        try:
            yield folder
        finally:
            os.close(lock)
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, made: Path, name: str, key: str) -> str:
        """Put a folder of results in its place, whole, unless another has. Returns its name relative to the fleet's
        folder."""
        there = self.result_of(key)
        if there is not None:
            return there
        place = f"{RESULTS}/{stem(name, key)}"
        try:
            os.rename(made, self.path / place)
        except OSError as error:
            there = self.result_of(key)
            if there is None:
                raise OutputError(f"{place}: cannot be made ({error.strerror or error})") from error
            return there
        with suppress(OSError):
            self.log(name, key).unlink(missing_ok=True)
        return place

    def starts(self) -> list[str]:
        """The keys of all tasks that were ever started, one for each time."""
        return sorted(p.name.split("-", 1)[0] for p in (self.path / STARTS).iterdir())

    def sweep(self) -> None:
        """Remove the work of tasks that have gone."""
        for folder in (self.path / WORK).iterdir():
            if folder.is_dir() and _is_left(folder):
                shutil.rmtree(folder, ignore_errors=True)


def stem(name: str, key: str) -> str:
    """Name of a recording's folder."""
    return f"{shortened(name, LONGEST_NAME)}-{key}"


def _locked(path: Path) -> int:
    """Makes the folder where it is missing; returns its lock, held. Raises OutputError."""
    lock = -1
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not (path / MARKER).exists() and any(p.name != LOCK for p in path.iterdir()):
            raise OutputError(f"{path}: is not empty and no fleet's; name another folder with --out")
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not (path / MARKER).exists():
            write_text(path / MARKER, json.dumps({"format": FORMAT, "tag": secrets.token_hex(8)}) + "\n")
        for name in (RESULTS, LOGS, WORK, STARTS):
            (path / name).mkdir(exist_ok=True)
        return lock
    except (OSError, OutputError) as error:
        if lock >= 0:
            os.close(lock)
        if isinstance(error, BlockingIOError):
            raise OutputError(f"{path}: another run is writing there; wait for its end") from None
        if isinstance(error, OSError):
            why = error.strerror or error
            raise OutputError(f"{path}: cannot be written ({why}); choose another --out") from error
        raise


def _is_left(folder: Path) -> bool:
    """Whether nobody works in a folder any longer."""
    try:
        with (folder / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _tag(path: Path) -> str:
    """What the folder says it is; empty for one that says nothing of the kind."""
    try:
        data = json.loads((path / MARKER).read_text())
    except (OSError, ValueError):
        return ""
    return str(data.get("tag", "")) if isinstance(data, dict) and data.get("format") == FORMAT else ""


THUMBNAIL = "thumbnail.jpg"
WIDTH_PX, QUALITY = 160, 70


def facts_of(
    n_frames: int, trajectory: Trajectory, duration_s: float, n_losses: int, n_components: int
) -> Facts:  # fmt: skip
    """The facts of a run with n_frames frames, of which `trajectory` has a pose."""
    ids, counts = np.unique(trajectory.component_ids, return_counts=True)
    centres = trajectory.T_world_cam[trajectory.component_ids == ids[counts.argmax()], :3, 3] if len(ids) else None
    length = 0.0 if centres is None else float(np.linalg.norm(np.diff(centres, axis=0), axis=1).sum())
    return Facts(
        n_frames, len(trajectory), n_losses, n_components, round(length, 6), trajectory.is_metric, round(duration_s, 6)
    )


def write_facts(folder: Path, facts: Facts, ending: Ending, error: str) -> None:
    """Raises OutputError."""
    write_text(folder / FACTS, json.dumps({"ending": ending, "error": error, "facts": asdict(facts)}, indent=1) + "\n")


def write_thumbnail(folder: Path, image: Image) -> None:
    """The picture of a recording, from an image (H,W,3) RGB. Raises OutputError."""
    h, w = image.shape[:2]
    size = WIDTH_PX, max(1, round(h * WIDTH_PX / w))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    write_bytes(folder / THUMBNAIL, data.tobytes())
