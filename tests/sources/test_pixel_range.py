"""Deep pixels to 8 bits by the range of their sequence."""

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from vgslam.sources import open_source
from vgslam.sources.image_files import decode_image
from vgslam.sources.pixel_range import pixel_range


def write_deep(folder: Path, images: list[np.ndarray], suffix: str = ".png") -> None:
    for i, image in enumerate(images):
        assert cv2.imwrite(str(folder / f"{i:03d}{suffix}"), image)


def scene(n: int, low: float, high: float) -> np.ndarray:
    """A wave that moves, between two values."""
    u, v = np.meshgrid(np.arange(64), np.arange(48))
    return low + (high - low) * (0.5 + 0.5 * np.sin(0.3 * u + 0.2 * v + 0.1 * n))


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("channels", [1, 3])
def test_few_bits_in_sixteen_use_all_of_eight(tmp_path: Path, bits: int, channels: int) -> None:
    images = [scene(i, 0, 2**bits - 1).astype(np.uint16) for i in range(20)]
    write_deep(tmp_path, [i if channels == 1 else np.repeat(i[..., None], 3, axis=2) for i in images])
    source = open_source(tmp_path)
    frames = [f.image for f in source]
    for image, frame in zip(images, frames, strict=True):
        np.testing.assert_allclose(frame[..., 1], image / (2**bits - 1) * 255, atol=0.51)
    assert any(f"{bits} of 16 bits" in line for line in source.warnings)


@pytest.mark.parametrize("images", [
    [np.linspace(0, 65535, 3072).reshape(48, 64)], [scene(0, 200, 40000)], [scene(i, 3000, 20000) for i in range(3)],
])  # fmt: skip
def test_real_sixteen_bits_stay(tmp_path: Path, images: list[np.ndarray]) -> None:
    deep = [image.astype(np.uint16) for image in images]
    write_deep(tmp_path, deep)
    source = open_source(tmp_path)
    for image, frame in zip(deep, source, strict=True):
        np.testing.assert_allclose(frame.image[..., 0], image / 257.0, atol=0.51)
    assert not any("bits" in line for line in source.warnings)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_a_thermal_range_is_spread_and_does_not_flicker(tmp_path: Path, suffix: str) -> None:
    """The range of single frames changes, that of the sequence is one: equal values stay equal."""
    images = [scene(i, 29000 + 10 * i, 30500 + 20 * i).astype(np.uint16) for i in range(40)]
    images[7][5, 5] = 65535  # a dead pixel
    write_deep(tmp_path, images, suffix)
    source = open_source(tmp_path)
    frames = [f.image[..., 0] for f in source]
    assert max(int(f.max()) - int(f.min()) for f in frames) > 150
    assert any("pixels lie between" in line for line in source.warnings)
    shown: dict[int, int] = {}
    for image, frame in zip(images, frames, strict=True):
        for value, grey in zip(image[::5, ::5].ravel().tolist(), frame[::5, ::5].ravel().tolist(), strict=True):
            assert shown.setdefault(value, grey) == grey
    values = sorted(shown)
    assert [shown[v] for v in values] == sorted(shown.values())


@pytest.mark.parametrize(("low", "high", "factor"), [(0.0, 1.0, 255.0), (0.0, 255.0, 1.0)])
def test_floating_point_of_the_usual_ranges(tmp_path: Path, low: float, high: float, factor: float) -> None:
    images = [scene(i, low, high).astype(np.float32) for i in range(4)]
    images[1][3, 3] = np.nan
    write_deep(tmp_path, images, ".tiff")
    frames = [f.image[..., 0] for f in open_source(tmp_path)]
    assert frames[1][3, 3] == 0
    np.testing.assert_allclose(frames[2], images[2] * factor, atol=0.51)


def test_floating_point_temperatures_are_spread(tmp_path: Path) -> None:
    write_deep(tmp_path, [scene(i, 18.5, 36.0).astype(np.float32) for i in range(4)], ".tiff")
    source = open_source(tmp_path)
    assert all(int(f.image.max()) - int(f.image.min()) > 150 for f in source)
    assert any("pixels lie between" in line for line in source.warnings)


@pytest.mark.parametrize("image", [
    np.zeros((8, 8), np.uint16), np.full((8, 8), 65535, np.uint16), np.full((8, 8), np.nan, np.float32),
    np.full((8, 8), -3, np.int32), np.full((8, 8), np.inf, np.float64),
])  # fmt: skip
def test_images_without_a_range_give_pixels_all_the_same(image: np.ndarray) -> None:
    assert pixel_range([image]).to_8bit(image).dtype == np.uint8


@pytest.mark.parametrize(("mode", "format"), [
    ("P", "PNG"), ("P", "BMP"), ("RGBA", "PNG"), ("CMYK", "JPEG"), ("CMYK", "TIFF"), ("L", "PNG"), ("LA", "PNG"),
    ("RGB", "WEBP"), ("1", "PNG"),
])  # fmt: skip
def test_every_way_to_store_a_picture(mode: str, format: str) -> None:
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[:, :32], rgb[:, 32:] = (255, 0, 0), (255, 255, 255)
    file = BytesIO()
    Image.fromarray(rgb).convert(mode).save(file, format)
    image = decode_image(file.getvalue())
    left, right = image[20, 10].astype(int), image[20, 50].astype(int)
    assert np.abs(right - 255).max() <= 4
    if mode in ("P", "RGBA", "CMYK", "RGB"):
        assert np.abs(left - [255, 0, 0]).max() <= 6
    elif mode != "1":
        assert np.abs(left - 76).max() <= 2


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_come_the_way_up_that_exif_says(format: str, orientation: int) -> None:
    """A red upper left corner, stored in each of the eight ways."""
    upright = np.full((48, 64, 3), 90, np.uint8)
    upright[:16, :16] = (230, 20, 20)
    undo = {1: lambda a: a, 2: np.fliplr, 3: lambda a: a[::-1, ::-1], 4: np.flipud, 5: lambda a: a.swapaxes(0, 1),
            6: lambda a: np.rot90(a, 1), 7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
            8: lambda a: np.rot90(a, -1)}[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x112] = orientation
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(undo(upright))).save(file, format, exif=exif)
    image = decode_image(file.getvalue())
    assert image.shape == upright.shape
    assert image[8, 8, 0] > 180
    assert image[8, 55, 0] < 120
    assert image[40, 8, 0] < 120


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_bytes_in_the_wrong_order_are_swapped(tmp_path: Path, bits: int) -> None:
    noise = np.random.default_rng(0).uniform(0, 2 ** (bits - 8), (48, 64))
    images = [(scene(i, 0, 0.9 * 2**bits) + noise).astype(np.uint16) for i in range(6)]
    write_deep(tmp_path, [image.byteswap() for image in images])
    source = open_source(tmp_path)
    for image, frame in zip(images, source, strict=True):
        np.testing.assert_allclose(frame.image[..., 1], image / (2**bits - 1) * 255, atol=0.51)
    assert any("are swapped" in line for line in source.warnings)


@pytest.mark.parametrize("factor", [1, 16, 256, 257])
def test_eight_bits_in_sixteen_are_in_the_right_order(factor: int) -> None:
    assert not pixel_range([(scene(0, 0, 255).astype(np.uint16)) * factor]).is_swapped
    noise = np.random.default_rng(0).integers(0, 65536, (48, 64)).astype(np.uint16)
    assert not pixel_range([noise]).is_swapped
    assert not pixel_range([np.full((48, 64), 1234, np.uint16)]).is_swapped
