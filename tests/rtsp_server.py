"""A small RTSP server (RFC 2326) on loopback that sends H.264 in RTP (RFC 6184, single NAL units) over its own TCP
connection, one reader after another, in this process."""

import io
import re
import socket
import struct
import threading
import time

import av
import numpy as np

RTP_CLOCK_HZ = 90_000


def h264_pictures(images: list[np.ndarray]) -> list[list[bytes]]:
    """NAL units of each image (H,W,3); a key frame with its parameter sets every 5 images."""
    file = io.BytesIO()
    options = {"tune": "zerolatency", "crf": "10", "g": "5", "x264-params": "repeat-headers=1:keyint=5:scenecut=0"}
    pictures = []
    with av.open(file, "w", format="h264") as out:
        stream = out.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in [*images, None]:
            frame = None if image is None else av.VideoFrame.from_ndarray(image, format="rgb24")
            for packet in stream.encode(frame):
                pictures.append([n for n in re.split(rb"\x00\x00\x00?\x01", bytes(packet)) if n])
    return pictures


class RtspServer:
    """Serves the same images to each reader and then hangs up. `port` 0 takes a free one."""

    def __init__(self, images: list[np.ndarray], rate_hz: float = 25.0, port: int = 0) -> None:
        self._pictures, self._rate_hz = h264_pictures(images), rate_hz
        self.n_readers, self.transports = 0, []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self.url = f"rtsp://127.0.0.1:{self.port}/cam"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def kill(self) -> None:
        self._listener.close()

    def __enter__(self) -> "RtspServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer:
                try:
                    self._talk(peer)
                except OSError:
                    continue

    def _talk(self, peer: socket.socket) -> None:
        reader = peer.makefile("rb")
        while first := reader.readline().decode():
            headers = {}
            while (line := reader.readline().decode().strip()) != "":
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            method, answer, body = first.split()[0], [f"CSeq: {headers.get('cseq', '0')}"], ""
            if method == "OPTIONS":
                answer.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
            elif method == "DESCRIBE":
                body = ("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
                        "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n")  # fmt: skip
                answer += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
            elif method == "SETUP":
                self.transports.append(headers["transport"])
                answer += ["Session: 1", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"]
            elif method == "PLAY":
                answer.append("Session: 1")
            peer.sendall(("RTSP/1.0 200 OK\r\n" + "\r\n".join(answer) + "\r\n\r\n" + body).encode())
            if method == "PLAY":
                self.n_readers += 1
                self._play(peer)
                return

    def _play(self, peer: socket.socket) -> None:
        sequence = 0
        for i, units in enumerate(self._pictures):
            for unit in units:
                is_last = unit is units[-1]
                stamp = round(i / self._rate_hz * RTP_CLOCK_HZ)
                rtp = struct.pack("!BBHII", 0x80, 96 | (0x80 if is_last else 0), sequence, stamp, 7) + unit
                peer.sendall(struct.pack("!cBH", b"$", 0, len(rtp)) + rtp)
                sequence += 1
            time.sleep(0.01)
