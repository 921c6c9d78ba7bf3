"""Images and dense depth of keyframes under a memory budget: the least recently used ones lie in files,
lossless and checksummed: they are read back bit for bit.
"""

import hashlib
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.errors import MapError, OutputError
from vgslam.guards import arrays, images

Picture = npt.NDArray[Any]

RAW = ".npy"
"""Suffix of files without compression; saved maps have none of them."""
_FLOATING_POINT_PREDICTOR = 3
_DEFLATE = 8


def encode(picture: Picture) -> tuple[bytes, str]:
    """(H,W,3) uint8 RGB as PNG, (H,W) float32 as TIFF (deflate, floating-point predictor); the bytes and the suffix.
    Raises ValueError for other shapes and types."""
    if picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3:
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        ok, data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        suffix = ".png"
    elif picture.dtype == np.float32 and picture.ndim == 2:
        options = [
            cv2.IMWRITE_TIFF_COMPRESSION, _DEFLATE, cv2.IMWRITE_TIFF_PREDICTOR, _FLOATING_POINT_PREDICTOR,
        ]  # fmt: skip
        ok, data = cv2.imencode(".tiff", np.ascontiguousarray(picture), options)
        suffix = ".tiff"
    else:
        raise ValueError(f"a picture is (H,W,3) uint8 or (H,W) float32, got {picture.shape} {picture.dtype}")
    if not ok:
        raise ValueError(f"a picture of shape {picture.shape} could not be encoded")
    return data.tobytes(), suffix


def raw(picture: Picture) -> tuple[bytes, str]:
    """The same as `encode` without compression, for files that are read again soon: a tenth of the time."""
    buffer = BytesIO()
    np.save(buffer, np.ascontiguousarray(picture), allow_pickle=False)
    return buffer.getvalue(), RAW


def decode(data: bytes, suffix: str) -> Picture:
    """The inverse of `encode` and `raw`. Raises ValueError for bytes that hold no picture."""
    if suffix == RAW:
        return arrays.read_array(data)
    try:
        picture = images.decode(data, cv2.IMREAD_UNCHANGED)
    except images.UndecodableError as error:
        raise ValueError(f"holds no picture ({error})") from error
    if suffix == ".png" and picture.dtype == np.uint8 and picture.shape[2:] == (3,):
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    if suffix == ".png" or picture.dtype != np.float32 or picture.ndim != 2:
        raise ValueError("holds a picture of another kind")
    return picture


@dataclass(frozen=True)
class PictureFile:
    """An encoded picture on disk."""

    path: Path
    sha256: bytes
    """Digest of the file."""
    size: int
    """Size in bytes."""

    def read_bytes(self) -> bytes:
        """The encoded picture, verified. Raises MapError."""
        try:
            data = images.read_bytes(self.path)
        except images.UndecodableError as error:
            raise MapError(f"{self.path}: a picture of the map is damaged ({error})") from error
        except OSError as error:
            raise MapError(f"{self.path}: a picture of the map cannot be read ({error.strerror or error})") from error
        if len(data) != self.size or hashlib.sha256(data).digest() != self.sha256:
            raise MapError(f"{self.path}: a picture of the map is damaged (its checksum differs)")
        return data

    def read(self) -> Picture:
        """The picture, verified. Raises MapError."""
        try:
            return decode(self.read_bytes(), self.path.suffix)
        except ValueError as error:
            raise MapError(f"{self.path}: {error}") from error

    @property
    def is_raw(self) -> bool:
        """Whether it is not compressed."""
        return self.path.suffix == RAW

    def exists(self) -> bool:
        """Whether the file is there with its full size (its content is verified when it is read)."""
        try:
            return self.path.stat().st_size == self.size
        except OSError:
            return False

    def __deepcopy__(self, memo: dict[int, Any]) -> "PictureFile":
        return self


