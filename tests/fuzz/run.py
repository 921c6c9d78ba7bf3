"""Many inputs of one parser, drawn by hypothesis; failures are gathered, one for each place in the program."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from fuzz.attempt import Outcome, attempt
from fuzz.parser import Files, Parser
from hypothesis import HealthCheck, Phase, given, seed, settings

FAMILIES = (
    "calibrations",
    "trajectories",
    "layouts",
    "pictures",
    "bags",
    "maps",
    "networks",
    "settings",
    "streams",
    "peers",
)


def parsers(families: Iterable[str] = FAMILIES) -> list[Parser]:
    """Those of all families."""
    return [parser for name in families for parser in import_module(f"fuzz.{name}").PARSERS]


@dataclass
class Tally:
    """What came of many inputs."""

    n_tried: int = 0
    n_refused: int = 0
    failures: dict[tuple[str, str], Files] = field(default_factory=dict)
    """An input for each kind of failure: its text up to the first colon, and the place."""
    n_failed: int = 0


def fuzz(
    parser: Parser,
    n: int,
    number: int = 0,
    limit_s: float | None = None,
    parent: Path | None = None,
    before: Callable[[Files], object] = lambda files: None,
) -> Tally:
    """Tries n inputs, the same ones for the same number. before: is called with each, ahead of reading it."""
    tally = Tally()
    parser.prepare()

    @seed(number)
    @settings(
        max_examples=n, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(parser.inputs)
    def one(files: Files) -> None:
        before(files)
        _count(tally, files, attempt(parser, files, limit_s, parent))

    one()
    return tally


def _count(tally: Tally, files: Files, outcome: Outcome) -> None:
    tally.n_tried += 1
    tally.n_refused += outcome.is_refused
    if outcome.failure:
        tally.n_failed += 1
        tally.failures.setdefault((outcome.failure, outcome.where), files)
