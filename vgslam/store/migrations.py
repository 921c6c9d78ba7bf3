"""Maps of older versions, brought to the arrays of the newest one, a version at a time."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vgslam.store.arrays import Arrays
from vgslam.store.manifest import VERSION, Manifest


def _sessions(manifest: Manifest, arrays: Arrays) -> tuple[Manifest, Arrays]:
    """Version 1 knew a single run: it becomes the first session."""
    if not len(arrays["frame_id"]):
        first: list[int] = []
    else:
        first = [int(arrays["frame_id"][0])]
    names = ["first run"] * len(first)
    return (
        replace(manifest, version=2, session_names=names, session_began=[manifest.saved_at] * len(first)),
        {**arrays, "session_first_frame": np.array(first, np.int64)},
    )


def _places(manifest: Manifest, arrays: Arrays) -> tuple[Manifest, Arrays]:
    """Version 2 did not keep the codes of places: they are computed again when they are needed."""
    none = {"place_vocabulary": np.zeros(8, np.uint8), "place_code": np.zeros((0, 256), np.uint8)}
    return replace(manifest, version=3), arrays | none


def _worlds(manifest: Manifest, arrays: Arrays) -> tuple[Manifest, Arrays]:
    """Up to version 3 every map was in map units, with the axes of a first camera."""
    none = {
        "world_component": np.zeros(0, np.int64), "world_known": np.zeros((0, 2), np.bool_),
        "world_sigma": np.zeros((0, 2)),
    }  # fmt: skip
    return replace(manifest, version=4), arrays | none


def _turned_and_straightened(manifest: Manifest, arrays: Arrays) -> tuple[Manifest, Arrays]:
    """Up to version 4, frames with a rotation only were not told from others, and no map was adjusted as a whole: none
    is marked, and nothing was taken out of the images."""
    none = {
        "frame_rotation_only": np.zeros(len(arrays["frame_id"]), np.bool_),
        "camera_removed_k1": np.zeros(len(arrays["camera_size"])),
    }
    return replace(manifest, version=5), arrays | none


def _recorded_cameras(manifest: Manifest, arrays: Arrays) -> tuple[Manifest, Arrays]:
    """Up to version 5 the calibration of the images as recorded was not kept."""
    none = np.full(len(arrays["session_first_frame"]), -1, np.int64)
    return replace(manifest, version=6), {**arrays, "session_camera": none}


def _image_names(manifest: Manifest, arrays: Arrays) -> tuple[Manifest, Arrays]:
    """Up to version 6 the names of the keyframes' files were not kept."""
    ends = np.zeros(len(arrays["keyframe_frame_id"]), np.int64)
    return replace(manifest, version=7), {**arrays, "keyframe_name": np.zeros(0, np.uint8), "keyframe_name_end": ends}


MIGRATIONS: dict[int, Callable[[Manifest, Arrays], tuple[Manifest, Arrays]]] = {
    1: _sessions, 2: _places, 3: _worlds, 4: _turned_and_straightened, 5: _recorded_cameras, 6: _image_names,
}  # fmt: skip


def migrate(manifest: Manifest, arrays: Arrays) -> tuple[Manifest, Arrays]:
    """The manifest and arrays as the newest version has them. Raises KeyError for a version that never was."""
    while manifest.version < VERSION:
        manifest, arrays = MIGRATIONS[manifest.version](manifest, arrays)
    return manifest, arrays
