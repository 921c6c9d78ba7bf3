"""The orders and answers of a fleet: one task a recording, and what became of it. Both are plain JSON on the wire."""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Ending(StrEnum):
    """How a task ended."""

    DONE = "done"  # every frame was processed
    LOST = "lost"  # the camera was lost for longer than was allowed; the results go up to there
    FAILED = "failed"  # there are no results


@dataclass(frozen=True)
class TaskLimits:
    """What one task may use. Raises ValueError for a value out of range."""

    cpus: float = 1.0
    """CPUs that are reserved for it."""
    memory_bytes: int = 4 * 2**30
    """Resident memory of its process and the children of that; beyond it the process is killed."""
    timeout_factor: float = 30.0
    """Seconds that it may take for each second of the recording that it has come through."""
    timeout_least_s: float = 900.0
    """Seconds that it may take besides."""
    retries: int = 1
    """Further tries of a task whose process died, whose storage failed, or whose machine was lost."""

    def __post_init__(self) -> None:
        if not (self.cpus > 0 and self.memory_bytes > 0 and self.timeout_factor > 0 and self.timeout_least_s > 0):
            raise ValueError("cpus, memory and time-outs must be positive")
        if self.retries < 0:
            raise ValueError("retries must be 0 or more")

    def allowed_s(self, seen_s: float) -> float:
        """Seconds after which a task that has come through seen_s of its recording is ended."""
        return self.timeout_least_s + self.timeout_factor * max(seen_s, 0.0)


@dataclass(frozen=True)
class Facts:
    """What a recording's results say. The same recording, settings and program give the same facts."""

    n_frames: int = 0
    n_poses: int = 0
    n_losses: int = 0  # how often tracking was lost
    n_components: int = 0
    length: float = 0.0  # length of the path of the largest component, in metres or map units
    is_metric: bool = False
    duration_s: float = 0.0  # from the first frame to the last

    @property
    def coverage(self) -> float:
        """Share of the frames that have a pose."""
        return self.n_poses / self.n_frames if self.n_frames else 0.0


@dataclass(frozen=True)
class Task:
    """One recording to be worked on."""

    key: str
    """Name of what comes out: a hash of the recording, the settings and the program."""
    name: str
    """What people call it; part of names of folders, so of plain characters alone."""
    where: str
    """The recording: an absolute path, or an address that `storage` fetches."""
    settings: str
    """YAML with settings of `vgslam run`."""
    folder: str
    """Folder of the fleet, absolute, seen from every node."""
    tag: str
    """What the folder says it is, so that a node that does not see it notices."""
    program: str
    """Version of the program that the key was made for."""
    limits: TaskLimits = field(default_factory=TaskLimits)
    map: str | None = None
    """Map to localize in, a path or an address; None where each recording makes a map."""
    max_lost_frames: int | None = None
    """Frames without a pose in a row after which the recording is given up."""
    words: tuple[str, ...] = ("-m", "vgslam.commands.fleet_child")
    """What the Python interpreter runs; a file with the order is added."""
    cache: str | None = None
    """Folder for what is fetched, on each node; None for the user's cache."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Task":
        """Raises ValueError, TypeError or KeyError for what is no task."""
        data = json.loads(text)
        return Task(**{**data, "limits": TaskLimits(**data["limits"]), "words": tuple(data["words"])})


@dataclass(frozen=True)
class TaskResult:
    """What became of a task."""

    key: str
    ending: Ending
    error: str = ""  # one line; empty where all went well
    results: str = ""  # its folder within that of the fleet; empty where there are none
    facts: Facts = field(default_factory=Facts)
    was_there: bool = False  # whether an earlier run had done it
    attempts: int = 0  # times that it was started now
    wall_s: float = 0.0
    peak_mib: float = 0.0  # largest resident memory that was seen

    @property
    def is_usable(self) -> bool:
        """Whether there are results."""
        return self.ending is not Ending.FAILED

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "TaskResult":
        """Raises ValueError, TypeError or KeyError for what is no result."""
        data: dict[str, Any] = json.loads(text)
        return TaskResult(**{**data, "ending": Ending(data["ending"]), "facts": Facts(**data["facts"])})
