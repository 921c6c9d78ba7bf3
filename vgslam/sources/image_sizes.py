"""Images of one folder that are not all of one size: which size most have, and the others brought to it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from vgslam.guards.image_size import stated_size
from vgslam.guards.paths import is_plain_file
from vgslam.sources.calibration.fit import is_same_aspect
from vgslam.sources.recording import Pixels, Warnings

MOST_HEADERS = 120
"""Images whose headers are looked at; they are small."""
HEADER_BYTES = 2**16
_STRIDE = 0.6180339887
"""The golden ratio: places spread by it fall into no rhythm that the sizes may have."""


def those_of_usual_size(files: Sequence[Path]) -> list[int]:
    """Numbers of the images, ascending, that have the size of most by their headers, turned or not; of MOST_HEADERS
    spread over them where there are more. All that were looked at where no header says a size."""
    n = len(files)
    looked = sorted({int(n * ((i * _STRIDE) % 1.0)) for i in range(MOST_HEADERS)} if n > MOST_HEADERS else range(n))
    sizes = {i: size for i in looked if (size := stated_sides(files[i])) is not None}
    if not sizes:
        return looked
    usual = Counter(sizes.values()).most_common(1)[0][0]
    return [i for i in looked if sizes.get(i) == usual]


def those_of_other_sizes(files: Sequence[Path]) -> dict[str, tuple[int, int]]:
    """Names of the images whose headers state another size than most, turned or not, with their sides, the longer
    first; those whose headers say none are not among them."""
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
