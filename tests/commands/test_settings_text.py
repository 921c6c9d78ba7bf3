"""Each setting is described once: beneath its field. Help, `vgslam config` and the API page are made from there."""

import ast
import re
import runpy
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

import vgslam as package
from vgslam.cli import parse
from vgslam.commands.help_page import PAGES, help_page, options_of, sentences_of

ROOT = Path(package.__file__).parent
ENDINGS = ("Config", "Options", "Args")
OTHERS = ("VggtUse", "Limits")
"""Settings that are called otherwise."""
SETTINGS = [
    pytest.param(node, id=f"{path.relative_to(ROOT)}:{node.name}")
    for path in sorted(ROOT.rglob("*.py"))
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.ClassDef) and (node.name.endswith(ENDINGS) or node.name in OTHERS)
]
VALUES = {"N": "977", "NUMBER": "0.987", "PATH": "a/b", "TEXT": "abc"}
"""For each kind of option a value that is nobody's default."""


def described(node: ast.ClassDef) -> dict[str, str]:
    """Field -> the string beneath it, '' where there is none."""
    found = {}
    for field, after in zip(node.body, [*node.body[1:], None]):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            found[field.target.id] = str(after.value.value) if is_text else ""  # type: ignore[union-attr, attr-defined]
    return found


def test_the_classes_of_settings_are_found() -> None:
    names = {p.values[0].name for p in SETTINGS}
    assert {"SlamConfig", "MapperConfig", "RunArgs", "SourceOptions", "VggtConfig", *OTHERS} <= names


@pytest.mark.parametrize("node", SETTINGS)
def test_every_setting_has_its_docstring_beneath_it(node: ast.ClassDef) -> None:
    silent = [name for name, text in described(node).items() if not text.strip()]
    assert not silent, f"{node.name} says nothing of {', '.join(silent)}"


@pytest.mark.parametrize("node", SETTINGS)
def test_no_class_lists_its_fields_in_a_paragraph(node: ast.ClassDef) -> None:
    text = ast.get_docstring(node) or ""
    listed = [name for name in described(node) if re.search(rf"(^|[.;,]\s+)`?{name}`?(, \w+)*:", text)]
    assert not listed, f"{node.name} explains {', '.join(listed)} twice"


def leaves(settings: Any, prefix: str = "") -> dict[str, str]:
    """What the command line calls each setting, however deep -> what is said of it."""
    found = {}
    for option in options_of(settings, prefix):
        if option.inner is None:
            found[option.flags] = option.text
        else:
            found |= leaves(option.inner, f"{prefix}{option.name}.")
    return found


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("command", PAGES)
def test_help_all_shows_every_setting_and_what_is_said_of_it(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    page = help_page([command, "--help-all"])
    assert page is not None
    shown = flat(page)
    settings = leaves(PAGES[command].load())
    assert len(settings) >= len(fields(PAGES[command].load())) - 3
    missing = [flags for flags, text in settings.items() if flat(f"{flags} {text}") not in shown]
    assert not missing


def test_help_all_tells_the_sentences_of_the_deepest_settings() -> None:
    page = flat(help_page(["run", "--help-all"]) or "")
    settings = parse(["run", "x"])
    for inner in (settings.slam.loops.locate, settings.slam.tracker.features, settings.vggt, settings.adaptation):
        for sentence in sentences_of(type(inner)).values():
            assert sentence in page
    assert "--slam.reloc.locate.min-inliers N Least number of matches that agree with the pose. [15]" in page
    assert "--slam.loops.locate.min-inliers N Least number of matches that agree with the pose. [25]" in page


@pytest.mark.parametrize("command", ["run", "live", "config", "demo", "adapt", "relocalize", "map", "map merge"])
def test_help_fits_on_a_page(command: str, vgslam, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = printed(vgslam, capsys, *command.split(), "--help")
    lines = text.splitlines()
    assert 5 < len(lines) <= 60
    if command in PAGES:
        assert max(map(len, lines)) <= 80
        assert f"vgslam {command} --help-all" in text


def printed(vgslam, capsys, *words: str) -> str:
    """What help prints, whether it returns or exits with 0."""
    try:
        code, out, _ = vgslam(*words)
    except SystemExit as ended:
        code, out = ended.code, capsys.readouterr().out
    assert code in (0, None)
    return out


@pytest.mark.parametrize("command", [["map"], ["map", "info"], ["eval"], ["doctor"]])
def test_help_all_of_a_short_command_is_its_help(command: list[str], vgslam, capsys) -> None:
    assert printed(vgslam, capsys, *command, "--help-all") == printed(vgslam, capsys, *command, "--help")


def test_help_is_asked_for_anywhere_in_the_line(vgslam) -> None:
    code, out, _ = vgslam("run", "video.mp4", "--stride", 2, "-h")
    assert code == 0
    assert out == vgslam("run", "--help")[1]
    assert "--stride N" in out
    assert "--slam." not in out


def test_help_is_asked_for_only_by_name() -> None:
    assert help_page([]) is None
    assert help_page(["run", "help"]) is None
    assert help_page(["map", "--help"]) is None


@pytest.mark.parametrize("command", ["run", "live", "demo", "adapt", "relocalize"])
def test_what_help_calls_an_option_is_what_the_program_reads(command: str) -> None:
    cls = PAGES[command].load()
    positional = {"run": ["x"], "live": ["0"], "demo": [], "adapt": ["x"], "relocalize": ["m", "i"]}[command]
    words = []
    for flags, text in leaves(cls).items():
        if flags.startswith("--") and not flags.startswith("--config "):
            name, *kinds = flags.split()
            words += [name.replace("[no-]", "no-"), *(other_than_default(kind, text) for kind in kinds)]
    given, default = values(parse([command, *positional, *words])), values(parse([command, *positional]))
    same = [name for name, value in given.items() if value == default[name]]
    assert {*same} <= {"config"} | {o.name for o in options_of(cls) if not o.flags.startswith("--")}


def other_than_default(kind: str, text: str) -> str:
    return VALUES.get(kind) or next(word for word in kind.split("|") if not text.endswith(f"[{word}]"))


def values(settings: Any, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for f in fields(settings):
        value = getattr(settings, f.name)
        found |= values(value, f"{prefix}{f.name}.") if is_dataclass(value) else {f"{prefix}{f.name}": value}
    return found


def test_the_page_of_the_api_tells_what_is_said_of_the_fields() -> None:
    tool = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "api_reference.py"))
    page = tool["reference"]()
    from vgslam.slam import SlamConfig
    from vgslam.sources.options import SourceOptions

    for cls in (SlamConfig, SourceOptions):
        for sentence in sentences_of(cls).values():
            assert f": {sentence}\n" in page
