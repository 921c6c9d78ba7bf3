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


def test_a_class_that_describes_its_fields_in_a_paragraph_is_named(tmp_path: Path) -> None:
    file = tmp_path / "fields.py"
    beside = "    size: tuple[int, int]  # (width, height)\n    name: str\n"
    texts = {
        "An image. size: width and height; name: of its file.": True,
        "An image of size (W,H), name (n,) and so on.": True,
        "An image. size: width and height.": False,  # a single one may stand there
        "An image with a size and a name: nothing else.": False,
    }
    for text, is_named in texts.items():
        file.write_text(f'class Image:\n    """{text}"""\n\n{beside}')
        said = list(TOOL["complaints"](file))
        assert said == [f"{file}:1: Image describes size, name in a paragraph; do so beside each"] * is_named
    made = '    def __init__(self) -> None:\n        self.size, self._name = (1, 2), ""\n        self.name = ""\n'
    file.write_text(f'class Image:\n    """An image. size: of it; name: its own."""\n\n{made}')
    assert len(list(TOOL["complaints"](file))) == 1


def test_lines_of_code_are_neither_blank_nor_comments_nor_docstrings(tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    told = '"""Two\nlines."""\n\n# a comment\nN = """text\nin two lines"""  # beside\n"""Of N."""\n\n\n'
    file.write_text(told + "def f(\n):\n    return (\n\n    )\n")
    assert TOOL["lines_of"]([file]) == (14, 6)
    assert TOOL["lines_of"]([file, file]) == (28, 12)


def test_the_table_of_rooms_is_true() -> None:
    written, true = TOOL["table_in"](TOOL["PAGE"].read_text()), TOOL["table"]()
    again = "run `python tools/house_rules.py --write`"
    assert [row[:-2] for row in written] == [row[:-2] for row in true], again
    near = TOOL["are_near"]
    far = [a[1] for a, b in zip(written, true) if not all(near(int(a[i]), int(b[i])) for i in (-2, -1))]
    assert not far, f"lines of {far}: {again}"


def test_the_table_can_be_wrong() -> None:
    assert TOOL["are_near"](1000, 1100)
    assert not TOOL["are_near"](1000, 1300)
    page = TOOL["BEGIN"] + TOOL["END"]
    rows = [("1", "top", "all", "torch", "5", "3"), ("2", "below", "few", "", "7", "7")]
    assert TOOL["table_in"](TOOL["with_table"](page, rows)) == rows


def test_a_part_that_the_layers_do_not_name_is_refused() -> None:
    with pytest.raises(ValueError, match="errors"):
        TOOL["_check_all_are_named"]({row[1] for row in TOOL["table"]()} - {"errors"})
