"""Live sources: what arrives, what is dropped, what breaks and comes back."""

import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from live_servers import Server, jpeg, number_of, part, picture
from live_sources import ALL, images, numbers
from waiting import HANG_S, until

from vgslam.errors import CalibrationError, InputError, MissingDependencyError
from vgslam.sources import live_devices
from vgslam.sources.live import BrokenOffError, LiveClock, LiveImage, LiveOptions, LiveSource
from vgslam.sources.live_address import public
from vgslam.sources.live_open import in_real_time, is_live, open_live
from vgslam.sources.open import open_source
from vgslam.sources.undistort import Undistorter
from vgslam.types import Camera


class TestNewestFrame:
    def test_a_reader_that_is_too_slow_goes_on_with_the_newest(self) -> None:
        """Three frames come while each is worked on: in 0.1 s, and from the second on in 0.3 s."""
        may_send, n_sent, clock = threading.Semaphore(1), 0, [0.0]

        def feed() -> Iterator[LiveImage]:
            nonlocal n_sent
            for image in images(10):
                may_send.acquire()
                yield image
                n_sent += 1

        source = LiveSource("test", "test", feed, LiveOptions(give_up_s=0.0), now=lambda: clock[0])
        seen = []
        for frame in source:
            seen.append(number_of(frame.image))
            if len(seen) <= 3:
                may_send.release(3)
                until(lambda: source.n_captured == 1 + 3 * len(seen))
                clock[0] += 0.1 if len(seen) == 1 else 0.3
        assert n_sent == 10
        assert seen == [1, 2, 7, 10]
        assert (source.n_captured, source.n_dropped) == (10, 6)
        assert source.dropped == {"late": 6}

    def test_nothing_is_dropped_where_all_are_wanted(self) -> None:
        source = LiveSource("test", "test", lambda: images(20), ALL)
        assert source.open() == (64, 48)
        assert numbers(source) == list(range(1, 21))
        assert source.n_dropped == 0

    def test_the_first_image_is_given_again_unless_there_is_a_newer_one(self) -> None:
        go_on = threading.Event()

        def feed() -> Iterator[LiveImage]:
            yield from images(1)
            go_on.wait(HANG_S)
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
            forever.wait(HANG_S)

        source = LiveSource("test", "test", feed, LiveOptions(give_up_s=0.0))
        seen: list[int] = []
        reader = threading.Thread(target=lambda: seen.extend(numbers(source)))
        reader.start()
        until(lambda: source.n_captured == 1)
        forever.set()
        source.close()
        source.close()
        reader.join(HANG_S)
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
        frames = iter(source)
        assert [number_of(next(frames).image) for _ in range(2)] == [1, 2]
        with pytest.raises(BrokenOffError, match=r"no frame for 20 s after 2 frames: given up \(no route to host\)"):
            next(frames)
        assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
        assert source.n_reconnects == 0
        assert "no route to host" in source.warnings[0]

    def test_a_stream_that_is_not_tried_again_tells_a_break_from_an_end(self) -> None:
        def breaks() -> Iterator[LiveImage]:
            yield from images(2)
            raise InputError("the stream broke off")

        frames = iter(LiveSource("t", "t", breaks, ALL))
        assert [number_of(next(frames).image) for _ in range(2)] == [1, 2]
        with pytest.raises(BrokenOffError, match="after 2 frames: the stream broke off"):
            next(frames)
        enough = LiveOptions(keep_all=True, give_up_s=0.0, max_frames=2)
        assert numbers(LiveSource("t", "t", breaks, enough)) == [1, 2], "what comes after the last one is of no matter"
        assert numbers(LiveSource("t", "t", lambda: images(2), ALL)) == [1, 2]

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

        source = LiveSource("t", "t", feed, LiveOptions(keep_all=True, give_up_s=HANG_S), waits.append, lambda: 0.0)
        frames = list(source)
        assert waits[:5] == [0.25, 0.5, 1.0, 0.25, 0.5]
        assert source.n_reconnects == 2
        times = [f.timestamp_s for f in frames]
        assert len(times) == 6
        assert (np.diff(times) > 0).all()

    def test_a_server_that_dies_and_comes_back_on_the_same_port(self) -> None:
        sent, may_end = threading.Event(), threading.Event()

        def first(_: int) -> Iterator[bytes]:
            for i in range(1, 5):
                yield part(jpeg(picture(i)))
            sent.set()
            yield part(jpeg(picture(5)))[:200]  # cut off in the middle of an image
            may_end.wait(HANG_S)
            yield b""

        server = Server(first)
        source = LiveSource(
            "http", server.url, open_live(server.url)._feed, LiveOptions(keep_all=True, give_up_s=HANG_S),
            wait=lambda _: None,
        )  # fmt: skip
        seen: list[int] = []
        for frame in source:
            seen.append(number_of(frame.image))
            if seen[-1] == 4:
                assert sent.wait(HANG_S)
                server.kill()
                may_end.set()
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
        monkeypatch.setitem(sys.modules, "rclpy", None)
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
        scaled = Camera(50, 50, 31.75, 23.75, 64, 48, (0.1, 0, 0, 0))  # (64 + .5) / 2 - .5, (48 + .5) / 2 - .5
        assert source.recorded_camera == scaled
        straight = Undistorter(scaled)
        assert source.camera == straight.camera
        frames = list(source)
        assert len(frames) == 3
        for i, frame in enumerate(frames, start=1):
            assert not np.array_equal(straight(picture(i)), picture(i))
            np.testing.assert_array_equal(frame.image, straight(picture(i)))
        with pytest.raises(CalibrationError, match=r"no\.json: no such calibration file"):
            LiveSource("t", "t", lambda: images(3), LiveOptions(tmp_path / "no.json", True, 0.0)).open()
