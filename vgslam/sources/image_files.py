"""Image files: listing in natural order without copies, decoding, and recordings made of a list of files."""

import filecmp
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.errors import InputError
from vgslam.guards import images
from vgslam.guards.cut_jpeg import lacks_end
from vgslam.guards.image_size import stated_size
from vgslam.guards.paths import is_folder, is_plain_file
from vgslam.sources.calibration.plausible import is_same_aspect
from vgslam.sources.pixel_range import PixelRange, default_range, pixel_range
from vgslam.sources.recording import BadImageError, Pixels, RawImage, Recording, Warnings

SIZE_PROBES, RANGE_PROBES = 5, 15
"""Images, spread over the sequence, by which its size and the range of its pixels are found."""
QUICK_TYPES = (np.uint8, np.uint16, np.float32)
"""Types of pixels whose colours OpenCV reorders, in a thirtieth of numpy's time."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pnm",
                      ".jfif", ".jpe", ".jp2", ".pbm"})  # fmt: skip


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str, str]:
    """Sort key of file names: img2 before IMG10, numbers by value, and `photo` before `photo 2` whatever the
    endings."""
    stem, dot, suffix = name.rpartition(".")
    parts = re.split(r"(\d+)", (stem if dot else suffix).casefold())
    values = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]
    return values, suffix.casefold(), name


def list_images(folder: Path) -> list[Path]:
    """Image files of a folder (hidden ones and folders left out) in natural order of their names. Raises InputError."""
    try:
        entries = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    except OSError as err:
        raise InputError(f"{folder}: cannot be read ({err.strerror}); check the path and its permissions") from err
    return sorted((p for p in entries if not is_folder(p)), key=lambda p: natural_key(p.name))


def to_8bit(image: npt.NDArray[Any], values: PixelRange | None = None) -> Pixels:
    """uint8 as is, others by the range of their sequence, or of their type (65535 becomes 255)."""
    if image.dtype == np.uint8:
        return image
    return (values or default_range(image)).to_8bit(image)


def decode_image(data: bytes) -> Pixels:
    """`decode_raw` in 8 bits; deeper pixels by the range of their type. Raises BadImageError."""
    return to_8bit(decode_raw(data))


def decode_raw(data: bytes) -> npt.NDArray[Any]:
    """Compressed image -> (H,W) grey or (H,W,3) RGB of the type stored, without palette, CMYK and alpha, upright by
    EXIF. Raises BadImageError for data that is empty, cut off, no image, or an image of more pixels than are
    allowed."""
    if lacks_end(data):
        raise BadImageError(images.CUT_OFF)
    try:
        image = images.decode(data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    except images.UndecodableError as err:
        raise BadImageError(str(err)) from err
    return rgb(image) if image.ndim == 3 else image


def rgb(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """OpenCV's order of colours reversed, (H,W,3)."""
    if image.dtype in QUICK_TYPES:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return np.ascontiguousarray(image[..., ::-1])


def load_image(path: Path, values: PixelRange | None = None) -> Pixels:
    """`decode_raw` of a file in 8 bits, by the range of the sequence or of the type. Raises BadImageError."""
    return to_8bit(load_raw(path), values)


def load_raw(path: Path) -> npt.NDArray[Any]:
    """`decode_raw` of a file. Raises BadImageError."""
    try:
        return decode_raw(images.read_bytes(path))
    except images.UndecodableError as err:
        raise BadImageError(str(err)) from err
    except (OSError, ValueError) as err:
        raise BadImageError(f"the file cannot be read ({getattr(err, 'strerror', None) or err})") from err


def files_recording(
    kind: str, folder: Path, files: Sequence[Path], timestamps_s: npt.NDArray[np.float64], warnings: Warnings
) -> Recording:
    """Recording of image files with a timestamp each. Raises InputError when there is none or none can be decoded."""
    if not files:
        raise InputError(f"{folder}: holds no images ({', '.join(sorted(SUFFIXES))}); give a folder with images")

    size, values = _probe(folder, files)
    if values.note is not None:
        warnings.add(values.note)

    def load(path: Path) -> Pixels:
        return in_size(load_image(path, values), path.name, size, warnings)

    def stream() -> Iterator[RawImage]:
        for path, timestamp_s in zip(files, timestamps_s.tolist(), strict=True):
            yield RawImage(path.name, timestamp_s, partial(load, path))

    return Recording(kind, folder.name, stream, size, len(files), timestamps_s=timestamps_s, warnings=warnings,
                     files=list(files))  # fmt: skip


def spread_over(n: int, n_probes: int) -> list[int]:
    """Up to n_probes of n numbers, evenly, ascending."""
    return sorted({round(i * (n - 1) / (n_probes - 1)) for i in range(n_probes)})


def _probe(folder: Path, files: Sequence[Path]) -> tuple[tuple[int, int], PixelRange]:
    """(width, height) of most images, and the range of the pixels of five, of more where they are deep; all are looked
    at only if no probe can be decoded."""
    usual = those_of_usual_size(files)
    first = [usual[i] for i in spread_over(len(usual), SIZE_PROBES)]
    found, reason = _decoded([files[i] for i in first])
    if not found:
        found, later = _decoded((files[i] for i in range(len(files)) if i not in first), most=1)
        reason = later or reason
    if not found:
        raise InputError(f"{folder}: none of its {len(files)} images can be decoded ({reason}); check the files")
    sizes = Counter(image.shape[1::-1] for image in found)
    if any(image.dtype != np.uint8 for image in found):
        more = [usual[i] for i in spread_over(len(usual), RANGE_PROBES) if usual[i] not in first]
        found += _decoded([files[i] for i in more])[0]
    return sizes.most_common(1)[0][0], pixel_range(found)


