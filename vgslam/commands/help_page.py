"""`vgslam COMMAND --help`: the everyday options on one page; `--help-all`: every option.

Both are made from the docstrings below the fields. The short page shows the first sentence of each.
"""

import ast
import inspect
import re
import shutil
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

SHORT, ALL = ("-h", "--help"), "--help-all"
WIDEST = 100  # characters of a line, where the terminal is wider: longer ones are hard to read
COLUMN = 24  # column where the explanations begin; an option that is longer gets its own line
TRACKING = {
    "Results": ("out", "overwrite", "truth", "poses", "viewer", "quiet", "json"),
    "Map": ("map", "localize", "memory", "scale_from", "gravity"),
    "Network": ("network", "weights", "device", "adapt"),
    "Settings": ("config",),
}


@dataclass(frozen=True)
class Page:
    """Help of one command."""

    arguments: str  # the class of its arguments, as MODULE:CLASS in `vgslam.commands`
    groups: dict[str, tuple[str, ...]]  # names of the fields that the short page shows, by group

    def load(self) -> type:
        """The class of the arguments."""
        module, name = self.arguments.split(":")
        cls: type = getattr(import_module(f"vgslam.commands.{module}"), name)
        return cls


RUN_INPUT = ("path", "calib", "fov_deg", "mask", "source", "start", "end", "stride", "max_frames")
PAGES = {
    "run": Page(
        "run_in_pieces:RunCommandArgs",
        {"Input": (*RUN_INPUT, "pieces"), **TRACKING, "Results": (*TRACKING["Results"], "save_depth")},
    ),
    "live": Page(
        "live:LiveArgs",
        {
            "Input": ("address", "calib", "fov_deg", "mask", "every_frame", "max_frames", "duration_s", "give_up_s"),
            **TRACKING,
        },
    ),
    "config": Page("config:ConfigArgs", {
        "Input": RUN_INPUT[1:], "Map": TRACKING["Map"], "Network": TRACKING["Network"], "Settings": ("config", "json"),
    }),
    "demo": Page("demo:DemoArgs", {"Results": ("out", "overwrite", "quiet")}),
    "adapt": Page("adapt:AdaptArgs", {
        "Input": ("path", "calib", "fov_deg", "source", "start", "end", "stride", "max_frames"),
        "Training": ("weights", "trainable", "steps", "rehearse", "device"),
        "Results": ("out", "quiet"),
    }),
    "relocalize": Page("relocalize:RelocalizeArgs", {
        "Input": ("map", "images", "calib"), "Network": ("weights", "device"), "Results": ("json",),
    }),
}  # fmt: skip


@dataclass(frozen=True)
class Option:
    """One option of the command line, with its text. inner: the default settings within, for a dataclass."""

    name: str
    flags: str
    text: str
    inner: Any = None


def help_page(arguments: list[str]) -> str | None:
    """The page that the words ask for, such as ["run", "--help"]; None if they ask for none of this module's."""
    page = PAGES.get(arguments[0]) if arguments else None
    if page is None:
        return None
    if ALL in arguments:
        return full_page(arguments[0], page)
    return short_page(arguments[0], page) if not set(SHORT).isdisjoint(arguments) else None


def short_page(command: str, page: Page) -> str:
    """The short page: the options that a user needs every day."""
    cls = page.load()
    options = {o.name: o for o in options_of(cls)}
    groups = [(title, [options[name] for name in names]) for title, names in page.groups.items()]
    end = f"vgslam {command} {ALL} explains all options at length, and every tuning knob."
    return _page(command, cls, groups, _first_sentence, end)


def full_page(command: str, page: Page) -> str:
    """Every option, with all that is said of it."""
    cls = page.load()
    flat = {o.name: o for o in options_of(cls) if o.inner is None}
    groups = [(title, [flat.pop(name) for name in names]) for title, names in page.groups.items()]
    groups += [("More", list(flat.values()))] if flat else []
    return _page(command, cls, [*groups, *_inner_groups(cls, "")], str, "")


def _inner_groups(cls: type, prefix: str) -> Iterator[tuple[str, list[Option]]]:
    """Settings within settings, each class of them a group under the docstring of its field."""
    for outer in options_of(cls, prefix):
        if outer.inner is not None:
            within = f"{prefix}{outer.name}."
            leaves = [o for o in options_of(outer.inner, within) if o.inner is None]
            yield f"{within[:-1].replace('_', '-')}: {outer.text}", leaves
            yield from _inner_groups(outer.inner, within)


