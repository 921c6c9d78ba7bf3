"""Settings as nested dataclasses: kept within their ranges, read strictly from YAML, written back with the results."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from math import isnan
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import yaml

from vgslam.errors import ConfigError
from vgslam.guards import documents

T = TypeVar("T")


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


def names_in_yaml(path: Path) -> frozenset[str]:
    """The settings that a YAML file names at its top level; none where it holds no settings. ConfigError for a file
    that cannot be read."""
    data = _load(path)
    return frozenset(str(key) for key in data) if isinstance(data, dict) else frozenset()


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
    kinds = get_type_hints(type(default))
    changes: dict[str, Any] = {}
    for key, value in data.items():
        if key not in known:
            raise ConfigError(f"{where}: unknown setting '{key}'; known are {', '.join(known)}")
        n = len(get_args(kinds[key])) if isinstance(known[key], tuple) and Ellipsis not in get_args(kinds[key]) else 0
        changes[key] = _value(known[key], value, f"{where}: {key}", n)
    return replace(default, **changes)


def _value(current: Any, value: Any, where: str, n: int = 0) -> Any:
    """The value for a setting that is `current`. n: how many there are of a tuple of fixed length."""
    if is_dataclass(current):
        return _merge(current, value, where)
    if n:
        return _fixed_tuple(current, value, where, n)
    if isinstance(current, tuple) and current and is_dataclass(current[0]) and isinstance(value, list):
        return tuple(_merge(current[0], v, f"{where}, entry {i + 1}") for i, v in enumerate(value))
    if isinstance(current, tuple) and isinstance(value, list):
        return _tuple(value)
    if isinstance(current, bool) or isinstance(value, bool):
        if type(current) is not type(value):
            expected = "a number or a text" if current is None else type(current).__name__
            raise ConfigError(f"{where}: expected {expected}, got {value!r}")
        return value
    if isinstance(current, float) and isinstance(value, int):
        return float(value)
    if current is not None and not isinstance(value, type(current)):
        raise ConfigError(f"{where}: expected {type(current).__name__}, got {value!r}")
    return value


def _fixed_tuple(current: tuple[Any, ...], value: Any, where: str, n: int) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple) or len(value) != n:
        raise ConfigError(f"{where}: expected a list of {n}, got {value!r}")
    return tuple(_value(c, v, f"{where}, entry {i + 1}") for i, (c, v) in enumerate(zip(current, value, strict=True)))


def _tuple(value: list[Any]) -> tuple[Any, ...]:
    return tuple(_tuple(v) if isinstance(v, list) else v for v in value)


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
