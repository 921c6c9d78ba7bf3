"""Ctrl-C, SIGTERM and crashes: what a run still does, and what it leaves."""

import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from live_servers import Server, Shutter, jpeg, part
from waiting import HANG_S

from bench.stream_server import wait_for_listener
from vgslam.errors import InputError
from vgslam.results.run_folder import CAMERA, FAILURES, RUN_FILES, STATIC_MASK
from vgslam.session.stop_signals import StopSignals, Terminated, exit_code
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.store.manifest import MANIFEST
from vgslam.store.map_folder import check_map
from vgslam.store.open import load_map
from vgslam.system import SlamSystem
from vgslam.types import Frame, PoseEstimate

N_BEFORE = 16


@pytest.fixture
def going_dark(sequence: Path) -> Path:
    """A sequence that shows nothing from image N_BEFORE on."""
    for file in sorted((sequence / "images").iterdir())[N_BEFORE:]:
        cv2.imwrite(str(file), np.zeros_like(cv2.imread(str(file))))
    return sequence


def after_frame(n: int, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Does something within the call that processes frame n."""
    process = SlamSystem.process

    def wrapped(self: SlamSystem, frame: Frame) -> PoseEstimate:
        estimate = process(self, frame)
        if frame.id == n:
            act()
        return estimate

    monkeypatch.setattr(SlamSystem, "process", wrapped)


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


class TestCtrlC:
    def test_what_was_begun_is_finished(self, going_dark: Path, vgslam, monkeypatch: pytest.MonkeyPatch) -> None:
        """The frames in doubt are decided and the graph has its last word."""
        after_frame(N_BEFORE + 1, interrupt, monkeypatch)
        code, _, err = vgslam.run(going_dark, "--map", vgslam.out.parent / "m.vgslam")
        assert code == 130
        assert "Ctrl-C" in err
        assert vgslam.statuses()[N_BEFORE:] == ["LOST", "LOST"]
        report = vgslam.report()
        assert report["complete"] is False
        assert "Ctrl-C" in report["stopped_by"]
        assert "graph" in report["stage_cpu_s"]
        assert len(load_map(vgslam.out.parent / "m.vgslam").frames) == N_BEFORE + 2

    def test_a_second_one_ends_the_finishing_at_once(
        self, going_dark: Path, vgslam, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The folder holds what was there before it, and a map that was being changed is not saved."""
        after_frame(N_BEFORE + 1, interrupt, monkeypatch)
        came_back: list[bool] = []

        def solve(*_: object) -> None:
            interrupt()
            came_back.append(True)

        monkeypatch.setattr("vgslam.reloc.closing.optimize_map", solve)
        code, _, err = vgslam.run(going_dark, "--map", vgslam.out.parent / "m.vgslam")
        assert code == 130
        assert len(err.splitlines()) == 1
        assert came_back == []
        assert vgslam.statuses()[N_BEFORE:] == ["LOST", "LOST"]
        assert vgslam.report()["complete"] is False
        assert len(read_trajectory(vgslam.out / "trajectory.tum")) == N_BEFORE
        assert not (vgslam.out.parent / "m.vgslam" / MANIFEST).exists()

    def test_an_input_that_breaks_off_is_finished_too(
        self, going_dark: Path, vgslam, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def check(frame: Frame, _: object) -> None:
            if frame.id == N_BEFORE + 2:
                raise InputError("the film tore")

        monkeypatch.setattr("vgslam.session.main_loop.check_size", check)
        code, _, _ = vgslam.run(going_dark)
        assert code == 2
        assert vgslam.report()["complete"] is False
        assert vgslam.report()["stopped_by"] == "the film tore"
        assert vgslam.statuses()[N_BEFORE:] == ["LOST", "LOST"]
        assert "graph" in vgslam.report()["stage_cpu_s"]


    def test_while_the_field_of_view_is_estimated_it_leaves_no_folder(
        self, sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (sequence / "calib.json").unlink()
        with monkeypatch.context() as patch:
            after_frame(3, interrupt, patch)
            code, _, err = vgslam.run(sequence, "--network", "none")
        assert (code, err.splitlines()) == (130, ["vgslam: interrupted"])
        assert not vgslam.out.exists()

    def test_while_the_field_of_view_is_estimated_it_leaves_a_folder_that_was_there(
        self, sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (sequence / "calib.json").unlink()
        vgslam.out.mkdir()
        after_frame(3, interrupt, monkeypatch)
        assert vgslam.run(sequence, "--network", "none")[0] == 130
        assert vgslam.out.is_dir()


class TestFullDisk:
    """Files that cannot be written: all the rest is, and report and exit code tell."""

    @staticmethod
    def refuse(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Files whose name begins with this do not fit."""

        def no_space(handle: int) -> None:
            if Path(os.readlink(f"/proc/self/fd/{handle}")).name.startswith(f".{name}"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("vgslam.atomic.os.fsync", no_space)

    @pytest.mark.parametrize(
        ("refused", "absent"), [("state-", ()), ("cloud.ply", ("cloud.ply",)), ("status.png", ("plots/status.png",))]
    )
    def test_all_the_rest_is_written(
        self, refused: str, absent: tuple[str, ...], sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.refuse(refused, monkeypatch)
        words = ("--network", "none", "--max-frames", "16", "--map", vgslam.out.parent / "m")
        code, _, err = vgslam.run(sequence, *words)
        assert code == 3
        [line] = err.splitlines()
        assert "No space left on device" in line
        assert str(vgslam.out) in line
        report = vgslam.report()
        assert report["complete"] is False
        assert "not everything could be written" in report["stopped_by"]
        assert report["evaluation"] is not None
        expected = {name for name in RUN_FILES if name not in (*absent, CAMERA, FAILURES, STATIC_MASK)}
        assert {str(p.relative_to(vgslam.out)) for p in vgslam.out.rglob("*") if p.is_file()} == expected
        assert (vgslam.out.parent / "m" / MANIFEST).exists() == (refused != "state-")
        assert len(read_trajectory(vgslam.out / "trajectory.tum")) == 16

    def test_an_interrupted_run_tells_of_both(
        self, sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.refuse("cloud.ply", monkeypatch)
        after_frame(15, interrupt, monkeypatch)
        assert vgslam.run(sequence, "--network", "none")[0] == 130
        assert "Ctrl-C" in vgslam.report()["stopped_by"]
        assert "No space left on device" in vgslam.report()["stopped_by"]


class TestCrash:
    @pytest.mark.parametrize("error", [RuntimeError, KeyError])
    def test_within_a_frame_the_map_is_not_saved_and_the_poses_are(
        self, error: type[Exception], sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail() -> None:
            raise error("broken")

        after_frame(20, fail, monkeypatch)
        with pytest.raises(error, match="broken"):
            vgslam.run(sequence, "--map", vgslam.out.parent / "m.vgslam")
        assert not (vgslam.out.parent / "m.vgslam" / MANIFEST).exists()
        assert len(vgslam.statuses()) == 21
        assert error.__name__ in vgslam.report()["stopped_by"]
        assert vgslam.report()["complete"] is False

    @pytest.mark.parametrize("error", [RuntimeError, KeyError])
    def test_between_frames_the_map_is_saved(
        self, error: type[Exception], sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever fails, if it was not the map that was worked on."""

        def fail(*_: object) -> None:
            raise error("broken")

        monkeypatch.setattr("vgslam.commands.terminal.describe", fail)
        with pytest.raises(error, match="broken"):
            vgslam.run(sequence, "--map", vgslam.out.parent / "m.vgslam")
        assert len(load_map(vgslam.out.parent / "m.vgslam").frames) == 1


class TestStopSignals:
    def test_the_first_waits_for_the_end_of_the_block_and_the_next_do_not(self) -> None:
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        done: list[str] = []

        def work(signals: StopSignals, sign: signal.Signals) -> None:
            with signals.held():
                signal.raise_signal(sign)
                done.append("whole")

        with StopSignals() as signals:
            with pytest.raises(KeyboardInterrupt):
                work(signals, signal.SIGINT)
            assert signals.first is signal.SIGINT
            with pytest.raises(Terminated):
                work(signals, signal.SIGTERM)
            assert signals.first is signal.SIGINT
        assert done == ["whole"]
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before

    def test_outside_a_block_it_comes_at_once(self) -> None:
        with StopSignals() as signals:
            with pytest.raises(Terminated) as stop:
                signal.raise_signal(signal.SIGTERM)
            assert (signals.first, exit_code(stop.value)) == (signal.SIGTERM, 143)

    def test_what_is_ignored_stays_ignored(self) -> None:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with StopSignals() as signals:
                interrupt()
                with pytest.raises(Terminated):
                    signal.raise_signal(signal.SIGTERM)
            assert signals.first is signal.SIGTERM
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        finally:
            signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def endless_folder(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's images forth and back, for much longer than any test lasts."""
    folder = tmp_path_factory.mktemp("endless")
    (folder / "images").mkdir()
    files = sorted((demo_folder / "images").iterdir())
    loop = files + files[-2:0:-1]
    for i in range(20_000):
        (folder / "images" / f"{i:06d}.png").symlink_to(loop[i % len(loop)])
    (folder / "times.txt").write_text("\n".join(f"{i / 30.0:.6f}" for i in range(20_000)) + "\n")
    shutil.copy(demo_folder / "calib.json", folder)
    return folder


@pytest.fixture
def shutter(demo_images: list[np.ndarray]) -> Shutter:
    return Shutter([part(jpeg(image)) for image in demo_images])


@contextlib.contextmanager
def program(*words: object, is_in_background: bool) -> Iterator["subprocess.Popen[str]"]:
    """`vgslam WORDS --poses -`; as a job of a script's `&`, which ignores SIGINT, or not."""
    disposition = signal.SIG_IGN if is_in_background else signal.SIG_DFL
    process = subprocess.Popen(
        [sys.executable, "-m", "vgslam", *map(str, words), "--poses", "-"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, disposition),
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def await_poses(process: "subprocess.Popen[str]", n: int, then: Callable[[], None] = lambda: None) -> None:
    """Reads lines until n of them have a pose; what is to be done after each."""
    assert process.stdout is not None
    while n > 0:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        n -= json.loads(line)["T_world_cam"] is not None
        then()


@pytest.mark.parametrize(
    ("sign", "is_in_background", "code"),
    [(signal.SIGINT, False, 130), (signal.SIGTERM, False, 143), (signal.SIGTERM, True, 143)],
)
def test_signals_stop_a_run_and_keep_everything(
    sign: signal.Signals, is_in_background: bool, code: int, endless_folder: Path, tmp_path: Path
) -> None:
    words = ("run", endless_folder, "--network", "none", "--out", tmp_path / "o", "--map", tmp_path / "m.vgslam")
    with program(*words, is_in_background=is_in_background) as process:
        await_poses(process, 5)
        process.send_signal(sign)
        _, err = process.communicate(timeout=HANG_S)
    assert process.returncode == code, err
    assert "Traceback" not in err
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    assert report["complete"] is False
    assert ("Ctrl-C" if sign is signal.SIGINT else "SIGTERM") in report["stopped_by"]
    assert len(read_trajectory(tmp_path / "o" / "trajectory.tum")) == report["n_poses"] >= 5
    assert len((tmp_path / "o" / "status.csv").read_text().splitlines()) - 1 == report["n_frames"]
    assert len(load_map(tmp_path / "m.vgslam").frames) == report["n_frames"]
    assert check_map(tmp_path / "m.vgslam").problems == []


def test_a_background_job_of_a_script_ends_with_sigterm(
    shutter: Shutter, demo_folder: Path, tmp_path: Path
) -> None:
    with Server(shutter) as server, program(
        "live", server.url, "--calib", demo_folder / "calib.json", "--out", tmp_path / "o", is_in_background=True
    ) as process:  # fmt: skip
        await_poses(process, 5, shutter.release)
        process.send_signal(signal.SIGINT)  # is ignored
        await_poses(process, 2, shutter.release)
        shutter.let_go()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=HANG_S)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    assert (report["complete"], report["stopped_by"]) == (True, "SIGTERM")


def test_sigterm_ends_the_wait_for_a_sender(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ("live", f"rtsp+listen://127.0.0.1:{port}/cam", "--out", tmp_path / "o")
    with program(*words, is_in_background=True) as process:
        wait_for_listener(port)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=HANG_S)
    assert process.returncode == 143, err
    assert err.splitlines() == ["vgslam: interrupted"]
