"""Small pieces of HTML. Every text that comes from data is escaped here."""

import base64
import hashlib
import html
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any

from matplotlib.figure import Figure

from vgslam.guards.wording import shown
from vgslam.viewer.style import png_bytes, themed_svg_bytes

MOST_SVG_BYTES, MOST_PNG_BYTES = 800_000, 1_200_000
"""Largest pictures: four of the one kind and one of the other, and the 3-D view, stay below 8 MB in base64."""


def document(title: str, heading: str, subtitle: str, body: str, script: str = "") -> str:
    """A whole page around `body`, which is HTML; other texts are plain. It runs no script but `script`, and asks for
    nothing."""
    run = f"<script>{script}</script>\n" if script else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy(script))}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} – vgslam</title>\n<style>{style()}</style>\n{run}</head>\n<body>\n"
        f'<h1>{escape(heading)}</h1>\n<p class="subtitle">{escape(subtitle)}</p>\n{body}</body>\n</html>\n'
    )


def escape(text: object) -> str:
    """A text as HTML shows it: no tag, attribute, control character or half of a surrogate pair comes of it."""
    return html.escape(shown(text))


def section(title: str, *parts: str) -> str:
    """A section with a heading; nothing when there is nothing in it."""
    inside = "\n".join(p for p in parts if p)
    return f"<section>\n<h2>{escape(title)}</h2>\n{inside}\n</section>\n" if inside else ""


def paragraph(text: str, css_class: str = "") -> str:
    """A paragraph; nothing for an empty text."""
    marked = f' class="{css_class}"' if css_class else ""
    return f"<p{marked}>{escape(text)}</p>" if text else ""


def pairs_table(pairs: Mapping[str, Any]) -> str:
    """A table of two columns; pairs without a value are left out."""
    rows = [f"<tr><th>{escape(k)}</th>{_cell(v, 'figure')}</tr>" for k, v in pairs.items() if v is not None]
    return _scrolled(f'<table class="pairs">{"".join(rows)}</table>') if rows else ""


def rows_table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table with a header; numbers are aligned right. Nothing when there is no row."""
    kept = [list(row) for row in rows]
    head = "".join(
        f"<th class=number>{escape(h)}</th>" if any(len(row) > i and _is_number(row[i]) for row in kept)
        else f"<th>{escape(h)}</th>" for i, h in enumerate(header)
    )  # fmt: skip
    body = "".join("<tr>" + "".join(_cell(v) for v in row) + "</tr>" for row in kept)
    return _scrolled(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>") if body else ""


def _scrolled(table: str) -> str:
    """A table that scrolls on its own where the screen is narrower."""
    return f'<div class="scroll">{table}</div>'


def _cell(value: Any, css_class: str = "number") -> str:
    """css_class: that of a number."""
    return f"{f'<td class={css_class}>' if _is_number(value) else '<td>'}{escape(show(value))}</td>"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def show(value: Any) -> str:
    """A value for a person: four significant digits, yes and no, a dash for what is not known."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(show(v) for v in value)
    if isinstance(value, dict):
        return ", ".join(f"{label(str(k))} {show(v)}" for k, v in value.items())
    return str(value)


def preformatted(text: str, summary: str) -> str:
    """Text in a fold that prints open."""
    return f"<details><summary>{escape(summary)}</summary><pre>{escape(text)}</pre></details>" if text else ""


def heading(text: str) -> str:
    """A heading within a section."""
    return f"<h3>{escape(text)}</h3>"


def svg_image(figure: Figure, alternative: str, is_wide: bool = False) -> str:
    """The figure as a vector image within the page, identical for identical figures; as PNG if it is too large.
    is_wide: it scrolls on its own where the screen is narrower, as its letters would be too small."""
    css_class = "wide" if is_wide else ""
    vector = themed_svg_bytes(figure)
    if len(vector) <= MOST_SVG_BYTES:
        return _image("image/svg+xml", vector, alternative, css_class)
    return _image("image/png", png_bytes(figure), alternative, f"photo {css_class}".strip())


def png_image(png: bytes, alternative: str, is_wide: bool = False) -> str:
    """A PNG within the page; a remark instead of one that is too large for it."""
    if len(png) > MOST_PNG_BYTES:
        return paragraph(f"The picture ({alternative}) is too large for this page: it is in the folder plots.")
    return _image("image/png", png, alternative, "photo wide" if is_wide else "photo")


def _image(media_type: str, data: bytes, alternative: str, css_class: str) -> str:
    encoded = base64.b64encode(data).decode("ascii")
    marked = f' class="{css_class}"' if css_class else ""
    return f'<figure{marked}><img alt="{escape(alternative)}" src="data:{media_type};base64,{encoded}"></figure>'


KNOWN = {
    "frame_a": "first seen in frame", "frame_b": "seen again in frame", "shift": "moved by [map units]",
    "joined": "joined component", "cpu_s": "CPU time [s]", "wall_s": "time [s]", "sha256": "SHA-256",
    "model_id": "network", "fov_x_deg": "horizontal field of view [°]", "fx": "focal length, x [px]",
    "fy": "focal length, y [px]", "cx": "principal point, x [px]", "cy": "principal point, y [px]",
    "width": "width [px]", "height": "height [px]", "is_estimated": "focal length estimated", "k1": "distortion k1",
    "removed_k1": "distortion k1 that was found and removed", "cpu": "processor", "cores": "processor cores",
    "memory_gib": "memory [GiB]", "system": "operating system", "python": "Python",
    "is_localizing": "only localized in",
    "n_parameters": "parameters", "is_random": "random weights", "frame_id": "frame", "timestamp_s": "time [s]",
    "lost_s": "time without a pose [s]", "scale_from": "scale from", "gravity_from": "vertical from",
    "metres_per_unit": "metres in a map unit", "n_keyframes_before": "keyframes before", "is_metric": "in metres",
    "is_upright": "z is up", "is_torch_loaded": "torch loaded", "n_asked": "questions", "n_believed": "believed",
}  # fmt: skip
"""Fields that have a name of their own."""
UNITS = {
    "s": "s", "ms": "ms", "px": "px", "deg": "°", "m": "m", "mib": "MiB", "gib": "GiB", "percent": "%", "hz": "Hz",
}  # fmt: skip
"""Units by the last part of a field's name."""
_KIND_OF_NUMBER = ("n", "is", "has")


def label(field: str) -> str:
    """What to call a field: a known name, or its own words without what marks counts, with the unit in brackets."""
    if field in KNOWN:
        return KNOWN[field]
    words = field.split("_")
    unit = UNITS.get(words[-1]) if len(words) > 1 else None
    words = words[:-1] if unit else words
    if len(words) > 1 and words[0] in _KIND_OF_NUMBER:
        words = words[1:]
    name = " ".join(words).strip() or field
    return f"{name} [{unit}]" if unit else name


@cache
def style() -> str:
    """The style sheet."""
    return _text("page.css")


@cache
def script() -> str:
    """The script: the 3-D view, and what unfolds the settings for print."""
    return _text("view.js")


def policy(script: str) -> str:
    """What a page may do (Content Security Policy): run this script, by its hash, and show pictures within the page."""
    allowed = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return f"{allowed}; script-src 'sha256-{digest}'" if script else allowed


def _text(name: str) -> str:
    return resources.files("vgslam").joinpath("assets", "page", name).read_text(encoding="utf-8")
