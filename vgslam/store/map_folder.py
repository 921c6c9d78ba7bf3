"""A map on disk, `map.vgslam/`, and what makes it survive a kill at any moment.

    manifest.json                                the newest complete state: version, state file, checksums
    state-<generation>-<hash>.safetensors        all arrays (`vgslam.store.arrays`)
    pictures/<k/1000>/<k>-<kind>-<hash>.png|tiff one image, depth or confidence map of a keyframe
    .lock                                        held by the process that writes

A save writes what is new under names that nothing refers to yet, then renames the new manifest over the old one, then
removes what only the old one needed. Pictures that have not changed are left alone.
"""

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import safetensors.numpy

from vgslam.atomic import make_folder, write_bytes, write_text
from vgslam.errors import MapError, OutputError
from vgslam.map.pictures import PictureFile, PictureKey, PictureKind, Pictures, describe, encode
from vgslam.map.slam_map import SlamMap
from vgslam.store.arrays import Arrays, to_arrays
from vgslam.store.manifest import LOCK, MANIFEST, Manifest
from vgslam.store.open import PICTURES, load_map, picture_name, read_state, referred_pictures, refuse_links


class MapFolder:
    """The folder of a map that this process writes; made when it does not exist. Raises MapError when the folder holds
    something else, a map that cannot be read, or is being written by another process; OutputError when it cannot be
    made."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: int | None = None
        self._referred: set[str] = set()
        self._generation = 0
        self._open()

    def _open(self) -> None:
        has_map = (self.path / MANIFEST).exists()
        if self.path.exists() and not has_map:
            if not self.path.is_dir():
                raise MapError(f"{self.path}: is a file, a map is a folder")
            if any(p.name not in (LOCK, PICTURES) and not _is_ours(p) for p in self.path.iterdir()):
                raise MapError(f"{self.path}: is not a vgslam map and not empty; name another folder")
        refuse_links(self.path)
        try:
            (self.path / PICTURES).mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise MapError(f"{self.path}: another run is writing this map; wait for its end") from None
        except OSError as error:
            self.close()
            what = "is a map that cannot be written to" if has_map else "cannot be made"
            advice = "copy it to where it can; --localize only reads it" if has_map else "choose another place"
            raise OutputError(f"{self.path}: {what} ({error.strerror or error}); {advice}") from error
        if has_map:
            manifest, arrays = read_state(self.path)
            self._generation = manifest.generation
            try:
                self._referred = {str(f.path) for _, f in referred_pictures(self.path, arrays)}
            except (KeyError, ValueError, IndexError) as error:
                self.close()
                raise MapError(f"{self.path / manifest.state}: does not make up a map ({error})") from error
            self._referred.add(str(self.path / manifest.state))
        self._sweep()

    def close(self) -> None:
        """Let others write the map."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> "MapFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def save(self, slam_map: SlamMap) -> Manifest:
        """Bring the folder to the map's state. Raises OutputError; the folder then holds the state before."""
        if self._lock is None:
            raise ValueError("the folder of the map is closed")
        files = [(key, self._save_picture(slam_map.pictures, key)) for key in _picture_keys(slam_map)]
        arrays = to_arrays(slam_map) | _picture_arrays(files)
        data = safetensors.numpy.save(arrays)
        generation = self._generation + 1
        state = describe(self.path, data)
        name = f"state-{generation:06d}-{state.sha256.hex()[:16]}.safetensors"
        write_bytes(self.path / name, data)
        manifest = Manifest(
            generation, _program(), datetime.now(UTC).isoformat(timespec="seconds"), name, state.sha256.hex(),
            state.size, session_names=[s.name for s in slam_map.sessions],
            session_began=[s.began for s in slam_map.sessions], summary=_summary(slam_map),
        )  # fmt: skip
        self._sync({self.path, self.path / PICTURES, *(f.path.parent for _, f in files)})
        write_text(self.path / MANIFEST, manifest.to_json())
        self._sync({self.path})
        self._generation = generation
        for key, file in files:
            slam_map.pictures.is_saved(key, file)
        needed = {str(f.path) for _, f in files} | {str(self.path / name)}
        for old in self._referred - needed:
            with suppress(OSError):  # the next run that opens the map sweeps
                Path(old).unlink(missing_ok=True)
        self._referred = needed
        return manifest

    def _save_picture(self, pictures: Pictures, key: PictureKey) -> PictureFile:
        file = pictures.file(key)
        if file is not None and str(file.path) in self._referred:
            return file
        if file is not None and not file.is_raw:
            data = file.read_bytes()
        else:
            picture = pictures.get(key)
            assert picture is not None
            data, _ = encode(picture)
        new = describe(self.path, data)
        path = self.path / PICTURES / picture_name(*key, new.sha256)
        if str(path) not in self._referred:
            make_folder(path.parent)
            write_bytes(path, data)
        return PictureFile(path, new.sha256, new.size)

    def _sync(self, folders: set[Path]) -> None:
        """Names of files reach the disk with their folder."""
        for folder in folders:
            try:
                handle = os.open(folder, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)
            except OSError as error:
                raise OutputError(f"{folder}: cannot be written ({error.strerror or error})") from error

    def _sweep(self) -> None:
        """Remove what a killed save left behind."""
        for path in leftovers(self.path, self._referred):
            path.unlink(missing_ok=True)


