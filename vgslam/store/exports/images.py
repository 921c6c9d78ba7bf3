"""The images of keyframes beside an export, under names that tell the frame, and a table of their times."""

from pathlib import Path

from vgslam.atomic import write_bytes, write_text
from vgslam.errors import OutputError
from vgslam.map.picture_file import encode
from vgslam.store.exports.component import Component
from vgslam.types import Image, Keyframe

IMAGES, TABLE = "images", "images.csv"


def image_name(component: Component, keyframe: Keyframe) -> str:
    """`frame_000123.png`: the frame's number in its source; `session_01_frame_000123.png` in a map of several sessions,
    where numbers come again."""
    session, number = _place(component, keyframe)
    several = len(component.slam_map.sessions) > 1
    return f"session_{session:02d}_frame_{number:06d}.png" if several else f"frame_{number:06d}.png"


def _place(component: Component, keyframe: Keyframe) -> tuple[int, int]:
    """The keyframe's session, from 0, and its frame's number in the source of that."""
    firsts = [s.first_frame_id for s in component.slam_map.sessions]
    session = max((i for i, first in enumerate(firsts) if first <= keyframe.frame_id), default=0)
    return session, keyframe.frame_id - (firsts[session] if firsts else 0)


def write_images(component: Component, out: Path) -> None:
    """OUT/images/NAME of every keyframe, and OUT/images.csv: name, session, frame, timestamp_s, keyframe.

    Raises MapError for a damaged image, OutputError.
    """
    make_folder(out / IMAGES)
    rows = ["name,session,frame,timestamp_s,keyframe"]
    for keyframe in component.keyframes:
        name = image_name(component, keyframe)
        write_png(out / IMAGES / name, keyframe.image)
        session, number = _place(component, keyframe)
        rows.append(f"{name},{session},{number},{keyframe.timestamp_s:.9f},{keyframe.id}")
    write_text(out / TABLE, "".join(row + "\n" for row in rows))


def write_png(path: Path, image: Image) -> None:
    """One image. Raises OutputError."""
    data, _ = encode(image)
    write_bytes(path, data)


def make_folder(folder: Path) -> None:
    """A folder and those above it. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror or error}); choose another place") from error
