"""JSON, YAML and OpenCV's XML from outside: read whole, or refused in one line, within stated limits of size, depth and
number."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

MOST_BYTES = 32 * 2**20
"""Longest JSON file: a short value of JSON takes thirty times as many bytes of memory as of text."""
MOST_ROWS_BYTES = 128 * 2**20  # longest list or trajectory: a million rows and more
MOST_YAML_BYTES = 2**20
"""Longest YAML file: its parser reads a megabyte in about ten seconds; settings and calibrations have kilobytes."""
MOST_LEVELS = 64  # lists within lists, and mappings within mappings
MOST_YAML_VALUES = 50_000  # values of a YAML file, each counted as often as references (`*name`) repeat it
MOST_DIGITS = 300  # digits of a whole number: with more it is beyond every floating-point number


class DocumentError(ValueError):
    """A document cannot be read. The text is one line without the file's name, and reads after it."""


def read_text(path: Path, most_bytes: int = MOST_BYTES) -> str:
    """Text of a file in UTF-8, a byte order mark left out, or in UTF-16 with one, as PowerShell writes. Raises
    DocumentError for one that is no text or too long, OSError."""
    with path.open("rb") as file:
        return decoded(file.read(most_bytes + 1), most_bytes)


def decoded(data: bytes, most_bytes: int) -> str:
    """`read_text` of bytes, of which `most_bytes` + 1 were read at most. Raises DocumentError."""
    if len(data) > most_bytes:
        raise DocumentError(f"is larger than {most_bytes / 2**20:g} MiB")
    try:
        return data.decode("utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except UnicodeDecodeError:
        raise DocumentError("is not a text file (UTF-8)") from None


def why_unreadable(error: Exception) -> str:
    """What an OSError or a DocumentError says, to stand in brackets behind "cannot be read"."""
    return getattr(error, "strerror", None) or str(error).removeprefix("is ")


def to_number(word: str) -> float:
    """The number that a word is. Raises ValueError, also for what Python alone takes for one: 208_5, digits of other
    scripts."""
    if "_" in word or not word.isascii():
        raise ValueError(f"{word!r} is no number")
    return float(word)


def is_number(word: str) -> bool:
    """Whether a word is a number, as `to_number` reads it."""
    try:
        to_number(word)
    except ValueError:
        return False
    return True


def read_json(path: Path, most_bytes: int = MOST_BYTES) -> Any:
    """The value of a JSON file. Raises DocumentError, OSError."""
    return parse_json(read_text(path, most_bytes))


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises DocumentError."""
    try:
        value = json.loads(text, parse_int=_whole, object_pairs_hook=_named_once)
    except DocumentError:
        raise
    except RecursionError:
        raise DocumentError(f"is nested more than {MOST_LEVELS} levels deep") from None
    except ValueError as error:
        raise DocumentError(f"is not JSON ({_brief(error)})") from None
    check_depth(value)
    return value


def parse_yaml(text: str, loader: type["LimitedLoader"] | None = None) -> Any:
    """The first document of a YAML text that holds anything, None if none does. Raises DocumentError."""
    if len(text) > MOST_YAML_BYTES:
        raise DocumentError(f"is longer than {MOST_YAML_BYTES / 2**20:g} MiB, too much for YAML")
    try:
        documents = yaml.load_all(text, Loader=loader or LimitedLoader)
        value = next((document for document in documents if document is not None), None)
    except DocumentError:
        raise
    except RecursionError:
        raise DocumentError(f"is nested more than {MOST_LEVELS} levels deep") from None
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:  # constructors'
        raise DocumentError(f"is not YAML ({_brief(error)})") from None
    check_depth(value)
    return value


def read_yaml(path: Path) -> Any:
    """`parse_yaml` of a file. Raises DocumentError, OSError."""
    return parse_yaml(read_text(path, MOST_YAML_BYTES))


def check_depth(value: Any) -> None:
    """Raises DocumentError for lists and mappings within one another beyond MOST_LEVELS, in themselves too."""
    level = [value]
    for _ in range(MOST_LEVELS):
        inner = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list | tuple)]
        level = [x for v in inner for x in v if isinstance(x, dict | list | tuple)]
        if not level:
            return
    raise DocumentError(f"is nested more than {MOST_LEVELS} levels deep")


class LimitedLoader(yaml.SafeLoader):
    """Plain data alone, within the limits. A reference counts as all that it stands for, so that a few lines of
    references to references (a "billion laughs") are refused before they are made."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._n = self._depth = 0
        self._sizes: dict[str, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Raises DocumentError beyond a limit."""
        event, before = self.peek_event(), self._n
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            if anchor in self.anchors and anchor not in self._sizes:
                raise DocumentError(f"is not YAML that can be used (*{anchor} is within itself)")
            self._n += self._sizes.get(str(anchor), 0)
        self._n += 1
        if self._n > MOST_YAML_VALUES:
            raise DocumentError(f"holds more than {MOST_YAML_VALUES} values, too many for YAML")
        self._depth += 1
        if self._depth > MOST_LEVELS:
            raise DocumentError(f"is nested more than {MOST_LEVELS} levels deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if anchor is not None and not isinstance(event, yaml.AliasEvent):
            self._sizes[str(anchor)] = self._n - before
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping. Raises DocumentError for a name that has two values."""
        plain = [(k.value, v.value) for k, v in node.value if isinstance(k, yaml.ScalarNode) and k.value != "<<"]
        _named_once([(name, value if isinstance(value, str) else id(value)) for name, value in plain])
        return super().construct_mapping(node, deep)

    def construct_int(self, node: yaml.ScalarNode) -> int | str:
        """A whole number; the text where YAML 1.1 alone takes it for another number than it looks like (208_5, 3:28,
        0160). Raises DocumentError for one of too many digits."""
        text = str(node.value)
        if len(text) > MOST_DIGITS:
            raise DocumentError(f"holds a number of more than {MOST_DIGITS} digits")
        is_odd = _ODD.search(text) or _OCTAL.match(text)
        return text if is_odd else int(self.construct_yaml_int(node))

    def construct_float(self, node: yaml.ScalarNode) -> float | str:
        """A number, or the text, as `construct_int`."""
        text = str(node.value)
        return text if _ODD.search(text) else float(self.construct_yaml_float(node))


_ODD, _OCTAL = re.compile(r"[_:]"), re.compile(r"[-+]?0[0-7]")
LimitedLoader.add_constructor("tag:yaml.org,2002:int", LimitedLoader.construct_int)
LimitedLoader.add_constructor("tag:yaml.org,2002:float", LimitedLoader.construct_float)


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The mapping of names and values. Raises DocumentError for a name that has two."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found and found[name] != value:
            raise DocumentError(f"has {name!r} twice, with different values")
        found[name] = value
    return found


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= MOST_DIGITS else float(digits)


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def parse_xml(text: str) -> Any:
    """The value of the root: mappings by tag, lists where tags are `_` or the text is several numbers, numbers, text.
    Matrices are mappings of rows, cols and data. Raises DocumentError, for a document type or entities too."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DocumentError("is XML with a document type, which no calibration has")
    parser: ElementTree.XMLPullParser[Any] = ElementTree.XMLPullParser(("start", "end"))
    n = level = 0
    root: ElementTree.Element | None = None
    try:
        parser.feed(text)
        events: Iterator[Any] = iter(parser.read_events())
        for event, element in events:
            root = element if root is None else root
            n, level = n + 1, level + (1 if event == "start" else -1)
            if level > MOST_LEVELS or n > 2 * MOST_YAML_VALUES:
                raise DocumentError(f"is nested more than {MOST_LEVELS} levels deep, or holds too many values")
        parser.close()
    except (ElementTree.ParseError, ValueError) as error:
        if isinstance(error, DocumentError):
            raise
        raise DocumentError(f"is not XML ({error})") from None
    return None if root is None else _value(root)


def _value(element: ElementTree.Element) -> Any:
    if not len(element):
        return _scalar((element.text or "").strip())
    if all(child.tag == "_" for child in element):
        return [_value(child) for child in element]
    return {child.tag: _value(child) for child in element}


def _scalar(text: str) -> Any:
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        return text.strip('"')
    return numbers if len(numbers) > 1 else numbers[0] if numbers else None
