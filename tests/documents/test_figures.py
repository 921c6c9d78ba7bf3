"""The figures of the documents are those of the committed measurements, and these say how they came about."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from documents.figures import FIGURES, Figures
from documents.origins import GUARDED, OTHERWISE

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "docs" / "bench"
sys.path.insert(0, str(ROOT / "tools"))
NUMBER = r"[-+]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)"
UNIT = r"(?:%|[kcm]?m\b|deg\b|degrees?\b|px\b|m?s\b|MiB\b|GiB\b|[kMG]B\b|GFLOP|Hz\b|frames/s|times as\b|CPU ms\b)"
WITH_UNIT = re.compile(rf"{NUMBER}[\s ]*{UNIT}")
MADE = re.compile(r"<!-- (\w+): made by .*?<!-- end of \1 -->", re.DOTALL)
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"python -m bench|vgslam |tools/|pytest |make ")
COMMIT = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7,40}\b")


def pattern(quoted: str) -> re.Pattern[str]:
    """What a quotation matches: any numbers in its places, any white space between its words."""
    parts = [r"\s+".join(map(re.escape, re.split(r"\s+", part))) for part in quoted.split("{}")]
    return re.compile(f"({NUMBER})".join(parts))


def is_rounded(shown: str, value: float) -> bool:
    """Whether a number is what a value gives with as many digits as are shown; numbers without sign lack it."""
    digits = len(shown.partition(".")[2])
    number = float(shown.replace(",", ""))
    return abs(number - value) <= 0.5 * 10.0**-digits * (1 + 1e-6) + 1e-9


@pytest.mark.parametrize("figures", FIGURES, ids=lambda f: f"{f.page}: {f.quoted[:50]}")
def test_figures_are_those_that_were_measured(figures: Figures) -> None:
    found = pattern(figures.quoted).findall((ROOT / figures.page).read_text())
    assert len(found) == 1, "the sentence is not there (any more), or twice: mend tests/documents/figures.py"
    shown = [found[0]] if isinstance(found[0], str) else list(found[0])
    measured = [float(value) for value in figures.measured()]
    assert len(shown) == len(measured)
    wrong = [f"{s} is {v:g}" for s, v in zip(shown, measured, strict=True) if not is_rounded(s, v)]
    assert not wrong, f"{figures.page}: {figures.quoted}: {wrong}"


def test_rounding_by_hand() -> None:
    assert is_rounded("0.18", 0.1772)
    assert is_rounded("1,000", 1000.4)
    assert is_rounded(".93", 0.9267)
    assert not is_rounded("0.17", 0.1772)
    assert not is_rounded("-29", 28.7)


@pytest.mark.parametrize("page", GUARDED)
def test_every_figure_has_an_origin(page: str) -> None:
    """A figure with a unit stands in a sentence that is compared, in a table that is made, or has its origin in
    origins.OTHERWISE; what stands in code is no figure."""
    text = (ROOT / page).read_text()
    patterns = [pattern(f.quoted) for f in FIGURES if f.page == page]
    patterns += [pattern(words) for words in OTHERWISE.get(page, {})]
    spans = [match.span() for p in [*patterns, MADE, CODE] for match in p.finditer(text)]
    open_ones = [
        text[max(0, m.start() - 50) : m.end() + 20].replace("\n", " ") for m in WITH_UNIT.finditer(text)
        if not any(begin < m.end() and m.start() < end for begin, end in spans)
    ]  # fmt: skip
    assert open_ones == []


@pytest.mark.parametrize("page", OTHERWISE)
def test_origins_are_of_words_that_stand_there(page: str) -> None:
    text = (ROOT / page).read_text()
    assert [words for words in OTHERWISE[page] if not pattern(words).search(text)] == []


def test_the_tables_of_the_readme_are_the_measured_ones() -> None:
    import readme_table

    page = (ROOT / "README.md").read_text()
    assert page == readme_table.with_tables(page), "run `make readme`"


def test_a_table_is_written_by_hand_worked_examples() -> None:
    import readme_table

    runs = [{"start": s, "coverage": c} for s, c in ((0, 1.0), (3, 0.916))]
    medians = {"ate_m": {"median": 0.00614, "worst": None}, "cpu_ms": {"median": 42.4}, "peak_mib": {"median": 577.6}}
    made = readme_table.row("name", {"summary": medians, "runs": runs})
    assert made == "| name | 0.0061 m | lost | 0.92–1.00 | 42 | 578 MiB |\n"
    assert [readme_table.metres(x) for x in (0.1772, 1.04, 12.34)] == ["0.18 m", "1.0 m", "12.3 m"]


def origins(record: Any) -> list[dict[str, Any]]:
    """The parts of a record that say how they came about, or the record itself where none does."""
    if isinstance(record, dict) and ("command" in record or "commit" in record):
        return [record]
    parts = record.values() if isinstance(record, dict) else record if isinstance(record, list) else ()
    found = [origin for part in parts for origin in origins(part)]
    return found or [record] * isinstance(record, dict)


@pytest.mark.parametrize("file", sorted(BENCH.glob("*.json")), ids=lambda f: f.name)
def test_records_state_command_and_commit(file: Path) -> None:
    record = json.loads(file.read_text())
    for origin in [o for o in origins(record) if "command" in o or "commit" in o] or [record]:
        command = origin.get("command")
        shown = " ".join(command) if isinstance(command, list) else command or origin.get("no_command", "")
        assert len(shown.split()) > 1, f"{file.name}: no command, or none that says anything: {shown!r}"
        assert COMMIT.match(origin.get("commit") or ""), f"{file.name}: no commit"


@pytest.mark.parametrize("file", sorted(BENCH.glob("*.md")), ids=lambda f: f.name)
def test_pages_of_measurements_state_command_and_commit(file: Path) -> None:
    text = file.read_text()
    assert COMMAND.search(text), "the page names no command"
    assert COMMIT.search(text), "the page names no commit"
