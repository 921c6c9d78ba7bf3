"""Rules that ruff and import-linter cannot check, and the table of rooms in docs/architecture.md.

python tools/house_rules.py          names the lines that break a rule; exit code 1 if there are any
python tools/house_rules.py --write  writes the table of rooms again, from the import rules in pyproject.toml
"""

import ast
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- rooms: made by `python tools/house_rules.py --write` -->\n", "<!-- end of rooms -->\n"
CHECKED = ("vgslam", "vgslam_train", "bench", "examples", "tests", "tools")
PACKAGES = ("vgslam", "vgslam_train", "bench")
MAX_FUNCTION_LINES, MAX_FILE_LINES = 60, 400
NO_CODE = frozenset({
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER
})  # fmt: skip
"""Tokens that make no line one of code."""
LINES_REL, LINES_ABS = 0.15, 60  # how far the lines in the table may be from the truth


def main(arguments: list[str]) -> int:
    """Checks, or writes with --write; returns the exit code."""
    if arguments == ["--write"]:
        PAGE.write_text(with_table(PAGE.read_text(), table()))
        return 0
    found = [line for name in CHECKED for file in sorted((ROOT / name).rglob("*.py")) for line in complaints(file)]
    print("\n".join(found) if found else "No function and no file is too long, and every docstring is in order.")
    return 1 if found else 0


def complaints(file: Path) -> Iterator[str]:
    """A line for the file if it is too long, for each function that is, for each docstring beginning with "Of", and for
    each class whose docstring describes its fields."""
    text = file.read_text()
    n = len(text.splitlines())
    if n > MAX_FILE_LINES:
        yield f"{file}: {n} lines, at most {MAX_FILE_LINES} are allowed; split it"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            n = (node.end_lineno or node.lineno) - node.lineno + 1
            if n > MAX_FUNCTION_LINES:
                yield f"{file}:{node.lineno}: {node.name} has {n} lines, at most {MAX_FUNCTION_LINES} are allowed"
        if _is_fragment(node):
            yield f"{file}:{node.lineno}: a docstring begins with 'Of'; begin it with a noun or a verb"
        if isinstance(node, ast.ClassDef) and len(listed := _listed_fields(node)) > 1:
            yield f"{file}:{node.lineno}: {node.name} describes {', '.join(listed)} in a paragraph; do so beside each"


def _is_fragment(node: ast.AST) -> bool:
    """Whether a node is a docstring, of a field or constant too, that makes sense only after the name above it."""
    return _is_docstring(node) and node.value.value.startswith("Of ")


def _is_docstring(node: ast.AST) -> bool:
    """Whether a node is a docstring, of a field or constant too."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _listed_fields(node: ast.ClassDef) -> list[str]:
    """The fields of a class, public ones, that its docstring describes: each by its name with a colon or a shape."""
    text = " ".join((ast.get_docstring(node) or "").split())
    fields = [n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
    for n in ast.walk(node):
        if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store) and ast.unparse(n.value) == "self":
            fields.append(n.attr)
    named = r"(^|[.;,:] |and |or )`?{}`?( \([^()]*\))?:|(^| )`?{}`? \(\w+(,\w*)+\)"
    return [x for x in dict.fromkeys(fields) if x[0] != "_" and re.search(named.format(x, x), text)]


def table() -> list[tuple[str, ...]]:
    """Rows of cells: level, room, what is in it, the libraries kept to few rooms that it may import, `lines_of` it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c["type"] == "layers")
    rows = []
    for level, layer in enumerate(layers, 1):
        for room in (name.strip() for name in layer.split("|")):
            files = _files(room)
            cells = (room.removeprefix("vgslam."), _first_sentence(files[0]), _libraries(room, contracts))
            rows.append((str(level), *cells, *map(str, lines_of(files))))
    _check_all_are_named({row[1] for row in rows})
    return rows


def lines_of(files: Iterable[Path]) -> tuple[int, int]:
    """All lines of files, and those with code: neither blank nor a part of a comment or a docstring."""
    counts = [_lines_of_text(file.read_text()) for file in files]
    return sum(n_all for n_all, _ in counts), sum(n_code for _, n_code in counts)


@cache
def _lines_of_text(text: str) -> tuple[int, int]:
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if _is_docstring(node):
            code.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(text.splitlines()), len(code)


def _files(room: str) -> list[Path]:
    """A module's file, or those of a package, its __init__ first."""
    path = ROOT.joinpath(*room.split("."))
    if path.is_dir():
        return [path / "__init__.py", *sorted(set(path.rglob("*.py")) - {path / "__init__.py"})]
    return [path.with_suffix(".py")]


def _first_sentence(file: Path) -> str:
    text = ast.get_docstring(ast.parse(file.read_text()))
    if not text:
        raise ValueError(f"{file} needs a docstring that says what is in it")
    return " ".join(text.split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def _libraries(room: str, contracts: list[dict[str, Any]]) -> str:
    """Libraries that the contracts let few rooms import, this one among them."""
    found = []
    for contract in contracts:
        allowed = contract.get("allowed_importers", [])
        if any(f"{room}.".startswith(f"{name}.") or name.startswith(f"{room}.") for name in allowed):
            found += contract["protected_modules"]
    return ", ".join(sorted(found))


def _check_all_are_named(rooms: set[str]) -> None:
    """Every part of the product stands in the layers. Raises ValueError for one that does not."""
    children = {p.stem for p in (ROOT / "vgslam").iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    missing = children - rooms - {"__init__"}
    if missing:
        raise ValueError(f"pyproject.toml: the layers of import-linter do not name {', '.join(sorted(missing))}")


def with_table(page: str, rows: list[tuple[str, ...]]) -> str:
    """The page with the table between its two marks. Raises ValueError if a mark is missing."""
    before, after = page[: page.index(BEGIN) + len(BEGIN)], page[page.index(END) :]
    head = ("level", "room", "what is in it", "its libraries", "lines", "of code")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += [f"| {level} | `{room}` | {' | '.join(cells)} |" for level, room, *cells in rows]
    totals = [(package, *lines_of((ROOT / package).rglob("*.py"))) for package in PACKAGES]
    sums = "; ".join(f"`{package}` {n:,}, {n_code:,} of them code" for package, n, n_code in totals)
    about = f"Lines in all: {sums}. The others are blank, comments or docstrings.\n"
    return before + "\n".join(lines) + f"\n\n{about}" + after


def table_in(page: str) -> list[tuple[str, ...]]:
    """The rows that stand on the page."""
    text = page[page.index(BEGIN) + len(BEGIN) : page.index(END)]
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in text.splitlines() if "|" in line]
    return [(row[0], row[1].strip("`"), *row[2:]) for row in rows[2:]]


def are_near(n_written: int, n_true: int) -> bool:
    """Whether a number of lines on the page is near enough to the truth."""
    return abs(n_written - n_true) <= max(LINES_REL * n_true, LINES_ABS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
