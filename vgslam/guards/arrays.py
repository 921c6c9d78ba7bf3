"""NumPy's files from outside: plain numbers, and no more of them than the file holds or the limit allows."""

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_BYTES = 64 * 2**20  # most bytes of the arrays of a .npz file when unpacked, and of a .npy file
MOST_ARRAYS = 1000

Array = npt.NDArray[Any]


class ArraysError(ValueError):
    """A file of arrays cannot be read. The text is one line, and reads after the name of the file."""


def read_array(data: bytes) -> Array:
    """The array of a .npy file's bytes. Raises ArraysError for objects, and a header that promises more than there
    is."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
        n_bytes = dtype.itemsize
        for n in shape:
            n_bytes *= n
        if dtype.hasobject or not 0 <= n_bytes <= len(data):
            raise ArraysError("holds no array of plain numbers that is whole")
        stream.seek(0)
        return np.asarray(np.load(stream, allow_pickle=False))
    except ArraysError:
        raise
    except Exception as error:  # the header is parsed as Python's text: whatever that provokes
        raise ArraysError("holds no array of plain numbers") from error


def read_arrays(path: Path) -> Array | dict[str, Array]:
    """The array of a .npy file, or those of a .npz file by name. Raises ArraysError beyond the limits, OSError."""
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ArraysError(f"is larger than {MOST_BYTES / 2**20:g} MiB")
    if not data.startswith(b"PK"):
        return read_array(data)
    try:
        return _members(data)
    except ArraysError:
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError, NotImplementedError) as error:
        raise ArraysError("is no readable file of arrays") from error


def _members(data: bytes) -> dict[str, Array]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if len(members) > MOST_ARRAYS:
            raise ArraysError(f"holds more than {MOST_ARRAYS} arrays")
        found, n_left = {}, MOST_BYTES
        for member in members:
            with archive.open(member) as file:
                content = file.read(n_left + 1)
            n_left -= len(content)
            if n_left < 0:
                raise ArraysError(f"unpacks to more than {MOST_BYTES / 2**20:g} MiB")
            if member.filename.endswith(".npy"):
                found[member.filename.removesuffix(".npy")] = read_array(content)
        return found
