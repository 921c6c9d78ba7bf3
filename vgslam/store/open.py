"""Opens a saved map: older ones are brought up to date, kinds and shapes of arrays are checked before they are used."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from vgslam.errors import MapError
from vgslam.guards.paths import OutsideError, inside, is_link, open_plain
from vgslam.map.pictures import PictureFile, PictureKey, PictureKind, Pictures, describe
from vgslam.map.slam_map import SlamMap
from vgslam.store.arrays import Arrays, SessionNames, fill
from vgslam.store.manifest import LOCK, MANIFEST, VERSION, Manifest, read_manifest

PICTURES = "pictures"
_SUFFIX = {PictureKind.IMAGE: ".png", PictureKind.DEPTH: ".tiff", PictureKind.CONFIDENCE: ".tiff"}


def load_map(path: Path, budget_bytes: int | None = None) -> SlamMap:
    """The newest complete state of a saved map; older versions are brought up to date in memory. Manifest and arrays
    are verified by their checksums, pictures by their sizes now and by their checksums when they are read.
    budget_bytes: memory for pictures, the default is that of `Pictures`. Nothing is written. Raises MapError, in one
    line, for what is not a map, damaged, truncated or of a newer version."""
    path = path.resolve()
    refuse_links(path)
    manifest, arrays = read_state(path)
    slam_map = SlamMap(Pictures() if budget_bytes is None else Pictures(budget_bytes))
    try:
        files = referred_pictures(path, arrays)
        for key, file in files:
            slam_map.pictures.put_file(key, file)
        fill(slam_map, arrays, SessionNames(manifest.session_names, manifest.session_began))
    except (KeyError, ValueError, IndexError, TypeError, OverflowError) as error:
        raise MapError(f"{path / manifest.state}: does not make up a map ({error})") from error
    linked = [f.path for _, f in files if is_link(f.path)]
    if linked:
        raise MapError(f"{linked[0]}: is a symbolic link, which a map may not hold; copy what it names into its place")
    missing = [f.path for _, f in files if not f.exists()]
    if missing:
        raise MapError(f"{missing[0]}: missing or truncated, and {len(missing) - 1} more pictures of the map")
    without = [k.id for k in slam_map.keyframes if (k.id, PictureKind.IMAGE) not in slam_map.pictures]
    if without:
        raise MapError(f"{path}: keyframe {without[0]} has no image")
    return slam_map


def read_state(path: Path) -> tuple[Manifest, Arrays]:
    """Manifest and arrays, verified, of the newest version. Raises MapError."""
    manifest = read_manifest(path)
    while True:
        try:
            return _read_state(path, manifest)
        except MapError:
            newer = read_manifest(path)  # a run may have saved between the two reads
            if newer.generation == manifest.generation:
                raise
            manifest = newer


def _read_state(path: Path, manifest: Manifest) -> tuple[Manifest, Arrays]:
    try:
        file = inside(path, manifest.state)
        data = read_state_bytes(file, manifest.state_size)
    except OutsideError as error:
        raise MapError(f"{path / MANIFEST}: is damaged ({error})") from error
    except OSError as error:
        file = path / manifest.state
        raise MapError(f"{file}: cannot be read ({error.strerror or error})") from error
    if len(data) != manifest.state_size:
        raise MapError(f"{file}: is truncated ({len(data)} bytes instead of {manifest.state_size})")
    if describe(file, data).sha256.hex() != manifest.state_sha256:
        raise MapError(f"{file}: is damaged (its checksum differs)")
    try:
        return migrate(manifest, checked_arrays(safetensors.numpy.load(data)))
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError, IndexError) as error:
        raise MapError(f"{file}: does not make up a map ({error})") from error


def read_state_bytes(file: Path, size: int) -> bytes:
    """The state's bytes, one more than `size` at most: a longer file is not read whole. Raises OSError."""
    with open_plain(file) as opened:
        return opened.read(min(size, file.stat().st_size) + 1)


def refuse_links(path: Path) -> None:
    """Raises MapError for a map whose folders or lock are symbolic links: what is written there would be elsewhere."""
    pictures = path / PICTURES
    folders = [f for f in pictures.iterdir() if is_link(f)] if pictures.is_dir() and not is_link(pictures) else []
    for linked in (pictures, path / LOCK, *folders):
        if is_link(linked):
            raise MapError(f"{linked}: is a symbolic link, which a map may not hold; copy what it names into its place")


def referred_pictures(path: Path, arrays: Arrays) -> list[tuple[PictureKey, PictureFile]]:
    """The pictures that a map's state names. Raises KeyError or ValueError for arrays that are not a map's."""
    found: list[tuple[PictureKey, PictureFile]] = []
    digests = arrays["picture_sha256"]
    for i, (k, kind_number) in enumerate(arrays["picture_key"].tolist()):
        kind = PictureKind(kind_number)
        sha256 = digests[i].tobytes()
        file = path / PICTURES / picture_name(k, kind, sha256)
        found.append(((k, kind), PictureFile(file, sha256, int(arrays["picture_size"][i]))))
    return found


def picture_name(k: int, kind: PictureKind, sha256: bytes) -> str:
    """Path of a keyframe's picture inside the folder of the pictures."""
    return f"{k // 1000:03d}/{k:06d}-{kind.name.lower()}-{sha256.hex()[:16]}{_SUFFIX[kind]}"


