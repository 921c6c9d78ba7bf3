import json
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import tyro
from waiting import HANG_S, until

from vgslam.commands.bench import BenchArgs, find_truths, run_bench, run_in_process
from vgslam.errors import ConfigError, InputError, OutputError
from vgslam.results.bench import RunOutcome
from vgslam.results.report import RunReport
from vgslam.results.run_folder import RunWriter
from vgslam.session.isolated import run_isolated
from vgslam.sources.trajectory_io import write_trajectory
from vgslam.types import PoseEstimate, Status, Trajectory

N = 20


def circle(n=N):
    T = np.tile(np.eye(4), (n, 1, 1))
    angle = 2 * np.pi * np.arange(n) / (n - 1)
    T[:, 0, 3], T[:, 2, 3] = np.cos(angle), np.sin(angle)
    T[:, 1, 3] = 0.1 * np.sin(3 * angle)
    return Trajectory(0.1 * np.arange(n), T)


def sequence(folder, with_truth=True):
    (folder / "images").mkdir(parents=True)
    for i in range(N):
        cv2.imwrite(str(folder / "images" / f"{i:03d}.png"), np.full((8, 8, 3), i, np.uint8))
    (folder / "times.txt").write_text("".join(f"{t:.6f}\n" for t in circle().timestamps_s))
    if with_truth:
        write_trajectory(folder / "groundtruth.txt", circle())
    return folder


def write_run(run_dir, error=0.0, lost=(), cpu_s=2.0, complete=True):
    truth = circle()
    posed = np.array([i for i in range(N) if i not in lost], np.int64)
    T = truth.T_world_cam[posed].copy()
    T[::2, 1, 3] += error
    T[1::2, 1, 3] -= error
    trajectory = Trajectory(truth.timestamps_s[posed], T, posed)
    statuses = [
        PoseEstimate(i, truth.timestamps_s[i], Status.TRACKED, 0, np.eye(4)) if i in posed
        else PoseEstimate(i, truth.timestamps_s[i], Status.LOST)
        for i in range(N)
    ]  # fmt: skip
    report = RunReport(n_frames=N, n_poses=len(posed), n_components=1, peak_memory_mib=100.0 + error)
    report.set_timing(cpu_s, cpu_s / 2)
    report.finish(None if complete else "Ctrl-C")
    RunWriter(run_dir, overwrite=True).flush(trajectory, trajectory, statuses, report)


def runner(**by_name):
    """Stands in for the program: by_name[sequence] lists what each repeat writes, or the failure as a string."""
    calls = dict.fromkeys(by_name, 0)

    def run(path, run_dir, args):
        what = by_name[path.name][calls[path.name]]
        calls[path.name] += 1
        if isinstance(what, str):
            return RunOutcome(["run"], what)
        write_run(run_dir, **what)
        return RunOutcome(["run", str(path)])

    return run


def rows_of(out):
    return json.loads((out / "bench.json").read_text())["rows"]


def test_medians_over_repeats_and_means_over_sequences(tmp_path, capsys):
    a, b = sequence(tmp_path / "a"), sequence(tmp_path / "b")
    args = BenchArgs((a, b), tmp_path / "out", repeat=3)
    run = runner(
        a=[{"error": 0.01, "cpu_s": 1.0}, {"error": 0.03, "cpu_s": 2.0}, {"error": 0.02, "cpu_s": 4.0}],
        b=[{"lost": (18, 19)}] * 3,
    )
    assert run_bench(args, run) == 0
    row_a, row_b, mean = rows_of(args.out)
    assert row_a["ate_m"] == pytest.approx(0.02, rel=0.05)
    assert row_a["ate_range_m"] == [pytest.approx(0.01, rel=0.05), pytest.approx(0.03, rel=0.05)]
    assert row_a["frames_per_cpu_s"] == 10.0
    assert row_a["frames_per_wall_s"] == 20.0
    assert row_a["peak_memory_mib"] == pytest.approx(100.03)
    assert row_b["coverage"] == pytest.approx(0.9)
    assert mean["coverage"] == pytest.approx(0.95)
    assert mean["ate_m"] == pytest.approx((row_a["ate_m"] + row_b["ate_m"]) / 2)
    table = (args.out / "bench.md").read_text()
    assert "a: repeats DIFFER" in table
    assert "b: repeats identical" in table
    assert table in capsys.readouterr().out


