"""Live streams as bytes: Motion JPEG over HTTP, and what comes through a pipe."""

import io
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from live_servers import Server, jpeg, number_of, part, picture
from live_sources import ALL, encoded, numbers

from vgslam.errors import InputError
from vgslam.sources import live_mjpeg
from vgslam.sources.live import LiveSource
from vgslam.sources.live_av import pipe_images
from vgslam.sources.live_mjpeg import multipart_images
from vgslam.sources.live_open import open_live
from vgslam.sources.recording import BadImageError


class TestMotionJpeg:
    def test_over_http_with_the_source_clock(self) -> None:
        with Server(lambda _: (part(jpeg(picture(i)), 50.0 + i) for i in range(1, 7))) as server:
            source = open_live(server.url, ALL)
            assert source.open() == (64, 48)
            frames = list(source)
        assert [number_of(f.image) for f in frames] == [1, 2, 3, 4, 5, 6]
        assert [f.timestamp_s for f in frames] == [51, 52, 53, 54, 55, 56]
        assert source.arrived_s > 0

    def test_a_login_is_used_and_never_shown(self) -> None:
        with Server(lambda _: (part(jpeg(picture(i))) for i in range(3)), login="me:p@ss word") as server:
            right = server.url.replace("://", "://me:p%40ss%20word@")
            source = open_live(right, ALL)
            assert numbers(source) == [0, 1, 2]
            assert "ss" not in source.name
            for url in (server.url, server.url.replace("://", "://me:secret@") + "?token=secret"):
                with pytest.raises(InputError, match="401") as said:
                    open_live(url, ALL).open()
                assert "secret" not in str(said.value)

    def test_without_lengths_and_with_garbage_between(self) -> None:
        rng = np.random.default_rng(0)
        body = b"".join(
            part(jpeg(picture(i)), has_length=False) + rng.bytes(300).replace(b"--", b"..") + b"\r\n" for i in range(4)
        )
        seen = [number_of(i.load()) for i in multipart_images(io.BytesIO(body), "frame")]
        assert seen == [0, 1, 2, 3]

    def test_damaged_images_are_counted_and_passed_over(self) -> None:
        bodies = [jpeg(picture(1)), b"\x00\x01garbage\xff" * 30, b"", jpeg(picture(4))]
        with Server(lambda _: (part(b) for b in bodies)) as server:
            source = open_live(server.url, ALL)
            assert numbers(source) == [1, 4]
        assert source.n_damaged == 2

    @pytest.mark.parametrize("seed", range(8))
    def test_random_bytes_never_hang_or_crash(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        body = bytearray(b"".join(part(jpeg(picture(i))) for i in range(4)))
        for at in rng.integers(0, len(body), 40):
            body[at] = rng.integers(256)
        stream = io.BytesIO(bytes(body[: rng.integers(1, len(body))]) + rng.bytes(2000))
        n = 0
        for image in multipart_images(stream, "frame"):
            n += 1
            try:
                assert image.load().shape == (48, 64, 3) or n > 0
            except BadImageError:
                continue
        assert n <= 4

    def test_an_endless_stream_without_an_image_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("vgslam.sources.live_mjpeg.LARGEST_PART", 10_000)
        with pytest.raises(InputError, match="Motion JPEG"):
            list(multipart_images(io.BytesIO(b"noise\n" * 10_000), "frame"))

    def test_a_server_that_names_no_kind_is_read_on_the_same_connection(self) -> None:
        video = encoded("mpegts", "mpeg2video", 12)
        with Server(lambda _: iter([video]), "application/octet-stream") as server:
            source = open_live(server.url, ALL)
            n = len(list(source))
            assert server.n_connections == 1
        assert n >= 10


class TestPipes:
    @pytest.mark.parametrize(("container", "codec"), [("mjpeg", "mjpeg"), ("matroska", "mjpeg"), ("mpegts", "h264")])
    def test_what_ffmpeg_writes_into_a_pipe(self, container: str, codec: str) -> None:
        data = encoded(container, "libx264" if codec == "h264" else codec, 20)
        read_end, write_end = os.pipe()

        def write() -> None:
            with os.fdopen(write_end, "wb") as file:
                for i in range(0, len(data), 1000):
                    file.write(data[i : i + 1000])

        writer = threading.Thread(target=write)
        writer.start()
        with os.fdopen(read_end, "rb", buffering=0) as pipe:
            found = list(pipe_images(pipe, "-"))
        writer.join()
        assert [number_of(i.load()) for i in found] == list(range(20))
        times = [i.source_s for i in found]
        if container == "mjpeg":
            assert times == [None] * 20
        else:
            assert np.diff(np.array(times, float)) == pytest.approx(0.04, abs=1e-3)

    def test_garbage_is_one_line(self) -> None:
        with pytest.raises(InputError, match="ffmpeg") as said:
            list(pipe_images(io.BytesIO(np.random.default_rng(0).bytes(50_000)), "-"))
        assert "\n" not in str(said.value)

    def test_nothing_is_one_line(self) -> None:
        with pytest.raises(InputError):
            list(pipe_images(io.BytesIO(b""), "-"))

    def test_a_pipe_that_ends_in_the_middle_keeps_what_came(self) -> None:
        data = encoded("matroska", "mjpeg", 20)
        feed = lambda: pipe_images(io.BytesIO(data[: len(data) * 2 // 3]), "-")  # noqa: E731
        source = LiveSource("pipe", "-", feed, ALL)
        assert 5 <= len(numbers(source)) < 20


def test_a_list_of_files_in_a_pipe_makes_no_file_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may send anything as a video: a list of files on this machine among it."""
    (tmp_path / "a.ts").write_bytes(encoded("mpegts", "mpeg2video", 5))
    monkeypatch.chdir(tmp_path)
    for text in ("ffconcat version 1.0\nfile a.ts\n", f"#EXTM3U\n#EXTINF:1,\nfile://{tmp_path}/a.ts\n#EXT-X-ENDLIST\n"):
        with pytest.raises(InputError):
            list(pipe_images(io.BytesIO(text.encode()), "stdin"))


@pytest.mark.parametrize("body", [b"--b\r\n" + b"X: y\r\n" * 20_000, b"--b\r\n\r\n" + b"\n" * 3_000_000])
def test_headers_and_bodies_without_end_are_refused(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_mjpeg, "LARGEST_PART", 2**20)
    with pytest.raises(InputError, match=r"no end|without end"):
        list(live_mjpeg.multipart_images(io.BytesIO(body), "b"))
