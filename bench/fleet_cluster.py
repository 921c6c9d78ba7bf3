"""A Ray cluster on this machine, of a head and two workers that are processes of their own: one dies, another joins."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vgslam.errors import InputError
from vgslam.fleet.folder import RESULTS, STARTS

SEQUENCES = ("7scenes_redkitchen_seq01", "lingbot_loop", "tum_fr1_rpy_f000-149")
STARTS_AT = (0, 60)  # first frames of the recordings that are cut out of each sequence
OPTIONS = "--run-options=--network none"
TIMED = ("report.json", "config.yaml", "manifest.json")
"""Files that hold times, dates or paths, and so differ from run to run."""
PATIENCE_S = 1800.0
RAY = (sys.executable, "-m", "ray.scripts.scripts")


def measure_cluster(data: Path, frames: int, work: Path) -> tuple[dict[str, Any], list[str]]:
    """The same recordings on this machine, on the cluster, and on the cluster with deaths; figures and a page."""
    manifest = _manifest(data, frames, work)
    n = len(manifest.read_text().splitlines()) - 1
    local = mapped(manifest, work / "local", "--jobs", "2")
    with cluster_of(work) as cluster:
        on_ray = mapped(manifest, work / "ray", *cluster.words, environment=cluster.environment)
        dying = _with_deaths(manifest, work / "dying", cluster)
    with cluster_of(work) as cluster:
        stopped = _with_a_dead_driver(manifest, work / "stopped", cluster)
    same = {name: differing(work / "local", work / name) for name in ("ray", "dying", "stopped")}
    figures = {
        "recordings": n, "frames": frames, "local_s": local, "ray_s": on_ray, "dying": dying, "stopped": stopped,
        "files_that_differ": same, "starts": {name: starts_of(work / name) for name in ("local", *same)},
    }  # fmt: skip
    return figures, _page(figures)


def _manifest(data: Path, frames: int, work: Path) -> Path:
    missing = [name for name in SEQUENCES if not (data / name).is_dir()]
    if missing:
        raise InputError(f"{data}: holds no {', '.join(missing)}; give the folder of the sequences with --data")
    rows = [f"{(data / name).resolve()},{name}-{at},{at},{frames}" for name in SEQUENCES for at in STARTS_AT]
    file = work / "recordings.csv"
    file.write_text("path,name,start,max_frames\n" + "\n".join(rows) + "\n")
    return file


def map_command(manifest: Path, out: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "vgslam", "fleet", "map", str(manifest), "--out", str(out), OPTIONS, *words]


def mapped(manifest: Path, out: Path, *words: str, environment: dict[str, str] | None = None) -> float:
    """Seconds that it took. Raises InputError where it failed."""
    began = time.monotonic()
    done = subprocess.run(map_command(manifest, out, *words), capture_output=True, text=True, env=environment)
    if done.returncode:
        raise InputError(f"fleet map failed ({done.returncode}): {done.stdout[-500:]} {done.stderr[-500:]}")
    return round(time.monotonic() - began, 1)


class Cluster:
    """Processes of a cluster, in groups of their own, so that they can be killed one by one."""

    def __init__(self, folder: Path) -> None:
        self.port = _free_port()
        self.words = ("--engine", "ray", "--address", f"127.0.0.1:{self.port}", "--memory", "1GiB")
        self._folder, self._nodes = folder, dict[str, subprocess.Popen[bytes]]()
        self.environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(_token(folder))}
        self._start("head", "--head", f"--port={self.port}", "--num-cpus=0", "--include-dashboard=false")

    def join(self, name: str) -> None:
        """Start a worker for one recording at a time."""
        self._start(name, f"--address=127.0.0.1:{self.port}", "--num-cpus=1")

    def kill(self, name: str) -> None:
        """SIGKILL for the worker's own processes; what they have started has to notice."""
        node = self._nodes.pop(name)
        for pid in _children(node.pid):
            os.kill(pid, signal.SIGKILL)
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()

    def end(self) -> None:
        for name in list(self._nodes):
            self.kill(name)

    def _start(self, name: str, *words: str) -> None:
        memory = ["--memory=4000000000", "--object-store-memory=80000000"]
        command = [*RAY, "start", *words, *memory, "--block", "--disable-usage-stats"]
        with (self._folder / f"{name}.log").open("wb") as log:
            self._nodes[name] = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env=self.environment
            )
        until(lambda: "Ray runtime started" in (self._folder / f"{name}.log").read_text(errors="replace"))


