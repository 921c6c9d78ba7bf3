"""RTSP on loopback: pulled from a server, and sent by whoever connects to us."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from live_servers import number_of, picture
from live_sources import numbers
from rtsp_sender import start_sender
from rtsp_server import RtspServer
from waiting import HANG_S, until

from bench.stream_server import wait_for_listener
from vgslam.errors import InputError
from vgslam.sources.live import BrokenOffError, LiveImage, LiveOptions, LiveSource, NobodyYetError
from vgslam.sources.live_open import open_live


def test_rtsp_is_pulled_over_tcp_and_again_after_the_server_hung_up() -> None:
    with RtspServer([picture(i) for i in range(20)]) as server:
        options = LiveOptions(keep_all=True, give_up_s=HANG_S)
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
        options = LiveOptions(keep_all=True, give_up_s=HANG_S)
        source = LiveSource("rtsp", url, open_live(url)._feed, options, wait=lambda _: time.sleep(0.02))
        times, seen = [], []
        for connection in range(2):
            sender = start_sender(port, 15)
            for frame in source:
                times.append(frame.timestamp_s)
                seen.append(number_of(frame.image))
                if seen[-1] == 12:
                    break
            assert sender.wait(HANG_S) == 0
            assert source.n_reconnects == connection
        source.close()
        assert seen.count(12) == 2
        assert set(range(5, 13)) <= set(seen)
        assert (np.diff(times) > 0).all()

    @pytest.mark.parametrize("says", [None, b"", b"GET / HTTP/1.0\r\n\r\n"])
    def test_a_first_peer_that_sends_no_stream_is_dropped(
        self, says: bytes | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One that never says a word, one that hangs up at once, one that takes us for a web server."""
        monkeypatch.setattr("vgslam.sources.live_av.LISTEN_AGAIN_S", 2.0)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        source = open_live(f"rtsp+listen://127.0.0.1:{port}/cam", LiveOptions(keep_all=True, give_up_s=1.0))
        seen: list[int] = []
        reader = threading.Thread(target=lambda: seen.extend(numbers(source)), daemon=True)
        reader.start()
        wait_for_listener(port)
        with socket.create_connection(("127.0.0.1", port)) as peer:
            monkeypatch.setattr("vgslam.sources.live_av.LISTEN_AGAIN_S", HANG_S)  # the sender has all the time
            if says is not None:
                peer.sendall(says)
                peer.close()
            sender = start_sender(port, 15)
            assert sender.wait(HANG_S) == 0
            until(lambda: source.n_captured > 0)
        source.close()
        assert source.n_reconnects == 0

    def test_a_port_that_is_taken_is_said_at_once(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(InputError, match="already in use"):
                open_live(f"rtsp+listen://127.0.0.1:{port}/cam").open()

    def test_the_wait_for_a_first_sender_goes_on(self) -> None:
        """And ends with the source."""
        n_calls, feed_called = 0, threading.Event()

        def feed() -> Iterator[LiveImage]:
            nonlocal n_calls
            n_calls += 1
            if n_calls == 3:
                feed_called.set()
            raise NobodyYetError("nobody")

        source = LiveSource("t", "t", feed)
        reader = threading.Thread(target=lambda: numbers(source), daemon=True)
        reader.start()
        assert feed_called.wait(HANG_S)
        assert source.warnings == []
        source.close()
        reader.join(HANG_S)
        assert not reader.is_alive()

    @pytest.mark.parametrize("is_silent", [False, True])
    def test_a_sender_that_stays_away_is_given_up(self, is_silent: bool) -> None:
        """Or that connects, and then never says a word."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        source = open_live(f"rtsp+listen://127.0.0.1:{port}/cam", LiveOptions(keep_all=True, give_up_s=1.0))
        sender = start_sender(port, 15)
        seen: list[int] = []
        gone: list[str] = []

        def read() -> None:
            try:
                for frame in source:
                    seen.append(number_of(frame.image))
            except BrokenOffError as error:
                gone.append(str(error))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        assert sender.wait(HANG_S) == 0
        until(lambda: len(seen) > 0 or source.n_captured > 0)
        silent = None
        if is_silent:
            while silent is None and reader.is_alive():  # it may have given up before, on a busy machine
                with contextlib.suppress(ConnectionRefusedError):
                    silent = socket.create_connection(("127.0.0.1", port))
                time.sleep(0.01)
        reader.join(HANG_S)
        if silent is not None:
            silent.close()
        source.close()
        assert not reader.is_alive(), "it still waits for a sender"
        assert set(range(5, 13)) <= set(seen)
        [line] = gone
        assert "given up" in line
        assert "within 1 s" in line
