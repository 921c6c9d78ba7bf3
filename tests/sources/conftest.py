"""Small recordings made for the tests."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

ImageWriter = Callable[..., list[np.ndarray]]


@pytest.fixture
def real_data() -> Path:
    """Folder of the real sequences; skips where it is absent."""
    if not DATA.is_dir():
        pytest.skip("the real sequences (../shared/data) are not here")
    return DATA


@pytest.fixture
def picture() -> Callable[..., np.ndarray]:
    """picture(i, width, height, grey): RGB gradients that tell images, channels, left and right apart."""

    def make(i: int = 0, width: int = 64, height: int = 48, grey: bool = False) -> np.ndarray:
        image = np.zeros((height, width, 3), np.uint8)
        image[..., 0] = np.linspace(0, 200, width).astype(np.uint8)
        image[..., 1] = np.linspace(0, 120, height).astype(np.uint8)[:, None]
        image[..., 2] = 10 * i
        return image[..., 0] + image[..., 2] if grey else image

    return make


@pytest.fixture
def write_image() -> Callable[[Path, np.ndarray], None]:
    """Writes an RGB or grey array losslessly (png) or as the suffix says."""

    def write(path: Path, image: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        ok, data = cv2.imencode(path.suffix, stored)
        assert ok
        path.write_bytes(data.tobytes())

    return write


@pytest.fixture
def write_images(picture: Callable[..., np.ndarray], write_image: Callable[[Path, np.ndarray], None]) -> ImageWriter:
    """write_images(folder, names, **picture options) -> the arrays written."""

    def write(folder: Path, names: list[str], **options: object) -> list[np.ndarray]:
        images = [picture(i, **options) for i in range(len(names))]
        for name, image in zip(names, images, strict=True):
            write_image(folder / name, image)
        return images

    return write
