"""Text with a name and a value in each line, which is no YAML: INI files (ZED), TOML, `fx 500`."""

import configparser
import re
import tomllib
from typing import Any

from vgslam.guards.documents import is_number
from vgslam.sources.calibration.document import Document

_ASSIGNED = re.compile(r"^\s*[\w.\-]+\s*=", re.M)
_NAMED = re.compile(r"^\s*[A-Za-z_]\w*[ \t]+[-+.\d]")

_TOP = "="
"""The section of the lines above all sections; none can be called so."""


def read_named(text: str) -> Document | None:
    """The fields of the text, sections as mappings; None for text of another kind."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", ";", "%"))]
    if not lines:
        return None
    if all(_ASSIGNED.match(line) or line.lstrip().startswith("[") for line in lines) and _ASSIGNED.search(text):
        return _toml(text) or _ini(text)
    if all(_NAMED.match(line) for line in lines):
        return {words[0]: _value(" ".join(words[1:])) for words in (line.split() for line in lines)}
    return None


def _toml(text: str) -> Document | None:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None


def _ini(text: str) -> Document | None:
    parser = configparser.ConfigParser(strict=False, interpolation=None, inline_comment_prefixes=("#", ";"))
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # as it is: k1 and K1 differ
    try:
        parser.read_string(f"[{_TOP}]\n{text}")
    except configparser.Error:
        return None
    found: dict[str, Any] = {name: _value(value) for name, value in parser[_TOP].items()}
    found |= {name: {key: _value(v) for key, v in parser[name].items()} for name in parser.sections() if name != _TOP}
    return found


def _value(text: str | None) -> Any:
    """A number, a list of numbers, or the text."""
    words = (text or "").replace(",", " ").strip("[] ").split()
    if words and all(map(is_number, words)):
        numbers = [float(word) for word in words]
        return numbers if len(numbers) > 1 else numbers[0]
    return (text or "").strip().strip("\"'")
