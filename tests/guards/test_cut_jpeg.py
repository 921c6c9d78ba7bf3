"""JPEGs of which a part is missing behind a proper end: refused, and whole ones that look like them are not."""

import cv2
import numpy as np
import pytest

from vgslam.guards.cut_jpeg import ends_early, lacks_end
from vgslam.guards.images import UndecodableError, decode
from vgslam.sources.image_files import decode_image
from vgslam.sources.live_mjpeg import decode_jpeg
from vgslam.sources.recording import BadImageError

END = b"\xff\xd9"
KINDS = {
    "baseline": [],
    "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 4],
    "optimised": [cv2.IMWRITE_JPEG_OPTIMIZE, 1],
}


def texture(height: int = 96, width: int = 128, channels: int = 3) -> np.ndarray:
    """Smooth noise."""
    noise = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, channels), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)


def encoded(image: np.ndarray, kind: str = "baseline") -> bytes:
    return cv2.imencode(".jpg", image, KINDS[kind])[1].tobytes()


def turned(data: bytes, orientation: int) -> bytes:
    """With an EXIF orientation."""
    tiff = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01"
    body = b"Exif\x00\x00" + tiff + bytes([0, orientation, 0, 0]) + bytes(4)
    return data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("channels", [1, 3])
def test_data_that_end_in_the_middle_are_refused_though_they_have_an_end(
    kind: str, share: float, channels: int
) -> None:
    data = encoded(texture(channels=channels), kind)
    cut = data[: int(share * len(data))] + END
    assert not lacks_end(cut)
    for read in (decode_image, decode_jpeg):
        assert read(data).shape[:2] == (96, 128)
        with pytest.raises(BadImageError, match=r"the JPEG data is cut off|not a readable image"):
            read(cut)


@pytest.mark.parametrize("kind", ["baseline", "optimised", "restarts"])
def test_every_place_to_cut_is_noticed(kind: str) -> None:
    """In the middle of a number, too. What is missing of the last row of blocks alone may not be."""
    data = encoded(texture(), kind)
    whole = decode(data, cv2.IMREAD_COLOR)
    first, last = data.index(b"\xff\xda") + 14, int(0.8 * len(data))
    markers = [i for i in range(first, last) if data[i] == 0xFF and 0xD0 <= data[i + 1] < 0xD8]
    assert bool(markers) == (kind == "restarts")
    for at in [*range(first, last, 13), *markers, *(i + 2 for i in markers)]:
        with pytest.raises(UndecodableError, match="cut off"):
            decode(data[:at] + END, cv2.IMREAD_COLOR)
    assert whole.shape == (96, 128, 3)


def scans(data: bytes) -> list[int]:
    """Where the scans of progressive data begin, each with the tables before it."""
    at, found = 2, list[int]()
    begin = None
    while data[at + 1] != 0xD9:
        begin = at if begin is None else begin
        is_scan = data[at + 1] == 0xDA
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if is_scan:
            found.append(begin)
            begin = None
            while data[at] != 0xFF or data[at + 1] == 0:
                at += 1
    return found


@pytest.mark.parametrize(("channels", "n"), [(1, 6), (3, 10)])
def test_progressive_data_that_end_between_two_scans_are_refused(channels: int, n: int) -> None:
    data = encoded(texture(channels=channels), "progressive")
    begins = scans(data)
    assert len(begins) == n
    assert decode(data, cv2.IMREAD_COLOR).shape == (96, 128, 3)
    for begin in begins[1:]:
        with pytest.raises(UndecodableError, match="cut off"):
            decode(data[:begin] + END, cv2.IMREAD_COLOR)
    assert not ends_early(data + data[begins[1] :], texture()), "what comes behind the end is no part of it"


def test_a_preview_of_the_means_of_blocks_is_whole() -> None:
    """The first scan alone, with all bits of its coefficients by its header."""
    data = encoded(texture(channels=1), "progressive")
    second = scans(data)[1]
    at = data.index(b"\xff\xda") + 9
    assert data[at : at + 1] == b"\x01", "a bit is left for later"
    preview = data[:at] + b"\x00" + data[at + 1 : second] + END
    assert decode(preview, cv2.IMREAD_COLOR).shape == (96, 128, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_image_is_cut_off_in_whichever_corner(orientation: int) -> None:
    data = turned(encoded(texture()), orientation)
    assert decode_image(data).shape[:2] == ((96, 128) if orientation < 5 else (128, 96))
    with pytest.raises(BadImageError, match="cut off"):
        decode_image(data[: 2 * len(data) // 3] + END)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rest", [b"", b"trailing bytes" + END])
def test_a_grey_corner_is_no_fault_of_a_whole_image(kind: str, rest: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    image = texture()
    image[48:] = 128
    for whole in (image, np.full_like(image, 128)):
        data = encoded(whole, kind) + rest
        assert np.abs(decode_image(data)[56:].astype(int) - 128).max() == 0
        assert not ends_early(data, whole)
    assert "Corrupt" not in capfd.readouterr().err, "decoders complain of nothing while it is looked at"


def test_other_formats_are_not_looked_at() -> None:
    grey = np.full((16, 16, 3), 128, np.uint8)
    data = cv2.imencode(".png", grey)[1].tobytes()
    assert not ends_early(data, grey)
    assert not lacks_end(data)
    assert not ends_early(b"\xff\xd8", grey)
