"""Things chosen by name: the package's own, and those that other installed packages add through entry points.

Another package adds to a registry by an entry point in its pyproject.toml (docs/extend.md). Names are looked up in the
metadata of the installed packages; code of another package is loaded only when its name is used.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from vgslam.errors import ConfigError, PluginError

T = TypeVar("T")
Product = TypeVar("Product")
OWN = "vgslam"


@dataclass(frozen=True)
class Registered:
    """One line of a registry."""

    name: str
    origin: str
    """The distribution that it comes from, with its version; OWN for the package's own."""
    problem: str | None = None
    """Why it cannot be used, in one line; None if it can."""


@dataclass(frozen=True)
class Registry(Generic[T]):
    """Things of one kind by name."""

    group: str
    """Group of the entry points."""
    what: str
    """What one of the things is called."""
    own: Mapping[str, T]
    """The package's own entries, which win over plug-ins of the same name."""
    interface: Any = None
    """The protocol that an entry fulfils; None if it is a function, or a class, to call."""
    takes: tuple[str, ...] = ()
    """The arguments that it is called with, in words."""

    def names(self) -> tuple[str, ...]:
        """All names, the package's own first."""
        return (*self.own, *self.plugged_in())

    def plugged_in(self) -> tuple[str, ...]:
        """Names that other packages have added, sorted; nothing of them is loaded."""
        return tuple(sorted({entry.name for entry in entry_points(group=self.group)} - set(self.own)))

    def get(self, name: str) -> T:
        """The entry of a name. Raises ConfigError for an unknown name, PluginError for a plug-in that cannot be
        loaded or is not what it should be."""
        if name in self.own:
            return self.own[name]
        found = self._entries(name)
        if not found:
            raise ConfigError(f"unknown {self.what} '{name}'; use one of {', '.join(self.names())}")
        if len(found) > 1:
            raise PluginError(f"{self.what} '{name}' is added by {' and by '.join(map(_origin, found))}; uninstall one")
        return self._loaded(found[0])

    def checked(self, name: str, made: Product, interface: Any) -> Product:
        """The result of calling the entry of a name. PluginError unless it is an `interface`, a protocol or a class."""
        self._require(made, interface, f"{self.what} '{name}' of {self.origin(name)} has made {_kind(made)}")
        return made

    def origin(self, name: str) -> str:
        """The distribution, with its version, that a name comes from."""
        if name in self.own:
            return OWN
        return " and ".join(map(_origin, self._entries(name))) or "nowhere"

    def listed(self) -> list[Registered]:
        """All entries of the registry; plug-ins are loaded to see whether they can be used."""
        rows = [Registered(name, OWN) for name in self.own]
        for entry in sorted(entry_points(group=self.group), key=lambda e: e.name):
            problem = None
            if entry.name in self.own:
                problem = f"{self.what} '{entry.name}' of {_origin(entry)} is not used: vgslam has its own of that name"
            else:
                try:
                    self.get(entry.name)
                except PluginError as error:
                    problem = str(error)
            rows.append(Registered(entry.name, _origin(entry), problem))
        return rows

    def _entries(self, name: str) -> list[EntryPoint]:
        return sorted(entry_points(group=self.group, name=name), key=_origin)

    def _loaded(self, entry: EntryPoint) -> T:
        who = f"{self.what} '{entry.name}' of {_origin(entry)}"
        try:
            thing = entry.load()
        except Exception as error:  # another package may raise anything when it is imported
            raise PluginError(f"{who} cannot be loaded ({reason(error)}); mend or uninstall that package") from error
        if self.interface is None:
            self._require_call(thing, f"{who} is {_kind(thing)}")
        else:
            self._require(thing, self.interface, f"{who} is {_kind(thing)}")
        return cast(T, thing)

    def _require_call(self, thing: object, subject: str) -> None:
        lacks = "" if callable(thing) else "which cannot be called"
        try:
            if callable(thing):
                inspect.signature(thing).bind(*self.takes)
        except TypeError as error:
            lacks = f"which does not take {', '.join(self.takes)}: {error}"
        except ValueError:  # written in C, without a signature
            return
        self._refuse(subject, lacks)

    def _require(self, thing: object, interface: Any, subject: str) -> None:
        if getattr(interface, "_is_protocol", False):
            missing = [m for m in _members(interface) if not hasattr(thing, m)]
            self._refuse(subject, f"which lacks {', '.join(missing)} of a {interface.__name__}" if missing else "")
        else:
            self._refuse(subject, "" if isinstance(thing, interface) else f"which is no {interface.__name__}")

    def _refuse(self, subject: str, lacks: str) -> None:
        if lacks:
            raise PluginError(f"{subject}, {lacks} (docs/extend.md); mend or uninstall that package")


def reason(error: Exception) -> str:
    """An error of another package's code in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _members(protocol: Any) -> list[str]:
    """The public names that a protocol asks for."""
    return sorted(n for n in {*vars(protocol), *inspect.get_annotations(protocol)} if not n.startswith("_"))


def _kind(thing: object) -> str:
    return f"the {thing.__name__} {type(thing).__name__}" if inspect.ismodule(thing) else f"a {type(thing).__name__}"


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "an unknown package"
