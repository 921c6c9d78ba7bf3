"""`python -m fuzz`: each parser in a process of its own, with limits of memory and time, and a table of what was found.

A process that crashes, hangs in foreign code or is killed for memory is seen by its parent: the input that it was
reading lies in its folder and counts as a failure, and the next process goes on with other inputs.
"""

import argparse
import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from fuzz.parser import Files
from fuzz.run import FAMILIES, fuzz, parsers

MEMORY_BYTES = 2**30
"""Address space beyond what the process has when its parser is ready."""
LIMIT_S = 5.0
DEAD_S, ASLEEP_S = 40.0, 600.0
"""So long without a new input means that foreign code hangs, where no signal is heard: in CPU seconds of the process,
as others may keep the machine busy, and by the clock where it waits for ever."""
PART = 1000
"""Inputs of one process."""
SAID = "what_it_said.txt"
"""The last words of a process that died, beside its input."""


def main() -> int:
    """Fuzzes and prints; returns 1 where something failed."""
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--inputs", type=int, default=10_000, help="for each parser")
    args.add_argument("--families", nargs="*", default=list(FAMILIES))
    args.add_argument("--out", type=Path, help="folder for inputs that fail, and the figures")
    args.add_argument(
        "--first", type=int, default=0, help="number of the first series of inputs; the same, the same inputs"
    )
    args.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    given = args.parse_args()
    if given.child:
        return child(*given.child)
    figures = [
        fuzz_in_parts(name, i, given.inputs, given.first, given.out)
        for name in given.families
        for i in range(len(parsers([name])))
    ]
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "fuzz.json").write_text(json.dumps(figures, indent=1) + "\n")
    return int(any(figure["n_failed"] for figure in figures))


def fuzz_in_parts(family: str, index: int, n: int, first: int, out: Path | None) -> dict[str, object]:
    """The figures of one parser."""
    name, began = parsers([family])[index].name, time.monotonic()
    total, kinds = Counter[str](), Counter[str]()
    for part in range(-(-n // PART)):
        wanted = min(PART, n - part * PART)
        found = run_child(family, index, wanted, first + part)
        total.update({key: found[key] for key in ("n_tried", "n_refused", "n_failed")})
        for failure, where, files in found["failures"]:
            kind = f"{where}: {failure}"
            if kind not in kinds:
                print(f"    {kind}", flush=True)
                _keep(out, name, len(kinds), files)
            kinds[kind] += 1
    seconds = time.monotonic() - began
    print(
        f"{name}: {total['n_tried']} inputs, {total['n_refused']} refused, {total['n_failed']} failed, {seconds:.0f} s",
        flush=True,
    )
    return {"parser": name, **total, "seconds": round(seconds), "failures": sorted(kinds)}


def run_child(family: str, index: int, n: int, number: int) -> dict:
    """What one process found; its death is one failure more."""
    with tempfile.TemporaryDirectory(prefix="fuzz-run-") as folder:
        command = [
            sys.executable,
            "-X",
            "faulthandler",
            "-m",
            "fuzz",
            "--child",
            family,
            str(index),
            f"{n}:{number}",
            folder,
        ]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
            _watch(process, Path(folder))
        if (Path(folder) / "result").is_file():
            return pickle.loads((Path(folder) / "result").read_bytes())
        said = (Path(folder) / "log").read_bytes().decode(errors="replace")
        files = pickle.loads((Path(folder) / "now").read_bytes()) if (Path(folder) / "now").is_file() else {}
        lines = (
            [line for line in said.splitlines() if "File " in line and "vgslam" in line]
            or said.splitlines()[-1:]
            or [""]
        )
        tried = int((Path(folder) / "count").read_text()) if (Path(folder) / "count").is_file() else 0
        where = lines[0].strip()[-120:]
        files = {**files, SAID: said.encode()}  # kept beside the input: an exit code alone explains nothing
        return {
            "n_tried": tried,
            "n_refused": 0,
            "n_failed": 1,
            "failures": [(f"died ({process.returncode})", where, files)],
        }


def _watch(process: subprocess.Popen[bytes], folder: Path) -> None:
    began = latest = time.time()
    cpu_s, starting_s = 0.0, 60.0
    while process.poll() is None:
        time.sleep(0.2)
        with suppress(OSError):
            changed = (folder / "now").stat().st_mtime
            if changed > latest:
                latest, cpu_s, starting_s = changed, _cpu_s(process.pid), 0.0
        used_s = _cpu_s(process.pid) - cpu_s
        if used_s > DEAD_S + starting_s or time.time() - max(latest, began) > ASLEEP_S:
            process.kill()
            process.wait()


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, 0 if it has ended."""
    try:
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    except (OSError, ValueError):
        return 0.0
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def child(family: str, index: str, amount: str, folder: str) -> int:
    """The process that reads: tells each input before it is read, and the result at its end."""
    parser = parsers([family])[int(index)]
    n, number = map(int, amount.split(":"))
    parser.prepare()
    fuzz(parser, 20, 999_983)  # loads what is loaded on use
    _limit_memory()
    now, count = Path(folder) / "now", 0

    def tell(files: Files) -> None:
        nonlocal count
        count += 1
        now.write_bytes(pickle.dumps(files))
        if count % 20 == 0:
            (Path(folder) / "count").write_text(str(count))

    tally = fuzz(parser, n, number, LIMIT_S, Path(folder), tell)
    failures = [(failure, where, files) for (failure, where), files in tally.failures.items()]
    found = {"n_tried": tally.n_tried, "n_refused": tally.n_refused, "n_failed": tally.n_failed, "failures": failures}
    (Path(folder) / "result").write_bytes(pickle.dumps(found))
    return 0


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _keep(out: Path | None, name: str, number: int, files: Files) -> None:
    """An input that failed, as files."""
    if out is None:
        return
    folder = out / f"{name.replace(' ', '_')}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    for path, content in files.items():
        target = folder / path
        with suppress(OSError, ValueError):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
