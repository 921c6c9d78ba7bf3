"""The page as a whole."""

from collections.abc import Sequence

from vgslam.results.page import assets, sections, view_section
from vgslam.results.page.html import escape
from vgslam.results.page.run_data import RunData
from vgslam.types import Edge


def page(data: RunData, edges: Sequence[Edge] = ()) -> str:
    """HTML of a run: no request leaves it. edges: those that close a loop or join sessions, of the run's saved map."""
    title = escape(f"{data.name} – vgslam")
    subtitle = escape(f"{data.report.get('source_kind') or 'run'}, {data.path.resolve().name}")
    parts = [
        sections.headline(data), sections.warnings(data), view_section.view(data), sections.path(data),
        sections.errors(data), sections.status(data), sections.live(data), sections.relocalizations(data),
        sections.loops(data, edges), sections.refinement(data), sections.adaptation(data),
        sections.depth(data), sections.timings(data), sections.circumstances(data),
    ]  # fmt: skip
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(assets.policy())}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{assets.style()}</style>\n<script>{assets.script()}</script>\n</head>\n<body>\n"
        f'<h1>{escape(data.name)}</h1>\n<p class="subtitle">{subtitle}</p>\n{"".join(parts)}</body>\n</html>\n'
    )
