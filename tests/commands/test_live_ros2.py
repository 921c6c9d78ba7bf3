"""`vgslam live ros2:...` with real nodes: a camera and a reader of odometry, each a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from ros2_peers import HAS_ROS, WITHOUT_ROS, CameraNode, camera, environment, odometry
from waiting import HANG_S

from vgslam.geometry import se3
from vgslam.poses_out.ros2 import R_LINK_OPTICAL

pytestmark = pytest.mark.skipif(not HAS_ROS, reason=WITHOUT_ROS)

TOPIC = "/camera/image_raw"
N_BEFORE = 12
"""Poses that are read before the camera is killed."""


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    """Processes that are killed at the end."""
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    with ExitStack() as stack:
        yield stack


def live(nodes: ExitStack, tmp_path: Path, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "vgslam", "live", *words, "--out", str(tmp_path / "out")]
    where = {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | where
    )  # fmt: skip
    nodes.callback(process.kill)
    return process


def camera_info(demo_folder: Path) -> str:
    c = json.loads((demo_folder / "calib.json").read_text())
    K = [c["fx"], 0.0, c["cx"], 0.0, c["fy"], c["cy"], 0.0, 0.0, 1.0]
    about = {"width": c["width"], "height": c["height"], "k": K, "d": [0.0] * 5, "distortion_model": "plumb_bob"}
    return json.dumps(about)


def off_the_truth(rows: list[dict], settings: CameraNode, demo_folder: Path) -> float:
    """Mean distance of the odometry's positions from the truth, as a share of their extent: the truth in the axes of
    the first camera's body, scaled and moved to fit, and not turned."""
    truth = np.loadtxt(demo_folder / "groundtruth.txt")
    T0 = np.eye(4)
    T0[:3, :3], T0[:3, 3] = se3.rotation_from_quaternion(truth[0, 4:8]), truth[0, 1:4]
    numbers = [round((row["stamp_ns"] - settings.stamp_ns(0)) / 1e8) for row in rows]
    expected = (truth[numbers, 1:4] - T0[:3, 3]) @ T0[:3, :3] @ R_LINK_OPTICAL.T
    found = np.array([row["position"] for row in rows])
    a, b = expected - expected.mean(0), found - found.mean(0)
    scale = (a * b).sum() / (b * b).sum()
    return float(np.linalg.norm(a - scale * b, axis=1).mean() / np.linalg.norm(a, axis=1).max())


@pytest.mark.slow
def test_odometry_of_a_camera_that_is_killed_and_comes_back_until_ctrl_c(
    nodes: ExitStack, tmp_path: Path, demo_folder: Path, demo_images: list[np.ndarray]
) -> None:
    np.save(tmp_path / "images.npy", np.stack(demo_images))
    about = {"images": str(tmp_path / "images.npy"), "topic": TOPIC, "rate_hz": 8.0, "info": camera_info(demo_folder)}
    first = CameraNode(**about, is_latched=True)
    reader = nodes.enter_context(odometry("/vgslam/odometry", 10_000))
    assert reader.stdout is not None
    assert reader.stdout.readline() == "listens\n"
    words = ["--every-frame", "--poses", "ros2:", "--map", str(tmp_path / "map")]
    process = live(nodes, tmp_path, f"ros2:{TOPIC}", *words)
    killed = nodes.enter_context(camera(first))
    rows = [json.loads(reader.stdout.readline()) for _ in range(N_BEFORE)]
    killed.kill()
    again = CameraNode(**about, first=15, encoding="bgr8", is_reliable=False)
    nodes.enter_context(camera(again))
    while round((rows[-1]["stamp_ns"] - first.stamp_ns(0)) / 1e8) < 40:
        rows.append(json.loads(reader.stdout.readline()))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=HANG_S)
    assert process.returncode == 0, err
    assert "terminate" not in err
    stamps = [row["stamp_ns"] for row in rows]
    assert set(stamps) <= {first.stamp_ns(i) for i in range(45)}
    assert {row["frame"] for row in rows} == {"map"}
    assert {row["child"] for row in rows} == {"camera_link"}
    for row in rows:
        covariance = np.reshape(row["covariance"], (6, 6))
        np.testing.assert_array_equal(covariance, covariance.T)
        assert np.linalg.eigvalsh(covariance).min() > 0
    assert off_the_truth(rows, first, demo_folder) < 0.05
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["complete"]
    assert report["stopped_by"] == "Ctrl-C"
    assert report["n_components"] == 1
    assert not report["camera"]["is_estimated"]
    assert report["camera"]["fx"] == pytest.approx(json.loads(first.info)["k"][0])
    assert "tf" in out


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_signals_while_nothing_comes(sign: signal.Signals, nodes: ExitStack, tmp_path: Path) -> None:
    """The line that nothing comes shows that it waits."""
    process = live(nodes, tmp_path, "ros2:/nobody", "--poses", "ros2:")
    assert process.stderr is not None
    assert "no image yet" in process.stderr.readline()
    process.send_signal(sign)
    _, err = process.communicate(timeout=HANG_S)
    assert process.returncode == 128 + sign
    assert "terminate called" not in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()
