"""The page as a whole."""

from collections.abc import Sequence

from vgslam.results.page import sections
from vgslam.results.page.html import escape
from vgslam.results.page.run_data import RunData
from vgslam.types import Edge

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; color: #222; background: #fff;
  max-width: 1040px; margin: 0 auto; padding: 24px; }
h1 { font-size: 26px; margin: 0 0 2px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 28px 0 8px; padding-bottom: 4px; border-bottom: 1px solid #ddd; }
p.subtitle { color: #666; margin: 0 0 16px; }
figure { margin: 8px 0; text-align: center; }
img { max-width: 100%; height: auto; }
table { border-collapse: collapse; margin: 8px 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 3px 14px 3px 0; vertical-align: top; border-bottom: 1px solid #eee; }
thead th { color: #666; font-weight: 600; }
table.pairs th, table.timings th { font-weight: 400; color: #666; white-space: nowrap; }
td { overflow-wrap: anywhere; }
td.number { text-align: right; white-space: nowrap; }
table.timings { width: 100%; }
td.bar { width: 50%; vertical-align: middle; }
td.bar i { display: block; height: 10px; background: #0072B2; border-radius: 2px; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; }
.tile { border: 1px solid #ddd; border-radius: 6px; padding: 8px 14px; min-width: 110px; }
.tile b { display: block; font-size: 20px; }
.tile span { color: #666; font-size: 13px; }
.warning { color: #8a3b00; }
p.warning { background: #fff4e5; border-left: 4px solid #e69f00; padding: 8px 12px; }
pre { font-size: 12px; background: #f6f6f6; padding: 10px; white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; color: #0072B2; }
@media print {
  body { max-width: none; padding: 0; font-size: 11px; }
  section { break-inside: auto; } h2 { break-after: avoid; } figure, tr, .tile { break-inside: avoid; }
  img { max-height: 20cm; } td.bar i, .tile, p.warning { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  pre { font-size: 8px; columns: 2; } details > summary { display: none; }
}
@page { margin: 15mm; }
"""
UNFOLD = (
    "addEventListener('beforeprint',()=>document.querySelectorAll('details').forEach(d=>{d.open=true}))"  # for print
)


def page(data: RunData, edges: Sequence[Edge] = ()) -> str:
    """HTML of a run: no request leaves it. edges: those that close a loop or join sessions, of the run's saved map."""
    title = escape(f"{data.name} – vgslam")
    subtitle = escape(f"{data.report.get('source_kind') or 'run'}, {data.path.resolve().name}")
    parts = [
        sections.headline(data), sections.warnings(data), sections.path(data), sections.errors(data),
        sections.status(data), sections.live(data), sections.relocalizations(data), sections.loops(data, edges),
        sections.refinement(data), sections.adaptation(data),
        sections.depth(data), sections.timings(data), sections.circumstances(data),
    ]  # fmt: skip
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n<script>{UNFOLD}</script>\n</head>\n<body>\n"
        f'<h1>{escape(data.name)}</h1>\n<p class="subtitle">{subtitle}</p>\n{"".join(parts)}</body>\n</html>\n'
    )
