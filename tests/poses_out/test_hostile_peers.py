"""Peers of the poses' socket that are many, talkative or rude, and paths that change under it."""

import errno
import socket
from pathlib import Path

import pytest
from waiting import HANG_S, until

from vgslam.errors import OutputError
from vgslam.poses_out import sockets
from vgslam.poses_out.frame_pose import FramePose
from vgslam.poses_out.sockets import SocketSink, listen_tcp, listen_unix
from vgslam.types import Status


@pytest.fixture(autouse=True)
def closing_takes_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "CLOSING_S", HANG_S)


def connect(path: Path) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(HANG_S)
    peer.connect(str(path))
    return peer


def test_more_readers_than_allowed_are_disconnected_and_the_others_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "MOST_READERS", 2)
    sink = SocketSink(listen_unix(tmp_path / "s"))
    kept = [connect(tmp_path / "s") for _ in range(2)]
    until(lambda: sink.n_readers == 2)
    third = connect(tmp_path / "s")
    assert third.recv(10) == b""
    sink.send(FramePose(0, 0.0, Status.LOST))
    sink.close()
    for peer in kept:
        assert peer.recv(65536).startswith(b'{"frame": 0')
        peer.close()
    third.close()


def test_a_reader_that_talks_without_end_is_disconnected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "MOST_HEARD_BYTES", 1000)
    sink = SocketSink(listen_unix(tmp_path / "s"))
    talks, polite = connect(tmp_path / "s"), connect(tmp_path / "s")
    until(lambda: sink.n_readers == 2)
    polite.send(b"x" * 1000)  # exactly what is allowed
    talks.send(b"x" * 1001)
    assert talks.recv(10) == b""
    until(lambda: sink.n_readers == 1)
    sink.send(FramePose(0, 0.0, Status.LOST))
    sink.close()
    assert polite.recv(65536).startswith(b'{"frame": 0')
    polite.close()
    talks.close()


def test_without_a_free_descriptor_the_sink_waits_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "PAUSE_S", 0.01)
    refusals: list[int] = []
    listener = listen_unix(tmp_path / "s")

    class Listener(socket.socket):
        """Fails twice as the system does when descriptors are short."""

        def accept(self) -> tuple[socket.socket, object]:
            if len(refusals) < 2:
                refusals.append(1)
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    sink = SocketSink(Listener(fileno=listener.detach()))
    peer = connect(tmp_path / "s")
    until(lambda: sink.n_readers == 1)
    assert len(refusals) == 2
    sink.send(FramePose(0, 0.0, Status.LOST))
    sink.close()
    assert sink.failure is None
    assert peer.recv(65536).startswith(b'{"frame": 0')
    peer.close()


def test_a_file_that_took_the_place_of_the_socket_stays(tmp_path: Path) -> None:
    sink = SocketSink(listen_unix(tmp_path / "s"))
    (tmp_path / "s").rename(tmp_path / "moved")
    (tmp_path / "s").write_text("somebody else's")
    sink.close()
    assert (tmp_path / "s").read_text() == "somebody else's"


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_path_that_cannot_be_a_socket_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot listen there"):
        listen_unix(tmp_path / name)


def test_a_file_at_the_path_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a file")
    with pytest.raises(OutputError, match="cannot listen there"):
        listen_unix(tmp_path / "s")
    assert (tmp_path / "s").read_text() == "a file"


def test_tcp_listens_where_it_is_told_alone() -> None:
    with listen_tcp("127.0.0.1", 0) as server:
        assert server.getsockname()[0] == "127.0.0.1"
