"""`vgslam live` as a person would use it, against servers on loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from live_servers import Server, Shutter, jpeg, part
from waiting import HANG_S

from vgslam.interfaces import FrameSource
from vgslam.session.self_calibration import CalibrationEstimate
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.types import Camera

pytestmark = pytest.mark.two_cores
FIRST_S = 100.0


@pytest.fixture(scope="session")
def parts(demo_images: list[np.ndarray]) -> list[bytes]:
    """The demo's first frames as a Motion JPEG body, clock from 100 s."""
    return [part(jpeg(image), FIRST_S + i / 30.0) for i, image in enumerate(demo_images)]


@pytest.fixture
def live(vgslam, demo_folder: Path):
    """Calls `vgslam live` on something that ends, every frame of it."""

    def run(stream: str, *words: object, calib: bool = True) -> tuple[int, str, str]:
        options = ["--calib", demo_folder / "calib.json"] if calib else []
        return vgslam("live", stream, "--out", vgslam.out, "--quiet", "--every-frame", *options, *words)

    return run


def test_a_stream_becomes_a_run_with_its_latency(
    parts: list[bytes], live, vgslam, demo_folder: Path, tmp_path: Path
) -> None:
    truth = np.loadtxt(demo_folder / "groundtruth.txt")
    truth[:, 0] += FIRST_S - truth[0, 0]
    np.savetxt(tmp_path / "truth.txt", truth, fmt="%.9f")
    with Server(lambda _: iter(parts)) as server:
        code, out, err = live(server.url, "--truth", tmp_path / "truth.txt", "--give-up-s", 0, "--poses", "-")
    assert code == 0, err
    rows = [json.loads(line) for line in out.splitlines()]  # nothing else is there
    assert [r["frame"] for r in rows] == list(range(len(parts)))
    assert [r["timestamp_s"] for r in rows] == pytest.approx(FIRST_S + np.arange(len(parts)) / 30.0)
    assert {"INITIALIZING", "TRACKED"} == {r["status"] for r in rows}
    assert rows[-1]["latency_s"] > 0
    assert "latency" in err
    report = vgslam.report()
    assert report["complete"] is True
    assert report["evaluation"]["headline"]["ate_sim3_m"]["rmse"] < 0.01
    said = report["live"]
    assert (said["n_captured"], said["n_dropped"], said["n_reconnects"]) == (len(parts), 0, 0)
    assert 0 < said["latency_p50_ms"] <= said["latency_p95_ms"] <= said["latency_max_ms"]
    assert vgslam("report", vgslam.out)[0] == 0


def test_a_server_that_dies_and_comes_back_goes_on_in_the_same_map(parts: list[bytes], live, vgslam) -> None:
    """The second connection begins a little later and a little earlier in the scene."""
    with Server(lambda n: iter([*parts[:30], parts[30][:500]] if n == 0 else parts[25:])) as server:
        code, out, _ = live(server.url, "--give-up-s", HANG_S, "--max-frames", 48)
    assert code == 0
    report = vgslam.report()
    assert report["n_frames"] == 48
    assert report["live"]["n_reconnects"] == 1
    assert report["n_components"] == 1
    assert set(vgslam.statuses()) <= {"TRACKED", "RELOCALIZED"}
    assert "trying to connect again" in out
    times = read_trajectory(vgslam.out / "trajectory.tum").timestamps_s
    assert (np.diff(times) > 0).all()


def test_localizing_live_in_a_saved_map(parts: list[bytes], live, vgslam, tmp_path: Path) -> None:
    with Server(lambda _: iter(parts[:30])) as server:
        assert live(server.url, "--give-up-s", 0, "--map", tmp_path / "m")[0] == 0
        n_keyframes = vgslam.report()["n_keyframes"]
        code, out, _ = live(
            server.url, "--give-up-s", 0, "--map", tmp_path / "m", "--localize", "--overwrite", "--poses", "-",
            "--max-frames", 12,
        )  # fmt: skip
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert [r["status"] for r in rows] == ["RELOCALIZED"] + 11 * ["TRACKED"]
    assert [r["frame"] for r in rows] == list(range(12))
    assert {r["map"] for r in rows} == {"m"}
    assert vgslam.report()["map"]["n_keyframes"] == n_keyframes


