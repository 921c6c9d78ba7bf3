"""Files of weights: finding them in a folder, reading them without a copy in memory, saying what is wrong with them.

Torch is loaded when tensors are read, not for looking at the files.
"""

import hashlib
import json
import math
import os
import pickle
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgslam.atomic import write_path_atomically
from vgslam.errors import WeightsError
from vgslam.guards.documents import parse_json, read_json
from vgslam.guards.paths import OutsideError, inside, is_plain_file

if TYPE_CHECKING:
    from torch import Tensor, dtype

INDEX_ENDING = ".safetensors.index.json"
METADATA_CONFIG, METADATA_LICENCE, METADATA_ARCHITECTURE = "vgslam.config", "vgslam.licence", "vgslam.architecture"
MAX_HEADER_BYTES = 10_000_000
"""Longest header of a safetensors file, and index of several: fifty times those of VGGT-1B, with its 1797 tensors."""


PACKAGED = ("vggt-s", "vggt-s2")  # weights that come with the package
ONCE_PACKAGED = {
    "vggt-m": "vggt-m does not come with the package any more: --weights vggt-s2 has taken its place. "
    "`vgslam train configs/vggt-m-gpu.yaml` trains it on a GPU; --weights then takes its weights.safetensors",
}
"""What is said to who asks for weights that an earlier version brought."""


@dataclass(frozen=True)
class WeightFiles:
    """The file(s) that hold one set of weights: one, or the shards of one. `config` is a config.json beside them."""

    files: tuple[Path, ...]
    config: Path | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the files."""
        return tuple(path.name for path in self.files)


def packaged(name: str) -> Path | None:
    """The file of weights that come with the package by their name; None for any other name."""
    path = Path(__file__).parents[1] / "assets" / "weights" / f"{name}.safetensors"
    return path if name in PACKAGED and path.is_file() else None


def default_ledger() -> Path:
    """Where the licences that were shown are noted: licences.json in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "vgslam" / "licences.json"


def find_files(path: Path) -> WeightFiles:
    """A file, or a folder with weights in it (safetensors before .pt). WeightsError says what is missing."""
    if path.is_file():
        return WeightFiles((path,), _existing(path.parent / "config.json"))
    if not path.is_dir():
        raise WeightsError(f"{path}: no such file or folder of weights")
    config = _existing(path / "config.json")
    indices = sorted(path.glob(f"*{INDEX_ENDING}"))
    if len(indices) == 1:
        return WeightFiles(_shards(indices[0]), config)
    for ending in ("safetensors", "pt"):
        found = sorted(path.glob(f"*.{ending}"))
        named = [p for p in found if p.stem == "model"]
        if len(found) == 1 or named:
            return WeightFiles(((named or found)[0],), config)
        if found:
            raise WeightsError(f"{path} holds {len(found)} .{ending} files: pass the one that is meant")
    raise WeightsError(f"{path} holds no .safetensors or .pt file")


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _shards(index: Path) -> tuple[Path, ...]:
    try:
        names = set(read_json(index, MAX_HEADER_BYTES)["weight_map"].values())
        parts = sorted(inside(index.parent, name, may_be_link=True) for name in names)
    except OutsideError as error:
        raise WeightsError(f"{index} {error}") from None
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise WeightsError(f"{index} is not an index of weight files") from None
    missing = [part.name for part in parts if not is_plain_file(part)]
    if missing:
        raise WeightsError(f"{index.parent}: {len(missing)} of {len(parts)} parts are missing, first {missing[0]}")
    if not parts:
        raise WeightsError(f"{index} names no weight files")
    return tuple(parts)


def sha256_of(files: tuple[Path, ...]) -> str:
    """SHA-256 of the file; of several, the SHA-256 of their digests in order."""
    digests = []
    for path in files:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def read_tensors(files: tuple[Path, ...]) -> "tuple[dict[str, Tensor], dict[str, str]]":
    """All tensors by name, mapped from the files where the format allows, those of 8 bits as float32 (`packed`), and
    the files' metadata. WeightsError for files that cannot be read, and numbers that are complex or not finite in 32
    bits."""
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    for path in files:
        if path.suffix == ".safetensors":
            own = check_safetensors(path)
            found = unpacked(_read_safetensors(path), own, str(path))
            metadata |= own
        else:
            found = _read_pickle(path)
        _check_numbers(found, path)
        tensors |= found
    return tensors, metadata