def describe(path: Path, data: bytes) -> PictureFile:
    """The record of a file at `path` with the content `data`."""
    return PictureFile(path, hashlib.sha256(data).digest(), len(data))


def unlink_with(owner: object, path: Path) -> None:
    """Remove the file when nobody holds `owner` any more, at the latest at the end of the program."""
    weakref.finalize(owner, path.unlink, missing_ok=True)


DEFAULT_BUDGET_BYTES = 2**26


class PictureKind(IntEnum):
    """Which picture of a keyframe."""

    IMAGE = 0
    DEPTH = 1
    CONFIDENCE = 2


PictureKey = tuple[int, PictureKind]
Change = Callable[[Picture], Picture]
"""Makes another picture of one (H,W) or (H,W,3), of the same size, each channel by itself."""


class SpillFolder:
    """A temporary folder that lives as long as anything uses it; copies share it."""

    def __init__(self, parent: Path | None) -> None:
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="vgslam-keyframes-", dir=parent)
        except OSError as error:
            raise OutputError(f"no room for keyframes beyond the memory budget ({error.strerror or error})") from error
        self._n = 0

    def write(self, picture: Picture) -> PictureFile:
        """Write a picture; its file goes when nobody holds the returned object. Raises OutputError."""
        data, suffix = raw(picture)
        path = Path(self._folder.name) / f"{self._n}{suffix}"
        self._n += 1
        try:
            path.write_bytes(data)
        except OSError as error:
            raise OutputError(f"{path}: a picture beyond the memory budget is not written ({error.strerror or error}); "
                              "free space, set TMPDIR to another disk or give more --memory") from error  # fmt: skip
        file = describe(path, data)
        unlink_with(file, path)
        return file

    def __deepcopy__(self, memo: dict[int, Any]) -> "SpillFolder":
        return self