def test_without_a_calibration_the_first_frames_are_kept_for_the_estimate(
    parts: list[bytes], live, vgslam, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The estimate itself is tested elsewhere; here, that a live stream can be asked for it."""
    played: list[list[float]] = []

    def estimate(source: FrameSource, config: object, tell: object = None) -> CalibrationEstimate:
        played.extend([f.timestamp_s for f in source] for _ in range(2))
        height, width = next(iter(source)).image.shape[:2]
        return CalibrationEstimate(Camera.from_fov(width, height, 66.0), 3.0, True)

    monkeypatch.setattr("vgslam.session.choose_camera.estimate_camera", estimate)
    monkeypatch.setattr("vgslam.session.choose_camera.N_FRAMES", 30)
    with Server(lambda _: iter(parts)) as server:
        code, out, _ = live(server.url, "--give-up-s", 0, calib=False)
    assert code in (0, 4)
    assert "field of view 66.0 degrees" in out
    assert played[0] == played[1] == pytest.approx(FIRST_S + np.arange(30) / 30.0)
    assert vgslam.report()["n_frames"] == len(parts) - 30


def test_a_given_field_of_view_is_taken(parts: list[bytes], live, vgslam) -> None:
    with Server(lambda _: iter(parts)) as server:
        code, _, _ = live(server.url, "--give-up-s", 0, "--fov-deg", 70, calib=False)
    assert code == 0
    assert vgslam.report()["camera"]["fov_x_deg"] == pytest.approx(70)
    assert vgslam.report()["n_frames"] == len(parts)


def test_a_recording_in_real_time(sequence: Path, vgslam) -> None:
    for words in (("run", sequence, "--realtime"), ("live", sequence)):
        code, out, _ = vgslam(*words, "--out", vgslam.out, "--quiet", "--overwrite")
        assert code in (0, 4)  # a busy machine may drop too many
        report = vgslam.report()
        assert "live" in out.splitlines()[0]
        assert report["live"]["n_captured"] == 45
        assert report["n_frames"] == 45 - report["live"]["n_dropped"]


def test_settings_of_a_live_run_serve_another(parts: list[bytes], live, vgslam, sequence: Path) -> None:
    with Server(lambda _: iter(parts[:12])) as server:
        assert live(server.url, "--give-up-s", 0, "--slam.tracker.gate", 4.25)[0] == 0
    config = vgslam.out / "config.yaml"
    assert "gate: 4.25" in config.read_text()
    code, _, err = vgslam("run", sequence, "--config", config, "--out", vgslam.out / "again", "--max-frames", 12)
    assert code == 0, err
    assert "gate: 4.25" in (vgslam.out / "again" / "config.yaml").read_text()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.mark.parametrize(
    ("stream", "words", "said"),
    [
        ("http://127.0.0.1:{port}/x", (), "refused"),
        ("rtsp://127.0.0.1:{port}/x", (), "cannot be opened"),
        ("nonsense", (), "nonsense"),
        ("/dev/video77", (), "video77"),
        ("http://127.0.0.1:{port}/x", ("--max-frames", 0), "--max-frames"),
        ("http://127.0.0.1:{port}/x", ("--duration-s", -1), "--duration-s"),
    ],
)
def test_what_cannot_work_is_one_line_and_leaves_nothing(
    stream: str, words: tuple[object, ...], said: str, vgslam
) -> None:
    code, _, err = vgslam("live", stream.format(port=free_port()), "--out", vgslam.out, *words)
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not vgslam.out.exists()


@pytest.mark.parametrize("target", ["nonsense", "tcp:127.0.0.1", "ros2:"])
def test_a_wrong_word_for_the_poses(
    target: str, parts: list[bytes], live, vgslam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rclpy", None)
    with Server(lambda _: iter(parts)) as server:
        code, _, err = live(server.url, "--poses", target)
    assert code == (6 if target == "ros2:" else 2)
    assert len(err.strip().splitlines()) == 1
    assert not vgslam.out.exists()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_and_keep_everything(
    sign: signal.Signals, parts: list[bytes], demo_folder: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "vgslam", "live"]
    shutter = Shutter([p.replace(b"X-Timestamp", b"X-Nothing") for p in parts])
    with Server(shutter) as server:
        process = subprocess.Popen(
            [*command, server.url, "--calib", demo_folder / "calib.json", "--out", tmp_path / "o", "--poses", "-",
             "--map", tmp_path / "m"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        assert process.stdout is not None
        rows = []
        while sum(r["T_world_cam"] is not None for r in rows) < 5 and len(rows) < 300:
            rows.append(json.loads(process.stdout.readline()))
            shutter.release()
        shutter.let_go()
        process.send_signal(sign)
        out, err = process.communicate(timeout=HANG_S)
    assert process.returncode == 0, err
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    assert report["complete"] is True
    n_lines = len(rows) + len(out.splitlines())
    assert n_lines in (report["n_frames"], report["n_frames"] - 1)  # Ctrl-C may come between a pose and its line
    assert report["n_frames"] + report["live"]["n_dropped"] <= report["live"]["n_captured"]
    assert len(read_trajectory(tmp_path / "o" / "trajectory.tum")) == report["n_poses"]
    assert (tmp_path / "m").is_dir()
    assert "Traceback" not in err


def test_a_port_for_metrics_that_is_taken_is_refused_before_anything_is_made(vgslam) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, _, err = vgslam("live", "http://127.0.0.1:9/x", "--metrics-port", port, "--out", vgslam.out)
    assert code == 2
    assert f"--metrics-port {port}" in err
    assert not vgslam.out.exists()


@pytest.mark.parametrize(("target", "says"), [("ros2:/v,mpa=odom", "map=FRAME"), ("tpc:127.0.0.1:1", "tcp:HOST:PORT")])
def test_a_misspelt_sink_is_told_before_a_camera_is_waited_for(vgslam, monkeypatch, target: str, says: str) -> None:
    monkeypatch.setattr("vgslam.commands.live.open_live", lambda *_: pytest.fail("the camera was asked"))
    code, _, errors = vgslam("live", "rtsp://127.0.0.1:1/x", "--out", vgslam.out, "--poses", target)
    assert code == 2
    assert says in errors
    assert errors.count("\n") == 1
