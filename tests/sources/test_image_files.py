"""Decoding of single images and the order of their names."""

import random
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgslam.errors import InputError
from vgslam.sources import open_source
from vgslam.sources.image_files import decode_image, decode_raw, natural_key
from vgslam.sources.recording import BadImageError, Warnings


def encoded(suffix: str, image: np.ndarray, **_: object) -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


@given(st.lists(st.integers(0, 10**7), unique=True, min_size=2))
def test_numbers_in_names_sort_by_value(numbers: list[int]) -> None:
    names = [f"frame_{n}.png" for n in numbers]
    random.Random(0).shuffle(names)
    assert sorted(names, key=natural_key) == [f"frame_{n}.png" for n in sorted(numbers)]


@pytest.mark.parametrize("names", [
    ["img1.jpg", "IMG2.jpg", "img3.JPG", "Img10.jpg"],
    ["f1.png", "f002.jpg", "f3.jpeg", "f010.png", "f11.tif"],
    ["photo.jpg", "photo (2).jpg", "Photo (10).jpg"],
    ["a01_b.png", "a1_c.png", "A2.png"],
])  # fmt: skip
def test_neither_case_nor_ending_nor_zeros_decide(names: list[str]) -> None:
    backwards = names[::-1]
    assert sorted(backwards, key=natural_key) == names


@given(st.lists(st.text("a1023.-_ü²", max_size=8), max_size=8))
def test_any_names_have_one_order(names: list[str]) -> None:
    backwards = names[::-1]
    assert sorted(backwards, key=natural_key) == sorted(names, key=natural_key)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff", ".webp", ".ppm"])
def test_colour_comes_as_rgb(suffix: str) -> None:
    bgr = np.zeros((16, 16, 3), np.uint8)
    bgr[:] = (20, 100, 220)
    image = decode_image(encoded(suffix, bgr))
    assert image.shape == (16, 16, 3)
    assert np.abs(image.astype(int) - [220, 100, 20]).max() <= 4


def test_sixteen_bits_keep_their_range() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    image = decode_image(encoded(".png", ramp))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image.ravel(), np.arange(256))


@pytest.mark.parametrize("fraction", [0.3, 0.7, 0.99])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_cut_off_images_are_refused(suffix: str, fraction: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = encoded(suffix, noise)
    with pytest.raises(BadImageError):
        decode_image(data[: int(len(data) * fraction)])


def test_a_jpeg_with_a_thumbnail_is_cut_off_too() -> None:
    """The end marker of the thumbnail in the header does not count."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = encoded(".jpg", noise)
    app1 = b"\xff\xe1" + (2 + 6).to_bytes(2, "big") + b"Th\xff\xd9um"
    whole = data[:2] + app1 + data[2:]
    assert decode_image(whole).shape == (64, 64, 3)
    with pytest.raises(BadImageError, match="cut off"):
        decode_image(whole[: len(whole) // 2])


@given(st.binary(max_size=200))
def test_random_bytes_never_crash(data: bytes) -> None:
    for prefix in (b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n"):
        with pytest.raises(BadImageError):
            decode_image(prefix + data)


def test_troubles_of_one_kind_share_a_line_that_counts() -> None:
    warnings = Warnings()
    warnings.add("first")
    warnings.tally("broken", "a")
    warnings.add("first")
    warnings.tally("broken", "b")
    warnings.tally("broken", "a")
    warnings.tally("empty", "c")
    assert warnings == ["first", "2 images skipped, broken: a, b", "1 image skipped, empty: c"]


@pytest.mark.parametrize("n", [2, 7])  # all of them probes, and not
def test_a_folder_of_broken_images_says_why(n: int, tmp_path: Path) -> None:
    for i in range(n):
        (tmp_path / f"{i}.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=rf"none of its {n} images can be decoded \(\d.png: not a readable image\)"):
        open_source(tmp_path)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
def test_colour_of_any_type_comes_as_rgb(kind: type) -> None:
    """OpenCV reorders the colours of the first three types, numpy those of the last."""
    bgr = np.random.default_rng(0).integers(0, 200, (5, 7, 3)).astype(kind)
    found = decode_raw(encoded(".tiff", bgr))
    assert found.dtype == kind
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, bgr[..., ::-1])