def leftovers(folder: Path, referred: set[str]) -> list[Path]:
    """Files of a map's folder that its newest state does not need."""
    found = [p for p in folder.iterdir() if _is_ours(p) and p.name != MANIFEST]
    found += [p for p in (folder / PICTURES).rglob("*") if p.is_file()]
    return [p for p in found if str(p) not in referred]


def _is_ours(path: Path) -> bool:
    return path.is_file() and path.name.lstrip(".").startswith(("state-", MANIFEST))


def _picture_keys(slam_map: SlamMap) -> list[PictureKey]:
    keys = [(k.id, kind) for k in slam_map.keyframes for kind in PictureKind]
    return [key for key in keys if key in slam_map.pictures]


def _picture_arrays(files: list[tuple[PictureKey, PictureFile]]) -> Arrays:
    digests = b"".join(f.sha256 for _, f in files)
    return {
        "picture_key": np.array([key for key, _ in files], np.int64).reshape(-1, 2),
        "picture_size": np.array([f.size for _, f in files], np.int64),
        "picture_sha256": np.frombuffer(digests, np.uint8).reshape(-1, 32).copy(),
    }


def _summary(slam_map: SlamMap) -> dict[str, int]:
    m = slam_map
    return {
        "keyframes": len(m.keyframes), "landmarks": len(m.landmarks), "edges": len(m.edges), "frames": len(m.frames),
        "components": len({k.component_id for k in m.keyframes}), "sessions": len(m.sessions),
        "metric_components": len({k.component_id for k in m.keyframes if m.world_of(k.component_id).is_metric}),
    }  # fmt: skip


def _program() -> str:
    try:
        return f"vgslam {version('vgslam')}"
    except PackageNotFoundError:
        return "vgslam"


@dataclass(frozen=True)
class MapCheck:
    """The result of checking a saved map."""

    n_pictures: int = 0
    n_bytes: int = 0
    n_leftovers: int = 0  # files that a killed save left behind; they do no harm and go with the next save
    problems: list[str] = field(default_factory=list)  # one line each; none if the map is sound


def check_map(path: Path) -> MapCheck:
    """Read every file of a map and verify its checksum and that it holds what it should."""
    path = path.resolve()
    problems: list[str] = []
    try:
        refuse_links(path)
        manifest, arrays = read_state(path)
        files = [file for _, file in referred_pictures(path, arrays)]
    except (MapError, KeyError, ValueError, IndexError) as error:
        return MapCheck(problems=[str(error)])
    for file in files:
        try:
            file.read()
        except MapError as error:
            problems.append(str(error))
    if not problems:
        try:
            load_map(path, budget_bytes=0)
        except MapError as error:
            problems.append(str(error))
    referred = {str(f.path) for f in files} | {str(path / manifest.state)}
    n_bytes = manifest.state_size + sum(f.size for f in files)
    return MapCheck(len(files), n_bytes, len(leftovers(path, referred)), problems)
