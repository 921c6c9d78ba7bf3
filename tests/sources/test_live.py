"""Live sources against real servers on loopback: what arrives, what is dropped, what breaks and comes back."""

import contextlib
import io
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import av
import numpy as np
import pytest
from live_servers import Server, jpeg, number_of, part, picture
from rtsp_sender import start_sender
from rtsp_server import RtspServer

from vgslam.errors import CalibrationError, InputError, MissingDependencyError
from vgslam.sources import live_devices
from vgslam.sources.live import LiveImage, LiveOptions, LiveSource
from vgslam.sources.live_address import public
from vgslam.sources.live_av import pipe_images
from vgslam.sources.live_clock import LiveClock
from vgslam.sources.live_mjpeg import multipart_images
from vgslam.sources.live_open import in_real_time, is_live, open_live
from vgslam.sources.open import open_source
from vgslam.sources.recording import BadImageError

ALL = LiveOptions(keep_all=True, give_up_s=0.0)


def until(is_so: Callable[[], bool]) -> None:
    """Wait for another thread."""
    end = time.monotonic() + 10.0
    while not is_so():
        assert time.monotonic() < end, "the other thread did not get there"
        time.sleep(0.005)


def images(n: int, first: int = 1) -> Iterator[LiveImage]:
    for i in range(first, first + n):
        yield LiveImage(lambda i=i: picture(i), float(i), is_absolute=True)


def numbers(source: LiveSource) -> list[int]:
    return [number_of(frame.image) for frame in source]


class TestNewestFrame:
    def test_what_came_meanwhile_is_dropped_and_counted(self) -> None:
        may_send, n_sent = threading.Semaphore(1), 0

        def feed() -> Iterator[LiveImage]:
            nonlocal n_sent
            for image in images(9):
                may_send.acquire()
                yield image
                n_sent += 1

        source = LiveSource("test", "test", feed, LiveOptions(give_up_s=0.0))
        seen = []
        for frame in source:
            seen.append((frame.id, number_of(frame.image), frame.timestamp_s))
            if len(seen) == 3:
                may_send.release(3)
                until(lambda: n_sent == 9)
            elif len(seen) < 3:  # three arrive while this one is worked on
                may_send.release(3)
                until(lambda: source.n_captured == 1 + 3 * len(seen))
        assert seen == [(0, 1, 1.0), (1, 4, 4.0), (2, 7, 7.0), (3, 9, 9.0)]
        assert (source.n_captured, source.n_dropped) == (9, 5)

    def test_nothing_is_dropped_where_all_are_wanted(self) -> None:
        source = LiveSource("test", "test", lambda: images(20), ALL)
        assert source.open() == (64, 48)
        assert numbers(source) == list(range(1, 21))
        assert source.n_dropped == 0

    def test_the_first_image_is_given_again_unless_there_is_a_newer_one(self) -> None:
        go_on = threading.Event()

        def feed() -> Iterator[LiveImage]:
            yield from images(1)
            go_on.wait(10)
            yield from images(1, first=2)

        source = LiveSource("test", "test", feed, LiveOptions(give_up_s=0.0))
        source.open()
        assert number_of(next(iter(source)).image) == 1
        source = LiveSource("test", "test", feed, LiveOptions(give_up_s=0.0))
        go_on.set()
        source.open()
        until(lambda: source.n_captured == 2)
        assert numbers(source) == [2]
        assert source.n_dropped == 1

    def test_closing_ends_who_waits(self) -> None:
        forever = threading.Event()

        def feed() -> Iterator[LiveImage]:
            yield from images(1)
            forever.wait(10)

        source = LiveSource("test", "test", feed, LiveOptions(give_up_s=0.0))
        seen: list[int] = []
        reader = threading.Thread(target=lambda: seen.extend(numbers(source)))
        reader.start()
        until(lambda: source.n_captured == 1)
        forever.set()
        source.close()
        source.close()
        reader.join(10)
        assert not reader.is_alive()
        assert seen in ([1], [])

    def test_a_recording_plays_at_its_own_times(self, tmp_path: Path, write_images) -> None:
        """A clock that only passes while waiting, and 25 ms for each look at it."""
        clock = [100.0]
        waited: list[float] = []

        def wait(seconds: float) -> None:
            waited.append(seconds)
            clock[0] += seconds

        write_images(tmp_path / "images", [f"{i}.png" for i in range(5)])
        times = (0.0, 0.1, 0.2, 0.7, 0.8)
        (tmp_path / "times.txt").write_text("\n".join(map(str, times)))
        recorded = open_source(tmp_path)
        source = in_real_time(recorded, LiveOptions(keep_all=True), wait, lambda: clock[0])
        frames = list(source)
        assert [f.timestamp_s for f in frames] == pytest.approx(times)
        assert waited == pytest.approx(np.diff(times))
        assert source.kind == "plain"


