"""OpenEXR files, read back by the layout that its documentation describes, byte by byte."""

import struct

import numpy as np
import pytest

from vgslam.results.exr import exr_of


def read(data: bytes) -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
    """Attributes by name, and channels (H,W), of an uncompressed file of scan lines with 32-bit channels."""
    assert struct.unpack_from("<ii", data) == (20000630, 2)
    at, attributes = 8, {}
    while data[at]:
        name_end = data.index(0, at)
        kind_end = data.index(0, name_end + 1)
        (size,) = struct.unpack_from("<i", data, kind_end + 1)
        attributes[data[at:name_end].decode()] = data[kind_end + 5 : kind_end + 5 + size]
        at = kind_end + 5 + size
    listed, names = attributes["channels"], []
    while listed[0]:
        end = listed.index(0)
        names.append(listed[:end].decode())
        assert struct.unpack_from("<iB3xii", listed, end + 1) == (2, 0, 1, 1)  # float, not perceptual, sampled at each
        listed = listed[end + 17 :]
    x0, y0, x1, y1 = struct.unpack("<4i", attributes["dataWindow"])
    shape = (y1 - y0 + 1, x1 - x0 + 1)
    channels = {name: np.zeros(shape, np.float32) for name in names}
    offsets = struct.unpack_from(f"<{shape[0]}Q", data, at + 1)
    for y, offset in enumerate(offsets):
        assert struct.unpack_from("<ii", data, offset) == (y, 4 * shape[1] * len(names))
        pixels = np.frombuffer(data, "<f4", shape[1] * len(names), offset + 8).reshape(len(names), -1)
        for name, row in zip(names, pixels, strict=True):
            channels[name][y] = row
    assert len(data) == offsets[-1] + 8 + 4 * shape[1] * len(names)
    return attributes, channels


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (48, 64)])
def test_every_pixel_comes_back(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    given = {"confidence": rng.random(shape, np.float32), "Z": rng.random(shape, np.float32) * 1e6}
    attributes, channels = read(exr_of(given))
    assert list(channels) == ["Z", "confidence"]  # in the order of their bytes, as the format wants it
    for name, values in given.items():
        np.testing.assert_array_equal(channels[name], values)
    required = {"channels", "compression", "dataWindow", "displayWindow", "lineOrder", "pixelAspectRatio",
                "screenWindowCenter", "screenWindowWidth"}  # fmt: skip
    assert set(attributes) == required
    assert (attributes["compression"], attributes["lineOrder"]) == (b"\0", b"\0")
