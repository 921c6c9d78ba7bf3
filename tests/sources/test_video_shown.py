"""Videos come as a player shows them: which stream, which size, which way up, with which pixels."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from video_files import (
    HEIGHT,
    WIDTH,
    bright_corners,
    combed,
    combing,
    copy_packets,
    number_of,
    pictures,
    two_streams,
    write_video,
)

from vgslam.errors import ConfigError, InputError
from vgslam.sources import SourceOptions, open_source

N = 12
ONE = 65536
"""One in the fixed point numbers of display matrices."""


def test_a_cover_picture_before_the_video_is_passed_over(tmp_path: Path) -> None:
    path = two_streams(tmp_path / "a.mkv", pictures(1, 160, 120), pictures(N), "mjpeg")
    source = open_source(path)
    assert [number_of(f.image) for f in source] == list(range(N))
    assert source.warnings == [
        f"stream 1 (h264 64x48, {N} frames) is used; --stream chooses another: 0 (mjpeg 160x120, 1 frame)"
    ]


def test_the_preview_is_passed_over_and_can_be_chosen(tmp_path: Path) -> None:
    path = two_streams(tmp_path / "a.mp4", pictures(N), pictures(N, 128, 96))
    assert next(iter(open_source(path))).image.shape == (96, 128, 3)
    preview = open_source(path, SourceOptions(stream=0))
    assert [f.image.shape for f in preview] == N * [(48, 64, 3)]
    with pytest.raises(InputError, match=r"no video stream 5; its video streams: 0 \(h264 64x48, 12 frames\), 1"):
        open_source(path, SourceOptions(stream=5))
    with pytest.raises(ConfigError, match="stream must be 0 or more"):
        SourceOptions(stream=-1)


def joined(tmp_path: Path, *parts: list[np.ndarray]) -> Path:
    """A raw stream whose size changes."""
    path = tmp_path / "joined.h264"
    with path.open("wb") as file:
        for part in parts:
            whole = write_video(tmp_path / "part.mp4", part)
            file.write(copy_packets(whole, tmp_path / "part.h264").read_bytes())
    return path


@pytest.mark.parametrize("order", ["low high", "high low", "low high low", "high low low"])
def test_the_size_that_most_frames_have_is_used(tmp_path: Path, order: str) -> None:
    sizes = {"low": pictures(4), "high": pictures(N, 128, 96)}
    parts = [sizes[name] for name in order.split()]
    source = open_source(joined(tmp_path, *parts), SourceOptions(fps=25.0))
    frames = list(source)
    assert {f.image.shape for f in frames} == {(96, 128, 3)}
    assert [number_of(f.image) for f in frames] == [i for part in parts for i in range(len(part))]
    assert {tuple(bright_corners(f.image)) for f in frames} == {("top left",)}
    (warning,) = source.warnings
    assert f"{N} of 128x96, {4 * order.count('low')} of 64x48): 128x96 is used" in warning


def test_frames_of_another_aspect_are_left_out(tmp_path: Path) -> None:
    source = open_source(joined(tmp_path, pictures(4, 48, 64), pictures(N)), SourceOptions(fps=25.0))
    assert [number_of(f.image) for f in source] == list(range(N))
    assert any(line.startswith("4 images skipped, size differs from 64x48") for line in source.warnings)


@pytest.mark.parametrize(
    ("matrix", "corner"),
    [  # x' = a x + c y, y' = b x + d y
        ((ONE, 0, 0, ONE), "top left"),
        ((-ONE, 0, 0, ONE), "top right"),
        ((ONE, 0, 0, -ONE), "bottom left"),
        ((-ONE, 0, 0, -ONE), "bottom right"),
        ((0, ONE, ONE, 0), "top left"),
        ((0, ONE, -ONE, 0), "top right"),
        ((0, -ONE, ONE, 0), "bottom left"),
        ((0, -ONE, -ONE, 0), "bottom right"),
    ],
)
def test_display_matrices_turn_and_mirror(tmp_path: Path, matrix: tuple[int, ...], corner: str) -> None:
    """The white corner goes where the matrix puts it, and a grey bar along the top edge beside it."""
    images = pictures(3)
    for image in images:
        image[: HEIGHT // 4, WIDTH // 2 :] = 128
    path = write_video(tmp_path / "a.mp4", images)
    a, b, c, d = matrix
    patch_matrix(path, (a, b, 0, c, d, 0, 0, 0, 1 << 30))
    source = open_source(path)
    image = next(iter(source)).image
    is_turned = a == 0
    assert image.shape == ((WIDTH, HEIGHT, 3) if is_turned else (HEIGHT, WIDTH, 3))
    assert bright_corners(image) == [corner]
    x, y = WIDTH - 8, 4  # in the bar
    to = np.array([[a, b], [c, d]]) // ONE
    at = np.array([x, y]) @ to
    size = np.array([WIDTH, HEIGHT]) @ to
    at = np.where(size < 0, at - size - 1, at)
    assert int(image[at[1], at[0], 1]) == pytest.approx(128, abs=12)


def patch_matrix(path: Path, matrix: tuple[int, ...]) -> None:
    """Writes the display matrix into the track header of an MP4 (ISO 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(("aspect", "shape"), [(Fraction(4, 3), (48, 85)), (Fraction(1, 2), (96, 64))])
def test_pixels_become_square(tmp_path: Path, aspect: Fraction, shape: tuple[int, int]) -> None:
    source = open_source(write_video(tmp_path / "a.mp4", pictures(3), sample_aspect_ratio=aspect))
    frames = list(source)
    assert {f.image.shape[:2] for f in frames} == {shape}
    assert bright_corners(frames[0].image) == ["top left"]
    assert "stretched to square pixels" in source.warnings[0]


def test_a_calibration_of_the_stored_pixels_keeps_them(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", pictures(3), sample_aspect_ratio=Fraction(4, 3))
    calib = tmp_path / "c.json"
    calib.write_text('{"width": 64, "height": 48, "fx": 60, "fy": 80}')
    source = open_source(path, SourceOptions(calib=calib))
    assert next(iter(source)).image.shape == (48, 64, 3)
    assert source.camera is not None
    assert (source.camera.fx, source.camera.fy) == (60.0, 80.0)
    assert "they stay, as the calibration is for 64x48" in source.warnings[0]
    calib.write_text('{"width": 85, "height": 48, "fx": 80}')
    assert next(iter(open_source(path, SourceOptions(calib=calib)))).image.shape == (48, 85, 3)


@pytest.mark.parametrize("is_flagged", [True, False])
def test_interlaced_frames_are_made_whole(tmp_path: Path, is_flagged: bool) -> None:
    options = {"bf": "0", "qp": "8"} | ({"x264-params": "bff=1"} if is_flagged else {})
    source = open_source(write_video(tmp_path / "a.mp4", combed(6), options=options))
    frames = list(source)
    assert [f.timestamp_s for f in frames] == pytest.approx([0.04 * i for i in range(6)])
    combs = [combing(f.image) for f in frames[1:-1]]
    assert source.warnings == (["the video is interlaced: deinterlaced, a frame for each frame"] if is_flagged else [])
    assert max(combs) < 8.0 if is_flagged else min(combs) > 16.0
    for i, frame in enumerate(frames[1:-1], start=1):  # the bar is where the earlier half image has it
        lit = np.flatnonzero(frame.image[HEIGHT // 2 + 1, :, 1] > 125)
        assert lit.mean() == pytest.approx(8 * i + 5.5, abs=2.0)


def ramp(n: int) -> list[np.ndarray]:
    row = np.linspace(0, 65535, WIDTH).astype(np.uint16)
    return [np.tile(row[None, :, None], (HEIGHT, 1, 3))] * n


def test_hdr_is_compressed_to_eight_bits(tmp_path: Path) -> None:
    """By the standard half of the code is 92 nits, 58 % diffuse white at 203 nits and 75 % peak white at 1000."""
    path = write_video(tmp_path / "a.mkv", ramp(3), codec="ffv1", pix_fmt="yuv420p10le", options={}, color_trc=16)
    source = open_source(path)
    row = next(iter(source)).image[HEIGHT // 2, :, 1].astype(float)
    assert (np.diff(row) >= 0).all()
    at = np.linspace(0.0, 1.0, WIDTH)
    assert np.interp([0.0, 0.508, 0.581, 0.752], at, row) == pytest.approx([0, 155, 189, 250], abs=6)
    assert source.warnings == ["the video is HDR (PQ): its brightness is compressed to 8 bits"]


@pytest.mark.parametrize("transfer", [2, 18])
def test_ten_bits_without_pq_are_scaled(tmp_path: Path, transfer: int) -> None:
    path = write_video(tmp_path / "a.mkv", ramp(3), codec="ffv1", pix_fmt="yuv420p10le", options={}, color_trc=transfer)
    source = open_source(path)
    row = next(iter(source)).image[HEIGHT // 2, :, 1].astype(float)
    assert row[2:-2] == pytest.approx(np.linspace(0, 255, WIDTH)[2:-2], abs=6)
    assert source.warnings == []


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p"])
def test_full_and_limited_range_give_the_same_pixels(tmp_path: Path, pix_fmt: str) -> None:
    image = next(iter(open_source(write_video(tmp_path / "a.mp4", pictures(3), pix_fmt=pix_fmt)))).image
    assert image[4, 4] == pytest.approx(255, abs=4)
    assert np.median(image) == pytest.approx(30, abs=4)


def test_an_animated_gif(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.gif", pictures(N), codec="gif", pix_fmt="rgb8", options={})
    frames = list(open_source(path))
    assert [f.timestamp_s for f in frames] == pytest.approx([0.04 * i for i in range(N)])
    assert {tuple(bright_corners(f.image)) for f in frames} == {("top left",)}


@pytest.mark.parametrize(("low", "factor", "said"), [(0, 16, "12 of 16 bits"), (7000, 1, "pixels lie between")])
def test_deep_grey_values_are_scaled_by_what_is_there(low: int, factor: int, said: str, tmp_path: Path) -> None:
    gray = np.tile(np.arange(0, 256, 4, dtype=np.uint16), (48, 1))
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray16le"
        for n in range(3):
            frame = av.VideoFrame.from_ndarray(low + factor * gray, format="gray16le")
            frame.pts = n
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source = open_source(path)
    for frame in source:
        shown = frame.image[0, :, 1].astype(int)
        assert np.diff(shown).min() >= 2
        assert np.ptp(shown) > 180
    assert any(said in line for line in source.warnings)
