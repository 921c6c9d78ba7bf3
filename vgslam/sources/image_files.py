"""Image files: listing in natural order, decoding to 8 bits, and recordings made of a list of files."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.errors import InputError
from vgslam.sources.recording import BadImageError, Pixels, RawImage, Recording, Warnings

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pnm"})


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which img2 comes before img10."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]


def list_images(folder: Path) -> list[Path]:
    """Image files of a folder (hidden ones left out) in natural order of their names. Raises InputError."""
    try:
        entries = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    except OSError as err:
        raise InputError(f"{folder}: cannot be read ({err.strerror}); check the path and its permissions") from err
    return sorted(entries, key=lambda p: natural_key(p.name))


def to_8bit(image: npt.NDArray[np.generic]) -> Pixels:
    """uint8 as is, uint16 scaled so that 65535 becomes 255. Raises BadImageError for other pixel types."""
    if image.dtype == np.uint8:
        return image  # type: ignore[return-value]
    if image.dtype == np.uint16:
        return cv2.convertScaleAbs(image, alpha=255.0 / 65535.0)
    raise BadImageError(f"pixels of type {image.dtype} are not supported")


def decode_image(data: bytes) -> Pixels:
    """Compressed image -> (H,W) grey or (H,W,3) RGB uint8; alpha dropped, EXIF orientation honoured.

    Raises BadImageError for data that is empty, cut off or no image.
    """
    if not data:
        raise BadImageError("the file is empty")
    if _is_cut_jpeg(data):
        raise BadImageError("the JPEG data is cut off")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        image = None
    if image is None:
        raise BadImageError("not a readable image")
    image = to_8bit(image)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.ndim == 3 else image


def _is_cut_jpeg(data: bytes) -> bool:
    """A JPEG without an end marker behind its header segments: decoders may fill the rest with grey."""
    if data[:2] != b"\xff\xd8":
        return False
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data.rfind(b"\xff\xd9", at) < 0


def load_image(path: Path) -> Pixels:
    """`decode_image` of a file. Raises BadImageError."""
    try:
        return decode_image(path.read_bytes())
    except OSError as err:
        raise BadImageError(f"the file cannot be read ({err.strerror})") from err


def files_recording(
    kind: str, folder: Path, files: Sequence[Path], timestamps_s: npt.NDArray[np.float64], warnings: Warnings
) -> Recording:
    """Recording of image files with a timestamp each. Raises InputError when there is none or none can be decoded."""
    if not files:
        raise InputError(f"{folder}: holds no images ({', '.join(sorted(SUFFIXES))}); give a folder with images")

    def stream() -> Iterator[RawImage]:
        for path, timestamp_s in zip(files, timestamps_s.tolist(), strict=True):
            yield RawImage(path.name, timestamp_s, partial(load_image, path))

    size = _common_size(folder, files)
    return Recording(kind, folder.name, stream, size, len(files), timestamps_s=timestamps_s, warnings=warnings)


def _common_size(folder: Path, files: Sequence[Path]) -> tuple[int, int]:
    """(width, height) that most of five probed images have; looks at all of them only if no probe can be decoded."""
    probes = sorted({round(i * (len(files) - 1) / 4) for i in range(5)})
    rest = [i for i in range(len(files)) if i not in probes]
    sizes: Counter[tuple[int, int]] = Counter()
    reason = ""
    for n, i in enumerate(probes + rest):
        if sizes and n >= len(probes):
            break
        try:
            height, width = load_image(files[i]).shape[:2]
            sizes[width, height] += 1
        except BadImageError as err:
            reason = f"{files[i].name}: {err}"
    if not sizes:
        raise InputError(f"{folder}: none of its {len(files)} images can be decoded ({reason}); check the files")
    return sizes.most_common(1)[0][0]