_N = -1  # any length
KINDS: dict[str, tuple[str, tuple[int, ...]]] = {
    "keyframe_frame_id": ("i", (_N,)), "keyframe_timestamp_s": ("f", (_N,)), "keyframe_camera": ("i", (_N,)),
    "keyframe_depth_camera": ("i", (_N,)), "keyframe_component": ("i", (_N,)), "keyframe_R": ("f", (_N, 3, 3)),
    "keyframe_t": ("f", (_N, 3)), "keyframe_s": ("f", (_N,)), "observation_count": ("i", (_N,)),
    "observation_landmark": ("i", (_N,)), "observation_px": ("f", (_N, 2)), "landmark_host": ("i", (_N,)),
    "landmark_xyz": ("f", (_N, 3)), "landmark_rel_sigma": ("f", (_N,)), "landmark_is_triangulated": ("b", (_N,)),
    "landmark_color": ("u", (_N, 3)), "edge_ids": ("i", (_N, 2)), "edge_R": ("f", (_N, 3, 3)), "edge_t": ("f", (_N, 3)),
    "edge_s": ("f", (_N,)), "edge_sigmas": ("f", (_N, 7)), "edge_kind": ("u", (_N,)), "edge_inlier_ratio": ("f", (_N,)),
    "frame_id": ("i", (_N,)), "frame_timestamp_s": ("f", (_N,)), "frame_status": ("u", (_N,)),
    "frame_ref": ("i", (_N,)),
    "frame_T": ("f", (_N, 4, 4)), "frame_has_pose": ("b", (_N,)), "frame_covariance": ("f", (_N, 6, 6)),
    "frame_has_covariance": ("b", (_N,)), "frame_n_inliers": ("i", (_N,)), "frame_inlier_ratio": ("f", (_N,)),
    "frame_component": ("i", (_N,)), "frame_rotation_only": ("b", (_N,)), "camera_intrinsics": ("f", (_N, 4)),
    "camera_size": ("i", (_N, 2)), "camera_distortion": ("f", (_N, _N)), "camera_n_distortion": ("i", (_N,)),
    "camera_is_fisheye": ("b", (_N,)), "camera_removed_k1": ("f", (_N,)), "camera_enlarged": ("i", (_N,)),
    "session_first_frame": ("i", (_N,)), "session_camera": ("i", (_N,)), "world_component": ("i", (_N,)),
    "world_known": ("b", (_N, 2)), "world_sigma": ("f", (_N, 2)), "place_vocabulary": ("u", (8,)),
    "place_code": ("u", (_N, 256)), "picture_key": ("i", (_N, 2)), "picture_size": ("i", (_N,)),
    "picture_sha256": ("u", (_N, 32)),
}  # fmt: skip
"""Each array's kind of number (as `numpy.dtype.kind`) and shape."""
TABLES = {
    "keyframe": "keyframe_frame_id", "landmark": "landmark_host", "edge": "edge_ids", "frame": "frame_id",
    "camera": "camera_intrinsics", "session": "session_first_frame", "world": "world_component",
    "picture": "picture_key",
}  # fmt: skip
"""Arrays whose names begin so are columns of one table, as long as this one of them."""
LARGEST_ID = 2**31 - 1


def checked_arrays(arrays: Arrays) -> Arrays:
    """The arrays. Raises ValueError, naming one, for a wrong kind or shape, uneven columns, and ids beyond 31 bits."""
    for name, array in arrays.items():
        if name not in KINDS:
            continue  # of a later program
        kind, shape = KINDS[name]
        is_fit = array.ndim == len(shape) and all(n in (_N, m) for n, m in zip(shape, array.shape, strict=True))
        if array.dtype.kind != kind or not is_fit:
            raise ValueError(f"{name} is {array.dtype} {array.shape}")
        first = TABLES.get(name.split("_")[0])
        if first is not None and first in arrays and len(array) != len(arrays[first]):
            raise ValueError(f"{name} has {len(array)} rows and {first} {len(arrays[first])}")
        if kind == "i" and name != "picture_size" and array.size and not -1 <= array.min() <= array.max() <= LARGEST_ID:
            raise ValueError(f"{name} holds numbers that are no ids")
    return arrays


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
    """Up to version 4 frames with a rotation only were not marked, and nothing was taken out of the images."""
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


def _enlarged(manifest: Manifest, arrays: Arrays) -> tuple[Manifest, Arrays]:
    """Up to version 7 every image was as large as its frame."""
    return replace(manifest, version=8), {**arrays, "camera_enlarged": np.ones(len(arrays["camera_size"]), np.int64)}


MIGRATIONS: dict[int, Callable[[Manifest, Arrays], tuple[Manifest, Arrays]]] = {
    1: _sessions, 2: _places, 3: _worlds, 4: _turned_and_straightened, 5: _recorded_cameras, 6: _image_names,
    7: _enlarged,
}  # fmt: skip


def migrate(manifest: Manifest, arrays: Arrays) -> tuple[Manifest, Arrays]:
    """The manifest and arrays as the newest version has them. Raises KeyError for a version that never was."""
    while manifest.version < VERSION:
        manifest, arrays = MIGRATIONS[manifest.version](manifest, arrays)
    return manifest, arrays
