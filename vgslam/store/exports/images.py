"""The images of keyframes beside an export."""

from pathlib import Path

from vgslam.atomic import write_bytes
from vgslam.errors import OutputError
from vgslam.map.picture_file import encode
from vgslam.store.exports.component import Component
from vgslam.types import Keyframe

IMAGES = "images"


def image_name(keyframe: Keyframe) -> str:
    return f"{keyframe.id:06d}.png"


def write_images(component: Component, out: Path) -> None:
    """OUT/images/<keyframe>.png of every keyframe. Raises MapError for a damaged image, OutputError."""
    try:
        (out / IMAGES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made ({error.strerror or error}); choose another place") from error
    for keyframe in component.keyframes:
        data, _ = encode(keyframe.image)
        write_bytes(out / IMAGES / image_name(keyframe), data)
