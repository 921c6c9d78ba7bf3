"""OpenCV's XML files (`opencv_storage`) as plain values. OpenCV's own reader of them crashes on damaged ones."""

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from vgslam.guards.documents import MOST_LEVELS, MOST_YAML_VALUES, DocumentError


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
