"""A sequence as a stream, for `python -m bench live`: Motion JPEG over HTTP, by itself or through ffmpeg, or RTSP.

`python -m bench.stream_server` prints `ready`, and then a line `INDEX TIME` for each image it has sent.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Literal

import cv2
import tyro

from vgslam.errors import InputError
from vgslam.sources.open import open_source

BOUNDARY = "frame"
LISTENING = "0A"  # the state in /proc/net/tcp
Protocol = Literal["mjpeg", "ffmpeg-mjpeg", "ffmpeg-rtsp"]


@dataclass
class ServerArgs:
    """Serves a sequence once, from image `first` on, to one reader on loopback."""

    sequence: Path
    port: int
    protocol: Protocol = "mjpeg"
    rate_hz: float = 30.0
    first: int = 0
    ffmpeg: str = "ffmpeg"


@dataclass(frozen=True)
class EncodedImage:
    """A JPEG image of the sequence."""

    index: int
    timestamp_s: float
    data: bytes


def address(protocol: Protocol, port: int) -> str:
    """The SOURCE for `vgslam live`. With RTSP the server is the one that connects."""
    if protocol == "ffmpeg-rtsp":
        return f"rtsp+listen://127.0.0.1:{port}/cam"
    return f"http://127.0.0.1:{port}/stream"


def encoded(sequence: Path, first: int) -> list[EncodedImage]:
    """The undistorted images from `first` on, encoded in advance, so that serving takes next to no time."""
    images = []
    for frame in open_source(sequence):
        if frame.id >= first:
            data = cv2.imencode(".jpg", frame.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
            images.append(EncodedImage(frame.id, frame.timestamp_s, data.tobytes()))
    return images


def paced(images: list[EncodedImage], rate_hz: float) -> Iterator[EncodedImage]:
    """Images at a rate, said on standard output; one that is late delays the others, nothing is caught up."""
    due_s = time.monotonic()
    for image in images:
        time.sleep(max(0.0, due_s - time.monotonic()))
        due_s = max(due_s, time.monotonic() - 1.0 / rate_hz) + 1.0 / rate_hz
        yield image
        print(image.index, f"{time.time():.6f}", flush=True)


def serve_mjpeg(images: list[EncodedImage], port: int, rate_hz: float) -> None:
    """One answer to one reader, with the sequence's clock as X-Timestamp."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
            self.end_headers()
            for image in paced(images, rate_hz):
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image.data)}\r\n"
                head += f"X-Timestamp: {image.timestamp_s:.6f}\r\n\r\n"
                self.wfile.write(head.encode() + image.data + b"\r\n")

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", port), Handler) as server:
        print("ready", flush=True)
        server.handle_request()


def serve_through_ffmpeg(images: list[EncodedImage], args: ServerArgs) -> None:
    """ffmpeg serves what is piped into it: as it is over HTTP, as H.264 over RTSP."""
    how = [
        "-c:v", "copy", "-f", "mpjpeg", "-boundary_tag", BOUNDARY, "-flush_packets", "1", "-listen", "1",
        "-content_type", f"multipart/x-mixed-replace; boundary={BOUNDARY}", address(args.protocol, args.port),
    ]  # fmt: skip
    if args.protocol == "ffmpeg-rtsp":
        how = [
            "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-crf", "18", "-g", "30",
            "-pix_fmt", "yuv420p", "-fps_mode", "passthrough", "-f", "rtsp", "-rtsp_transport", "tcp", f"rtsp://127.0.0.1:{args.port}/cam",
        ]  # fmt: skip
    command = [args.ffmpeg, "-v", "error", "-use_wallclock_as_timestamps", "1", "-f", "mjpeg", "-framerate",
               f"{args.rate_hz:g}", "-probesize", "200000", "-i", "-", *how]  # fmt: skip
    print("ready", flush=True)
    if args.protocol == "ffmpeg-rtsp":
        wait_for_listener(args.port)
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        try:
            for image in paced(images, args.rate_hz):
                process.stdin.write(image.data)
                process.stdin.flush()
        except BrokenPipeError:
            process.kill()


def wait_for_listener(port: int, patience_s: float = 60.0) -> None:
    """Wait until something listens on a port, without connecting to it (Linux). Raises InputError."""
    end_s = time.monotonic() + patience_s
    while time.monotonic() < end_s:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        if any(r[3] == LISTENING and int(r[1].rsplit(":", 1)[1], 16) == port for r in rows):
            return
        time.sleep(0.05)
    raise InputError(f"nothing listens on port {port} after {patience_s:.0f} s")


def main(args: ServerArgs) -> None:
    """Serves."""
    images = encoded(args.sequence, args.first)
    if args.protocol == "mjpeg":
        serve_mjpeg(images, args.port, args.rate_hz)
    else:
        serve_through_ffmpeg(images, args)


if __name__ == "__main__":
    main(tyro.cli(ServerArgs))
    sys.exit(0)
