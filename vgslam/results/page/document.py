"""The page as a whole."""

from collections.abc import Sequence

from vgslam.results.page import assets, html, sections, view_section
from vgslam.results.page.run_data import RunData
from vgslam.types import Edge


def page(data: RunData, edges: Sequence[Edge] = ()) -> str:
    """HTML of a run: no request leaves it. edges: those that close a loop or join sessions, of the run's saved map."""
    parts = [
        sections.headline(data), sections.warnings(data), view_section.view(data), sections.path(data),
        sections.errors(data), sections.status(data), sections.live(data), sections.relocalizations(data),
        sections.loops(data, edges), sections.refinement(data), sections.adaptation(data),
        sections.depth(data), sections.timings(data), sections.circumstances(data),
    ]  # fmt: skip
    subtitle = f"{data.report.get('source_kind') or 'run'}, {data.path.resolve().name}"
    return html.document(data.name, data.name, subtitle, "".join(parts), assets.script())