class Pictures:
    """Pictures by keyframe and kind; `resident_bytes` never exceeds the budget when a method returns.

    What does not fit is read from its file when asked for: that of a saved map, or a temporary one, written when a
    picture leaves the memory for the first time. The caller holds the array as well; do not write into it. Lossless:
    the same bits come back; of a colour image that is grey, which most cameras of robots give, one channel is kept.
    Safe to use from two threads.
    """

    def __init__(self, budget_bytes: int = DEFAULT_BUDGET_BYTES, spill_into: Path | None = None) -> None:
        if budget_bytes < 0:
            raise ValueError(f"memory budget must not be negative, got {budget_bytes}")
        self.budget_bytes = budget_bytes
        self.resident_bytes = 0
        self._wanted_bytes = budget_bytes
        self._resident: OrderedDict[PictureKey, Picture] = OrderedDict()
        self._files: dict[PictureKey, PictureFile] = {}
        self._changes: dict[PictureKey, list[Change]] = {}
        self._spill_into = spill_into
        self._spill: SpillFolder | None = None
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """The state for copies: everything but the lock."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.RLock()

    def __contains__(self, key: PictureKey) -> bool:
        return key in self._resident or key in self._files

    def put(self, key: PictureKey, picture: Picture | None) -> None:
        """Set a picture, (H,W,3) uint8 or (H,W) float32, or remove it with None. Raises OutputError (disk full)."""
        with self._lock:
            self._forget(key)
            if picture is not None:
                self._keep(key, _alone(_compact(picture)))

    def put_file(self, key: PictureKey, file: PictureFile) -> None:
        """Set a picture that lies in a file already; it is read when asked for."""
        with self._lock:
            self._forget(key)
            self._files[key] = file

    def change(self, key: PictureKey, how: Change) -> None:
        """Let the picture be how(picture) from now on, if there is one: made when it is next asked for."""
        with self._lock:
            if key in self:
                self._changes.setdefault(key, []).append(how)

    def get(self, key: PictureKey) -> Picture | None:
        """The picture, None if there is none. Raises MapError when its file is damaged or gone."""
        picture = self._changed(key)
        return None if picture is None else _whole(picture)

    def gray(self, key: PictureKey) -> npt.NDArray[np.uint8]:
        """The grey image of a colour image, without a detour where it is kept grey. Raises MapError as `get`,
        KeyError."""
        picture = self._changed(key)
        if picture is None:
            raise KeyError(key)
        return picture if picture.ndim == 2 else np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)

    def _changed(self, key: PictureKey) -> Picture | None:
        """The picture as it is kept, after its changes."""
        with self._lock:
            picture = self._stored(key)
            if picture is not None and key in self._changes:
                for how in self._changes[key]:
                    picture = how(picture)
                self._forget(key)
                self._keep(key, picture)
            return picture

    @contextmanager
    def within(self, wanted_bytes: int) -> Iterator[None]:
        """Within the block pictures take no more than this, if the disk has room, as work needs memory itself."""
        with self._lock:
            self._wanted_bytes = min(self.budget_bytes, wanted_bytes)
            self._make_room()
        try:
            yield
        finally:
            self._wanted_bytes = self.budget_bytes

    def _stored(self, key: PictureKey) -> Picture | None:
        """The picture as it is kept, before it is changed."""
        if key in self._resident:
            self._resident.move_to_end(key)
            return self._resident[key]
        if key not in self._files:
            return None
        picture = _compact(self._files[key].read())
        self._keep(key, picture)
        return picture

    def file(self, key: PictureKey) -> PictureFile | None:
        """Where the picture lies on disk, None if only in memory."""
        return None if key in self._changes else self._files.get(key)

    def is_saved(self, key: PictureKey, file: PictureFile) -> None:
        """The picture lies in this file from now on, with the same content."""
        self._files[key] = file

    def _forget(self, key: PictureKey) -> None:
        self._drop(key)
        self._files.pop(key, None)
        self._changes.pop(key, None)

    def _keep(self, key: PictureKey, picture: Picture) -> None:
        self._resident[key] = picture
        self.resident_bytes += picture.nbytes
        self._make_room()

    def _make_room(self) -> None:
        while self.resident_bytes > self._wanted_bytes:
            try:
                self._put_away(next(iter(self._resident)))
            except OutputError:
                if self.resident_bytes > self.budget_bytes:
                    raise
                self._wanted_bytes = self.budget_bytes  # that was a wish alone

    def _put_away(self, key: PictureKey) -> None:
        """Have a picture on disk and no longer in memory. Raises OutputError."""
        if key not in self._files:
            if self._spill is None:
                self._spill = SpillFolder(self._spill_into)
            self._files[key] = self._spill.write(self._resident[key])
        self._drop(key)

    def _drop(self, key: PictureKey) -> None:
        picture = self._resident.pop(key, None)
        if picture is not None:
            self.resident_bytes -= picture.nbytes


def _compact(picture: Picture) -> Picture:
    """One channel of an image whose three are the same; any other picture as it is."""
    if picture.dtype != np.uint8 or picture.ndim != 3:
        return picture
    if not _is_grey(picture[:1]):  # the first row tells most colour images
        return picture
    return cv2.extractChannel(picture, 0) if _is_grey(picture) else picture


def _is_grey(picture: Picture) -> bool:
    """Whether the three channels (H,W,3) are the same."""
    first = cv2.extractChannel(picture, 0)
    return not cv2.norm(cv2.cvtColor(first, cv2.COLOR_GRAY2RGB), picture, cv2.NORM_INF)


def _whole(picture: Picture) -> Picture:
    """The inverse of `_compact`."""
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB) if picture.dtype == np.uint8 and picture.ndim == 2 else picture


def _alone(picture: Picture) -> Picture:
    """The picture without the larger array that it may be a part of."""
    base = picture.base
    is_part = isinstance(base, np.ndarray) and base.nbytes > picture.nbytes
    return picture.copy() if is_part else picture
