"""Video files through PyAV: whatever ffmpeg reads, upright, with the timestamps of the file."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from vgslam.errors import InputError
from vgslam.sources.options import DEFAULT_FPS, SourceOptions
from vgslam.sources.recording import BadImageError, Pixels, RawImage, Recording, Warnings


def open_video(path: Path, options: SourceOptions) -> Recording:
    """A video file. Raises InputError for what ffmpeg cannot read or that holds no decodable frame.

    Timestamps are the presentation times of the file in seconds (a variable frame rate keeps them); only a stream
    without any gets a nominal rate. Rotation metadata is applied, so frames come as a player shows them. A file that
    is cut off or damaged gives what can be decoded, and a warning.
    """
    warnings = Warnings()
    with _opened(path) as (_, stream):
        n_frames = stream.frames or None

    def images() -> Iterator[RawImage]:
        return _images(path, options, warnings)

    for first in images():
        height, width = first.load().shape[:2]
        return Recording("video", path.stem, images, (width, height), n_frames, warnings=warnings)
    raise InputError(f"{path}: not one frame of this video can be decoded; check that the file is complete")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """Container and first video stream. Only local files are followed, whatever a playlist names."""
    try:
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or str(err)
        raise InputError(f"{path}: not a video that ffmpeg can read ({reason}); give a complete video file") from err
    with container:
        if not container.streams.video:
            raise InputError(f"{path}: has no video stream; give a video file")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield container, stream


def _images(path: Path, options: SourceOptions, warnings: Warnings) -> Iterator[RawImage]:
    rate = options.fps or DEFAULT_FPS
    n, end_s = 0, None
    with _opened(path) as (container, stream):
        for frame in _decoded(container, stream, warnings):
            if frame.pts is None and options.fps is None:
                warnings.add(f"the video has no timestamps: {DEFAULT_FPS:g} frames/s assumed; give --fps")
            timestamp_s = n / rate if frame.pts is None else float(frame.pts * frame.time_base)
            yield RawImage(f"frame {n}", timestamp_s, partial(_pixels, frame))
            n, end_s = n + 1, timestamp_s + float((frame.duration or 0) * frame.time_base)
        _warn_if_short(container, stream, n, end_s, warnings)


def _decoded(container: Any, stream: Any, warnings: Warnings) -> Iterator[Any]:
    """Frames in presentation order; packets that cannot be decoded are counted and passed over."""
    n = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as err:
            warnings.add(
                f"the video is cut off or damaged after {n} frames ({err.strerror}); the frames before are used"
            )
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except av.FFmpegError as err:
            warnings.tally(f"the video is damaged there ({err.strerror})", f"frame {n}")
            continue
        for frame in frames:
            if frame.is_corrupt:
                warnings.tally("the video is damaged there", f"frame {n}")
            else:
                yield frame
            n += 1


def _warn_if_short(container: Any, stream: Any, n: int, end_s: float | None, warnings: Warnings) -> None:
    """A file that was cut off often just ends: compare with what its header promises."""
    if stream.frames and n < stream.frames:
        warnings.add(f"the video is cut off or damaged: {n} of {stream.frames} frames could be read")
        return
    length_s = _length_s(container, stream)
    slack_s = 2.0 / float(stream.average_rate or DEFAULT_FPS)
    if not stream.frames and length_s and end_s is not None and end_s < length_s - slack_s:
        warnings.add(f"the video is cut off: it ends at {end_s:.2f} s of {length_s:.2f} s ({n} frames could be read)")


def _length_s(container: Any, stream: Any) -> float | None:
    """End of the video stream by the header, None when only that of other streams may be known."""
    start_s = float(stream.start_time * stream.time_base) if stream.start_time is not None else 0.0
    if stream.duration is not None:
        return start_s + float(stream.duration * stream.time_base)
    tag = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", "").strip())
    if tag:
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
    if len(container.streams) == 1 and container.duration is not None:
        return start_s + float(container.duration) / av.time_base
    return None


def _pixels(frame: Any) -> Pixels:
    """(H,W,3) RGB, turned by the display matrix (to the nearest quarter turn)."""
    try:
        image = frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, ValueError) as err:
        raise BadImageError(f"cannot be converted to RGB ({err})") from err
    quarter_turns = round(frame.rotation / 90.0) % 4
    return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image
