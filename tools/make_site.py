"""The documents as a site: staged with the README as its first page, then built by MkDocs (extra `docs`), strictly.

python tools/make_site.py [--out out/site] [--stage-only]

The site asks nothing of other machines: no fonts, no scripts from elsewhere. Links that leave docs/ lead to copies.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCS, NAVIGATION = ROOT / "docs", ROOT / "mkdocs.yml"
LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)#\s]+)(?P<anchor>#[^)]*)?\)")
FIRST = ("README.md", "docs/README.md")
"""What becomes index.md: the README, and links to the list of documents, which the navigation replaces."""
FOLDERS = {"docs/bench": "bench/accuracy.md", "docs/model_cards": "model_cards/vggt-s.md"}
"""Where links to folders lead; those to others become plain words."""
OUTSIDE = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*(?:src|href)=[\"']?(?:https?:)?//[^>]*>")


def main(arguments: list[str]) -> int:
    """Stages and builds; returns the exit code."""
    parser = argparse.ArgumentParser(description="Build the documents as a site.")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "site")
    parser.add_argument("--stage-only", action="store_true", help="only write the pages, to OUT-pages")
    options = parser.parse_args(arguments)
    out = options.out.resolve()
    pages = out.with_name(f"{out.name}-pages")
    stage(pages / "docs")
    settings = yaml.safe_load(NAVIGATION.read_text()) | {"docs_dir": str(pages / "docs")}
    (pages / "mkdocs.yml").write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    if options.stage_only:
        return 0
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", str(pages / "mkdocs.yml")]
    told = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    code = subprocess.run([*command, "--site-dir", str(out)], check=False, env=told).returncode
    strangers = from_outside(out) if code == 0 else []
    print("\n".join(strangers) or (f"site: {out}/index.html" if code == 0 else "the site could not be built"))
    return code or int(bool(strangers))


def stage(pages: Path) -> None:
    """Writes all pages, pictures and records of the site into a fresh folder."""
    shutil.rmtree(pages, ignore_errors=True)
    shutil.copytree(DOCS, pages)
    for file in sorted(DOCS.rglob("*.md")):
        place = pages / file.relative_to(DOCS)
        place.write_text(relinked(file.read_text(), file, place, pages))
    (pages / "README.md").unlink()
    first = ROOT / "README.md"
    (pages / "index.md").write_text(relinked(first.read_text(), first, pages / "index.md", pages))


def relinked(text: str, file: Path, place: Path, pages: Path) -> str:
    """The text of a file with its links as they have to be at its place among the pages; what they lead to outside
    docs/ is copied there."""

    def moved(match: re.Match[str]) -> str:
        target = match["target"]
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        found = (file.parent / target).resolve()
        name = found.relative_to(ROOT).as_posix()
        if (inside := _inside(name, found, pages)) is None:
            return "]()"
        return f"{match['before']}{_relative(pages / inside, place.parent)}{match['anchor'] or ''})"

    linked = LINK.sub(moved, text)
    return re.sub(r"\[([^\]]*)\]\(\)", r"\1", linked)


def _inside(name: str, found: Path, pages: Path) -> str | None:
    """Where a file of the repository is among the pages; None for a folder that has no page."""
    if name in FIRST:
        return "index.md"
    if name in FOLDERS:
        return FOLDERS[name]
    if name.startswith("docs/"):
        return name.removeprefix("docs/")
    if found.is_dir():
        return None
    copy = pages / "repository" / (name.replace("README.md", "about.md"))
    copy.parent.mkdir(parents=True, exist_ok=True)
    if not copy.exists():
        copy.write_text("")  # before its own links are followed: they may lead back
        is_page = found.suffix == ".md"
        copy.write_text(relinked(found.read_text(), found, copy, pages) if is_page else found.read_text())
    return copy.relative_to(pages).as_posix()


def _relative(target: Path, start: Path) -> str:
    return Path(os.path.relpath(target, start)).as_posix()


def from_outside(site: Path) -> list[str]:
    """Tags of a built site that fetch something from another machine."""
    return [
        f"{page.relative_to(site)}: {tag[0]}"
        for page in sorted(site.rglob("*.html")) for tag in OUTSIDE.finditer(page.read_text())
        if 'rel="canonical"' not in tag[0]
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
