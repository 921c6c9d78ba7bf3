"""Poses for other programs: what a line says, and that no reader, however slow, holds anybody up."""

import io
import json
import os
import select
import selectors
import socket
import struct
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from synthetic import CAMERA, pose
from waiting import HANG_S, until

from vgslam.errors import ConfigError, OutputError
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.map.world import World
from vgslam.poses_out import sockets, stream
from vgslam.poses_out.frame_pose import FramePose
from vgslam.poses_out.open import open_sink, opened_sinks
from vgslam.poses_out.ros2 import ros_covariance
from vgslam.poses_out.sockets import SocketSink, listen_tcp, listen_unix
from vgslam.poses_out.stream import StreamSink
from vgslam.types import Array, Keyframe, PoseEstimate, Status

T_KEYFRAME = pose((10, -20, 5), (1, 2, 3))
T_REF_CAM = pose((0, 4, 0), (0.1, 0.0, 0.2))


@pytest.fixture(autouse=True)
def closing_takes_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CLOSING_S", HANG_S)
    monkeypatch.setattr(sockets, "CLOSING_S", HANG_S)


def map_with_a_keyframe(scale: float) -> SlamMap:
    slam_map = SlamMap()
    image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    keyframe = Keyframe(0, 0, 0.0, image, CAMERA, Sim3.from_T(T_KEYFRAME, scale))
    slam_map.add_keyframe(keyframe, np.zeros(0, np.int64), np.zeros((0, 2)))
    return slam_map


def a_covariance(seed: int = 0) -> Array:
    A = np.random.default_rng(seed).normal(size=(6, 6))
    return A @ A.T


def tracked(i: int = 0, has_covariance: bool = True) -> FramePose:
    covariance = a_covariance() if has_covariance else None
    return FramePose(i, 0.1 * i, Status.TRACKED, pose((0, i, 0), (i, 0, 0)), covariance, 0, 50)


class TestFramePose:
    def test_is_the_pose_in_the_world_with_its_covariance_in_map_units(self) -> None:
        scale = 2.5
        cov = a_covariance()
        estimate = PoseEstimate(7, 0.25, Status.TRACKED, 0, T_REF_CAM, cov, 80, 0.9, 3)
        found = FramePose.of(estimate, map_with_a_keyframe(scale), "flat.vgslam", 0.02)
        T = T_KEYFRAME.copy()
        T[:3, :3] = T_KEYFRAME[:3, :3] @ T_REF_CAM[:3, :3]
        T[:3, 3] = T_KEYFRAME[:3, 3] + scale * T_KEYFRAME[:3, :3] @ T_REF_CAM[:3, 3]
        np.testing.assert_allclose(found.T_world_cam, T, atol=1e-12)
        assert found.covariance is not None
        np.testing.assert_allclose(found.covariance[:3, :3], cov[:3, :3])
        np.testing.assert_allclose(found.covariance[:3, 3:], scale * cov[:3, 3:])
        np.testing.assert_allclose(found.covariance[3:, 3:], scale**2 * cov[3:, 3:])
        assert (found.component_id, found.map_name, found.latency_s) == (3, "flat.vgslam", 0.02)

    def test_says_which_component_it_is_of_and_whether_that_is_upright(self) -> None:
        m = map_with_a_keyframe(1.0)
        estimate = PoseEstimate(7, 0.25, Status.TRACKED, 0, T_REF_CAM, None, 80, 0.9, 3)
        assert not FramePose.of(estimate, m).is_upright
        m.worlds[0] = World(is_upright=True)
        assert FramePose.of(estimate, m).is_upright
        assert json.loads(FramePose.of(estimate, m).to_json())["component"] == 3

    def test_covariance_is_that_of_poses_that_scatter(self) -> None:
        """T exp(xi) with xi drawn from the covariance, as an onlooker in the world sees it."""
        T, small = pose((30, 50, -20), (4, 5, 6)), 1e-4 * a_covariance(3)
        xi = np.random.default_rng(0).multivariate_normal(np.zeros(6), small, 2000)
        poses = T @ np.array([se3.exp(x) for x in xi])
        moved = poses[:, :3, 3] - T[:3, 3]
        turned = np.array([se3.so3_log(P[:3, :3] @ T[:3, :3].T) for P in poses])
        seen = np.cov(np.hstack([moved, turned]).T)
        np.testing.assert_allclose(ros_covariance(small, T), seen, atol=0.12 * np.abs(seen).max())

    def test_a_line_holds_everything(self) -> None:
        row = json.loads(tracked(3).to_json())
        T = np.array(row["T_world_cam"])
        np.testing.assert_allclose(T, tracked(3).T_world_cam, atol=1e-8)
        np.testing.assert_allclose(row["position"], T[:3, 3])
        np.testing.assert_allclose(se3.rotation_from_quaternion(np.array(row["quaternion_xyzw"])), T[:3, :3], atol=1e-7)
        assert np.shape(row["covariance"]) == (6, 6)
        assert (row["frame"], row["timestamp_s"], row["status"], row["component"], row["map"]) == (
            3, pytest.approx(0.3), "TRACKED", 0, None,
        )  # fmt: skip

    def test_a_lost_frame_has_no_pose(self) -> None:
        estimate = PoseEstimate(7, 0.25, Status.LOST)
        row = json.loads(FramePose.of(estimate, map_with_a_keyframe(1.0)).to_json())
        assert row["status"] == "LOST"
        assert all(row[name] is None for name in ("T_world_cam", "position", "quaternion_xyzw", "covariance"))

    def test_numbers_that_are_not_finite_become_null(self) -> None:
        unsure = FramePose(0, 0.0, Status.TRACKED, np.eye(4), np.full((6, 6), np.inf))
        assert json.loads(unsure.to_json())["covariance"] is None


