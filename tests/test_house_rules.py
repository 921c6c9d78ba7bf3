"""Lengths of functions and files, and the table of rooms in docs/architecture.md."""

import runpy
from pathlib import Path

import pytest

TOOL = runpy.run_path(str(Path(__file__).parents[1] / "tools" / "house_rules.py"))


def test_what_is_too_long_is_named(tmp_path: Path) -> None:
    file = tmp_path / "long.py"
    file.write_text("def f():\n" + "    x = 1\n" * 60 + "\n" * 340)
    said = list(TOOL["complaints"](file))
    assert len(said) == 2
    assert "401 lines" in said[0]
    assert "f has 61 lines" in said[1]
    file.write_text("def f():\n" + "    x = 1\n" * 59 + "\n" * 340)
    assert list(TOOL["complaints"](file)) == []


def test_a_docstring_that_begins_with_of_is_named(tmp_path: Path) -> None:
    file = tmp_path / "fragment.py"
    file.write_text('"""Depths."""\n\nN = 1\n"""Of a frame."""\n\n\ndef f():\n    """Of it."""\n    return "Of this"\n')
    said = list(TOOL["complaints"](file))
    assert [line.removeprefix(f"{file}:").split(":")[0] for line in said] == ["4", "8"]


def test_the_table_of_rooms_is_true() -> None:
    written, true = TOOL["table_in"](TOOL["PAGE"].read_text()), TOOL["table"]()
    again = "run `python tools/house_rules.py --write`"
    assert [row[:-1] for row in written] == [row[:-1] for row in true], again
    far = [a[1] for a, b in zip(written, true) if not TOOL["are_near"](int(a[-1]), int(b[-1]))]
    assert not far, f"lines of {far}: {again}"


def test_the_table_can_be_wrong() -> None:
    assert TOOL["are_near"](1000, 1100)
    assert not TOOL["are_near"](1000, 1300)
    page = TOOL["BEGIN"] + TOOL["END"]
    rows = [("1", "top", "all", "torch", "5"), ("2", "below", "few", "", "7")]
    assert TOOL["table_in"](TOOL["with_table"](page, rows)) == rows


def test_a_part_that_the_layers_do_not_name_is_refused() -> None:
    with pytest.raises(ValueError, match="errors"):
        TOOL["_check_all_are_named"]({row[1] for row in TOOL["table"]()} - {"errors"})
