"""Every command that README, docs and examples show is one that the program takes, and every link leads somewhere."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from vgslam.cli import parse

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(vgslam [^`]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
SHELL = {"", "sh", "bash", "console"}
LEFT_OUT = re.compile(r"…|\.\.\.|(?<!\w)\[[-<A-Za-z]|\|(?=[A-Za-z])|\bCOMMAND\b| N\b")
"""Lines that show a form, not a command: something is left out, optional, or one of several."""


def commands(text: str) -> Iterator[str]:
    """Lines of shell blocks that begin with `vgslam`, continued lines joined, and whole commands between backticks."""
    for block in BLOCK.finditer(text):
        if block["kind"] in SHELL:
            for line in block["text"].replace("\\\n", " ").splitlines():
                if line.lstrip("$ ").startswith("vgslam "):
                    yield line.lstrip("$ ")
    outside = BLOCK.sub("", text)
    yield from (m[1].replace("\n", " ") for m in INLINE.finditer(outside) if " -" in m[1] or m[1].count(" ") > 2)


def shown() -> list[tuple[str, str]]:
    found = dict.fromkeys((d.relative_to(ROOT).as_posix(), c) for d in DOCUMENTS for c in commands(d.read_text()))
    return [(document, command) for document, command in found if not LEFT_OUT.search(command)]


def words_of(command: str) -> list[str]:
    words = shlex.split(command, comments=True)[1:]
    ends = [i for i, w in enumerate(words) if w in (">", "|", "&&", "2>&1", "&", ";")]
    return words[: ends[0]] if ends else words


def test_there_are_commands_to_look_at() -> None:
    assert len(shown()) > 40


@pytest.mark.parametrize(("document", "command"), shown())
def test_the_program_takes_it(document: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = words_of(command)
    if words[0] in ("--version", "--help") or words[-1] in ("--help", "--help-all"):
        return
    try:
        parse(words)
    except SystemExit as stop:
        pytest.fail(f"{document}: {command}: {capsys.readouterr().err or stop}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    links = {target for target in LINK.findall(document.read_text()) if "://" not in target and "mailto:" not in target}
    assert [target for target in sorted(links) if not (document.parent / target).exists()] == []