@pytest.mark.parametrize("what", ["exit code 4: nothing tracked", {"complete": False}])
def test_a_failed_sequence_stays_failed_and_leaves_no_mean(tmp_path, what):
    a, b = sequence(tmp_path / "a"), sequence(tmp_path / "b")
    args = BenchArgs((a, b), tmp_path / "out", repeat=2)
    assert run_bench(args, runner(a=[{}, {}], b=[{}, what])) == 1
    row_a, row_b, mean = rows_of(args.out)
    assert row_a["ate_m"] is not None
    assert row_b["failure"].startswith("1 of 2: ")
    assert row_b["ate_m"] is None
    assert row_b["frames_per_cpu_s"] is None
    assert all(mean[name] is None for name in ("ate_m", "ate_percent", "coverage", "frames_per_cpu_s"))
    lines = (args.out / "bench.md").read_text().splitlines()
    assert "FAILED" in next(line for line in lines if line.startswith("| b "))
    mean_line = next(line for line in lines if line.startswith("| mean"))
    assert set(mean_line.split("|")[3:-1]) == {" n/a "}


def test_a_run_without_result_files_failed(tmp_path):
    args = BenchArgs((sequence(tmp_path / "a"),), tmp_path / "out")
    assert run_bench(args, lambda path, run_dir, args: RunOutcome(["x"])) == 1
    assert "not a readable report" in rows_of(args.out)[0]["failure"]


def test_an_unreadable_sequence_fails_alone(tmp_path):
    (tmp_path / "empty").mkdir()
    args = BenchArgs((tmp_path / "empty", sequence(tmp_path / "a")), tmp_path / "out")
    assert run_bench(args, runner(a=[{}])) == 1
    first, second, mean = rows_of(args.out)
    assert first["failure"] is not None
    assert second["failure"] is None
    assert mean["ate_m"] is None


def test_without_truth_the_distance_from_end_to_start_is_shown(tmp_path):
    args = BenchArgs((sequence(tmp_path / "a", with_truth=False), sequence(tmp_path / "b")), tmp_path / "out")
    assert run_bench(args, runner(a=[{"lost": (18, 19)}], b=[{}])) == 0
    row_a, row_b, mean = rows_of(args.out)
    assert (row_a["truth"], row_a["ate_m"]) == ("none", None)
    assert row_a["coverage"] == pytest.approx(0.9)
    assert row_a["end_to_start_percent"] > 5
    assert row_b["end_to_start_percent"] < 1e-6
    assert mean["ate_m"] == row_b["ate_m"]  # over the sequences with truth


def test_a_second_truth_beside_the_first_is_scored_too_but_counts_once(tmp_path):
    a = sequence(tmp_path / "a")
    shifted = circle()
    shifted.T_world_cam[::2, 1, 3] += 0.1
    write_trajectory(a / "groundtruth_sfm.txt", shifted)
    assert list(find_truths(a)) == ["groundtruth", "groundtruth_sfm"]
    args = BenchArgs((a, sequence(tmp_path / "b")), tmp_path / "out")
    run_bench(args, runner(a=[{}], b=[{"error": 0.02}]))
    first, second, other, mean = rows_of(args.out)
    assert [r["truth"] for r in (first, second)] == ["groundtruth", "groundtruth_sfm"]
    assert first["ate_m"] < 1e-6 < 0.04 < second["ate_m"]
    assert mean["ate_m"] == pytest.approx((first["ate_m"] + other["ate_m"]) / 2)


