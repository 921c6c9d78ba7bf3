"""The names that `vgslam live` accepts, and the source that each stands for."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from vgslam.errors import ConfigError, InputError
from vgslam.interfaces import FrameSource
from vgslam.sources.live import Feed, LiveImage, LiveOptions, LiveSource
from vgslam.sources.live_address import public
from vgslam.sources.recording import Pixels
from vgslam.sources.ros2_topic import Ros2Feed

_FFMPEG = re.compile(r"(rtsp|rtsps|rtsp\+listen|rtmp|rtmps|udp|rtp|srt|tcp)://")
ROS2 = "ros2 topic"
KNOWN = (
    "a camera (0, /dev/video0), rtsp://, http://, udp://, tcp://, srt://, `-` for a pipe, a GStreamer pipeline "
    "(gst:...), a ROS 2 topic (ros2:/camera/image_raw) or a recording"
)


def is_live(name: str) -> bool:
    """Whether a name is that of a live source rather than of a recording."""
    return _kind(name) is not None


def open_live(name: str, options: LiveOptions | None = None) -> LiveSource:
    """The live source of a name; nothing is connected to yet. 0, 1, /dev/video0: a camera. rtsp://, rtmp://, udp://,
    tcp://, srt://: whatever ffmpeg reads; rtsp+listen:// waits for a sender. http://, https://: Motion JPEG or any
    container. -: a pipe on standard input. gst:PIPELINE, or one with a `!`: GStreamer. ros2:/topic: images of ROS 2.
    Raises InputError for another name."""
    options = options or LiveOptions()
    kind = _kind(name)
    if kind is None:
        raise InputError(f"{public(name)}: not a live source; give {KNOWN}")
    if options.stream is not None and kind in ("camera", ROS2, "gstreamer"):
        raise ConfigError(f"{public(name)}: --stream is for addresses and pipes; a {kind} has one stream")
    if kind == "pipe":  # what has ended cannot be opened again
        options = replace(options, give_up_s=0.0)
    return LiveSource(kind, "stdin" if name == "-" else public(name), _feed(kind, name, options), options)


def in_real_time(
    recorded: FrameSource, options: LiveOptions | None = None, wait: Callable[[float], object] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> LiveSource:  # fmt: skip
    """A recording played at its own times, as if it were a camera: frames that come too fast are dropped."""
    options = replace(options or LiveOptions(), calib=None, give_up_s=0.0)
    feed = partial(_played, recorded, wait, now)
    return LiveSource(recorded.kind, recorded.name, feed, options, now=now, recorded=recorded)


def _kind(name: str) -> str | None:
    """What kind of live source a name stands for; None for another name."""
    if name == "-":
        return "pipe"
    if name.isdigit() or name.startswith("/dev/video"):
        return "camera"
    if name.startswith(("http://", "https://")):
        return "http"
    if _FFMPEG.match(name):
        return name.split(":", 1)[0]
    if name.startswith("ros2:"):
        return ROS2
    if name.startswith("gst:") or " ! " in name:
        return "gstreamer"
    return None


def _feed(kind: str, name: str, options: LiveOptions) -> Feed:
    """What yields the images. Its libraries are loaded here: a run over a recording needs no ffmpeg."""
    from vgslam.sources.live_av import LISTEN, ListeningFeed, av_images
    from vgslam.sources.live_devices import camera_images, gstreamer_images
    from vgslam.sources.live_mjpeg import http_images

    if kind == ROS2:
        return Ros2Feed(name.removeprefix("ros2:"), options.give_up_s, wants_camera=options.calib is None)
    feeds: dict[str, Feed] = {
        "pipe": partial(_stdin_images, options.stream),
        "camera": partial(camera_images, name),
        "http": partial(http_images, name, options.stream),
        "gstreamer": partial(gstreamer_images, name.removeprefix("gst:")),
        LISTEN: ListeningFeed(name, options.give_up_s, options.stream),
    }
    return feeds.get(kind) or partial(av_images, name, wanted=options.stream)


def _stdin_images(stream: int | None) -> Iterator[LiveImage]:
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("-: nothing is piped in; as in `ffmpeg -i INPUT -f mjpeg -q:v 3 - | vgslam live -`")
    from vgslam.sources.live_av import pipe_images

    # without a buffer: a frame must not wait for the next one, and no lock is held when the program ends
    return pipe_images(open(sys.stdin.fileno(), "rb", buffering=0, closefd=False), "-", stream)


def _played(recorded: FrameSource, wait: Callable[[float], object], now: Callable[[], float]) -> Iterator[LiveImage]:
    began_s = first_s = None
    for frame in recorded:
        if began_s is None or first_s is None:
            began_s, first_s = now(), frame.timestamp_s
        ahead_s = began_s + (frame.timestamp_s - first_s) - now()
        if ahead_s > 0:
            wait(ahead_s)
        yield LiveImage(partial(_same, frame.image), frame.timestamp_s, is_absolute=True)


def _same(image: Pixels) -> Pixels:
    return image
