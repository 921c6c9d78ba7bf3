"""The API reference is made from what is there: a name that vanishes is noticed."""

import importlib
import runpy
from pathlib import Path

TOOL = runpy.run_path(str(Path(__file__).parents[1] / "tools" / "api_reference.py"))


def test_every_name_is_there_and_explained() -> None:
    page = TOOL["reference"]()
    for module, names in TOOL["MODULES"].items():
        assert f"## {module}\n" in page
        for name in names:
            documented = getattr(importlib.import_module(module), name)
            assert documented.__doc__
            first = documented.__doc__.strip().splitlines()[0]
            assert name in page
            assert first.startswith(f"{name}(") or first in page


def test_the_page_in_the_documents_is_the_newest() -> None:
    assert TOOL["TARGET"].read_text() == TOOL["reference"](), "run python tools/api_reference.py"
