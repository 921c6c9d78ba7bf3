"""Frames made of two half images, a field apart in time, made whole through libavfilter."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import av

from vgslam.sources.recording import Warnings

FILTER = ("bwdif", "mode=send_frame:deint=interlaced")
"""Motion-adaptive; a frame out for each frame in, and those not flagged as interlaced pass unchanged."""


def deinterlaced(frames: Iterable[Any], warnings: Warnings) -> Iterator[Any]:
    """The same frames at the same times, from the first that is flagged as interlaced on through the filter."""
    graph: _Graph | None = None
    for frame in frames:
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        if graph is None:
            warnings.add("the video is interlaced: deinterlaced, a frame for each frame")
        if graph is None or graph.layout != _layout(frame):
            if graph is not None:
                yield from graph.rest()
            graph = _Graph(frame)
        yield from graph.through(frame)
    if graph is not None:
        yield from graph.rest()


def _layout(frame: Any) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


class _Graph:
    """The filter for frames of one layout. It holds a frame back until it has seen the next."""

    def __init__(self, frame: Any) -> None:
        self.layout = _layout(frame)
        self._graph = av.filter.Graph()
        width, height, pixel_format = self.layout
        source = self._graph.add_buffer(width=width, height=height, format=pixel_format, time_base=frame.time_base)
        step = self._graph.add(*FILTER)
        sink = self._graph.add("buffersink")
        source.link_to(step)
        step.link_to(sink)
        self._graph.configure()
        self._waiting: deque[Any] = deque()

    def through(self, frame: Any) -> Iterator[Any]:
        """Puts a frame in, gives what is ready."""
        self._waiting.append((frame.pts, frame.time_base, frame.duration))
        self._graph.push(frame)
        yield from self._ready()

    def rest(self) -> Iterator[Any]:
        """What is still in the filter, at the end."""
        self._graph.push(None)
        yield from self._ready()

    def _ready(self) -> Iterator[Any]:
        while self._waiting:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            # the filter counts in half units and invents times where there are none
            frame.pts, frame.time_base, frame.duration = self._waiting.popleft()
            yield frame