class Stuck(io.RawIOBase):
    """A reader that takes nothing until it is let go."""

    def __init__(self) -> None:
        self.may_go, self.data = threading.Event(), b""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        assert self.may_go.wait(HANG_S)
        self.data += bytes(data)[:100]
        return min(len(data), 100)  # a part at a time, as pipes do

    def rows(self) -> list[int]:
        return [json.loads(line)["frame"] for line in self.data.splitlines()]


class TestStream:
    def test_all_lines_in_order(self) -> None:
        stream = Stuck()
        stream.may_go.set()
        sink = StreamSink(stream)
        for i in range(50):
            sink.send(tracked(i))
        sink.close()
        sink.close()
        assert stream.rows() == list(range(50))
        assert sink.n_dropped == 0

    def test_a_slow_reader_misses_the_oldest_and_holds_nobody_up(self) -> None:
        stream = Stuck()
        sink = StreamSink(stream, max_waiting=10)
        sink.send(tracked(0))
        until(lambda: not sink._lines)  # the thread has taken it and is stuck with it
        for i in range(1, 101):
            sink.send(tracked(i))
        stream.may_go.set()
        sink.close()
        assert stream.rows() == [0, *range(91, 101)]
        assert sink.n_dropped == 90

    def test_a_reader_that_goes_away_costs_only_its_lines(self) -> None:
        read_end, write_end = os.pipe()
        with os.fdopen(write_end, "wb", buffering=0) as file:
            sink = StreamSink(file)
            os.close(read_end)
            sink.send(tracked(0))
            until(lambda: sink.n_dropped == 1)
            sink.send(tracked(1))
            sink.close()
        assert sink.n_dropped == 2


def reader(sink: SocketSink) -> socket.socket:
    """Connects to a sink; returns when it has been accepted."""
    n = sink.n_readers
    address = sink.where.split(":", 2)[2]
    if sink.where.startswith("poses: unix"):
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        peer.connect(address)
    else:
        host, port = address.rsplit(":", 1)
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        peer.connect((host, int(port)))
    peer.settimeout(HANG_S)
    until(lambda: sink.n_readers == n + 1)
    return peer


def frames_read(peer: socket.socket, may_be_cut: bool = False) -> list[int]:
    """Frames of all lines until the other side hangs up; a last line that is cut off is an error, or left out."""
    data = b""
    while piece := peer.recv(65536):
        data += piece
    peer.close()
    assert may_be_cut or data == b"" or data.endswith(b"\n")
    data = data[: data.rfind(b"\n") + 1]
    return [json.loads(line)["frame"] for line in data.splitlines()]


