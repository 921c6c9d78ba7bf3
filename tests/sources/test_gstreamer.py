"""GStreamer itself: its pipelines as a source, and its RTSP server. Where it is not installed these are skipped."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from pathlib import Path

import numpy as np
import pytest
from live_servers import number_of
from live_sources import ALL, encoded
from waiting import HANG_S

from vgslam.errors import InputError
from vgslam.sources.live import LiveOptions
from vgslam.sources.live_open import open_live

N = 12
SERVER = """
import ctypes, sys

rtsp = ctypes.CDLL(sys.argv[1])
glib = ctypes.CDLL(sys.argv[2])
for name in ("server_new", "server_get_mount_points", "media_factory_new"):
    getattr(rtsp, f"gst_rtsp_{name}").restype = ctypes.c_void_p
glib.g_main_loop_new.restype = ctypes.c_void_p
of = ctypes.c_void_p
ctypes.CDLL(sys.argv[3]).gst_init(None, None)
server, factory = of(rtsp.gst_rtsp_server_new()), of(rtsp.gst_rtsp_media_factory_new())
rtsp.gst_rtsp_server_set_address(server, b"127.0.0.1")
rtsp.gst_rtsp_server_set_service(server, sys.argv[4].encode())
rtsp.gst_rtsp_media_factory_set_launch(factory, sys.argv[5].encode())
rtsp.gst_rtsp_mount_points_add_factory(of(rtsp.gst_rtsp_server_get_mount_points(server)), b"/cam", factory)
assert rtsp.gst_rtsp_server_attach(server, None)
sys.stdout.write("serves\\n")
sys.stdout.flush()
glib.g_main_loop_run(of(glib.g_main_loop_new(None, 0)))
"""
LIBRARIES = ("gstrtspserver-1.0", "glib-2.0", "gstreamer-1.0")

needs_gstreamer = pytest.mark.skipif(
    shutil.which("gst-launch-1.0") is None,
    reason="needs GStreamer: apt install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good",
)
needs_rtsp_server = pytest.mark.skipif(
    None in map(find_library, LIBRARIES), reason="needs GStreamer's RTSP server: apt install libgstrtspserver-1.0-0"
)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """N numbered pictures as JPEG images in Matroska, 25 a second."""
    path = tmp_path / "video.mkv"
    path.write_bytes(encoded("matroska", "mjpeg", N))
    return path


@contextmanager
def rtsp_server(launch: str) -> Iterator[str]:
    """The address of a server of the pipeline, a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [str(find_library(name)) for name in LIBRARIES]
    command = [sys.executable, "-c", SERVER, *words, str(port), launch]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "serves\n"
            yield f"rtsp://127.0.0.1:{port}/cam"
        finally:
            process.kill()


@needs_gstreamer
class TestPipelines:
    def test_every_picture_comes_with_its_time(self, video: Path) -> None:
        frames = list(open_live(f"gst:filesrc location={video} ! matroskademux ! jpegdec", ALL))
        assert [number_of(frame.image) for frame in frames] == list(range(N))
        np.testing.assert_allclose(np.diff([frame.timestamp_s for frame in frames]), 0.04, atol=2e-3)

    def test_a_live_pipeline_that_has_no_end_is_ended(self) -> None:
        size = "video/x-raw,width=64,height=48,framerate=25/1"
        options = LiveOptions(keep_all=True, max_frames=5)
        source = open_live(f"gst:videotestsrc is-live=true ! {size}", options)
        assert [frame.image.shape for frame in source] == [(48, 64, 3)] * 5
        source.close()
        assert source._thread is not None
        source._thread.join(HANG_S)
        assert not source._thread.is_alive()

    @pytest.mark.parametrize("pipeline", ["nosuchelement ! jpegdec", "filesrc location=/no/such/file ! jpegdec"])
    def test_one_that_gives_nothing_is_one_line(self, pipeline: str) -> None:
        with pytest.raises(InputError) as caught:
            open_live(f"gst:{pipeline}", ALL).open()
        assert pipeline.split(" ")[0] in str(caught.value)
        assert "\n" not in str(caught.value)


@needs_rtsp_server
def test_an_rtsp_server_that_is_not_ours(video: Path) -> None:
    """Motion JPEG over RTP. The server plays the video for each reader, and ends."""
    with rtsp_server(f"( filesrc location={video} ! matroskademux ! rtpjpegpay name=pay0 pt=26 )") as url:
        frames = list(open_live(url, ALL))
    numbers = [number_of(frame.image) for frame in frames]
    assert numbers == list(range(numbers[0], N))
    assert numbers[0] < N // 2
    np.testing.assert_allclose(np.diff([frame.timestamp_s for frame in frames]), 0.04, atol=2e-3)
