"""Which of several video streams a live source takes, and half images that are made whole."""

import io
from pathlib import Path

import numpy as np
import pytest
from live_sources import ALL
from video_files import combed, combing, number_of, pictures, two_streams, write_video

from vgslam.errors import ConfigError, InputError
from vgslam.sources.live import LiveOptions, LiveSource
from vgslam.sources.live_av import pipe_images
from vgslam.sources.live_open import open_live

N = 6


def piped(path: Path, wanted: int | None = None) -> LiveSource:
    return LiveSource("pipe", "-", lambda: pipe_images(io.BytesIO(path.read_bytes()), "-", wanted), ALL)


def test_the_largest_images_are_taken_and_a_stream_can_be_chosen(tmp_path: Path) -> None:
    path = two_streams(tmp_path / "a.mkv", pictures(N), pictures(N, 128, 96))
    source = piped(path)
    assert [f.image.shape for f in source] == N * [(96, 128, 3)]
    assert source.warnings == ["stream 1 (h264 128x96) is used; --stream chooses another: 0 (h264 64x48)"]
    chosen = piped(path, 0)
    frames = list(chosen)
    assert [f.image.shape for f in frames] == N * [(48, 64, 3)]
    assert [number_of(f.image) for f in frames] == list(range(N))
    assert chosen.warnings == ["stream 0 (h264 64x48) is used; --stream chooses another: 1 (h264 128x96)"]
    with pytest.raises(InputError, match=r"-: has no video stream 5; its video streams: 0 \(h264 64x48\), 1 \("):
        piped(path, 5).open()


def test_of_equal_streams_the_first_is_taken(tmp_path: Path) -> None:
    path = two_streams(tmp_path / "a.mkv", pictures(N), pictures(N)[::-1])
    assert [number_of(f.image) for f in piped(path)] == list(range(N))


def test_one_stream_is_nothing_to_mention(tmp_path: Path) -> None:
    source = piped(write_video(tmp_path / "a.mkv", pictures(N)))
    assert len(list(source)) == N
    assert source.warnings == []


@pytest.mark.parametrize("is_flagged", [True, False])
def test_interlaced_streams_are_made_whole(tmp_path: Path, is_flagged: bool) -> None:
    options = {"bf": "0", "qp": "8"} | ({"x264-params": "bff=1"} if is_flagged else {})
    source = piped(write_video(tmp_path / "a.mkv", combed(N), options=options))
    frames = list(source)
    assert [f.timestamp_s for f in frames] == pytest.approx([frames[0].timestamp_s + 0.04 * i for i in range(N)])
    combs = [combing(f.image) for f in frames[1:-1]]
    assert max(combs) < 8.0 if is_flagged else min(combs) > 16.0
    assert source.warnings == (["the video is interlaced: deinterlaced, a frame for each frame"] if is_flagged else [])
    assert np.ptp([f.image.shape[0] for f in frames]) == 0


@pytest.mark.parametrize("name", ["0", "ros2:/image", "gst:videotestsrc"])
def test_cameras_have_one_stream(name: str) -> None:
    with pytest.raises(ConfigError, match="--stream is for addresses and pipes"):
        open_live(name, LiveOptions(stream=1))


@pytest.mark.parametrize("address", ["rtsp://h/a", "udp://h:1", "http://h/a", "-", "rtsp+listen://h:1/a"])
def test_addresses_pass_the_number_on(address: str) -> None:
    feed = open_live(address, LiveOptions(stream=3))._feed
    assert 3 in (vars(feed).get("_wanted"), *getattr(feed, "args", ()), *getattr(feed, "keywords", {}).values())
