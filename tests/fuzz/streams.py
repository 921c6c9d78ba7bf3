"""Live input: addresses, Motion JPEG over HTTP, byte streams that ffmpeg reads; videos as files."""

import tempfile
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from fuzz.grammar import TEXTS
from fuzz.mutations import SEEDS, mostly, mutated_files
from fuzz.parser import Files, Parser, read_files
from fuzz.pictures import encoded, picture
from hypothesis import strategies as st

from vgslam.errors import ConfigError, VgslamError
from vgslam.poses_out.open import open_sink
from vgslam.sources import SourceOptions, open_source
from vgslam.sources.live_address import public, split_login
from vgslam.sources.live_av import pipe_images
from vgslam.sources.live_mjpeg import multipart_images
from vgslam.sources.live_open import is_live, open_live
from vgslam.sources.recording import BadImageError

MOST_IMAGES = 50


@cache
def video_samples() -> list[Files]:
    """A short video in each of three containers, and two pictures in a row."""
    made: list[Files] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, codec in (("a.mkv", "ffv1"), ("b.avi", "mjpeg"), ("c.mp4", "mpeg4")):
            with av.open(str(Path(folder) / name), "w") as out:
                stream = out.add_stream(codec, rate=10)
                stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
                for _ in range(3):
                    frame = av.VideoFrame.from_ndarray(picture(48, 64), format="rgb24")
                    out.mux(stream.encode(frame))
                out.mux(stream.encode())
        made += [{name: data} for name, data in read_files(Path(folder)).items()]
    return [*made, {"d.mjpeg": encoded(".jpg", picture(48, 64)) * 2}]


def multipart_samples() -> list[Files]:
    """A multipart body of two images, one with its length."""
    jpeg = encoded(".jpg")
    with_length = (
        b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\nX-Timestamp: 1.5\r\n\r\n" % len(jpeg) + jpeg
    )
    return [{"body": with_length + b"\r\n--b\r\n\r\n" + jpeg + b"\r\n--b--\r\n"}]


def read_multipart(folder: Path) -> None:
    """All images of the body."""
    data = (folder / "body").read_bytes() if (folder / "body").is_file() else b""
    for image in multipart_images(BytesIO(data), "b"):
        try:
            image.load()
        except BadImageError:
            continue


def read_video(folder: Path) -> None:
    """The file as a recording, and as a byte stream."""
    path = next(p for p in sorted(folder.iterdir()))
    refused = None
    try:
        for frame in open_source(path, SourceOptions(kind="video", max_frames=MOST_IMAGES)):
            assert frame.image.dtype == np.uint8
    except VgslamError as error:
        refused = error
    data = path.read_bytes() if path.is_file() else b""
    for n, image in enumerate(pipe_images(BytesIO(data), "stdin")):
        try:
            image.load()
        except BadImageError:
            continue
        if n > MOST_IMAGES:
            break
    if refused is not None:
        raise refused


def read_address(folder: Path) -> None:
    """An address, which is looked at and not connected to; as a target of poses, in forms that cannot listen."""
    text = (folder / "address").read_text("utf-8", "surrogatepass")
    shown = public(text)
    assert "://" not in text or "secret" not in shown
    is_live(text)
    with suppress(ValueError):  # its one refusal, which `http_images` turns into a line
        split_login(text)
    with suppress(ConfigError):
        open_sink(f"tcp:{text}:99999")
    if "\0" not in text and len(text) < 200 and "/" not in text and not text.startswith("ros2"):
        with suppress(VgslamError):
            open_sink(f"unix:{folder.parents[1] / 'out' / text}").close()
    open_live(text)


HOSTS = st.one_of(TEXTS, st.from_regex(r"[a-z0-9.\[\]:%@]{0,20}", fullmatch=True))
ADDRESSES = st.one_of(
    TEXTS,
    st.tuples(
        st.sampled_from(
            ["http://", "rtsp://", "rtsp+listen://", "udp://", "/dev/video", "ros2:", "gst:", "", "file://"]
        ),
        st.sampled_from(["", "user:secret@", "user:secret@@", "secret@"]),
        HOSTS,
        TEXTS,
    ).map("".join),
).map(lambda text: {"address": text.encode("utf-8", "surrogatepass")})
PARSERS = [
    Parser("video", mutated_files(video_samples), read_video, prepare=video_samples),
    Parser(
        "motion JPEG",
        mostly(
            mutated_files(multipart_samples, (b"--b", b"Content-Length: 99999999999", b"\r\n\r\n")),
            SEEDS.map(lambda n: {"body": n.to_bytes(8, "big") * 100}),
        ),
        read_multipart,
    ),
    Parser("address", ADDRESSES, read_address),
]
