"""What `vgslam doctor` finds, line by line."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    FAILED = "failed"


COLORS = {Verdict.OK: "green", Verdict.INFO: "dim", Verdict.WARNING: "yellow", Verdict.FAILED: "bold red"}


@dataclass(frozen=True)
class Check:
    """One line of the examination; advice says what to do next, if anything."""

    topic: str
    name: str
    verdict: Verdict
    found: str
    advice: str = ""
