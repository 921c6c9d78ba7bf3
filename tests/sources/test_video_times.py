"""Times of videos: clocks that start again, stamps that are missing or wild."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from video_files import add_stream, copy_packets, encode, number_of, pictures, write_video

from vgslam.sources import SourceOptions, open_source

N = 24


def test_transport_streams_joined_go_on(tmp_path: Path) -> None:
    one = write_video(tmp_path / "one.ts", pictures(N))
    first = [f.timestamp_s for f in open_source(one)]
    (tmp_path / "joined.ts").write_bytes(one.read_bytes() * 2)
    source = open_source(tmp_path / "joined.ts")
    frames = list(source)
    assert [number_of(f.image) for f in frames] == 2 * list(range(N))
    assert [f.timestamp_s for f in frames] == pytest.approx([first[0] + 0.04 * i for i in range(2 * N)])
    assert source.warnings == [
        f"1 image and those after moved on in time, the clock starts again there (recordings joined?): frame {N}"
    ]


def test_the_first_stamps_are_missing(tmp_path: Path) -> None:
    """Matroska cuts off what lies before zero: here the first half of a second."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container:
        stream = add_stream(container, pictures(1)[0])
        encode(container, stream, pictures(N), [40 * i - 400 for i in range(N)])
    source = open_source(path)
    frames = list(source)
    assert [number_of(f.image) for f in frames] == list(range(N))
    assert [f.timestamp_s for f in frames] == pytest.approx([0.04 * i for i in range(N)], abs=2e-3)
    assert any("10 images given a timestamp" in line for line in source.warnings)


def test_a_last_stamp_an_hour_off(tmp_path: Path) -> None:
    pts = [40 * i for i in range(N)]
    pts[N - 1] += 3_600_000
    source = open_source(write_video(tmp_path / "a.mkv", pictures(N), pts))
    frames = list(source)
    assert [number_of(f.image) for f in frames] == list(range(N - 1))
    assert any(f"timestamp far from those before and after: frame {N - 1}" in line for line in source.warnings)


@pytest.mark.parametrize("fps", [None, 10.0])
@pytest.mark.parametrize(
    ("codec", "pix_fmt", "name"), [("libx264", "yuv420p", "a.h264"), ("mjpeg", "yuvj420p", "a.mjpeg")]
)
def test_a_raw_stream_has_the_rate_that_is_given(
    tmp_path: Path, fps: float | None, codec: str, pix_fmt: str, name: str
) -> None:
    whole = write_video(tmp_path / "a.mkv", pictures(N), codec=codec, pix_fmt=pix_fmt)
    path = copy_packets(whole, tmp_path / name)
    source = open_source(path, SourceOptions(fps=fps))
    assert [f.timestamp_s for f in source] == pytest.approx(np.arange(N) / (fps or 30.0))
    assert source.warnings == ([] if fps else ["the video has no timestamps: 30 frames/s assumed; give --fps"])


def test_avi_with_frames_out_of_coding_order(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream = add_stream(container, pictures(1)[0], "mpeg4", 25, options={"bf": "2"})
        stream.codec_context.time_base = Fraction(1, 25)
        for i, image in enumerate(pictures(N)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    source = open_source(path)
    frames = list(source)
    assert [number_of(f.image) for f in frames] == pytest.approx(list(range(N)), abs=1)  # coded coarsely
    assert np.diff([f.timestamp_s for f in frames]) == pytest.approx(0.04)
    assert source.warnings == []


def trimmed(tmp_path: Path, **options: str) -> Path:
    """A clip whose first 10 frames an edit list hides, as trimming without coding it anew leaves it."""
    images, noise = pictures(N), np.random.default_rng(0)
    for image in images:  # so that every frame takes bytes
        image[-12:] = noise.integers(0, 255, image[-12:].shape)
    whole = write_video(tmp_path / "whole.mp4", images)

    def earlier(_: int, packet: av.Packet) -> None:
        shift = round(0.4 / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift

    return copy_packets(whole, tmp_path / "trimmed.mp4", earlier, avoid_negative_ts="disabled", **options)


def test_frames_that_an_edit_list_hides_are_not_damage(tmp_path: Path) -> None:
    source = open_source(trimmed(tmp_path))
    frames = list(source)
    assert [number_of(f.image) for f in frames] == pytest.approx(list(range(10, N)), abs=1)
    assert [f.timestamp_s for f in frames] == pytest.approx([0.04 * i for i in range(N - 10)])
    assert (source.n_frames, source.warnings) == (N - 10, [])


def test_a_trimmed_clip_that_is_cut_off_is_said_to_be(tmp_path: Path) -> None:
    path = trimmed(tmp_path, movflags="faststart")
    data = path.read_bytes()
    path.write_bytes(data[: int(0.8 * len(data))])
    source = open_source(path)
    assert 0 < len(list(source)) < N - 10
    assert any("cut off" in line for line in source.warnings)


def test_a_few_frames_of_a_long_video_give_no_false_alarm(tmp_path: Path) -> None:
    """The file is only read as far as it is needed."""
    path = write_video(tmp_path / "a.mp4", pictures(30) * 8)
    for n in (1, 100, 235, 239, 240):
        source = open_source(path, SourceOptions(max_frames=n))
        assert len(list(source)) == n
        assert source.warnings == []
