"""Images that are too large by their header are refused before anything is decoded."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from vgslam.commands.relocalize import read_rgb
from vgslam.errors import InputError
from vgslam.guards import arrays, images
from vgslam.guards.image_size import stated_size
from vgslam.map.pictures import decode
from vgslam.session.masks import read_mask
from vgslam.sources.depth_images import DepthImage, DepthOf
from vgslam.sources.image_files import load_image
from vgslam.sources.live_mjpeg import decode_jpeg
from vgslam.sources.recording import BadImageError
from vgslam.types import Camera

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
SIDE = 50_000
CAMERA = Camera(10, 10, 8, 6, 16, 12)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_bomb(width: int = SIDE, height: int = SIDE) -> bytes:
    """A whole PNG of grey pixels, a bit each, as far as its header goes; its rows are a few kilobytes."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg_bomb() -> bytes:
    data = bytearray(cv2.imencode(".jpg", PICTURE)[1].tobytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", SIDE, SIDE)
    return bytes(data)


def tiff_bomb(tile: int = 0) -> bytes:
    fields = [(256, 100 if tile else SIDE), (257, 100 if tile else SIDE), (258, 8), (259, 1), (262, 1)]
    fields += [(322, tile), (323, tile)] if tile else []
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    return b"II*\0" + struct.pack("<IH", 8, len(fields)) + body + b"\0" * 4


def bmp_bomb() -> bytes:
    return b"BM" + b"\0" * 12 + struct.pack("<IiiHH", 40, SIDE, -SIDE, 1, 24) + b"\0" * 40


BOMBS = {
    ".png": png_bomb(), ".jpg": jpeg_bomb(), ".tiff": tiff_bomb(), ".tif": tiff_bomb(SIDE), ".bmp": bmp_bomb(),
    ".pgm": b"P5\n# a comment\n50000 50000\n255\n" + b"\0" * 100,
}  # fmt: skip


@pytest.fixture
def nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("decoded")

    for name in ("imdecode", "imread"):
        monkeypatch.setattr(cv2, name, fail)


@pytest.mark.parametrize(
    "suffix", [".png", ".jpg", ".tiff", ".bmp", ".webp", ".ppm", ".gif", ".jp2", ".avif", ".hdr", ".pfm"]
)
def test_size_of_each_format_is_that_of_the_picture(suffix: str) -> None:
    picture = PICTURE.astype(np.float32) if suffix in (".hdr", ".pfm") else PICTURE
    data = cv2.imencode(suffix, picture)[1].tobytes()
    assert stated_size(data) == (56, 40)
    assert images.decode(data, cv2.IMREAD_COLOR).shape == (40, 56, 3)


def test_size_of_lossless_webp_and_of_pam() -> None:
    lossless = cv2.imencode(".webp", PICTURE, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    assert stated_size(lossless) == (56, 40)
    assert stated_size(cv2.imencode(".pam", PICTURE)[1].tobytes()) == (56, 40)


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"\xff\xd8\xff\xc0", b"II*\0\xff\xff\xff\xff", b"P5 9", b"hello", b"BM", b"#?RGBE"]
)
def test_no_size_is_said_of_what_has_none(data: bytes) -> None:
    assert stated_size(data) is None


def test_limit_from_both_sides() -> None:
    assert images.too_large(10_000, 10_000) is None
    assert images.too_large(10_000, 10_001) == "an image of 10000x10001 is too large: 100 million pixels are the limit"


@pytest.mark.usefixtures("nothing_is_decoded")
@pytest.mark.parametrize("suffix", BOMBS)
def test_every_door_refuses_a_bomb_without_decoding_it(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(BOMBS[suffix])
    depth = DepthOf([], 1000.0, None, None)
    doors: list[Callable[[], object]] = [
        lambda: load_image(path), lambda: read_rgb(path), lambda: read_mask(path, None, CAMERA),  # type: ignore[arg-type]
        lambda: depth.read_m(DepthImage(0.0, path)), lambda: decode_jpeg(BOMBS[suffix]),
        lambda: decode(BOMBS[suffix], ".png"),
    ]  # fmt: skip
    for door in doors:
        with pytest.raises(
            (BadImageError, InputError, ValueError), match="50000x50000 is too large: 100 million pixels"
        ):
            door()


def test_a_file_too_long_for_an_image_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        file.truncate(images.MOST_FILE_BYTES + 1)  # a hole on the disk
    with pytest.raises(BadImageError, match="600 MB is too large"):
        load_image(path)


class TestArrays:
    def header(self, shape: str, descr: str = "'<f8'") -> bytes:
        text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text

    @pytest.mark.parametrize("shape", ["(1000000, 1000000)", "(9999999999999999999,)", "(-5,)", "(2,)"])
    def test_more_than_the_file_holds(self, shape: str) -> None:
        with pytest.raises(arrays.ArraysError):
            arrays.read_array(self.header(shape))

    def test_objects(self) -> None:
        with pytest.raises(arrays.ArraysError, match="plain numbers"):
            arrays.read_array(self.header("(1,)", "'|O'") + b"cos\nsystem\n(S'true'\ntR.")

    def test_what_is_whole_is_read(self) -> None:
        np.testing.assert_array_equal(arrays.read_array(self.header("(2,)") + struct.pack("<dd", 1.5, 2.5)), [1.5, 2.5])

    def test_a_zip_that_unpacks_to_too_much(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        np.savez_compressed(tmp_path / "a.npz", a=np.zeros(10_000), b=np.zeros(10_000))
        monkeypatch.setattr(arrays, "MOST_BYTES", 100_000)
        with pytest.raises(arrays.ArraysError, match="unpacks to more than"):
            arrays.read_arrays(tmp_path / "a.npz")
        monkeypatch.setattr(arrays, "MOST_BYTES", 200_000)
        assert set(arrays.read_arrays(tmp_path / "a.npz")) == {"a", "b"}
