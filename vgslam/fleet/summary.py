"""What became of all recordings: `summary.csv`, and `index.html` with a row for each."""

import base64
import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from vgslam.atomic import write_text
from vgslam.fleet.folder import THUMBNAIL
from vgslam.fleet.items import Item
from vgslam.fleet.task import Ending, Facts, TaskResult
from vgslam.results.page.html import style
from vgslam.sources.live_address import public

SUMMARY, PAGE = "summary.csv", "index.html"
COLUMNS = (
    "name", "input", "ending", "coverage", "frames", "poses", "length", "unit", "losses", "components", "duration_s",
    "was_there", "attempts", "wall_s", "peak_mib", "results", "error",
)  # fmt: skip
OPEN = "open"  # the ending of a recording that is still to be done


@dataclass(frozen=True)
class Line:
    """A recording and what became of it; None while it is not done."""

    item: Item
    result: TaskResult | None

    @property
    def ending(self) -> str:
        """How it ended, in a word."""
        if self.item.trouble:
            return Ending.FAILED
        return OPEN if self.result is None else self.result.ending

    @property
    def error(self) -> str:
        """What went wrong, in one line."""
        return self.item.trouble or (self.result.error if self.result is not None else "")

    @property
    def facts(self) -> Facts | None:
        """What its results say, if there are any."""
        return self.result.facts if self.result is not None and self.result.is_usable else None


def write_summary(folder: Path, title: str, lines: Sequence[Line]) -> None:
    """Both files, each whole or not at all. Raises OutputError."""
    write_text(folder / SUMMARY, csv_text(lines))
    write_text(folder / PAGE, page(folder, title, lines))


def csv_text(lines: Sequence[Line]) -> str:
    """A header and a row for each recording."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in lines:
        f, r = line.facts, line.result
        facts = ["", "", "", "", "", "", "", ""] if f is None else [
            f"{f.coverage:.4f}", f.n_frames, f.n_poses, f"{f.length:.6g}", _unit(f), f.n_losses, f.n_components,
            f"{f.duration_s:.6g}",
        ]  # fmt: skip
        run = ["", "", "", "", ""] if r is None else [int(r.was_there), r.attempts, r.wall_s, r.peak_mib, r.results]
        writer.writerow([line.item.name, public(line.item.where), line.ending, *facts, *run, line.error])
    return out.getvalue()


def counts(lines: Sequence[Line]) -> str:
    """How many ended how, in words."""
    found = Counter(line.ending for line in lines)
    return ", ".join(f"{found[k]} {k}" for k in (*Ending, OPEN) if found[k])


def _unit(facts: Facts) -> str:
    return "m" if facts.is_metric else "map units"


_STYLE = """
body { max-width: 1400px; }
td img { width: 160px; display: block; border-radius: 3px; }
tr.failed td { background: var(--warn-paper); } tr.lost td { background: var(--doubt-paper); }
tr.open td { color: var(--soft); }
td.error { color: var(--warn); max-width: 30em; }
"""
_HEAD = ("", "recording", "ending", "coverage", "frames", "length", "losses", "components", "time, s", "error")


def page(folder: Path, title: str, lines: Sequence[Line]) -> str:
    """One HTML page that needs no other file. Every text that comes from outside is escaped."""
    head = "".join(f"<th>{escape(h)}</th>" for h in _HEAD)
    rows = "\n".join(_row(folder, line) for line in lines)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{style()}{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f'<p class="subtitle">{len(lines)} recordings: {escape(counts(lines))}</p>\n'
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>\n'
        "</body>\n</html>\n"
    )


def _row(folder: Path, line: Line) -> str:
    f, r = line.facts, line.result
    name = escape(line.item.name)
    if r is not None and r.results:
        name = f'<a href="{escape(quote(r.results), quote=True)}/">{name}</a>'
    numbers = ["", "", "", "", ""] if f is None else [
        f"{100 * f.coverage:.1f} %", f"{f.n_poses} of {f.n_frames}", f"{f.length:.4g} {_unit(f)}", f"{f.n_losses}",
        f"{f.n_components}",
    ]  # fmt: skip
    took = "" if r is None else "was there" if r.was_there else f"{r.wall_s:.1f}"
    cells = "".join(f"<td class=number>{escape(n)}</td>" for n in [*numbers, took])
    return (
        f'<tr class="{escape(line.ending)}"><td>{_thumbnail(folder, r)}</td>'
        f"<td>{name}<br><small>{escape(public(line.item.where))}</small></td><td>{escape(line.ending)}</td>{cells}"
        f'<td class="error">{escape(line.error)}</td></tr>'
    )


def _thumbnail(folder: Path, result: TaskResult | None) -> str:
    if result is None or not result.results:
        return ""
    try:
        data = (folder / result.results / THUMBNAIL).read_bytes()
    except OSError:
        return ""
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(data).decode("ascii")}">'
