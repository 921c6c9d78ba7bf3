"""One input: read in a folder of its own, and judged."""

import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fuzz.parser import Files, Parser, read_files, write_files

from vgslam.guards.wording import one_line

CANARY = b"nobody may change this\n"
LONGEST_MESSAGE = 5000
ASLEEP = 10.0
"""So many times the limit by the clock: others may keep the machine busy."""


class HangError(BaseException):
    """Reading takes too long."""


@dataclass(frozen=True)
class Outcome:
    """What came of one input."""

    is_refused: bool = False
    failure: str = ""  # '' for a result or a refusal
    where: str = ""  # the place in the program, to count one fault once


def attempt(parser: Parser, files: Files, limit_s: float | None = None, parent: Path | None = None) -> Outcome:
    """Reads the files. A failure is any other exception than the parser's refusals, a message of several lines or with
    control characters, a file changed or made outside `out`, and more than limit_s seconds."""
    root = Path(tempfile.mkdtemp(prefix="fuzz-", dir=parent))
    try:
        return _attempt(parser, files, root, limit_s)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _attempt(parser: Parser, files: Files, root: Path, limit_s: float | None) -> Outcome:
    (root / "canary").write_bytes(CANARY)
    (root / "out").mkdir()
    folder = root / "a" / "in"
    write_files(folder, files)
    before = read_files(folder)
    outcome = _read(parser, folder, limit_s)
    if outcome.failure:
        return outcome
    if (root / "canary").read_bytes() != CANARY or {p.name for p in root.iterdir()} != {"canary", "out", "a"}:
        return Outcome(failure="wrote outside its folders", where="files")
    if [p.name for p in (root / "a").iterdir()] != ["in"]:
        return Outcome(failure="wrote beside its input", where="files")
    if not parser.may_write_inside and read_files(folder) != before:
        return Outcome(failure="changed its input", where="files")
    return outcome


def _read(parser: Parser, folder: Path, limit_s: float | None) -> Outcome:
    try:
        with warnings.catch_warnings(), _within(limit_s):
            warnings.simplefilter("ignore")
            parser.read(folder)
    except parser.refusals as error:
        text = str(error)
        if text != one_line(text) or len(text) > LONGEST_MESSAGE or not text.strip():
            return Outcome(failure=f"a message that is no clear line: {text[:200]!r}", where=type(error).__name__)
        return Outcome(is_refused=True)
    except HangError:
        return Outcome(failure=f"more than {limit_s} s", where=_place())
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Outcome(failure=f"{type(error).__name__}: {error}"[:300], where=_place())
    return Outcome()


def _place() -> str:
    """The innermost line of the program itself in the exception that is being handled."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    mine = [f for f in frames if "/vgslam/" in f.filename] or frames
    return f"{mine[-1].filename.rsplit('/vgslam/', 1)[-1]}:{mine[-1].lineno}"


@contextmanager
def _within(limit_s: float | None) -> Iterator[None]:
    """Raises HangError after so many CPU seconds, or ASLEEP times as many by the clock."""
    if limit_s is None:
        yield
        return

    def stop(*_: object) -> None:
        raise HangError

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, limit_s), signal.SIGALRM: (signal.ITIMER_REAL, ASLEEP * limit_s)}
    before = {number: signal.signal(number, stop) for number in timers}
    for timer, seconds in timers.values():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for timer, _ in timers.values():
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
