"""Pixels of decoded video frames, as a player shows them: deinterlaced, turned, mirrored, with square pixels, HDR in 8
bits."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import Type

from vgslam.sources.calibration.plausible import is_same_aspect
from vgslam.sources.pixel_range import PixelRange
from vgslam.sources.recording import BadImageError, Pixels, Warnings

Matrix = tuple[int, int, int, int]
UPRIGHT: Matrix = (1, 0, 0, 1)
SQUARE = 0.002
"""Pixels that are longer one way by less are square: such ratios come from rounding."""
PQ = 16
"""AVCOL_TRC_SMPTE2084 in ffmpeg."""
WHITE_NITS, PEAK_NITS = 203.0, 1000.0
"""Luminance of diffuse white in HDR (ITU-R BT.2408), and one beyond which nothing is told apart."""


@dataclass(frozen=True)
class Look:
    """How the frames of a stream are brought to one size."""

    size: tuple[int, int] | None = None
    """(width, height) as stored that frames of the same aspect are scaled to; None leaves each as it is."""
    pixel_aspect: float = 1.0
    """Width of a pixel over its height; other than 1, images are stretched along the shorter side of the pixel."""
    matrix: Matrix = UPRIGHT
    """Display matrix; see `display_matrix`."""
    values: PixelRange | None = None
    """The range of grey values of more than 8 bits, where it is not that of their type."""

    def shown_size(self, frame: Any) -> tuple[int, int]:
        """(width, height) of the images, upright as this frame is."""
        width, height = self._stretched(self.size or (frame.width, frame.height))
        return (height, width) if self._is_transposed else (width, height)

    def pixels(self, frame: Any) -> Pixels:
        """(H,W,3) RGB of a frame. Raises BadImageError."""
        image = _rgb(frame) if self.values is None else cv2.cvtColor(
            self.values.to_8bit(deep_gray(frame)), cv2.COLOR_GRAY2RGB)  # fmt: skip
        stored = (frame.width, frame.height)
        if self.size is not None and stored != self.size and is_same_aspect(stored, self.size):
            image, stored = _resized(image, self.size), self.size
        stretched = self._stretched(stored)
        return self._upright(image if stretched == stored else _resized(image, stretched))

    @property
    def _is_transposed(self) -> bool:
        a, b, c, d = self.matrix
        return abs(b) + abs(c) > abs(a) + abs(d)

    def _upright(self, image: Pixels) -> Pixels:
        """The image turned and mirrored, to the nearest of the eight quarter turns and mirrorings."""
        a, b, c, d = self.matrix
        x_sign, y_sign = a, d
        if self._is_transposed:
            image, x_sign, y_sign = image.swapaxes(0, 1), c, b
        if x_sign < 0:
            image = image[:, ::-1]
        if y_sign < 0:
            image = image[::-1]
        return np.ascontiguousarray(image)

    def _stretched(self, size: tuple[int, int]) -> tuple[int, int]:
        if abs(self.pixel_aspect - 1.0) < SQUARE:
            return size
        if self.pixel_aspect > 1.0:
            return round(size[0] * self.pixel_aspect), size[1]
        return size[0], round(size[1] / self.pixel_aspect)


def display_matrix(frame: Any) -> Matrix:
    """(a, b, c, d) with x' = a x + c y and y' = b x + d y; x to the right, y down, upright if the file says nothing.
    Asked once in a stream: looking at the side data of a frame keeps it until Python looks for cycles."""
    data = frame.side_data.get(Type.DISPLAYMATRIX)
    if data is None:
        return UPRIGHT
    (a, b), (c, d) = np.frombuffer(bytes(data), np.int32).reshape(3, 3)[:2, :2].tolist()
    return a, b, c, d


def is_hdr(frame: Any) -> bool:
    """Whether brightness is coded by PQ. (HLG is made to be shown as it is.)"""
    return int(frame.color_trc) == PQ


def _resized(image: Pixels, size: tuple[int, int]) -> Pixels:
    is_smaller = size[0] < image.shape[1] or size[1] < image.shape[0]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)


def deep_gray(frame: Any) -> npt.NDArray[np.uint16]:
    """(H,W) of a frame of grey values."""
    return np.asarray(frame.to_ndarray(format="gray16le"))


def _rgb(frame: Any) -> Pixels:
    try:
        if is_hdr(frame):
            return _pq_curve()[frame.to_ndarray(format="rgb48le")]
        return frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, ValueError) as err:
        raise BadImageError(f"cannot be converted to RGB ({err})") from err


@cache
def _pq_curve() -> npt.NDArray[np.uint8]:
    """(65536,) 8-bit values of 16-bit PQ values: luminance by the EOTF of SMPTE ST 2084 (ITU-R BT.2100, table 4),
    compressed above white by the extended curve of Reinhard et al. (SIGGRAPH 2002, eq. 4), with a gamma of 2.2."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    e = np.linspace(0.0, 1.0, 65536) ** (1.0 / m2)
    nits = 10000.0 * (np.maximum(e - c1, 0.0) / (c2 - c3 * e)) ** (1.0 / m1)
    y, peak = nits / WHITE_NITS, PEAK_NITS / WHITE_NITS
    shown = np.clip(y * (1.0 + y / peak**2) / (1.0 + y), 0.0, 1.0)
    return np.rint(255.0 * shown ** (1.0 / 2.2)).astype(np.uint8)


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
