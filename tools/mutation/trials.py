"""Trials of wrong changes, each in a forked process, on copies of the repository."""

import compileall
import contextlib
import importlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from changes import Change
from targets import ROOT, TARGETS, tests_of

COPIED = ("vgslam", "vgslam_train", "bench", "tests", "tools", "configs", "examples", "docs")
PRELOADED = ("numpy", "cv2", "gtsam", "scipy.spatial", "torch", "faiss", "hypothesis", "pytest", "rich.console", "tyro",
             "matplotlib.pyplot", "evo.core.metrics")  # fmt: skip
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ALL_PASSED, SOME_FAILED = 0, 1  # pytest's exit codes
SLOWER, PATIENCE_S = 5.0, 60.0  # a trial may take so many times as long as unchanged code, and so much more


@dataclass(frozen=True)
class Trial:
    """The outcome of one change."""

    change: Change
    is_noticed: bool
    why: str
    """'failed', 'broken' (the tests could not be collected), 'too slow', or 'survived'."""
    took_s: float


class Copies:
    """Copies of the repository in a folder of their own, without ../shared: results do not depend on data."""

    def __init__(self, folder: Path, n: int) -> None:
        self.paths = [folder / str(i) / "repository" for i in range(n)]
        for path in self.paths:
            for name in COPIED:
                if (ROOT / name).exists():
                    shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("__pycache__"))
            for file in ROOT.iterdir():
                if file.is_file() and file.name != ".git":
                    shutil.copy(file, path)
            compileall.compile_dir(str(path / "vgslam"), quiet=2)

    def write(self, copy: int, module: str, source: str) -> None:
        """Put a changed source in place, or the unchanged one back. A compiled one would hide it."""
        file = self.paths[copy] / module
        file.write_text(source)
        for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
            compiled.unlink()


def preload() -> None:
    """Import the large libraries once, for all forked processes."""
    os.environ.update(ONE_THREAD, PYTHONDONTWRITEBYTECODE="1")
    sys.dont_write_bytecode = True
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def start_tests(copy: Path, tests: Sequence[str], log: Path) -> int:
    """Run tests on a copy in a forked process, up to the first that fails; returns its id."""
    pid = os.fork()
    if pid:
        return pid
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored in what a shell runs in the background
    os.chdir(copy)
    os.environ["PYTHONPATH"] = str(copy)
    sys.path[:] = [str(copy), *[p for p in sys.path if Path(p or ".").resolve() not in (ROOT, ROOT / "tools/mutation")]]
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    code = 3
    try:
        code = int(_pytest(copy, tests))
    finally:
        os._exit(code)


def _pytest(copy: Path, tests: Sequence[str]) -> int:
    import pytest

    for name in [n for n in sys.modules if n in ("changes", "targets", "trials")]:
        del sys.modules[name]
    return pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--rootdir", str(copy), "--hypothesis-seed=0", *tests])


@dataclass
class _Running:
    change: Change
    copy: int
    began_s: float


def unchanged_s(copies: Copies, modules: Sequence[str], folder: Path, say: Callable[[str], None]) -> dict[str, float]:
    """Seconds that the tests of each module take on unchanged code. Raises RuntimeError where they fail."""
    times: dict[tuple[str, ...], float] = {}
    for tests in dict.fromkeys(TARGETS[m] for m in modules):
        began_s = time.monotonic()
        log = folder / "unchanged.log"
        _, status = os.waitpid(start_tests(copies.paths[0], [t for t in tests if (ROOT / t).exists()], log), 0)
        if os.waitstatus_to_exitcode(status) != ALL_PASSED:
            raise RuntimeError(f"{' '.join(tests)} fail on unchanged code:\n{log.read_text()[-3000:]}")
        times[tests] = time.monotonic() - began_s
        say(f"unchanged: {times[tests]:.0f} s for {' '.join(tests)}")
    return {m: times[TARGETS[m]] for m in modules}


def run_trials(
    changes: Sequence[Change], copies: Copies, usual_s: dict[str, float], folder: Path, heard: Callable[[Trial], None]
) -> None:
    """Try all changes, one on each copy at a time; `heard` gets each outcome."""
    waiting, running, free = list(changes), {}, list(range(len(copies.paths)))  # type: ignore[var-annotated]
    while waiting or running:
        while waiting and free:
            change, copy = waiting.pop(0), free.pop()
            copies.write(copy, change.module, change.apply((ROOT / change.module).read_text()))
            pid = start_tests(copies.paths[copy], tests_of(change.module), folder / f"{copy}.log")
            running[pid] = _Running(change, copy, time.monotonic())
        time.sleep(0.05)
        for pid, run in list(running.items()):
            took_s = time.monotonic() - run.began_s
            done, status = os.waitpid(pid, os.WNOHANG)
            is_late = not done and took_s > SLOWER * usual_s[run.change.module] + PATIENCE_S
            if not done and not is_late:
                continue
            if is_late:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            code = os.waitstatus_to_exitcode(status) if done else SOME_FAILED
            why = "too slow" if is_late else "survived" if code == ALL_PASSED else (
                "failed" if code == SOME_FAILED else "broken")  # fmt: skip
            copies.write(run.copy, run.change.module, (ROOT / run.change.module).read_text())
            del running[pid]
            free.append(run.copy)
            heard(Trial(run.change, code != ALL_PASSED, why, took_s))