class TestReconnecting:
    def test_waits_longer_each_time_and_gives_up(self) -> None:
        now, waits, n_calls = [0.0], [], 0

        def feed() -> Iterator[LiveImage]:
            nonlocal n_calls
            n_calls += 1
            if n_calls == 1:
                yield from images(2)
            raise InputError("no route to host")

        def wait(seconds: float) -> None:
            waits.append(seconds)
            now[0] += seconds

        source = LiveSource("t", "t", feed, LiveOptions(keep_all=True, give_up_s=20.0), wait, lambda: now[0])
        assert numbers(source) == [1, 2]
        assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
        assert source.n_reconnects == 0
        assert "no route to host" in source.warnings[0]
        assert "given up" in source.warnings[-1]

    def test_the_wait_starts_anew_after_a_frame_and_times_go_on(self) -> None:
        waits, n_calls = [], 0

        def feed() -> Iterator[LiveImage]:
            nonlocal n_calls
            n_calls += 1
            if n_calls in (1, 4, 6):
                yield from images(2)
            if n_calls == 7:
                source.close()
            raise InputError("gone")

        source = LiveSource("t", "t", feed, LiveOptions(keep_all=True, give_up_s=60.0), waits.append, lambda: 0.0)
        frames = list(source)
        assert waits[:5] == [0.25, 0.5, 1.0, 0.25, 0.5]
        assert source.n_reconnects == 2
        times = [f.timestamp_s for f in frames]
        assert len(times) == 6
        assert (np.diff(times) > 0).all()

    def test_a_server_that_dies_and_comes_back_on_the_same_port(self) -> None:
        sent = threading.Event()

        def first(_: int) -> Iterator[bytes]:
            for i in range(1, 5):
                yield part(jpeg(picture(i)))
            sent.set()
            yield part(jpeg(picture(5)))[:200]  # cut off in the middle of an image
            time.sleep(0.2)
            yield b""

        server = Server(first)
        source = LiveSource(
            "http", server.url, open_live(server.url)._feed, LiveOptions(keep_all=True, give_up_s=30.0),
            wait=lambda _: time.sleep(0.02),
        )  # fmt: skip
        seen: list[int] = []
        for frame in source:
            seen.append(number_of(frame.image))
            if seen[-1] == 4:
                assert sent.wait(10)
                server.kill()
                server = Server(lambda _: (part(jpeg(picture(i))) for i in range(10, 14)), port=server.port)
            if seen[-1] == 13:
                source.close()
                break
        server.kill()
        assert seen == [1, 2, 3, 4, 10, 11, 12, 13]
        assert source.n_reconnects >= 1
        assert "trying to connect again" in source.warnings[0]

    def test_no_server_is_said_at_once(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for url in (f"http://127.0.0.1:{port}/", f"rtsp://127.0.0.1:{port}/cam", f"tcp://127.0.0.1:{port}"):
            with pytest.raises(InputError, match=str(port)) as said:
                open_live(url).open()
            assert "\n" not in str(said.value)

    def test_a_page_instead_of_a_stream(self) -> None:
        with (
            Server(lambda _: iter([b"<html>hello</html>" * 100]), "text/html") as server,
            pytest.raises(InputError, match=str(server.port)),
        ):
            open_live(server.url).open()


class TestMotionJpeg:
    def test_over_http_with_the_source_clock(self) -> None:
        with Server(lambda _: (part(jpeg(picture(i)), 50.0 + i) for i in range(1, 7))) as server:
            source = open_live(server.url, ALL)
            assert source.open() == (64, 48)
            frames = list(source)
        assert [number_of(f.image) for f in frames] == [1, 2, 3, 4, 5, 6]
        assert [f.timestamp_s for f in frames] == [51, 52, 53, 54, 55, 56]
        assert source.arrived_s > 0

    def test_a_login_is_used_and_never_shown(self) -> None:
        with Server(lambda _: (part(jpeg(picture(i))) for i in range(3)), login="me:p@ss word") as server:
            right = server.url.replace("://", "://me:p%40ss%20word@")
            source = open_live(right, ALL)
            assert numbers(source) == [0, 1, 2]
            assert "ss" not in source.name
            for url in (server.url, server.url.replace("://", "://me:secret@") + "?token=secret"):
                with pytest.raises(InputError, match="401") as said:
                    open_live(url, ALL).open()
                assert "secret" not in str(said.value)

    def test_without_lengths_and_with_garbage_between(self) -> None:
        rng = np.random.default_rng(0)
        body = b"".join(
            part(jpeg(picture(i)), has_length=False) + rng.bytes(300).replace(b"--", b"..") + b"\r\n" for i in range(4)
        )
        seen = [number_of(i.load()) for i in multipart_images(io.BytesIO(body), "frame")]
        assert seen == [0, 1, 2, 3]

    def test_damaged_images_are_counted_and_passed_over(self) -> None:
        bodies = [jpeg(picture(1)), b"\x00\x01garbage\xff" * 30, b"", jpeg(picture(4))]
        with Server(lambda _: (part(b) for b in bodies)) as server:
            source = open_live(server.url, ALL)
            assert numbers(source) == [1, 4]
        assert source.n_damaged == 2

    @pytest.mark.parametrize("seed", range(8))
    def test_random_bytes_never_hang_or_crash(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        body = bytearray(b"".join(part(jpeg(picture(i))) for i in range(4)))
        for at in rng.integers(0, len(body), 40):
            body[at] = rng.integers(256)
        stream = io.BytesIO(bytes(body[: rng.integers(1, len(body))]) + rng.bytes(2000))
        n = 0
        for image in multipart_images(stream, "frame"):
            n += 1
            try:
                assert image.load().shape == (48, 64, 3) or n > 0
            except BadImageError:
                continue
        assert n <= 4

    def test_an_endless_stream_without_an_image_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("vgslam.sources.live_mjpeg.LARGEST_PART", 10_000)
        with pytest.raises(InputError, match="Motion JPEG"):
            list(multipart_images(io.BytesIO(b"noise\n" * 10_000), "frame"))

    def test_a_server_that_names_no_kind_is_read_on_the_same_connection(self) -> None:
        video = encoded("mpegts", "mpeg2video", 12)
        with Server(lambda _: iter([video]), "application/octet-stream") as server:
            source = open_live(server.url, ALL)
            n = len(list(source))
            assert server.n_connections == 1
        assert n >= 10


def encoded(container: str, codec: str, n: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for i in range(n):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i), format="rgb24")))
        out.mux(stream.encode(None))
    return file.getvalue()


