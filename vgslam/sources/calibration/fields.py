"""Fields of a calibration by name, whatever the program's spelling, and which of them nobody asked for."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from vgslam.guards.documents import to_number

_MATTERS = re.compile(
    r"dist|lens|focal|intrin|fish|skew|coeff|gamma|omega|aspect|^[kps]\d+$|^[fc][xyuv]$|^(xi|alpha|beta|theta|model)$"
    r"|^(camera|projection|lens)(model|type)$"
)
"""Names, as `spelled`, of fields that may belong to the camera; others (topics, poses, times) change no pixel."""
_HARMLESS = re.compile(r"depth|stereo|extractor|viewer|undistort|matches|thdepth")

SHOWN = 80
"""Characters of a value that is shown for being wrong."""


def spelled(name: str) -> str:
    """A name in lower case without separators: cameraMatrix and camera_matrix are one."""
    return re.sub(r"[\s_\-.]", "", name).lower()


class Fields:
    """Fields by any of their names; remembers which were asked for."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._given: dict[str, tuple[str, Any]] = {}
        for name, value in document.items():
            key = spelled(str(name))
            if re.fullmatch(r"k\d", key) and isinstance(value, list | Mapping):
                key = "m" + key[1:]  # K1 of a stereo pair is a matrix, k1 a coefficient
            elif key == "k" and isinstance(value, int | float):
                key = "k1"
            self._given.setdefault(key, (str(name), value))
        self._used: set[str] = set()

    def first(self, *names: str) -> Any:
        """The value of the first name (as `spelled`) that is there and not null; all of them count as asked for."""
        found = next((name for name in names if self._given.get(name, ("", None))[1] is not None), None)
        if found is None:
            self._used.update(names)
            return None
        self._used.add(found)
        return self._given[found][1]

    def number(self, *names: str) -> float | None:
        """A number, None where none of the names is there. Raises ValueError, naming the field."""
        value = self.first(*names)
        return None if value is None else number(names[0], value)

    def has(self, *names: str) -> bool:
        """Whether one of the names is there, even with null."""
        return any(name in self._given for name in names)

    def has_numbers(self, *names: str) -> bool:
        """Whether one of the names is there with a list or a matrix of numbers, or a string of them."""
        values = [self._given[name][1] for name in names if name in self._given]
        lists = [v for v in values if isinstance(v, list) and not any(isinstance(x, Mapping) for x in v)]
        return bool(lists) or any(isinstance(v, str) or (isinstance(v, Mapping) and "data" in v) for v in values)

    def names(self) -> list[str]:
        """The names as given."""
        return [name for name, _ in self._given.values()]

    def unused(self) -> list[str]:
        """Names of fields that may matter, are not empty and were not asked for."""
        left = [(key, *given) for key, given in self._given.items() if key not in self._used]
        return [name for key, name, value in left
                if _MATTERS.search(key) and not _HARMLESS.search(key) and not _is_nothing(value)]  # fmt: skip


def _is_nothing(value: Any) -> bool:
    if value is None or value == "" or value is False:
        return True
    try:
        return not np.asarray(value, np.float64).any()
    except (TypeError, ValueError, OverflowError):
        return False


def _plain(value: Any) -> Any:
    """The value with its texts, in lists too, as numbers. Raises ValueError; true and false are none."""
    if isinstance(value, bool):
        raise ValueError(f"{value} is no number")
    if isinstance(value, list):
        return [_plain(x) for x in value]
    return to_number(value) if isinstance(value, str) else value


def number(name: str, value: Any) -> float:
    """A number. Raises ValueError, naming the field."""
    try:
        return float(np.asarray(_plain(value), np.float64).reshape(()))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"camera {name} must be a number, got {repr(value)[:SHOWN]}") from None


def numbers(name: str, value: Any) -> list[float]:
    """A list of numbers, or the data of a {rows, cols, data} matrix, flattened. Raises ValueError, naming the field."""
    if isinstance(value, Mapping) and "data" in value:
        value = value["data"]
    if value is None:
        return []
    if isinstance(value, str):
        value = re.sub(r"[,;]", " ", value).strip("[] ").split()
    try:
        return np.asarray(_plain(value), np.float64).ravel().tolist()
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"camera {name} must be a list of numbers, got {repr(value)[:SHOWN]}") from None
