"""Opens a saved map and verifies it."""

from pathlib import Path

import safetensors
import safetensors.numpy

from vgslam.errors import MapError
from vgslam.guards.paths import OutsideError, inside, is_link
from vgslam.map.picture_file import PictureFile, describe
from vgslam.map.pictures import PictureKey, PictureKind, Pictures
from vgslam.map.slam_map import SlamMap
from vgslam.store.arrays import Arrays, SessionNames, fill
from vgslam.store.expected import checked_arrays
from vgslam.store.manifest import LOCK, MANIFEST, Manifest, read_manifest
from vgslam.store.migrations import migrate

PICTURES = "pictures"
_SUFFIX = {PictureKind.IMAGE: ".png", PictureKind.DEPTH: ".tiff", PictureKind.CONFIDENCE: ".tiff"}


def load_map(path: Path, budget_bytes: int | None = None) -> SlamMap:
    """The newest complete state of a saved map; older versions are brought up to date in memory.

    Manifest and arrays are verified by their checksums, pictures by their sizes now and by their checksums when they
    are read. budget_bytes: memory for pictures, the default is that of `Pictures`. Nothing is written.
    Raises MapError, in one line, for what is not a map, damaged, truncated or of a newer version.
    """
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
    with file.open("rb") as opened:
        return opened.read(min(size, file.stat().st_size) + 1)


def refuse_links(path: Path) -> None:
    """Raises MapError for a map whose folders or lock are symbolic links: what is written into them or swept out of
    them would be elsewhere."""
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
