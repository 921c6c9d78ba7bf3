"""Many recordings on a cluster on which everything dies once: a worker in the middle, then the driver; and how much
faster two workers are than one."""

import subprocess
import time
from pathlib import Path
from typing import Any

from bench.fleet_cluster import Cluster, cluster_of, differing, map_command, mapped, n_done, starts_of, until
from bench.fleet_films import DRIVES, film_drives
from vgslam.errors import InputError
from vgslam.fleet.folder import STARTS

PIECES = {
    "7scenes_redkitchen_seq01": range(0, 240, 40), "lingbot_loop": range(0, 200, 40),
    "kitti00_f000-199": range(0, 160, 40), "tum_fr1_rpy_f000-149": range(0, 120, 40),
}  # fmt: skip
"""First frames of the recordings that are cut out of each sequence."""
N_FILMS = 6  # rendered drives beside them: 24 recordings in all
FRAMES = 40
SPEED_RECORDINGS = 8  # recordings by which workers are timed


def measure_deaths(data: Path, films: Path, work: Path) -> tuple[dict[str, Any], list[str]]:
    """All recordings on this machine, and on a cluster that loses a worker, gains one, and loses its driver."""
    manifest = _manifest(data, films, work)
    n = len(manifest.read_text().splitlines()) - 1
    local_s = mapped(manifest, work / "local", "--jobs", "2")
    with cluster_of(work) as cluster:
        ray = _dying(manifest, work / "ray", cluster, n)
    figures = {
        "recordings": n, "frames": FRAMES, "local_s": local_s, **ray, "starts": starts_of(work / "ray"),
        "local_starts": starts_of(work / "local"), "files_that_differ": differing(work / "local", work / "ray"),
    }  # fmt: skip
    return figures, _page(figures)


def measure_speed(data: Path, films: Path, work: Path) -> tuple[dict[str, Any], list[str]]:
    """Seconds of the same recordings on one worker and on two: on a machine that does nothing else."""
    whole = _manifest(data, films, work).read_text().splitlines()
    manifest = work / "some.csv"
    manifest.write_text("\n".join(whole[: SPEED_RECORDINGS + 1]) + "\n")
    seconds = {}
    for workers in (1, 2):
        with cluster_of(work) as cluster:
            if workers == 1:
                cluster.kill("two")
            words, environment = cluster.words, cluster.environment
            seconds[workers] = mapped(manifest, work / str(workers), *words, environment=environment)
    ratio = seconds[1] / seconds[2]
    lines = [
        "## Two workers against one", "",
        f"{SPEED_RECORDINGS} recordings: {seconds[1]:.1f} s on one worker, {seconds[2]:.1f} s on two: {ratio:.2f} "
        "times as fast.",
    ]  # fmt: skip
    return {"one_s": seconds[1], "two_s": seconds[2], "ratio": ratio}, lines


def _manifest(data: Path, films: Path, work: Path) -> Path:
    missing = [name for name in PIECES if not (data / name).is_dir()]
    if missing:
        raise InputError(f"{data}: holds no {', '.join(missing)}; give the folder of the sequences with --data")
    rows = [f"{(data / name).resolve()},{name}-{at},{at},{FRAMES}" for name, starts in PIECES.items() for at in starts]
    specs = DRIVES[:N_FILMS]
    folders = film_drives(specs, films)
    rows += [f"{f.resolve()},{spec.name},0,{FRAMES}" for f, spec in zip(folders, specs, strict=True)]
    file = work / "recordings.csv"
    file.write_text("path,name,start,max_frames\n" + "\n".join(rows) + "\n")
    return file


def _dying(manifest: Path, out: Path, cluster: Cluster, n: int) -> dict[str, Any]:
    """A worker is killed after a sixth of the recordings and another joins; the driver is killed after half of them,
    and started again."""
    began = time.monotonic()
    words, environment = map_command(manifest, out, *cluster.words, "--retries", "2"), cluster.environment
    driver = subprocess.Popen(words, env=environment)
    until(lambda: n_done(out) >= n // 6)
    cluster.kill("one")
    at_worker = {"done": n_done(out), "in_work": _n_in_work(out)}
    cluster.join("three")
    until(lambda: n_done(out) >= n // 2)
    driver.kill()
    driver.wait()
    at_driver = {"done": n_done(out), "in_work": _n_in_work(out)}
    code = subprocess.run(words, env=environment).returncode
    return {
        "ray_s": round(time.monotonic() - began, 1), "exit_code": code, "done": n_done(out), "at_worker": at_worker,
        "at_driver": at_driver,
    }  # fmt: skip


def _n_in_work(out: Path) -> int:
    """Recordings that were started and have no results yet."""
    return len({p.name.split("-")[0] for p in (out / STARTS).iterdir()}) - n_done(out)


def _page(f: dict[str, Any]) -> list[str]:
    def words(starts: dict[str, int]) -> str:
        return ", ".join(f"{n} started {k} time(s)" for k, n in starts.items())

    worker, driver = f["at_worker"], f["at_driver"]
    return [
        "## A cluster on which everything dies once", "",
        f"{f['recordings']} recordings of {f['frames']} frames, pieces of recorded sequences and rendered drives, "
        "without a network: on this machine, and on a Ray cluster of a head and two workers (processes of their own on "
        f"this machine). There a worker was killed when {worker['done']} were done and {worker['in_work']} in work, "
        f"and another joined; the driver was killed when {driver['done']} were done and {driver['in_work']} in work, "
        "and started again.", "",
        "| | seconds | recordings done | starts | files that differ from those of local |", "|---|---:|---:|---|---:|",
        f"| local, 2 at a time | {f['local_s']} | {f['recordings']} | {words(f['local_starts'])} | |",
        f"| cluster | {f['ray_s']} | {f['done']} | {words(f['starts'])} | {len(f['files_that_differ'])} |",
    ]  # fmt: skip