class TestSockets:
    @pytest.mark.parametrize("kind", ["tcp", "unix"])
    def test_readers_get_whole_lines_from_when_they_come(self, kind: str, tmp_path: Path) -> None:
        path = tmp_path / "poses.sock"
        sink = SocketSink(listen_tcp("127.0.0.1", 0) if kind == "tcp" else listen_unix(path))
        sink.send(tracked(0))  # nobody is there
        until(lambda: not sink._lines)
        first = reader(sink)
        sink.send(tracked(1))
        until(lambda: not sink._lines)
        second = reader(sink)
        sink.send(tracked(2))
        sink.close()
        assert frames_read(first) == [1, 2]
        assert frames_read(second) == [2]
        assert not path.exists()

    def test_a_slow_reader_misses_lines_and_the_other_gets_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sockets, "CLOSING_S", 0.1)  # it never takes them all
        sink = SocketSink(listen_tcp("127.0.0.1", 0), max_pending_bytes=20_000)
        slow, quick = reader(sink), reader(sink)
        got: list[int] = []

        def read() -> None:
            with quick.makefile("r") as lines:
                for line in lines:
                    got.append(json.loads(line)["frame"])

        thread = threading.Thread(target=read)
        thread.start()
        n = 0
        while sink.n_dropped == 0:  # the buffers of the system are large
            for _ in range(10):
                sink.send(tracked(n))
                n += 1
            until(lambda n=n: len(got) == n)
        sink.close()
        thread.join(HANG_S)
        slow_got = frames_read(slow, may_be_cut=True)
        assert 0 < len(slow_got) < n
        assert slow_got == sorted(slow_got)
        assert got == list(range(n))

    def test_readers_that_hang_up_are_forgotten(self) -> None:
        sink = SocketSink(listen_tcp("127.0.0.1", 0))
        reader(sink).close()
        until(lambda: sink.n_readers == 0)
        sink.send(tracked(0))
        stays = reader(sink)
        sink.send(tracked(1))
        sink.close()
        assert frames_read(stays) == [1]

    def test_a_reader_that_resets_while_a_pose_goes_out_costs_nobody_else_a_pose(self) -> None:
        """The reset and the pose reach the thread in one batch: to send fails, and so would to read."""
        sink = SocketSink(listen_tcp("127.0.0.1", 0))
        stays, resets = reader(sink), reader(sink)
        accepted = next(s for s in sink._pending if s.getpeername() == resets.getsockname())
        is_held, may_go, select_now = threading.Event(), threading.Event(), sink._selector.select

        def held_select(timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            is_held.set()
            assert may_go.wait(HANG_S)
            return select_now(timeout)

        sink._selector.select = held_select  # type: ignore[method-assign]
        sink.send(tracked(0))
        assert is_held.wait(HANG_S)
        sink.send(tracked(1))  # the wake-up, then the reset
        resets.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        resets.close()
        poll = select.poll()
        poll.register(accepted, 0)
        assert poll.poll(1000 * HANG_S), "the reset has not arrived"
        may_go.set()
        until(lambda: sink.n_readers == 1)
        sink.send(tracked(2))
        sink.close()
        assert frames_read(stays) == [0, 1, 2]
        assert sink.failure is None

    def test_a_thread_that_cannot_go_on_says_so_and_hangs_up(self, caplog: pytest.LogCaptureFixture) -> None:
        sink = SocketSink(listen_tcp("127.0.0.1", 0))
        waits = reader(sink)

        def broken(timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            raise RuntimeError("no more of this")

        sink._selector.select = broken  # type: ignore[method-assign]
        sink.send(tracked(0))
        assert frames_read(waits) in ([], [0])  # the end comes, no reader waits for ever
        until(lambda: not sink._thread.is_alive())
        assert sink.failure is not None
        assert "no more of this" in sink.failure
        assert "\n" not in sink.failure
        assert sink.where.removeprefix("poses: ") in sink.failure
        assert sink.failure in caplog.text
        before = sink.n_dropped
        sink.send(tracked(1))
        assert sink.n_dropped == before + 1
        assert sink.n_readers == 0
        sink.close()

    def test_a_dead_socket_is_replaced_and_a_live_one_is_not(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        listen_unix(path).close()  # its file stays
        sink = SocketSink(listen_unix(path))
        with pytest.raises(OutputError, match="choose another"):
            listen_unix(path)
        sink.close()
        path.write_text("mine")
        with pytest.raises(OutputError):
            listen_unix(path)
        assert path.read_text() == "mine"

    def test_a_port_in_use_is_one_line(self) -> None:
        with listen_tcp("127.0.0.1", 0) as taken, pytest.raises(OutputError, match="choose another port"):
            listen_tcp("127.0.0.1", taken.getsockname()[1])


class TestOpening:
    @pytest.mark.parametrize("target", ["tcp:", "tcp:5555", "tcp:host:", "tcp:h:99999", "unix:", "file.txt", ""])
    def test_other_words_are_refused(self, target: str) -> None:
        with pytest.raises(ConfigError, match="expected"):
            open_sink(target)

    def test_on_standard_output_the_poses_are_alone(self, capsys: pytest.CaptureFixture[str]) -> None:
        with opened_sinks(["-", "-"]) as sinks:
            sys.stdout.write("for people\n")
            for sink in sinks:
                sink.send(tracked(4))
        sys.stdout.write("after\n")
        printed = capsys.readouterr()
        line, after = printed.out.splitlines()
        assert json.loads(line)["frame"] == 4
        assert after == "after"
        assert printed.err == "for people\n"

    def test_a_sink_that_cannot_be_opened_closes_the_others(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        with pytest.raises(ConfigError), opened_sinks([f"unix:{path}", "nonsense"]):
            pass
        assert not path.exists()