class TestPipes:
    @pytest.mark.parametrize(("container", "codec"), [("mjpeg", "mjpeg"), ("matroska", "mjpeg"), ("mpegts", "h264")])
    def test_what_ffmpeg_writes_into_a_pipe(self, container: str, codec: str) -> None:
        data = encoded(container, "libx264" if codec == "h264" else codec, 20)
        read_end, write_end = os.pipe()

        def write() -> None:
            with os.fdopen(write_end, "wb") as file:
                for i in range(0, len(data), 1000):
                    file.write(data[i : i + 1000])

        writer = threading.Thread(target=write)
        writer.start()
        with os.fdopen(read_end, "rb", buffering=0) as pipe:
            found = list(pipe_images(pipe, "-"))
        writer.join()
        assert [number_of(i.load()) for i in found] == list(range(20))
        times = [i.source_s for i in found]
        if container == "mjpeg":
            assert times == [None] * 20
        else:
            assert np.diff(np.array(times, float)) == pytest.approx(0.04, abs=1e-3)

    def test_garbage_is_one_line(self) -> None:
        with pytest.raises(InputError, match="ffmpeg") as said:
            list(pipe_images(io.BytesIO(np.random.default_rng(0).bytes(50_000)), "-"))
        assert "\n" not in str(said.value)

    def test_nothing_is_one_line(self) -> None:
        with pytest.raises(InputError):
            list(pipe_images(io.BytesIO(b""), "-"))

    def test_a_pipe_that_ends_in_the_middle_keeps_what_came(self) -> None:
        data = encoded("matroska", "mjpeg", 20)
        feed = lambda: pipe_images(io.BytesIO(data[: len(data) * 2 // 3]), "-")  # noqa: E731
        source = LiveSource("pipe", "-", feed, ALL)
        assert 5 <= len(numbers(source)) < 20


def test_rtsp_is_pulled_over_tcp_and_again_after_the_server_hung_up() -> None:
    with RtspServer([picture(i) for i in range(20)]) as server:
        options = LiveOptions(keep_all=True, give_up_s=60.0)
        source = LiveSource("rtsp", server.url, open_live(server.url)._feed, options, lambda _: time.sleep(0.02))
        seen, times = [], []
        for frame in source:
            seen.append(number_of(frame.image))
            times.append(frame.timestamp_s)
            if source.n_reconnects and seen[-1] == 15:
                break
        source.close()
        assert server.n_readers >= 2
    assert all("TCP" in t for t in server.transports)
    again = seen.index(min(seen[10:]), 10)
    assert seen[:again] == list(range(seen[0], 20))  # nothing is lost but, perhaps, what came before a key frame
    assert seen[0] <= 5
    first = np.array(times[:again])
    np.testing.assert_allclose(np.diff(first), 0.04, atol=1e-3)  # the clock of RTP, not the pace of arrival
    assert (np.diff(times) > 0).all()


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs /proc to see who listens")
class TestRtsp:
    def test_a_sender_connects_to_us_dies_and_comes_back(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        url = f"rtsp+listen://127.0.0.1:{port}/cam"
        options = LiveOptions(keep_all=True, give_up_s=60.0)
        source = LiveSource("rtsp", url, open_live(url)._feed, options, wait=lambda _: time.sleep(0.02))
        times, seen = [], []
        for connection in range(2):
            sender = start_sender(port, 15)
            for frame in source:
                times.append(frame.timestamp_s)
                seen.append(number_of(frame.image))
                if seen[-1] == 12:
                    break
            assert sender.wait(30) == 0
            assert source.n_reconnects == connection
        source.close()
        assert seen.count(12) == 2
        assert set(range(5, 13)) <= set(seen)
        assert (np.diff(times) > 0).all()

    @pytest.mark.parametrize("is_silent", [False, True])
    def test_a_sender_that_stays_away_is_given_up(self, is_silent: bool) -> None:
        """Or that connects, and then never says a word."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        source = open_live(f"rtsp+listen://127.0.0.1:{port}/cam", LiveOptions(keep_all=True, give_up_s=1.0))
        sender = start_sender(port, 15)
        seen: list[int] = []
        reader = threading.Thread(target=lambda: seen.extend(numbers(source)), daemon=True)
        reader.start()
        assert sender.wait(30) == 0
        until(lambda: len(seen) > 0 or source.n_captured > 0)
        silent = None
        if is_silent:
            while silent is None and reader.is_alive():  # it may have given up before, on a busy machine
                with contextlib.suppress(ConnectionRefusedError):
                    silent = socket.create_connection(("127.0.0.1", port))
                time.sleep(0.01)
        reader.join(30)
        if silent is not None:
            silent.close()
        source.close()
        assert not reader.is_alive(), "it still waits for a sender"
        assert set(range(5, 13)) <= set(seen)
        assert "given up" in source.warnings[-1]
        assert "within 1 s" in source.warnings[-1]


class TestClock:
    def test_a_clock_of_its_own_begins_at_the_first_arrival(self) -> None:
        clock = LiveClock()
        assert [clock.stamp(s, a) for s, a in ((5.0, 1000.0), (5.1, 1000.4), (5.2, 1000.41))] == pytest.approx(
            [1000.0, 1000.1, 1000.2]
        )

    def test_after_reconnecting_it_begins_at_the_arrival_again(self) -> None:
        clock = LiveClock()
        clock.stamp(5.0, 1000.0)
        clock.reconnected()
        assert clock.stamp(0.0, 1010.0) == pytest.approx(1010.0)
        assert clock.stamp(0.5, 1010.9) == pytest.approx(1010.5)

    def test_the_time_of_day_is_taken_at_its_word(self) -> None:
        clock = LiveClock()
        assert clock.stamp(77.0, 1000.0, is_absolute=True) == 77.0
        clock.reconnected()
        assert clock.stamp(78.0, 2000.0, is_absolute=True) == 78.0

    def test_times_increase_whatever_comes(self) -> None:
        rng, clock = np.random.default_rng(1), LiveClock()
        times, arrival = [], 0.0
        for _ in range(500):
            arrival += rng.uniform(0, 0.1)
            source_s = None if rng.random() < 0.3 else float(rng.normal(0, 100))
            if rng.random() < 0.1:
                clock.reconnected()
            times.append(clock.stamp(source_s, arrival, bool(rng.random() < 0.5)))
        assert (np.diff(times) > 0).all()


class TestDevices:
    """With stand-ins for what a test machine has not: a camera, GStreamer, ROS 2."""

    def test_a_camera_that_is_pulled_out(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        released = []

        class Capture:
            def __init__(self, device: object) -> None:
                self.n, self.device = 0, device

            def set(self, *_: object) -> None:
                return

            def isOpened(self) -> bool:
                return True

            def read(self) -> tuple[bool, np.ndarray | None]:
                self.n += 1
                return (True, picture(self.n)[..., ::-1]) if self.n < 4 else (False, None)

            def release(self) -> None:
                released.append(self.device)

        monkeypatch.setattr(live_devices.cv2, "VideoCapture", Capture)
        monkeypatch.setattr(live_devices.Path, "exists", lambda _: True)
        source = open_live("2", ALL)
        assert numbers(source) == [1, 2, 3]
        assert "no more images" in source.warnings[0]
        assert released == [2]

    @pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
    def test_a_pipeline_of_gstreamer(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "video.mkv").write_bytes(encoded("matroska", "mjpeg", 12))
        program = tmp_path / "gst-launch-1.0"
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\ncat {tmp_path}/video.mkv\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        monkeypatch.setattr(live_devices.cv2, "getBuildInformation", lambda: "")
        assert numbers(open_live("gst:v4l2src device=/dev/video1 ! jpegdec", ALL)) == list(range(12))
        words = (tmp_path / "words").read_text()
        assert words.startswith("-q v4l2src device=/dev/video1 ! jpegdec ! videoconvert")
        assert "fdsink" in words

    @pytest.mark.parametrize("topic", ["/cam/image_raw", "/cam/image/compressed"])
    def test_a_topic_of_ros(self, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
        log: list[object] = []
        stamps = [(7, 500_000_000), (8, 0), (8, 250_000_000)]
        is_compressed = topic.endswith("compressed")

        class Executor:
            def __init__(self, context: object) -> None:
                self.left = list(enumerate(stamps))

            def add_node(self, node: object) -> None:
                log.append("added")

            def spin_once(self, timeout_sec: float) -> None:
                if not self.left:
                    raise InputError("the topic is silent")
                i, (sec, nanosec) = self.left.pop(0)
                header = SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec))
                image = picture(i)
                fields = {"format": "jpeg", "data": jpeg(image)} if is_compressed else {
                    "encoding": "rgb8", "height": 48, "width": 64, "step": 192, "data": image.tobytes(),
                    "is_bigendian": 0,
                }  # fmt: skip
                self.callback(SimpleNamespace(header=header, **fields))

        node = SimpleNamespace(destroy_node=lambda: log.append("destroyed"))
        node.create_subscription = lambda kind, name, callback, qos: (
            log.append((kind, name, qos)), setattr(Executor, "callback", staticmethod(callback))
        )  # fmt: skip
        modules = {
            "rclpy": {"Context": object, "init": lambda context: None, "create_node": lambda name, context: node,
                      "shutdown": lambda context: log.append("shut down"),
                      "executors": SimpleNamespace(SingleThreadedExecutor=Executor)},
            "rclpy.qos": {"qos_profile_sensor_data": "sensor data"},
            "sensor_msgs": {}, "sensor_msgs.msg": {"Image": "Image", "CompressedImage": "CompressedImage"},
        }  # fmt: skip
        for name, members in modules.items():
            module = ModuleType(name)
            vars(module).update(members)
            monkeypatch.setitem(sys.modules, name, module)
        source = open_live(f"ros2:{topic}", ALL)
        frames = list(source)
        assert [number_of(f.image) for f in frames] == [0, 1, 2]
        assert [f.timestamp_s for f in frames] == [7.5, 8.0, 8.25]
        kind = "CompressedImage" if is_compressed else "Image"
        assert (kind, topic, "sensor data") in log
        assert log[-2:] == ["destroyed", "shut down"]


@pytest.mark.parametrize(
    ("address", "shown"),
    [("rtsp://u:p@h:1/x?t=1", "rtsp://h:1/x"), ("http://h/a@b", "http://h/a@b"), ("-", "-"),
     ("/dev/video0", "/dev/video0"), ("--fov-deg", "--fov-deg"), ("what?", "what?")],
)  # fmt: skip
def test_what_is_shown_of_an_address(address: str, shown: str) -> None:
    assert public(address) == shown


class TestOpening:
    @pytest.mark.parametrize(
        ("name", "kind"),
        [("0", "camera"), ("/dev/video3", "camera"), ("-", "pipe"), ("rtsp://u:p@h/x?y=1", "rtsp"),
         ("rtsp+listen://0.0.0.0:8554/x", "rtsp+listen"), ("https://h/x", "http"), ("udp://@:5000", "udp"),
         ("ros2:/cam/image", "ros2 topic"), ("gst:videotestsrc", "gstreamer"), ("v4l2src ! jpegdec", "gstreamer")],
    )  # fmt: skip
    def test_names(self, name: str, kind: str) -> None:
        assert open_live(name).kind == kind
        assert "p@" not in open_live(name).name

    def test_a_recording_is_not_live(self) -> None:
        assert not is_live("video.mp4")
        with pytest.raises(InputError, match=r"rtsp://"):
            open_live("video.mp4")

    def test_a_camera_that_is_not_there(self) -> None:
        with pytest.raises(InputError, match="video77"):
            open_live("/dev/video77").open()

    def test_without_ros_and_gstreamer_the_next_step_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(MissingDependencyError, match="rclpy"):
            open_live("ros2:/image").open()
        monkeypatch.setattr(live_devices.shutil, "which", lambda _: None)
        monkeypatch.setattr(live_devices.cv2, "getBuildInformation", lambda: "")
        with pytest.raises(MissingDependencyError, match=r"gst-launch-1\.0"):
            open_live("gst:videotestsrc").open()

    def test_calibration_is_fitted_to_the_images(self, tmp_path: Path) -> None:
        calib = {"width": 128, "height": 96, "fx": 100, "fy": 100, "cx": 64, "cy": 48, "distortion": [0.1, 0, 0, 0]}
        (tmp_path / "c.json").write_text(json.dumps(calib))
        source = LiveSource("t", "t", lambda: images(3), LiveOptions(tmp_path / "c.json", True, 0.0))
        assert source.open() == (64, 48)
        assert source.camera is not None
        assert (source.camera.width, source.camera.is_distorted) == (64, False)
        assert source.camera.fx == pytest.approx(50, rel=0.1)
        assert len(list(source)) == 3
        with pytest.raises(CalibrationError):
            LiveSource("t", "t", lambda: images(3), LiveOptions(tmp_path / "no.json", True, 0.0)).open()
