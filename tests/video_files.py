"""Small videos for tests, written with PyAV."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

WIDTH, HEIGHT = 64, 48
CORNERS = {"top left": (4, 4), "top right": (4, -5), "bottom left": (-5, 4), "bottom right": (-5, -5)}


def pictures(n: int, width: int = WIDTH, height: int = HEIGHT) -> list[np.ndarray]:
    """RGB images with a white top left corner; their brightness tells their number: 30 + 6 i."""
    images = [np.full((height, width, 3), 30 + 6 * i, np.uint8) for i in range(n)]
    for image in images:
        image[: height // 4, : width // 4] = 255
    return images


def number_of(image: np.ndarray) -> int:
    """The number of a picture."""
    return round((float(np.median(image)) - 30.0) / 6.0)


def bright_corners(image: np.ndarray) -> list[str]:
    """Names of the white corners of an image."""
    return [name for name, at in CORNERS.items() if image[at].min() > 150]


def add_stream(container: Any, image: np.ndarray, codec: str = "libx264", rate: int = 30, **context: Any) -> Any:
    """A stream of images like this one. context: attributes of the encoder; `options` and `pix_fmt` among them."""
    stream = container.add_stream(codec, rate=rate, options=context.pop("options", {"bf": "0"}))
    stream.height, stream.width = image.shape[:2]
    stream.pix_fmt = context.pop("pix_fmt", "yuv420p")
    stream.codec_context.time_base = Fraction(1, 1000)
    for name, value in context.items():
        setattr(stream.codec_context, name, value)
    return stream


def encode(container: Any, stream: Any, images: list[np.ndarray], pts_ms: list[int] | None = None) -> None:
    """Writes all images of a stream, 40 ms apart unless told."""
    for i, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24" if image.dtype == np.uint8 else "rgb48le")
        frame.pts, frame.time_base = (40 * i if pts_ms is None else pts_ms[i]), Fraction(1, 1000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def write_video(path: Path, images: list[np.ndarray], pts_ms: list[int] | None = None, **context: Any) -> Path:
    """A file with one stream; see `add_stream`."""
    with av.open(str(path), "w") as container:
        encode(container, add_stream(container, images[0], **context), images, pts_ms)
    return path


def copy_packets(source: Path, target: Path, change: Any = None, **options: str) -> Path:
    """The packets of the first video stream in another file. change(number, packet) may alter them."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for n, packet in enumerate(old.demux(old.streams.video[0])):
            if packet.size:
                if change is not None:
                    change(n, packet)
                packet.stream = stream
                new.mux(packet)
    return target


def two_streams(path: Path, first: list[np.ndarray], second: list[np.ndarray], codec: str = "libx264") -> Path:
    with av.open(str(path), "w") as container:
        streams = [add_stream(container, first[0], codec, pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p"),
                   add_stream(container, second[0])]  # fmt: skip
        for stream, images in zip(streams, (first, second), strict=True):
            encode(container, stream, images)
    return path


def combed(n: int) -> list[np.ndarray]:
    """A white bar that moves 4 px from half image to half image: the odd rows are earlier than the even ones."""
    images = []
    for i in range(n):
        image = np.full((HEIGHT, WIDTH, 3), 30, np.uint8)
        for parity in range(2):
            left = 4 * (2 * i + 1 - parity)
            image[parity::2, left : left + 12] = 220
        images.append(image)
    return images


def combing(image: np.ndarray) -> float:
    """Mean difference of a row from the mean of its neighbours."""
    rows = image[..., 1].astype(float)
    return float(np.abs(rows[1:-1] - 0.5 * (rows[:-2] + rows[2:])).mean())