def _check_numbers(tensors: "dict[str, Tensor]", path: Path) -> None:
    import torch

    for name, tensor in tensors.items():
        if tensor.is_complex():
            raise WeightsError(f"{path}: {name} holds complex numbers, which are no weights")
        if not bool(torch.isfinite(tensor.float()).all()):
            raise WeightsError(f"{path}: {name} holds numbers that are not finite: damaged, or the training had failed")


def header_of(architecture: str, config: dict[str, Any], licence: str) -> dict[str, str]:
    """Metadata of a file of weights: what it is for, its configuration and the name of its licence."""
    return {METADATA_ARCHITECTURE: architecture, METADATA_CONFIG: json.dumps(config), METADATA_LICENCE: licence}


def write_tensors(
    path: Path, tensors: "dict[str, Tensor]", metadata: dict[str, str], to_dtype: "dtype | None" = None
) -> None:
    """Writes one safetensors file, atomically; `to_dtype` converts. OutputError if it cannot be written."""
    from safetensors.torch import save_file

    plain = {k: v.detach().to("cpu", to_dtype or v.dtype).contiguous() for k, v in tensors.items()}
    write_path_atomically(path, lambda temporary: save_file(plain, temporary, metadata=metadata), make_folders=True)


def check_safetensors(path: Path, max_header_bytes: int = MAX_HEADER_BYTES) -> dict[str, str]:
    """The metadata of a file that is complete; WeightsError, saying what it is instead, for any other."""
    return read_header(path, max_header_bytes).metadata


@dataclass(frozen=True)
class Header:
    """What a safetensors file says of itself."""

    metadata: dict[str, str]
    n_parameters: int  # numbers in all its tensors, without the scales of packed ones


def read_header(path: Path, max_header_bytes: int = MAX_HEADER_BYTES) -> Header:
    """The header of a file that is complete; WeightsError, saying what it is instead, for any other."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(512)
            _refuse_impostors(path, start)
            length = struct.unpack("<Q", start[:8])[0] if len(start) >= 8 else 0
            file.seek(8)
            header = file.read(length) if 0 < length <= max_header_bytes else b""
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error})") from error
    if start.startswith(b"PK\x03\x04") and start[8:9] != b"{":
        raise WeightsError(f"{path} is no safetensors file but a zip archive, or a file of PyTorch's (.pt)")
    if start[8:9] != b"{":
        raise WeightsError(f"{path} is not a safetensors file")
    if length > max_header_bytes:
        raise WeightsError(f"{path}: its header of {length} bytes is not that of weights ({max_header_bytes} at most)")
    if len(header) < length:
        raise _half(path, size, None)
    try:
        entries = parse_json(header)
        tensors = {name: e for name, e in entries.items() if name != "__metadata__"}
        end = max((_whole(e["data_offsets"])[1] for e in tensors.values()), default=0)
        metadata: dict[str, str] = entries.get("__metadata__", {})
        is_text = all(isinstance(v, str) for v in metadata.values())
        scales = SCALE if METADATA_PACKING in metadata else ()
        n = sum(math.prod(_whole(e.get("shape", [0]))) for name, e in tensors.items() if not name.endswith(scales))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise WeightsError(f"{path} is not a safetensors file (its header cannot be read)") from None
    if not is_text:
        raise WeightsError(f"{path} is not a safetensors file (its metadata are no text)")
    if size < 8 + length + end:
        raise _half(path, size, 8 + length + end)
    return Header(metadata, n)


def _whole(numbers: list[int]) -> list[int]:
    """The numbers. Raises TypeError for what are no whole ones, 0 or more."""
    if not all(type(n) is int and n >= 0 for n in numbers):
        raise TypeError(f"{numbers!r} are no sizes")
    return numbers


_ARCHIVES = ((b"\x1f\x8b", "gzip"), (b"7z\xbc\xaf\x27\x1c", "7z"), (b"BZh", "bzip2"), (b"\xfd7zXZ\x00", "xz"),
             (b"\x28\xb5\x2f\xfd", "zstd"), (b"Rar!\x1a\x07", "rar"))  # fmt: skip


def _refuse_impostors(path: Path, start: bytes) -> None:
    if not start:
        raise WeightsError(f"{path} is empty: download it again")
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path} is a Git LFS pointer and not the weights: run `git lfs pull` there")
    is_header = start[8:9] == b"{"  # whose length before it may happen to begin like a page
    kind = next((kind for magic, kind in _ARCHIVES if start.startswith(magic) and not is_header), None)
    if kind is not None:
        raise WeightsError(f"{path} is a compressed file ({kind}): unpack it, and give the file of weights in it")
    if start.lstrip()[:1] == b"<" and not is_header:
        raise WeightsError(f"{path} is a web page and not weights: download the file itself")


def _half(path: Path, size: int, expected: int | None) -> WeightsError:
    part = f"{size / 1e6:.1f} MB" + (f" of {expected / 1e6:.1f} MB" if expected else "")
    return WeightsError(f"{path} is incomplete ({part}): download it again")


def _read_safetensors(path: Path) -> "dict[str, Tensor]":
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors ({error})") from error


def _read_pickle(path: Path) -> "dict[str, Tensor]":
    """A state dict that torch.save wrote; only tensors and plain containers are accepted, never code."""
    import torch

    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error})") from error
    _refuse_impostors(path, start)
    is_zip = start.startswith(b"PK")
    if not is_zip and not start.startswith(b"\x80"):
        raise WeightsError(f"{path} is not a file of weights")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError:
        raise WeightsError(
            f"{path} is no file of plain tensors (loading it could run foreign code): convert it to safetensors"
        ) from None
    except Exception as error:  # torch passes on whatever a broken file provokes
        if is_zip:
            raise _no_weights_in(path) from error
        raise WeightsError(f"{path} is not a file of weights") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(k, str) and _is_dense(v) for k, v in content.items()):
        raise WeightsError(f"{path} holds no state dict (names and tensors)")
    return content


def _no_weights_in(path: Path) -> WeightsError:
    """What a zip file is that torch does not read: cut off, an archive of other things, or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return _half(path, path.stat().st_size, None)  # the list of what is in it stands at the end
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return WeightsError(f"{path} is damaged: download it again")
    if names and all(name.endswith(".npy") for name in names):
        return WeightsError(f"{path} holds arrays of NumPy and not weights: give a .safetensors or .pt file")
    told = ", ".join(names[:3]) + (", ..." if names[3:] else "") or "nothing"
    return WeightsError(f"{path} is a zip archive (it holds {told}): unpack it, and give the file of weights in it")


