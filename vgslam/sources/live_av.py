"""Streams that ffmpeg reads (RTSP, transport streams, a pipe), through PyAV, with as little waiting as it allows."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

import av

from vgslam.errors import InputError
from vgslam.guards.images import VIDEO_LIMIT, limit_decoder
from vgslam.sources.frame_pixels import Look, deinterlaced, display_matrix
from vgslam.sources.live import LiveImage, NobodyYetError
from vgslam.sources.live_address import public
from vgslam.sources.recording import Warnings
from vgslam.sources.video_survey import StreamSurvey, pictures_of, without_stream

CLOCKLESS = frozenset({"mjpeg", "mpjpeg", "jpeg_pipe", "image2pipe", "png_pipe", "h264", "hevc", "rawvideo"})
"""Formats without timestamps: those that ffmpeg invents are not used."""

MAX_UNTIMED = 5
"""RTP streams begin with frames without a time; up to this many are left out, not given their time of arrival."""

TIMEOUT_S = (10.0, 5.0)
"""Timeouts of the connection and of the next packet."""


LISTEN = "rtsp+listen"
"""An address whose senders connect to us, as phones and `ffmpeg -f rtsp` do."""
LISTEN_TIMEOUT_S = "1000000"
"""ffmpeg refuses its own default, which means for ever."""
LISTEN_AGAIN_S = 30.0
"""So long that a sender hardly ever connects in the last second, when it would be dropped before its stream begins."""


NETWORK = (
    "http,https,httpproxy,tcp,udp,udplite,tls,dtls,crypto,rtp,srtp,rtsp,rtsps,rtmp,rtmps,rtmpt,rtmpts,rtmpe,rtmpte,"
    "ffrtmphttp,ffrtmpcrypt,srt,sctp"
)
"""What an address may lead on to: a playlist may name other addresses, and no files of this machine."""
PIPE_OPTIONS = {"probesize": "1000000", "analyzeduration": "1000000", "protocol_whitelist": "pipe", **VIDEO_LIMIT}
"""The stream is all that is read: a playlist in it names nothing that is followed."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Pipe:
    """A stream that can only be read: ffmpeg must not try to seek in a pipe."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        # what is there now, not what fills the buffer: a frame must not wait for the next one
        return getattr(self._stream, "read1", self._stream.read)(size)


PEER_FAULTS = (av.ExitError, av.EOFError, av.InvalidDataError, av.ProtocolNotFoundError)
"""What comes of a peer that says nothing, hangs up or does not speak RTSP; a port that is taken is an OSError."""


class NoSenderError(InputError):
    """Nobody has connected, or whoever has sends no stream."""


class ListeningFeed:
    """The Feed of `rtsp+listen://`: waits for the first sender for ever, for each one after it give_up_s. Until the
    first stream comes the port is opened anew after give_up_s or 30 s, whichever is longer, to drop a peer that sends
    nothing. Raises NobodyYetError until then, InputError as `av_images`."""

    def __init__(self, url: str, give_up_s: float, wanted: int | None = None) -> None:
        self._url, self._give_up_s, self._wanted = url, give_up_s, wanted
        self._has_listened = self._has_begun = False

    def __call__(self) -> Iterator[LiveImage]:
        if self._has_begun:
            return av_images(self._url, self._give_up_s, self._wanted)
        try:
            images = av_images(self._url, max(self._give_up_s, LISTEN_AGAIN_S), self._wanted)
        except InputError as error:
            self._has_listened |= isinstance(error, NoSenderError)
            if self._has_listened:  # the port was ours: if it cannot be opened, a dropped peer has not left yet
                raise NobodyYetError(str(error)) from error
            raise
        self._has_begun = True
        return images


def av_images(url: str, patience_s: float = TIMEOUT_S[0], wanted: int | None = None) -> Iterator[LiveImage]:
    """Images of an address that ffmpeg opens. patience_s: how long `rtsp+listen://` waits for a sender's stream;
    wanted: number of the video stream, see `_chosen`. Raises InputError; NoSenderError where it waited in vain."""
    options = {"flags": "low_delay", "analyzeduration": "1000000", "protocol_whitelist": NETWORK, **VIDEO_LIMIT}
    name, is_listening = public(url), url.startswith(LISTEN)
    timeout_s = TIMEOUT_S
    if url.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"
    if is_listening:
        url, timeout_s = f"rtsp{url.removeprefix(LISTEN)}", (patience_s, TIMEOUT_S[1])
        options |= {"rtsp_flags": "listen", "listen_timeout": LISTEN_TIMEOUT_S}
    try:
        container = av.open(url, options=options, timeout=timeout_s)
    except (av.FFmpegError, OSError, ValueError) as err:
        reason = _reason(err)
        if isinstance(err, av.ExitError):  # what PyAV makes of its own timeout
            reason = f"no {'sender' if is_listening else 'answer'} within {timeout_s[0]:g} s"
        kind = NoSenderError if is_listening and isinstance(err, PEER_FAULTS) else InputError
        raise kind(f"{name}: cannot be opened ({reason}); check the address and that it is served") from err
    return _images(container, name, wanted)


def pipe_images(stream: Readable, name: str, wanted: int | None = None) -> Iterator[LiveImage]:
    """Images of a byte stream in any container, or bare JPEG images; wanted: see `_chosen`. Raises InputError."""
    try:
        container = av.open(Pipe(stream), options=PIPE_OPTIONS)
    except (av.FFmpegError, OSError, ValueError) as err:
        raise InputError(f"{name}: no video that ffmpeg can read ({_reason(err)}); try `ffmpeg -f mjpeg -`") from err
    return _images(container, name, wanted)


def _images(container: Any, name: str, wanted: int | None) -> Iterator[LiveImage]:
    with container:
        warnings = Warnings()
        stream = _chosen(container, name, wanted, warnings)
        limit_decoder(stream)
        stream.thread_type = "SLICE"  # threads over frames would hold frames back
        has_clock = not CLOCKLESS & set(container.format.name.split(","))
        n_untimed, look = 0, None
        try:
            for frame in deinterlaced(_frames(container, stream), warnings):
                if has_clock and frame.pts is None and n_untimed < MAX_UNTIMED:
                    n_untimed += 1
                    continue
                look = look or Look(matrix=display_matrix(frame))
                time_s = float(frame.pts * frame.time_base) if has_clock and frame.pts is not None else None
                yield LiveImage(partial(look.pixels, frame), time_s, notes=tuple(warnings))
        except (av.FFmpegError, OSError) as err:
            raise InputError(f"{name}: the stream broke off ({_reason(err)})") from err


def _chosen(container: Any, name: str, wanted: int | None, warnings: Warnings) -> Any:
    """The video stream `wanted`, else that with the largest images, and a line which. Raises InputError, listing
    them."""
    streams = [stream for stream in pictures_of(container) if stream.codec_context is not None]
    if not streams:
        raise InputError(f"{name}: has no video stream that ffmpeg here can decode")
    found = {s.index: StreamSurvey(s.index, s.codec_context.name, (s.width, s.height)) for s in streams}
    if wanted is not None and wanted not in found:
        raise InputError(without_stream(name, wanted, found.values()))
    index = wanted if wanted is not None else max(found, key=lambda i: (found[i].size[0] * found[i].size[1], -i))
    if len(found) > 1:
        others = ", ".join(str(s) for s in found.values() if s.index != index)
        warnings.add(f"stream {found[index]} is used; --stream chooses another: {others}")
    return container.streams[index]


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    for packet in container.demux(stream):
        yield from _decoded(packet)


def _decoded(packet: Any) -> list[Any]:
    """A packet that arrived damaged (as after a lost key frame) gives nothing."""
    try:
        return [frame for frame in packet.decode() if not frame.is_corrupt]
    except av.InvalidDataError:
        return []


def _reason(err: Exception) -> str:
    return getattr(err, "strerror", None) or str(err)