@contextmanager
def cluster_of(folder: Path) -> Iterator[Cluster]:
    cluster = Cluster(folder)
    try:
        cluster.join("one")
        cluster.join("two")
        yield cluster
    finally:
        cluster.end()


def _with_deaths(manifest: Path, out: Path, cluster: Cluster) -> dict[str, Any]:
    """One worker is killed when two recordings are done, and another joins."""
    began = time.monotonic()
    words = map_command(manifest, out, *cluster.words, "--retries", "2")
    driver = subprocess.Popen(words, env=cluster.environment)
    until(lambda: n_done(out) >= 2)
    cluster.kill("one")
    at_death = n_done(out)
    cluster.join("three")
    code = driver.wait()
    return {"exit_code": code, "done_at_death": at_death, "done": n_done(out), "s": round(time.monotonic() - began, 1)}


def _with_a_dead_driver(manifest: Path, out: Path, cluster: Cluster) -> dict[str, Any]:
    """The driver is killed when two recordings are done, and started again."""
    words, environment = map_command(manifest, out, *cluster.words), cluster.environment
    first = subprocess.Popen(words, env=environment)
    until(lambda: n_done(out) >= 2)
    first.kill()
    first.wait()
    at_death, began = n_done(out), time.monotonic()
    code = subprocess.run(words, env=environment).returncode
    return {"exit_code": code, "done_at_death": at_death, "done": n_done(out), "s": round(time.monotonic() - began, 1)}


def n_done(out: Path) -> int:
    return len(list((out / RESULTS).glob("*"))) if (out / RESULTS).is_dir() else 0


def starts_of(out: Path) -> dict[str, int]:
    """Times that recordings were started: once, twice, ..."""
    counts = Counter(p.name.split("-")[0] for p in (out / STARTS).iterdir())
    return {str(k): v for k, v in sorted(Counter(counts.values()).items())}


def differing(a: Path, b: Path) -> list[str]:
    """Files of the results that are not the same byte for byte, but for those with times in them."""
    names = {p.relative_to(f / RESULTS) for f in (a, b) for p in (f / RESULTS).rglob("*") if p.is_file()}
    names = {n for n in names if n.name not in TIMED}
    return sorted(str(n) for n in names if _bytes(a / RESULTS / n) != _bytes(b / RESULTS / n))


def _bytes(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _children(pid: int) -> list[int]:
    """Processes that one has started, and they, the youngest first."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            name = Path(f"/proc/{child}/comm").read_text().strip()
            if name in ("raylet", "gcs_server"):
                found.append(child)
    return found


def _token(folder: Path) -> Path:
    """A secret of this cluster's own, which all its processes share."""
    file = folder.resolve() / "token"
    if not file.exists():
        file.touch(0o600)
        file.write_text(secrets.token_hex(32))
    return file


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def until(is_so: Any) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > end:
            raise InputError("the cluster did not come to that")
        time.sleep(0.2)


def _page(f: dict[str, Any]) -> list[str]:
    dying, stopped, starts = f["dying"], f["stopped"], f["starts"]

    def words(name: str) -> str:
        return ", ".join(f"{n} started {k} time(s)" for k, n in starts[name].items())

    return [
        "## A cluster whose machines die", "",
        f"{f['recordings']} recordings of {f['frames']} frames, cut from recorded sequences, without a network: on "
        "this machine, and on a Ray cluster of a head and two workers (processes of their own on this machine, a "
        "recording at a time each).", "",
        "| | seconds | recordings done | of these when it died | starts | files that differ from those of local |",
        "|---|---:|---:|---:|---|---:|",
        f"| local, 2 at a time | {f['local_s']} | {f['recordings']} | | {words('local')} | |",
        f"| cluster | {f['ray_s']} | {f['recordings']} | | {words('ray')} | {len(f['files_that_differ']['ray'])} |",
        f"| a worker killed, another joins | {dying['s']} | {dying['done']} | {dying['done_at_death']} | "
        f"{words('dying')} | {len(f['files_that_differ']['dying'])} |",
        f"| the driver killed and started again | {stopped['s']} | {stopped['done']} | {stopped['done_at_death']} | "
        f"{words('stopped')} | {len(f['files_that_differ']['stopped'])} |", "",
        f"Compared byte for byte: all results but {', '.join(TIMED)}, which hold times and paths.",
    ]  # fmt: skip