def _is_dense(value: object) -> bool:
    import torch

    return isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_quantized


if TYPE_CHECKING:
    from torch import Tensor

METADATA_PACKING, ROWS_OF_8_BITS = "vgslam.packing", "int8-rows"
SCALE = ".row_scale"  # ending of the name of a matrix's scales
LEVELS = 127
LEAST_NUMBERS = 1024
"""Smaller tensors are not packed: they take no room, and some of them (tokens) are added to everything."""


def packed(tensors: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """The tensors with large matrices (R,...) as int8 (R,...) and, by `NAME.row_scale`, their scales (R,) float32: the
    row's largest weight / 127, so that a weight is off by at most 1/254 of it. Half of a file in float16."""
    import torch

    out: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.ndim < 2 or tensor.numel() < LEAST_NUMBERS:
            out[name] = tensor
            continue
        rows = tensor.detach().float().flatten(1)
        scale = rows.abs().amax(1) / LEVELS
        steps = torch.where(scale > 0, scale, 1.0)
        out[name] = (rows / steps[:, None]).round().to(torch.int8).view(tensor.shape)
        out[name + SCALE] = scale
    return out


def unpacked(tensors: "dict[str, Tensor]", metadata: dict[str, str], where: str) -> "dict[str, Tensor]":
    """A file's tensors as they were, packed ones in float32. WeightsError for an unknown packing and scales that do not
    fit."""
    if METADATA_PACKING not in metadata:
        return tensors
    if metadata[METADATA_PACKING] != ROWS_OF_8_BITS:
        raise WeightsError(f"{where} is packed as '{metadata[METADATA_PACKING]}', which this version does not know")
    scales = {name.removesuffix(SCALE): tensors[name] for name in tensors if name.endswith(SCALE)}
    left = {name: tensor for name, tensor in tensors.items() if not name.endswith(SCALE)}
    whole = {name for name, tensor in left.items() if not tensor.is_floating_point()}
    for name in sorted(whole ^ set(scales)):
        raise WeightsError(f"{where}: {name} has no scales, or scales without numbers: damaged, or packed wrongly")
    for name, scale in scales.items():
        steps = left[name]
        if steps.ndim < 2 or scale.shape != steps.shape[:1] or not scale.is_floating_point():
            raise WeightsError(f"{where}: the scales of {name} {tuple(scale.shape)} do not fit {tuple(steps.shape)}")
        left[name] = (steps.float().flatten(1) * scale.float()[:, None]).view(steps.shape)
    return left