def options_of(settings: Any, prefix: str = "") -> list[Option]:
    """The command-line options of a class of settings, with their defaults; nested ones begin with its `prefix`."""
    cls = settings if isinstance(settings, type) else type(settings)
    hints, texts = get_type_hints(cls), sentences_of(cls)
    return [
        _option(f.name, hints[f.name], texts.get(f.name, ""), prefix.replace("_", "-"), _default(settings, f))
        for f in fields(cls)
    ]


def _default(settings: Any, f: Field[Any]) -> Any:
    if not isinstance(settings, type):
        return getattr(settings, f.name)
    return f.default if f.default_factory is MISSING else f.default_factory()


def _option(name: str, hint: Any, text: str, prefix: str, default: Any) -> Option:
    if default is not MISSING and is_dataclass(default):
        return Option(name, "", text, default)
    word = name.replace("_", "-")
    if default is MISSING:
        return Option(name, f"{word.upper()}{' ...' if get_origin(hint) is list else ''}", text)
    if hint is bool:
        return Option(name, f"--{prefix}{'[no-]' if default else ''}{word}", f"{text} [on]" if default else text)
    shown = "" if default is None or default == () else f" [{_shown(default)}]"
    return Option(name, f"--{prefix}{word} {_metavar(hint)}", text + shown)


def _shown(default: Any) -> str:
    return " ".join(map(_shown, default)) if isinstance(default, tuple) else str(default)


def _metavar(hint: Any) -> str:
    """The placeholder of the value: the allowed words, or its kind."""
    if get_origin(hint) in (Union, UnionType):
        return _metavar(next(k for k in get_args(hint) if k is not type(None)))
    if get_origin(hint) is Literal:
        return "|".join(map(str, get_args(hint)))
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        return " ".join(_metavar(k) for k in kinds if k is not Ellipsis)
    return {Path: "PATH", int: "N", float: "NUMBER"}.get(hint, "TEXT")


def _first_sentence(text: str) -> str:
    """The first sentence, and the default after the last."""
    first = re.split(r"(?<=[.])\s", text, maxsplit=1)[0]
    default = re.search(r" \[[^\]]*\]$", text)
    return first if default is None or first.endswith(default[0]) else first + default[0]


def _page(
    command: str, cls: type, groups: Iterable[tuple[str, list[Option]]], said: Callable[[str], str], end: str
) -> str:
    """The usage, what the command does, and a block for each group, wrapped to the width of the terminal."""
    width = max(40, min(WIDEST, shutil.get_terminal_size().columns))
    groups = list(groups)
    words = [o.flags for _, options in groups for o in options if not o.flags.startswith("-")]
    about = " ".join((cls.__doc__ or "").split())
    lines = [" ".join(["usage: vgslam", command, "[OPTIONS]", *words]), "", *textwrap.wrap(about, width)]
    for title, options in groups:
        lines += ["", *textwrap.wrap(title, width)]
        for option in options:
            lines += _rows(option.flags, said(option.text), width)
    return "\n".join([*lines, *(["", *textwrap.wrap(end, width)] if end else [])])


def _rows(flags: str, text: str, width: int) -> list[str]:
    """An option with its explanation beside it, or below it if the option is long."""
    indent = " " * COLUMN
    rows = textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    head = f"  {flags}"
    if len(head) < COLUMN - 1 and rows:
        return [head.ljust(COLUMN) + rows[0][COLUMN:], *rows[1:]]
    return [head, *rows]


def sentences_of(cls: type) -> dict[str, str]:
    """Field name -> docstring below it, for a dataclass and its bases; fields without one are left out."""
    if not is_dataclass(cls):
        raise TypeError(f"{cls.__name__} is no dataclass")
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base is not object:
            found |= _docstrings(base)
    return found


def _docstrings(cls: type) -> dict[str, str]:
    """The string below each field in the source of the class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, after in zip(body.body, body.body[1:]):
        is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            found[field.target.id] = " ".join(str(after.value.value).split())  # type: ignore[attr-defined]
    return found
