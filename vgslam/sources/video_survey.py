"""What a video file holds, by reading its packets once: its streams, the sizes in them, where times are missing. Only
key frames, at which the size may change, are decoded, and of those not all in a long video."""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median_low
from typing import Any

import av

from vgslam.errors import InputError
from vgslam.guards.images import limit_decoder
from vgslam.sources.frame_pixels import deep_gray
from vgslam.sources.options import DEFAULT_FPS
from vgslam.sources.pixel_range import Raw

Size = tuple[int, int]

RAW = frozenset({"h264", "hevc", "vvc", "m4v", "mpegvideo", "mjpeg", "mpjpeg", "rawvideo", "cavsvideo", "vc1", "dirac"})
"""Formats that hold no times: those that ffmpeg makes up for some of them are not used."""
ALL_KEYS, EVERY_KEY = 100, 20
"""Key frames that are all decoded for their size, and which share of those after them: one in this many."""
DEEP_STEP = 4
"""One in this many rows and columns tells the range of deep pixels."""
SETTLED = 32
"""So many stamped packets in a row end the packets at the beginning that have no timestamp."""


@dataclass
class StreamSurvey:
    """One video stream. Sizes are as stored."""

    index: int
    """Its number in the file."""
    codec: str
    size: Size
    """As the file says it."""
    n_packets: int = 0
    n_hidden: int = 0
    """Packets that an edit list hides from players."""
    n_untimed: int = 0
    """Packets without a timestamp."""
    n_untimed_first: int = 0
    """Packets without a timestamp before the clock begins."""
    first_stamps_s: list[float] = field(default_factory=list)
    """Presentation times (in order of decoding) at the beginning, in s."""
    sizes: Counter[Size] = field(default_factory=Counter)
    """How many packets have each size; those seen decoded."""
    deep: list[Raw] = field(default_factory=list)
    """Some pixels of key frames of more than 8 bits without colours."""

    @property
    def usual_size(self) -> Size:
        """The size that most frames have; of two, the larger."""
        return max(self.sizes, key=lambda size: (self.sizes[size], size), default=self.size)

    @property
    def n_pixels(self) -> int:
        """Pixels of all frames together."""
        width, height = self.usual_size
        return width * height * (self.n_packets - self.n_hidden)

    @property
    def step_s(self) -> float:
        """Time from frame to frame at the beginning, in s; nominal where that is not known."""
        stamps = sorted(set(self.first_stamps_s))
        return median_low([b - a for a, b in pairwise(stamps)] or [1.0 / DEFAULT_FPS])

    def __str__(self) -> str:
        n = self.n_packets - self.n_hidden
        frames = f", {n} frame{'s' if n != 1 else ''}" if n else ""
        return f"{self.index} ({self.codec} {self.size[0]}x{self.size[1]}{frames})"


@dataclass(frozen=True)
class Survey:
    """The video streams of a file, cover pictures left out. is_whole: all packets were read."""

    streams: list[StreamSurvey]
    is_whole: bool

    def choose(self, path: Path, wanted: int | None) -> StreamSurvey:
        """The stream `wanted`, else the one with most pixels in all. Raises InputError, listing the streams."""
        if wanted is None:
            return max(self.streams, key=lambda s: (s.n_pixels, -s.index))
        found = [s for s in self.streams if s.index == wanted]
        if not found:
            raise InputError(without_stream(path, wanted, self.streams))
        return found[0]


def without_stream(name: object, wanted: int, streams: Iterable[StreamSurvey]) -> str:
    """What to say of a number that no video stream has."""
    return f"{name}: has no video stream {wanted}; its video streams: {', '.join(map(str, streams))}"


def pictures_of(container: Any) -> list[Any]:
    """The video streams of an opened container, without cover pictures."""
    return [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]


def survey(container: Any, end: int | None, path: Path) -> Survey:
    """Reads an opened container. end: this many frames suffice. Raises InputError where there is no video stream."""
    videos = pictures_of(container)
    readable = [s for s in videos if s.codec_context is not None]
    if videos and not readable:
        raise InputError(f"{path}: ffmpeg here has no decoder for its video stream; convert it to H.264, or to images")
    videos = readable
    if not videos:
        has_cover = len(container.streams.video) > 0
        what = "has no video stream, only a cover picture" if has_cover else "has no video stream"
        raise InputError(f"{path}: {what}; give a video file")
    has_clock = not RAW & set(container.format.name.split(","))
    watches = {stream.index: _Watch(stream, has_clock) for stream in videos}
    try:
        for packet in container.demux(videos):
            watch = watches[packet.stream_index]
            if packet.size == 0:
                continue
            watch.see(packet)
            if end is not None and watch.found.n_packets >= end + SETTLED and len(videos) == 1:
                return Survey([watch.end() for watch in watches.values()], is_whole=False)
    except (av.FFmpegError, OSError):
        pass  # what is damaged is said when the frames are read
    return Survey([watch.end() for watch in watches.values()], is_whole=True)


class _Watch:
    """One stream while it is read."""

    def __init__(self, stream: Any, has_clock: bool) -> None:
        self._has_clock = has_clock
        context = stream.codec_context
        self.found = StreamSurvey(stream.index, context.name, (context.width, context.height))
        self._context = context
        limit_decoder(stream)
        context.thread_type = "SLICE"  # threads over frames would hold frames back
        self._n_keys = self._n_in_row = 0
        self._weights: list[int] = []
        """Packets from each decoded key frame on."""
        self._sizes: list[Size] = []

    def see(self, packet: Any) -> None:
        found = self.found
        found.n_packets += 1
        found.n_hidden += bool(packet.is_discard)
        self._see_stamp(packet)
        if packet.is_keyframe:
            self._n_keys += 1
            if self._n_keys <= ALL_KEYS or self._n_keys % EVERY_KEY == 0:
                self._weights.append(0)
                self._decode(packet)
        if self._weights:
            self._weights[-1] += 1

    def _see_stamp(self, packet: Any) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None or not self._has_clock:
            self.found.n_untimed += 1
            if self._n_in_row < SETTLED:
                self.found.n_untimed_first += 1
        elif self._n_in_row < SETTLED:
            self._n_in_row += 1
            self.found.first_stamps_s.append(float(stamp * packet.time_base))

    def _decode(self, packet: Any) -> None:
        try:
            for frame in self._context.decode(packet):
                self._sizes.append((frame.width, frame.height))
                if frame.format.name.startswith("gray1"):
                    self.found.deep.append(deep_gray(frame)[::DEEP_STEP, ::DEEP_STEP])
        except (av.FFmpegError, ValueError):
            self._weights.pop()  # a damaged frame tells no size
            self._weights = self._weights or [0]

    def end(self) -> StreamSurvey:
        """What was found."""
        with suppress(av.FFmpegError, ValueError):
            self._sizes += [(frame.width, frame.height) for frame in self._context.decode(None)]
        for size, weight in zip(self._sizes, self._weights, strict=False):
            self.found.sizes[size] += weight
        return self.found
