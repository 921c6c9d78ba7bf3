"""The site: its navigation holds every page, every link among the staged pages leads to one, nothing comes from
elsewhere. MkDocs is not needed here; `make site` builds strictly."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "docs"
    from make_site import stage

    stage(folder)
    return folder


def settings() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def named(navigation: Any) -> Iterator[str]:
    """The pages that a navigation names."""
    if isinstance(navigation, str):
        yield navigation
    elif isinstance(navigation, dict):
        for inner in navigation.values():
            yield from named(inner)
    else:
        for item in navigation:
            yield from named(item)


def test_the_navigation_holds_every_page_once(pages: Path) -> None:
    files = {p.relative_to(pages).as_posix() for p in pages.rglob("*.md")}
    shown = list(named(settings()["nav"]))
    assert len(shown) == len(set(shown))
    assert set(shown) == {f for f in files if not f.startswith("repository/")}


def test_links_among_the_pages_lead_somewhere(pages: Path) -> None:
    dead = [
        f"{page.relative_to(pages)}: {target}"
        for page in sorted(pages.rglob("*.md")) for target in LINK.findall(CODE.sub("", page.read_text()))
        if "://" not in target and not target.startswith(("#", "mailto:"))
        and not ((page.parent / target.partition("#")[0]).exists())
    ]  # fmt: skip
    assert dead == []


def test_the_readme_is_the_first_page(pages: Path) -> None:
    text = (pages / "index.md").read_text()
    assert text.startswith("# vgslam")
    assert "](first_steps.md)" in text
    assert "](docs/" not in text
    assert "](repository/third_party/about.md)" in text


def test_no_font_and_no_script_from_elsewhere(tmp_path: Path) -> None:
    from make_site import from_outside

    assert settings()["theme"]["font"] is False
    assert "extra_javascript" not in settings()
    assert "extra_css" not in settings()
    (tmp_path / "a.html").write_text('<a href="https://x.org">x</a><link rel="canonical" href="https://x.org/a">')
    assert from_outside(tmp_path) == []
    (tmp_path / "b.html").write_text('<script async src="https://x.org/a.js"></script>')
    assert from_outside(tmp_path) == ['b.html: <script async src="https://x.org/a.js">']
