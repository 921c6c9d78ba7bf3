"""Motion JPEG over HTTP: a multipart answer whose parts are JPEG images (multipart/x-mixed-replace, RFC 2046)."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

import cv2
import numpy as np

from vgslam.errors import InputError
from vgslam.guards import images
from vgslam.sources.image_files import rgb
from vgslam.sources.live import LiveImage
from vgslam.sources.live_address import public, split_login
from vgslam.sources.live_av import av_images, pipe_images
from vgslam.sources.recording import BadImageError, Pixels

LARGEST_PART = 64 * 2**20
LONGEST_HEADERS = 64 * 2**10
"""Bytes of the headers of one part."""
TIMEOUT_S = 5.0


class ByteStream(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def readline(self, size: int, /) -> bytes: ...


def http_images(url: str, wanted: int | None = None) -> Iterator[LiveImage]:
    """Images of an HTTP address: Motion JPEG, or any container that ffmpeg reads, of which `wanted` is the video
    stream. A login in the address is used for Basic and Digest authentication. Raises InputError."""
    name = public(url)
    try:
        with _opened(url) as answer:
            if answer.headers.get_content_maintype() == "multipart":
                yield from multipart_images(answer, answer.headers.get_boundary() or "")
                return
            if not _is_playlist(answer.headers.get_content_type(), url):
                yield from pipe_images(answer, name, wanted)  # many servers allow one reader: do not connect twice
                return
    except urllib.error.HTTPError as err:
        raise InputError(f"{name}: the server answers {err.code} {err.reason}; check the address") from err
    except (OSError, ValueError, http.client.HTTPException) as err:
        reason = getattr(err, "reason", None) or err
        raise InputError(f"{name}: no stream there ({reason}); check the address and that the server runs") from err
    yield from av_images(url, wanted=wanted)


def _opened(url: str) -> Any:
    """The answer to a GET request."""
    address, user, password = split_login(url)
    logins = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if user:
        logins.add_password(None, address, user, password)
    opener = urllib.request.build_opener(
        urllib.request.HTTPBasicAuthHandler(logins), urllib.request.HTTPDigestAuthHandler(logins)
    )
    request = urllib.request.Request(address, headers={"User-Agent": "vgslam"})
    return opener.open(request, timeout=TIMEOUT_S)


def _is_playlist(content_type: str, url: str) -> bool:
    """Whether an answer names other addresses (HLS, DASH), which ffmpeg has to fetch."""
    return "mpegurl" in content_type or "dash+xml" in content_type or url.endswith((".m3u8", ".mpd"))


def multipart_images(stream: ByteStream, boundary: str) -> Iterator[LiveImage]:
    """JPEG images of a multipart body, without a last part that was cut off; `X-Timestamp` (s) in a part's header is
    the source's clock."""
    mark = b"--" + boundary.encode().strip().removeprefix(b"--")
    while True:
        headers = _headers(stream, mark)
        if headers is None:
            return
        body = _body(stream, headers)
        if body is None:
            return
        stamp = _number(headers.get("x-timestamp"))
        yield LiveImage(partial(decode_jpeg, body), stamp, is_absolute=True)


def decode_jpeg(data: bytes) -> Pixels:
    """(H,W,3) RGB. Raises BadImageError."""
    try:
        return rgb(images.decode(data, cv2.IMREAD_COLOR))
    except images.UndecodableError as err:
        raise BadImageError(str(err)) from err


def _headers(stream: ByteStream, mark: bytes) -> dict[str, str] | None:
    """Headers of the next part, names in lower case; None at the end. Raises InputError if no part begins."""
    n_skipped = 0
    while not (line := stream.readline(65536)).strip().startswith(mark):
        if not line:
            return None
        n_skipped += len(line)
        if n_skipped > LARGEST_PART:
            raise InputError("no image begins in a long stretch of the stream; is this a Motion JPEG stream?")
    if line.strip() == mark + b"--":
        return None
    headers: dict[str, str] = {}
    n_read = 0
    while (line := stream.readline(65536)).strip():
        n_read += len(line)
        if n_read > LONGEST_HEADERS:
            raise InputError("the headers of an image have no end; is this a Motion JPEG stream?")
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers if line else None


def _body(stream: ByteStream, headers: dict[str, str]) -> bytes | None:
    length = headers.get("content-length", "")
    if length.isdigit():
        n = int(length)
        if n > LARGEST_PART:
            raise InputError(f"an image of {n} bytes is announced; is this a Motion JPEG stream?")
        data = stream.read(n)
        return data if len(data) == n else None
    growing = bytearray()
    while not _is_whole(growing):
        line = stream.readline(65536)
        if not line:
            return None
        growing += line
        if len(growing) > LARGEST_PART:
            raise InputError("an image without end; is this a Motion JPEG stream?")
    return bytes(growing)


def _is_whole(data: bytearray) -> bool:
    """Whether a part without a stated length ends here: with the JPEG marker "end of image"."""
    return data[-8:].rstrip(b"\r\n").endswith(b"\xff\xd9")


def _number(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if np.isfinite(value) else None
