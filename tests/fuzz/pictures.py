"""Compressed images of all formats, arrays and masks."""

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from fuzz.mutations import mostly, mutated_files
from fuzz.parser import Files, Parser
from hypothesis import strategies as st

from vgslam.errors import InputError
from vgslam.guards.arrays import ArraysError, read_arrays
from vgslam.map.pictures import decode
from vgslam.session.masks import read_mask
from vgslam.sources.image_files import load_image
from vgslam.sources.live_mjpeg import decode_jpeg
from vgslam.sources.recording import BadImageError
from vgslam.types import Camera

SUFFIXES = (".png", ".jpg", ".bmp", ".tiff", ".webp", ".ppm", ".pgm", ".gif", ".jp2", ".avif", ".hdr", ".pfm")


def picture(height: int = 12, width: int = 16) -> np.ndarray:
    """(H,W,3) uint8 with some texture."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def encoded(suffix: str, image: np.ndarray | None = None) -> bytes:
    """A picture in a format."""
    if image is None:  # JPEG 2000 has no smaller ones
        image = picture(48, 64) if suffix == ".jp2" else picture()
    if suffix == ".pgm":
        image = image[..., 0]
    image = image.astype(np.float32) if suffix in (".hdr", ".pfm") else image
    return cv2.imencode(suffix, image)[1].tobytes()


def samples() -> list[Files]:
    """One file each."""
    made = [{f"a{suffix}": encoded(suffix)} for suffix in SUFFIXES]
    grey16 = (picture()[..., 0].astype(np.uint16)) * 200
    made += [{"deep.png": encoded(".png", grey16)}, {"deep.tiff": encoded(".tiff", grey16.astype(np.float32))}]
    file, archive = BytesIO(), BytesIO()
    np.save(file, picture())
    np.savez_compressed(archive, a=picture(), b=np.zeros(3))
    return [*made, {"a.npy": file.getvalue()}, {"a.npz": archive.getvalue()}]


def read(folder: Path) -> None:
    """Each file as an image of a recording, of a map and of a stream, as a mask, as arrays; refuses what none takes."""
    refusals: list[Exception] = []
    n_read = 0
    for path in sorted(folder.iterdir()):
        data = path.read_bytes() if path.is_file() else b""
        for reader in (
            lambda p, d: load_image(p),
            lambda p, d: decode_jpeg(d),
            _of_map,
            lambda p, d: read_mask(p, None, Camera(10, 10, 8, 6, 16, 12)),  # type: ignore[arg-type]
            lambda p, d: read_arrays(p),
        ):
            try:
                reader(path, data)
                n_read += 1
            except REFUSALS as error:
                refusals.append(error)
    if refusals and not n_read:
        raise refusals[0]


def _of_map(path: Path, data: bytes) -> None:
    try:
        decode(data, path.suffix)
    except ArraysError:
        raise
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        raise InputError(str(error)) from error


REFUSALS = (BadImageError, InputError, ArraysError)
LARGE = st.tuples(st.sampled_from(SUFFIXES), st.integers(0, 2**62)).map(
    lambda pair: {f"a{pair[0]}": encoded(pair[0])[:40] + pair[1].to_bytes(8, "little") * 40}
)
JPEGS = {"plain": [], "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 2], "optimised": [cv2.IMWRITE_JPEG_OPTIMIZE, 1]}


def cut_jpeg(kind: str, share: float, channels: int) -> Files:
    """A JPEG that ends at a share of its scan, with the marker of a proper end, and the whole one."""
    image = cv2.resize(picture()[..., :channels], (128, 96), interpolation=cv2.INTER_CUBIC)
    data = cv2.imencode(".jpg", image, JPEGS[kind])[1].tobytes()
    begin = data.index(b"\xff\xda") + 14
    at = begin + int(share * (len(data) - 2 - begin))
    return {"cut.jpg": data[:at] + b"\xff\xd9", "whole.jpg": data}


def read_cut(folder: Path) -> None:
    """Either it is refused, or no more than the last row of blocks lacks."""
    cut, whole = (load_image(folder / f"{name}.jpg") for name in ("cut", "whole"))
    rows = (cut.astype(int) != whole).reshape(len(whole), -1).any(axis=1)
    assert rows[: -(16 + 16)].sum() == 0, f"{rows.sum()} rows of another image"


CUT = st.tuples(st.sampled_from(sorted(JPEGS)), st.floats(0.0, 1.0), st.sampled_from([1, 3])).map(
    lambda given: cut_jpeg(*given)
)
PARSERS = [
    Parser("image", mostly(mutated_files(samples), LARGE), read, REFUSALS),
    Parser("cut JPEG", CUT, read_cut, REFUSALS),
]
