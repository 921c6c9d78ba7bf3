"""Files with named fields as mappings: JSON, YAML (OpenCV's too), OpenCV's XML, npz, INI, TOML, names and values."""

import configparser
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from vgslam.errors import CalibrationError
from vgslam.guards import arrays, documents
from vgslam.guards.documents import is_number, parse_xml

Document = Mapping[str, Any]
Rows = list[list[str]]


class _Loader(documents.LimitedLoader):
    """Limited YAML that also reads OpenCV's matrices as {rows, cols, data}."""


def _matrix(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:opencv-matrix", _matrix)


def read_document(path: Path) -> Document:
    """Mapping of a JSON, YAML, XML or npz file. Raises CalibrationError."""
    suffix = path.suffix.lower()
    if suffix in (".npz", ".npy"):
        return _arrays(path)
    text = read_text(path)
    if suffix == ".xml" or text.lstrip().startswith("<?xml"):
        return _xml(path, text)
    return parse_document(path, text)


def read_text(path: Path) -> str:
    """A text file's text. Raises CalibrationError."""
    try:
        return documents.read_text(path)
    except (OSError, documents.DocumentError) as err:
        reason = documents.why_unreadable(err)
        raise CalibrationError(f"{path}: calibration cannot be read ({reason}); give a JSON or YAML file") from err


def read_bytes(path: Path) -> bytes:
    """A file's bytes. Raises CalibrationError."""
    try:
        return path.read_bytes()
    except OSError as err:
        raise CalibrationError(f"{path}: calibration cannot be read ({err.strerror})") from err


def parse_document(path: Path, text: str) -> Document:
    """Mapping of a JSON or YAML text, of the first document in it. Raises CalibrationError."""
    try:
        document = documents.parse_json(text) if path.suffix.lower() == ".json" else _yaml(text)
    except documents.DocumentError as err:
        raise CalibrationError(f"{path}: malformed calibration ({err})") from err
    if isinstance(document, list) and document and isinstance(document[0], Mapping):
        is_opensfm = "cameras" in document[0]  # its reconstructions, each with the cameras of all
        document = document[0] if is_opensfm or len(document) == 1 else {"cameras": document}
    if isinstance(document, list) and _is_matrix(document):
        document = {"camera_matrix": document}
    if not isinstance(document, Mapping):
        raise CalibrationError(f"{path}: calibration must name its fields (width, height, fx, fy, cx, cy, distortion)")
    return {str(name): value for name, value in document.items()}


def _is_matrix(value: list[Any]) -> bool:
    rows = [row for row in value if isinstance(row, list) and len(row) == 3]
    return len(value) == len(rows) == 3 and all(isinstance(x, int | float) for row in rows for x in row)


def rows_of(text: str) -> Rows:
    """The words of each line, without comments and the brackets of a printed matrix; commas separate too."""
    lines = (line.split("#", 1)[0].replace(",", " ").strip("[] \t").split() for line in text.splitlines())
    return [words for words in lines if words]


def _yaml(text: str) -> Any:
    """The first document that holds anything."""
    if text.lstrip().startswith("%YAML:1.0"):  # OpenCV's dialect, which asks for no space after a colon
        text = re.sub(r"^(\s*\w+):(?=\[)", r"\1: ", text.replace("%YAML:1.0", "", 1), flags=re.M)
    return documents.parse_yaml(text, _Loader)


def _xml(path: Path, text: str) -> Document:
    try:
        document = parse_xml(text)
    except documents.DocumentError as err:
        raise CalibrationError(f"{path}: {err}; give an XML file of OpenCV's, or a JSON or YAML file") from err
    if not isinstance(document, Mapping):
        raise CalibrationError(f"{path}: is no XML file of OpenCV's; give a JSON or YAML file")
    return document


def _arrays(path: Path) -> Document:
    try:
        loaded = arrays.read_arrays(path)
    except (OSError, arrays.ArraysError) as err:
        raise CalibrationError(
            f"{path}: is no readable NumPy file of plain arrays ({getattr(err, 'strerror', None) or err}); give a JSON "
            "or YAML file"
        ) from err
    if isinstance(loaded, np.ndarray):
        return {"camera_matrix": loaded.tolist()}
    return {name: array.tolist() for name, array in loaded.items()}


_ASSIGNED = re.compile(r"^\s*[\w.\-]+\s*=", re.M)
_NAMED = re.compile(r"^\s*[A-Za-z_]\w*[ \t,]+[-+.\d]")

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
        return {words[0]: _value(" ".join(words[1:])) for words in (re.split(r"[\s,]+", x.strip()) for x in lines)}
    head, *rows = rows_of(text)
    if len(rows) == 1 and len(head) == len(rows[0]) > 3 and all(map(is_number, rows[0])):
        return dict(zip(head, map(float, rows[0]), strict=True))
    return None


def _toml(text: str) -> Document | None:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None


def _ini(text: str) -> Document | None:
    parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=("#", ";"))
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # as it is: k1 and K1 differ
    try:
        parser.read_string(f"[{_TOP}]\n{text}")
    except configparser.DuplicateOptionError as error:
        raise ValueError(f"has {error.option!r} twice") from None
    except configparser.Error:
        return None
    found: dict[str, Any] = {name: _value(value) for name, value in parser[_TOP].items()}
    found |= {name: {key: _value(v) for key, v in parser[name].items()} for name in parser.sections() if name != _TOP}
    return found


def _value(text: str | None) -> Any:
    """A number, a list of numbers, or the text."""
    words = re.sub(r"[,;]", " ", text or "").strip("[] ").split()
    if words and all(map(is_number, words)):
        numbers = [float(word) for word in words]
        return numbers if len(numbers) > 1 else numbers[0]
    return (text or "").strip().strip("\"'")
