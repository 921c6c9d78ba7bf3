"""The images of keyframes beside an export, under names that tell the frame, and a table of their times."""

import re
from pathlib import Path

from vgslam.atomic import make_folder, write_bytes, write_text
from vgslam.map.pictures import encode
from vgslam.store.exports.component import Component
from vgslam.types import Keyframe

IMAGES, TABLE = "images", "images.csv"
HEADER = "name,session,frame,timestamp_s,keyframe"  # first row of the table
LONGEST_NAME = 255  # bytes of a file's name that file systems take
OTHER_PLACE = "; choose another place"  # advice where a folder cannot be made


def image_names(component: Component) -> dict[int, str]:
    """Names of the images by keyframe id: that of the frame's file, as PNG, or `frame_000123.png`, the frame's number
    in its source, for all of them unless each has a name of its own that is not too long. In a map of several sessions,
    whose names may come again, they begin with `session_01_`."""
    own = {k.id: _stem(component.slam_map.image_names.get(k.frame_id, "")) for k in component.keyframes}
    names = _with_sessions(component, own)
    is_short = all(len(name.encode()) <= LONGEST_NAME for name in names.values())
    if is_short and all(own.values()) and len({name.casefold() for name in names.values()}) == len(names):
        return names
    return _with_sessions(component, {k.id: f"frame_{_place(component, k)[1]:06d}" for k in component.keyframes})


def _with_sessions(component: Component, stems: dict[int, str]) -> dict[int, str]:
    if len(component.slam_map.sessions) < 2:
        return {i: f"{stem}.png" for i, stem in stems.items()}
    return {k.id: f"session_{_place(component, k)[0]:02d}_{stems[k.id]}.png" for k in component.keyframes}


def _stem(name: str) -> str:
    """A file's name without its folder and its ending, and without what lists of images cannot hold."""
    return re.sub(r"[^\w.+=@~-]", "_", Path(name).stem).lstrip(".")


def _place(component: Component, keyframe: Keyframe) -> tuple[int, int]:
    """The keyframe's session, from 0, and its frame's number in the source of that."""
    firsts = [s.first_frame_id for s in component.slam_map.sessions]
    session = max((i for i, first in enumerate(firsts) if first <= keyframe.frame_id), default=0)
    return session, keyframe.frame_id - (firsts[session] if firsts else 0)


def number_in_source(component: Component, keyframe: Keyframe) -> int:
    """The number of the keyframe's frame in the source of its session."""
    return _place(component, keyframe)[1]


def write_images(component: Component, out: Path) -> dict[int, str]:
    """OUT/images/NAME of every keyframe, and before them, so that the folder can be told from others, OUT/images.csv:
    name, session, frame, timestamp_s, keyframe. Returns the names (`image_names`). Raises MapError for a damaged image,
    OutputError."""
    make_folder(out / IMAGES, OTHER_PLACE)
    names = image_names(component)
    rows = [HEADER]
    for keyframe in component.keyframes:
        session, number = _place(component, keyframe)
        rows.append(f"{names[keyframe.id]},{session},{number},{keyframe.timestamp_s:.9f},{keyframe.id}")
    write_text(out / TABLE, "".join(row + "\n" for row in rows))
    for keyframe in component.keyframes:
        write_bytes(out / IMAGES / names[keyframe.id], encode(keyframe.image)[0])
    return names
