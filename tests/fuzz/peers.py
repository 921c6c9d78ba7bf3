"""Readers of the poses' socket that are slow, silent, talkative or rude, beside one that listens."""

import socket
import struct
from contextlib import suppress
from pathlib import Path

from fuzz.parser import Files, Parser
from hypothesis import strategies as st
from waiting import HANG_S, until

from vgslam.poses_out.frame_pose import FramePose
from vgslam.poses_out.sockets import SocketSink, listen_unix
from vgslam.types import Status

ACTIONS = ("read", "send", "flood", "half", "out", "reset", "close", "nothing")
N_POSES = 5


def act(peer: socket.socket, action: str) -> None:
    """What one peer does, without waiting."""
    with suppress(OSError):
        if action == "read":
            peer.recv(100)
        elif action in ("send", "flood"):
            peer.send(b"\x1b[2J{" * (10_000 if action == "flood" else 1))
        elif action == "half":
            peer.shutdown(socket.SHUT_WR)
        elif action == "out":
            peer.shutdown(socket.SHUT_RDWR)
        elif action == "reset":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
        elif action == "close":
            peer.close()


def read(folder: Path) -> None:
    """The good reader gets every line, whatever the others do, and the sink goes on."""
    path = folder.parents[1] / "out" / "s"
    sink = SocketSink(listen_unix(path))
    peers: list[socket.socket] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as good:
        good.settimeout(HANG_S)
        good.connect(str(path))
        lines = good.makefile("rb")
        script = (folder / "script").read_text().split("|")
        try:
            until(lambda: sink.n_readers)  # without sending: lines that pile up here would fill its share
            for i in range(N_POSES):
                for words in script[i::N_POSES]:
                    _follow(peers, str(path), words)
                sink.send(FramePose(i, float(i), Status.LOST))
            wanted = b'"frame": %d,' % (N_POSES - 1)
            while wanted not in (line := lines.readline()):
                assert line, "the good reader was disconnected"
            assert sink.failure is None
        finally:
            for peer in peers:
                peer.close()
            sink.close()
    assert not path.exists()


def _follow(peers: list[socket.socket], path: str, words: str) -> None:
    number, _, action = words.partition(" ")
    if action == "connect":
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        peer.setblocking(False)
        with suppress(OSError):
            peer.connect(path)
        peers.append(peer)
    elif peers and action:
        act(peers[int(number) % len(peers)], action)


STEPS = st.tuples(st.integers(0, 9), st.sampled_from(("connect", "connect", *ACTIONS))).map(
    lambda step: f"{step[0]} {step[1]}"
)
SCRIPTS: st.SearchStrategy[Files] = st.lists(STEPS, max_size=60).map(lambda steps: {"script": "|".join(steps).encode()})
PARSERS = [Parser("peers of the poses' socket", SCRIPTS, read)]
