import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vgslam.fleet.folder import FleetFolder
from vgslam.fleet.identity import program_id
from vgslam.fleet.task import Task, TaskLimits

STAND_IN = (str(Path(__file__).with_name("stand_in.py")),)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[FleetFolder]:
    with FleetFolder.driving(tmp_path / "out") as opened:
        yield opened


@pytest.fixture
def task(tmp_path: Path, folder: FleetFolder) -> Callable[..., Task]:
    """Makes a task whose process does what the text says."""

    def made(name: str, says: str, limits: TaskLimits | None = None) -> Task:
        file = tmp_path / f"{name}.txt"
        file.write_text(says)
        key = hashlib.sha256(name.encode()).hexdigest()[:20]
        return Task(
            key, name, str(file), "{}", str(folder.path), folder.tag, program_id(), limits or TaskLimits(),
            words=STAND_IN,
        )

    return made
