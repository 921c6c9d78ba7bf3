"""Numbered pictures from live sources, and as encoded streams."""

import io
from collections.abc import Iterator

import av
from live_servers import number_of, picture

from vgslam.sources.live import LiveImage, LiveOptions, LiveSource

ALL = LiveOptions(keep_all=True, give_up_s=0.0)


def images(n: int, first: int = 1) -> Iterator[LiveImage]:
    for i in range(first, first + n):
        yield LiveImage(lambda i=i: picture(i), float(i), is_absolute=True)


def numbers(source: LiveSource) -> list[int]:
    return [number_of(frame.image) for frame in source]


def encoded(container: str, codec: str, n: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for i in range(n):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i), format="rgb24")))
        out.mux(stream.encode(None))
    return file.getvalue()
