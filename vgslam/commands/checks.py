"""What `vgslam doctor` finds, line by line."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    FAILED = "failed"


COLORS = {Level.OK: "green", Level.INFO: "dim", Level.WARNING: "yellow", Level.FAILED: "bold red"}


@dataclass(frozen=True)
class Check:
    """One line of the examination; advice says what to do next, if anything."""

    topic: str
    name: str
    verdict: Level
    found: str
    advice: str = ""
