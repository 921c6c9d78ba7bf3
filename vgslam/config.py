"""Settings as nested dataclasses: kept within their ranges, read strictly from YAML, written back with the results."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import StrEnum
from math import isnan
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from vgslam.errors import ConfigError
from vgslam.guards import documents

T = TypeVar("T")
MOST_SHOWN = 60  # letters of a value that does not fit


@dataclass(frozen=True)
class Least:
    """The least value of a setting, beside its type: `Annotated[int, Least(3)]`. It is 0 where nothing is said."""

    value: float
    is_excluded: bool = False
    """Whether the setting has to be above it."""

    def check(self, name: str, value: float) -> None:
        """Raises ConfigError, naming the setting, for a number that is too small or none."""
        if isnan(value):
            raise ConfigError(f"{name}: is no number; leave it out for its default")
        if value < self.value or (self.is_excluded and value == self.value):
            limit = f"more than {self.value:g}" if self.is_excluded else f"{self.value:g} or more"
            raise ConfigError(f"{name}: must be {limit}, got {value:g}")


ZERO = Least(0.0)
ABOVE_ZERO = Least(0.0, is_excluded=True)
"""The range of what is divided by, or without which nothing is found."""


class Checked:
    """Settings that cannot be put together with a number that no run can use, wherever it comes from: ConfigError names
    the setting as `--config` and the command line have it, `called` followed by the names of the fields."""

    called: str

    def __init_subclass__(cls, called: str) -> None:
        cls.called = called

    def __post_init__(self) -> None:
        _check(self, self.called)


def _check(settings: Any, name: str) -> None:
    hints = get_type_hints(type(settings), include_extras=True)
    for f in fields(settings):
        value, own = getattr(settings, f.name), f"{name}.{f.name}"
        if is_dataclass(value):
            _check(value, own)
            continue
        least = next((x for x in getattr(hints[f.name], "__metadata__", ()) if isinstance(x, Least)), ZERO)
        for number in _numbers(value):
            least.check(own, number)


def _numbers(value: Any) -> Iterator[float]:
    """The numbers of a setting: itself, or those within a tuple."""
    if isinstance(value, tuple):
        for v in value:
            yield from _numbers(v)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def read_yaml(path: Path, default: T) -> T:
    """`default` with the values of a YAML file. Raises ConfigError, naming the key, for one that does not exist or has
    a value of another type."""
    return _merge(default, _load(path), str(path))


def names_in_yaml(path: Path | None) -> frozenset[str]:
    """The settings that a YAML file names at its top level; none of a file that `read_yaml` will complain of."""
    try:
        data = None if path is None else documents.read_yaml(path)
    except (OSError, documents.DocumentError):
        return frozenset()
    return frozenset(map(str, data)) if isinstance(data, dict) else frozenset()


def _load(path: Path) -> Any:
    try:
        return documents.read_yaml(path) or {}
    except documents.DocumentError as error:
        raise ConfigError(f"{path}: {error}; give a YAML file of settings") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error}); give a YAML file") from error


def _merge(default: T, data: Any, where: str) -> T:
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: expected settings by name, got {data!r}")
    if not is_dataclass(default) or isinstance(default, type):
        raise TypeError(f"{default!r} holds no settings")
    known = {f.name: getattr(default, f.name) for f in fields(default)}
    hints = get_type_hints(type(default))
    changes: dict[str, Any] = {}
    for key, value in data.items():
        if key not in known:
            raise ConfigError(f"{where}: unknown setting '{key}'; known are {', '.join(known)}")
        changes[key] = _value(known[key], hints[key], value, f"{where}: {key}")
    return replace(default, **changes)


def _value(current: Any, hint: Any, value: Any, where: str) -> Any:
    """The value for a setting that is `current`."""
    if is_dataclass(current):
        return _merge(current, value, where)
    if isinstance(current, tuple) and current and is_dataclass(current[0]) and isinstance(value, list):
        return tuple(_merge(current[0], v, f"{where}, entry {i + 1}") for i, v in enumerate(value))
    return typed(value, hint, where)


def typed(value: Any, hint: Any, where: str) -> Any:
    """A value from a document as the type of a field wants it: lists as tuples, whole numbers as floats where these are
    wanted, text as paths. Raises ConfigError, which begins with `where`, for a value of another type."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    for kind in kinds:
        with suppress(TypeError, OverflowError):
            return _fitted(value, kind)
    raise ConfigError(f"{where}: expected {_in_words(kinds[0])}, got {repr(value)[:MOST_SHOWN]}")


def _fitted(value: Any, kind: Any) -> Any:
    """Raises TypeError for a value of another type."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal and value in parts:
        return value
    if origin is tuple and isinstance(value, list | tuple):
        kinds = parts[:1] * len(value) if Ellipsis in parts else parts
        if len(kinds) == len(value):
            return tuple(_fitted(v, k) for v, k in zip(value, kinds, strict=True))
    if origin is None:
        if kind is float and type(value) is int:
            return float(value)
        if isinstance(value, str) and issubclass(kind, Path | StrEnum):
            return Path(value) if kind is Path else value  # which words there are, the class checks
        if isinstance(value, kind) and isinstance(value, bool) == (kind is bool):
            return value
    raise TypeError


def _in_words(kind: Any) -> str:
    parts = get_args(kind)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, parts))}"
    if get_origin(kind) is tuple:
        return "a list" if Ellipsis in parts else f"a list of {len(parts)}"
    return str(kind.__name__)


def to_plain(settings: Any) -> Any:
    """Nested dataclasses as plain dicts, lists and scalars, paths as text."""
    if is_dataclass(settings):
        return {f.name: to_plain(getattr(settings, f.name)) for f in fields(settings)}
    if isinstance(settings, list | tuple):
        return [to_plain(v) for v in settings]
    return str(settings) if isinstance(settings, Path) else settings


def to_yaml(settings: Any) -> str:
    """YAML text of nested dataclasses."""
    return yaml.safe_dump(to_plain(settings), sort_keys=False)
