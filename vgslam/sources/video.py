"""Video files through PyAV: whatever ffmpeg reads, as a player shows it, with the timestamps of the file."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import av

from vgslam.errors import InputError
from vgslam.guards.images import MOST_PIXELS, VIDEO_LIMIT, limit_decoder, too_large
from vgslam.sources.calibration import read_calibration
from vgslam.sources.frame_pixels import SQUARE, Look, deinterlaced, display_matrix, is_hdr
from vgslam.sources.image_times import Untimed, mended_stream
from vgslam.sources.joined import Part, parts_of
from vgslam.sources.not_a_video import refusal, what_text_it_is
from vgslam.sources.options import DEFAULT_FPS, SourceOptions
from vgslam.sources.pixel_range import pixel_range
from vgslam.sources.recording import RawImage, Recording, Warnings
from vgslam.sources.video_survey import Size, StreamSurvey, Survey, survey

READ_AHEAD = 64
"""More images than anybody reads ahead of the last one that is asked for."""


def open_video(path: Path, options: SourceOptions) -> Recording:
    """A video file: `options.stream`, or the stream with most pixels in all; cover pictures do not count.

    Frames come as a player shows them: turned and mirrored by the display matrix, deinterlaced, with square pixels
    (except for a calibration of the pixels as stored), HDR (PQ) in 8 bits, all of the size that most have. Timestamps
    are the file's presentation times in s, repaired by `mended_stream`, or a nominal rate. A file that is cut off gives
    what can be decoded, and a warning. Raises InputError for what holds no decodable frame.
    """
    reason = refusal(path)
    if reason is not None:
        raise InputError(f"{path}: {reason}")
    warnings, parts = Warnings(), _parts(path)
    if len(parts) > 1:
        warnings.add(f"{len(parts)} videos stand one behind the other in {path.name} (joined with cat?): all are read, "
                     "in this order")  # fmt: skip
    with _opened(path, parts[0]) as container:
        found = survey(container, _last_needed(options), path)
    chosen = found.choose(path, options.stream)
    if len(found.streams) > 1:
        others = ", ".join(str(s) for s in found.streams if s is not chosen)
        warnings.add(f"stream {chosen} is used; --stream chooses another: {others}")
    refused = too_large(*chosen.usual_size)
    if refused is not None:
        raise InputError(f"{path}: {refused}")
    with _opened(path, parts[0]) as container:
        n_stored = container.streams[chosen.index].frames
        n_frames = (chosen.n_packets if chosen.n_hidden else n_stored) - chosen.n_hidden or None if n_stored else None
        n_frames = n_frames if len(parts) == 1 else None
        first = next(_decoded(container, container.streams[chosen.index], Warnings()), None)
        look = _look(container.streams[chosen.index], chosen, options, warnings)
    if first is None:
        raise InputError(
            f"{path}: not one frame of this video can be decoded; check that the file is complete, and that its frames "
            f"have {MOST_PIXELS / 1e6:g} million pixels at most"
        )
    values = pixel_range(chosen.deep)
    look = replace(look, matrix=display_matrix(first), values=values if values.note else None)
    if values.note is not None:
        warnings.add(values.note)
    refused = too_large(*look.shown_size(first))
    if refused is not None:
        raise InputError(f"{path}: {refused}")
    if is_hdr(first):
        warnings.add("the video is HDR (PQ): its brightness is compressed to 8 bits")
    video = _Video(path, parts, chosen, found, look, options, warnings)
    return Recording("video", path.stem, video.images, look.shown_size(first), n_frames, warnings=warnings)


def _last_needed(options: SourceOptions) -> int | None:
    """How many frames the choice of frames can reach, None for all."""
    ends = [] if options.end is None else [options.end]
    if options.max_frames is not None:
        ends.append(options.start + options.max_frames * options.stride)
    return min(ends) + READ_AHEAD if ends else None


def _look(stream: Any, chosen: StreamSurvey, options: SourceOptions, warnings: Warnings) -> Look:
    """How frames become images of one size, with a note where that changes them."""
    size, aspect = chosen.usual_size, float(stream.sample_aspect_ratio or 1.0)
    if len(chosen.sizes) > 1:
        parts = ", ".join(f"{n} of {w}x{h}" for (w, h), n in chosen.sizes.most_common())
        warnings.add(f"the size changes within the video (frames: {parts}): {size[0]}x{size[1]} is used, and frames of "
                     "the same aspect are scaled to it")  # fmt: skip
    if abs(aspect - 1.0) < SQUARE or not 0.1 < aspect < 10.0:
        return Look(size)
    pixels = f"pixels are {aspect:.4g} as wide as high"
    if _is_calibrated_as_stored(options.calib, size):
        warnings.add(f"{pixels}; they stay, as the calibration is for {size[0]}x{size[1]}")
        return Look(size)
    warnings.add(f"{pixels}: images are stretched to square pixels, as players show them")
    return Look(size, aspect)


def _is_calibrated_as_stored(calib: Path | None, size: Size) -> bool:
    """Whether a calibration is of images of the stored size, upright or turned. Raises CalibrationError."""
    camera = None if calib is None else read_calibration(calib)
    return camera is not None and (camera.width, camera.height) in (size, size[::-1])


def _parts(path: Path) -> list[Part | None]:
    """Where videos are in the file; None for the whole of it."""
    try:
        parts = parts_of(path)
    except OSError as err:
        raise InputError(f"{path}: cannot be read ({err.strerror}); check the path and its permissions") from err
    return list(parts) if len(parts) > 1 else [None]


@contextmanager
def _opened(path: Path, part: Part | None = None, **options: str) -> Iterator[Any]:
    """Container of a file, or of a part of it. Only local files are followed, whatever a playlist names."""
    where = f"file:{path}" if part is None else f"subfile,,start,{part[0]},end,{part[1]},,:file:{path}"
    allowed = "file" if part is None else "file,subfile"
    try:
        container = av.open(where, options={"protocol_whitelist": allowed, **VIDEO_LIMIT, **options})
    except (av.FFmpegError, OSError, ValueError) as err:
        reason = what_text_it_is(path) or getattr(err, "strerror", None) or str(err)
        raise InputError(f"{path}: not a video that ffmpeg can read ({reason}); give a complete video file") from err
    with container:
        yield container


@dataclass(frozen=True)
class _Video:
    """A stream of a file, to be read from its beginning any number of times."""

    path: Path
    parts: list[Part | None]
    """Where videos stand one behind the other in it; one, None: it is a single video."""
    chosen: StreamSurvey
    found: Survey
    look: Look
    options: SourceOptions
    warnings: Warnings

    def images(self) -> Iterator[RawImage]:
        """All images, each with its time."""
        if self.chosen.n_untimed < self.chosen.n_packets:
            first = min(self.chosen.first_stamps_s)
            lead = (self.chosen.n_untimed_first, first) if self.chosen.n_untimed_first else None
            if self.options.fps is not None:
                self.warnings.add("fps is not used: the video has times")
            yield from mended_stream(self._frames(), self.warnings, self.chosen.step_s, lead)
            return
        if self.options.fps is None:
            self.warnings.add(f"the video has no timestamps: {DEFAULT_FPS:g} frames/s assumed; give --fps")
        rate = self.options.fps or DEFAULT_FPS
        for n, image in enumerate(self._frames()):
            yield RawImage(image.name, n / rate, image.load)

    def _frames(self) -> Iterator[Untimed]:
        n, end_s = 0, None
        for part in self.parts:
            first = n
            with self._opened(part) as (container, stream):
                frames = iter(()) if stream is None else _decoded(container, stream, self.warnings)
                for frame in deinterlaced(frames, self.warnings):
                    stamp_s = None if frame.pts is None else float(frame.pts * frame.time_base)
                    yield Untimed(f"frame {n}", stamp_s, partial(self.look.pixels, frame))
                    n += 1
                    end_s = None if stamp_s is None else stamp_s + float((frame.duration or 0) * frame.time_base)
                if n == first and len(self.parts) > 1:
                    self.warnings.add(f"what stands behind frame {n - 1} in the file cannot be read: left out")
                elif part is not None and n - first < stream.frames:
                    self.warnings.add(f"the video from frame {first} on is cut off or damaged: {n - first} of "
                                      f"{stream.frames} frames could be read")  # fmt: skip
                elif part is None and self.found.is_whole:
                    self._warn_if_short(container, stream, n, end_s)

    @contextmanager
    def _opened(self, part: Part | None) -> Iterator[tuple[Any, Any]]:
        """The container and the stream that is read; without one where a part of the file, but the first, has none."""
        with ExitStack() as stack:
            try:
                container = stack.enter_context(_opened(self.path, part))
            except InputError:
                if part is None or part == self.parts[0]:
                    raise
                container = None
            videos = [] if container is None else container.streams.video
            stream = next((s for s in videos if s.index == self.chosen.index and s.codec_context), None)
            if stream is not None:
                stream.thread_type = "AUTO"
            yield container, stream

    def _warn_if_short(self, container: Any, stream: Any, n: int, end_s: float | None) -> None:
        """A file that was cut off often just ends: compare with what its header promises."""
        shown = self.chosen.n_packets - self.chosen.n_hidden
        if stream.frames and n < stream.frames:
            if n < shown or self._n_packets_stored() < stream.frames:
                promised = max(shown, stream.frames - self.chosen.n_hidden)
                self.warnings.add(f"the video is cut off or damaged: {n} of {promised} frames could be read")
            return
        length_s = _length_s(container, stream)
        slack_s = 2.0 / float(stream.average_rate or DEFAULT_FPS)
        if not stream.frames and length_s and end_s is not None and end_s < length_s - slack_s:
            line = f"it ends at {end_s:.2f} s of {length_s:.2f} s ({n} frames could be read)"
            self.warnings.add(f"the video is cut off: {line}")

    def _n_packets_stored(self) -> int:
        """Packets that the file holds, those included that an edit list leaves out."""
        n = 0
        try:
            with _opened(self.path, ignore_editlist="1") as container:
                for packet in container.demux(container.streams[self.chosen.index]):
                    n += packet.size > 0
        except av.FFmpegError:
            pass  # the file ends here
        return n


def _decoded(container: Any, stream: Any, warnings: Warnings) -> Iterator[Any]:
    """Frames in presentation order; packets that cannot be decoded are counted and passed over."""
    n = 0
    limit_decoder(stream)
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as err:
            warnings.add(f"the video is cut off or damaged after {n} frames ({err.strerror}); those before are used")
            return
        if packet is None:
            return
        if packet.is_corrupt and stream.codec_context.codec.intra_only:  # a cut image would be grey from there on
            warnings.tally("the video is damaged there", f"frame {n}")
            continue
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
