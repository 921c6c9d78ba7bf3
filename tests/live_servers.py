"""Motion JPEG over HTTP on loopback, in this process, with every fault that a camera has."""

import base64
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
from waiting import HANG_S

BOUNDARY = "frame"
Body = Callable[[int], Iterator[bytes]]
"""The bytes of the answer to the n-th connection."""


def picture(i: int, width: int = 64, height: int = 48) -> np.ndarray:
    """RGB image (H,W,3) whose brightness names it: 8 i."""
    image = np.full((height, width, 3), 8 * i, np.uint8)
    image[:4, :4] = 255
    return image


def number_of(image: np.ndarray) -> int:
    """The i of `picture`, after JPEG."""
    return round(float(image[20:, 20:].mean()) / 8)


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def part(data: bytes, stamp_s: float | None = None, has_length: bool = True) -> bytes:
    """A part of a multipart body."""
    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
    head += f"Content-Length: {len(data)}\r\n" if has_length else ""
    head += f"X-Timestamp: {stamp_s}\r\n" if stamp_s is not None else ""
    return head.encode() + b"\r\n" + data + b"\r\n"


class Server:
    """Serves `body(n)` to connection n, to who has the login (USER:PASSWORD); `kill` stops listening and cuts off who
    is connected."""

    def __init__(
        self, body: Body, content_type: str = f"multipart/x-mixed-replace; boundary={BOUNDARY}", port: int = 0,
        login: str = "",
    ) -> None:  # fmt: skip
        outer = self
        self.n_connections = 0
        self._is_killed = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = "Basic " + base64.b64encode(login.encode()).decode()
                if login and self.headers.get("Authorization") != wanted:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.end_headers()
                    return
                n, outer.n_connections = outer.n_connections, outer.n_connections + 1
                self.send_response(200)
                self.send_header("Content-Type", content_type)
                self.end_headers()
                try:
                    for piece in body(n):
                        if outer._is_killed.is_set():
                            return
                        self.wfile.write(piece)
                        self.wfile.flush()
                except OSError:
                    return

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/stream"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def kill(self) -> None:
        self._is_killed.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Shutter:
    """A body without an end, for `Server`: pictures forth and back, each sent when `release` asks for one more. Who
    releases it after each line of the reader has a camera that no reader is too slow for. A reader that is to end
    should not wait for a picture: from `let_go` on they come by themselves."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts
        self._wanted = threading.Semaphore(1)
        self._is_let_go = False

    def release(self) -> None:
        self._wanted.release()

    def let_go(self) -> None:
        self._is_let_go = True
        self._wanted.release()

    def __call__(self, _: int) -> Iterator[bytes]:
        for piece in itertools.cycle([*self._parts, *self._parts[::-1]]):
            if self._is_let_go:
                time.sleep(0.02)
            else:
                assert self._wanted.acquire(timeout=HANG_S)
            yield piece
