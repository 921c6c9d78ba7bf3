"""Sends numbered pictures over RTSP (H.264) to whoever listens: `python rtsp_sender.py PORT N`.

A process of its own: PyAV holds Python's lock while it waits for the answer of the one who listens.
"""

import os
import subprocess
import sys
from pathlib import Path

import av
from live_servers import picture

from bench.stream_server import wait_for_listener


def start_sender(port: int, n: int) -> "subprocess.Popen[bytes]":
    """A sender of n pictures that waits until something listens on the port, sends, and ends."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen([sys.executable, __file__, str(port), str(n)], env=environment)


def send(port: int, n: int) -> None:
    """Sends n pictures."""
    wait_for_listener(port)
    with av.open(f"rtsp://127.0.0.1:{port}/cam", "w", format="rtsp", options={"rtsp_transport": "tcp"}) as out:
        stream = out.add_stream("libx264", rate=25, options={"tune": "zerolatency", "g": "5", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(n):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i), format="rgb24")))
        out.mux(stream.encode(None))


if __name__ == "__main__":
    send(int(sys.argv[1]), int(sys.argv[2]))