def test_bad_arguments(tmp_path):
    a = sequence(tmp_path / "a")
    with pytest.raises(InputError, match="no such sequence"):
        run_bench(BenchArgs((a, tmp_path / "no"), tmp_path / "out"), runner(a=[]))
    with pytest.raises(ConfigError):
        run_bench(BenchArgs((a,), tmp_path / "out", repeat=0), runner(a=[]))
    with pytest.raises(ConfigError):
        run_bench(BenchArgs((), tmp_path / "out"), runner(a=[]))
    run_bench(BenchArgs((a,), tmp_path / "out"), runner(a=[{}]))
    with pytest.raises(OutputError, match="--overwrite"):
        run_bench(BenchArgs((a,), tmp_path / "out"), runner(a=[{}]))
    assert run_bench(BenchArgs((a,), tmp_path / "out", overwrite=True), runner(a=[{}])) == 0


def test_interrupt_keeps_what_was_done(tmp_path):
    a, b = sequence(tmp_path / "a"), sequence(tmp_path / "b")

    def run(path, run_dir, args):
        if path == b:
            raise KeyboardInterrupt
        write_run(run_dir)
        return RunOutcome(["run"])

    assert run_bench(BenchArgs((a, b), tmp_path / "out"), run) == 130
    first, second, _ = rows_of(tmp_path / "out")
    assert first["ate_m"] is not None
    assert "interrupted" in second["failure"]


def test_same_folder_names_do_not_mix(tmp_path):
    first, second = sequence(tmp_path / "x" / "a"), sequence(tmp_path / "y" / "a")
    run_bench(BenchArgs((first, second), tmp_path / "out"), runner(a=[{}, {"error": 0.02}]))
    assert [row["sequence"] for row in rows_of(tmp_path / "out")] == ["a", "a~2", "mean"]


def test_runs_are_processes_of_their_own(tmp_path):
    a = sequence(tmp_path / "a")
    script = tmp_path / "program.py"
    script.write_text("import sys\nprint(sys.argv[1:])\nprint('cannot do that', file=sys.stderr)\nsys.exit(4)\n")
    args = BenchArgs((a,), tmp_path / "out", run_options="--stride 2 --title 'a b'")
    run = partial(run_in_process, program=(sys.executable, "-u", str(script)))
    assert run_bench(args, run) == 1
    assert rows_of(args.out)[0]["failure"] == "1 of 1: exit code 4: cannot do that"
    log = (args.out / "a" / "1.log").read_text()
    assert str(a) in log
    assert "'--stride', '2', '--title', 'a b'" in log


def test_cpu_time_is_the_child_processes_own(tmp_path):
    code = "import time\nwhile time.process_time() < 0.3: pass\n"
    outcome = run_isolated([sys.executable, "-c", code], tmp_path / "log", HANG_S)
    assert outcome.exit_code == 0
    assert outcome.failure() is None
    assert outcome.cpu_s >= 0.3


def test_a_run_that_hangs_is_ended_with_its_children(tmp_path):
    code = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)'])\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\n"
        "time.sleep(3600)\n"
    )
    pid = tmp_path / "pid"

    def now():
        """Time passes when the child has a child."""
        return 100.0 if pid.is_file() and pid.read_text() else 0.0

    outcome = run_isolated([sys.executable, "-c", code], tmp_path / "log", 60.0, now)
    assert outcome.exit_code is None
    assert outcome.failure() == "not finished after 100 s"
    until(lambda: not is_running(pid.read_text()))  # killed, but perhaps not yet gone


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"  # a zombie that nobody has waited for is gone too
    except FileNotFoundError:
        return False


def test_command_line():
    args = tyro.cli(BenchArgs, args=["a", "b", "--repeat", "3", "--run-options=--stride 2"])
    assert [p.name for p in args.sequences] == ["a", "b"]
    assert (args.repeat, args.run_options) == (3, "--stride 2")



def test_bench_still_takes_sequences(vgslam, tmp_path: Path) -> None:
    code, _, err = vgslam("bench", tmp_path / "nothing-here", "--out", tmp_path / "b")
    assert code != 0
    assert "nothing-here" in err
