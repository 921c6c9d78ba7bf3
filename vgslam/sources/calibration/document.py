"""Files with named fields as mappings: JSON, YAML (OpenCV's dialect included), OpenCV's XML, NumPy's npz."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from vgslam.errors import CalibrationError

Document = Mapping[str, Any]
Rows = list[list[str]]


class _Loader(yaml.SafeLoader):
    """Safe YAML that also reads OpenCV's matrices as {rows, cols, data}."""


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
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        reason = getattr(err, "strerror", None) or "not a text file"
        raise CalibrationError(f"{path}: calibration cannot be read ({reason}); give a JSON or YAML file") from err


def read_bytes(path: Path) -> bytes:
    """A file's bytes. Raises CalibrationError."""
    try:
        return path.read_bytes()
    except OSError as err:
        raise CalibrationError(f"{path}: calibration cannot be read ({err.strerror})") from err


def parse_document(path: Path, text: str) -> Document:
    """Mapping of the text of a JSON or YAML file, the first where it holds several documents. Raises
    CalibrationError."""
    try:
        document = json.loads(text) if path.suffix.lower() == ".json" else _yaml(text)
    except (ValueError, yaml.YAMLError, RecursionError) as err:
        reason = " ".join(str(err).split())[:120]
        raise CalibrationError(f"{path}: malformed calibration ({reason})") from err
    if isinstance(document, list) and document and isinstance(document[0], Mapping):
        is_opensfm = "cameras" in document[0]  # its reconstructions, each with the cameras of all
        document = document[0] if is_opensfm or len(document) == 1 else {"cameras": document}
    if not isinstance(document, Mapping):
        raise CalibrationError(f"{path}: calibration must name its fields (width, height, fx, fy, cx, cy, distortion)")
    return {str(name): value for name, value in document.items()}


def rows_of(text: str) -> Rows:
    """The words of each line, without comments; commas separate too."""
    lines = (line.split("#", 1)[0].replace(",", " ").split() for line in text.splitlines())
    return [words for words in lines if words]


def _yaml(text: str) -> Any:
    """The first document that holds anything."""
    documents = yaml.load_all(text.replace("%YAML:1.0", "", 1), Loader=_Loader)
    return next((document for document in documents if document is not None), None)


def _xml(path: Path, text: str) -> Document:
    try:
        storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)  # nodes live as long as it
        root = storage.root()
        return {name: _node(root.getNode(name)) for name in root.keys()}  # noqa: SIM118 (a FileNode is no mapping)
    except (cv2.error, SystemError) as err:
        raise CalibrationError(f"{path}: is no XML file of OpenCV's; give a JSON or YAML file") from err


def _node(node: Any) -> Any:
    if node.isMap():
        matrix = node.mat()
        return matrix.tolist() if matrix is not None else {name: _node(node.getNode(name)) for name in node.keys()}  # noqa: SIM118
    if node.isSeq():
        return [_node(node.at(i)) for i in range(node.size())]
    if node.isString():
        words = node.string().split()
        return [float(w) for w in words] if len(words) > 1 and all(map(is_number, words)) else node.string()
    return node.real() if node.isReal() or node.isInt() else None


def is_number(word: str) -> bool:
    """Whether a word is a number."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def _arrays(path: Path) -> Document:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"camera_matrix": loaded.tolist()}
        return {name: loaded[name].tolist() for name in loaded.files}
    except (OSError, ValueError, EOFError) as err:
        raise CalibrationError(f"{path}: is no readable NumPy file of plain arrays; give a JSON or YAML file") from err
