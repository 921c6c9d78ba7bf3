"""The text of each setting: the docstring below its field, the only place where it is described."""

import ast
import inspect
import textwrap
from dataclasses import is_dataclass


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