def range_of(files: Sequence[Path]) -> PixelRange:
    """The range of the pixels of image files, by some of them spread over the list."""
    return pixel_range(_decoded([files[i] for i in spread_over(len(files), SIZE_PROBES)])[0])


def _decoded(files: Iterable[Path], most: int = RANGE_PROBES) -> tuple[list[npt.NDArray[Any]], str]:
    """The images that can be decoded, `most` at most, and why the last other one cannot."""
    found: list[npt.NDArray[Any]] = []
    reason = ""
    for path in files:
        try:
            found.append(load_raw(path))
        except BadImageError as err:
            reason = f"{path.name}: {err}"
        if len(found) >= most:
            break
    return found, reason


MOST_HEADERS = 120
"""Images whose headers are looked at; they are small."""
HEADER_BYTES = 2**16
_STRIDE = 0.6180339887
"""The golden ratio: places spread by it fall into no rhythm that the sizes may have."""


def those_of_usual_size(files: Sequence[Path]) -> list[int]:
    """Indices, ascending, of the images that have the size of most by their headers, turned or not; of MOST_HEADERS
    spread over them where there are more. All looked at where no header says a size."""
    n = len(files)
    looked = sorted({int(n * ((i * _STRIDE) % 1.0)) for i in range(MOST_HEADERS)} if n > MOST_HEADERS else range(n))
    sizes = {i: size for i in looked if (size := stated_sides(files[i])) is not None}
    if not sizes:
        return looked
    usual = Counter(sizes.values()).most_common(1)[0][0]
    return [i for i in looked if sizes.get(i) == usual]


def those_of_other_sizes(files: Sequence[Path]) -> dict[str, tuple[int, int]]:
    """Names of the images whose headers state another size than most, turned or not, with their sides, the longer
    first."""
    sizes = {file.name: size for file in files if (size := stated_sides(file)) is not None}
    if not sizes:
        return {}
    usual = Counter(sizes.values()).most_common(1)[0][0]
    return {name: size for name, size in sizes.items() if size != usual}


def stated_sides(path: Path) -> tuple[int, int] | None:
    """The sides of an image by its header, the longer first; None for what is no file, which a pipe would block."""
    if not is_plain_file(path):
        return None
    try:
        with path.open("rb") as file:
            size = stated_size(file.read(HEADER_BYTES))
    except OSError:
        return None
    return None if size is None else (max(size), min(size))


def in_size(image: Pixels, name: str, size: tuple[int, int], warnings: Warnings) -> Pixels:
    """The image scaled to (width, height), which a warning counts; one of another aspect as it is."""
    given = image.shape[1::-1]
    if given == size or min(given) < 1 or not is_same_aspect((given[0], given[1]), size):
        return image
    warnings.tally("their size differed", name, f"scaled to {size[0]}x{size[1]}")
    is_smaller = size[0] < given[0]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR))


_OF_A_COPY = (
    re.compile(r"(?P<name>.+?) ?\(\d+\)"),  # Windows, browsers, cloud drives: 000 (1), 000(1)
    re.compile(r"(?P<name>.+?) - (copy|kopie|copie|copia|kopia)( ?\(\d+\))?", re.IGNORECASE),  # Windows
    re.compile(r"(?P<name>.+?) (copy|kopie|copie|copia|kopia)( \d+)?", re.IGNORECASE),  # macOS
    re.compile(r"(?P<name>.+?) \((another )?(\w+ )?copy( \d+)?\)", re.IGNORECASE),  # GNOME, KDE
    re.compile(r"(copy of|kopie von|copie de) (?P<name>.+)", re.IGNORECASE),
    re.compile(r"(?P<name>.+?) \(([^()]+ )?conflicted copy [^()]*\)", re.IGNORECASE),  # Dropbox
)
"""Names without their endings."""


def list_frames(folder: Path, warnings: Warnings) -> list[Path]:
    """`list_images` without copies, which a warning counts and names. Raises InputError."""
    files = list_images(folder)
    copies = copies_among(files)
    for file in files:
        if file in copies:
            warnings.tally("copies, byte for byte, of images beside them", file.name)
    return [file for file in files if file not in copies]


def copies_among(files: Sequence[Path]) -> dict[Path, Path]:
    """The images called a copy of another that is there with the same bytes, with it. A name alone says nothing:
    Windows numbers photos as `walk (1).jpg`."""
    there = {file.name.casefold(): file for file in files}
    found = {}
    for file in files:
        for original in _originals(file):
            other = there.get(original.casefold())
            if other is not None and other != file and _is_same(file, other):
                found[file] = other
                break
    return found


def _originals(file: Path) -> list[str]:
    """Names of which this may be a copy."""
    matches = (pattern.fullmatch(file.stem) for pattern in _OF_A_COPY)
    return [match["name"] + file.suffix for match in matches if match]


def _is_same(a: Path, b: Path) -> bool:
    try:
        return filecmp.cmp(a, b, shallow=False)
    except OSError:
        return False
