"""The page of a comparison."""

from vgslam.results.comparison.compare import Comparison
from vgslam.results.page import html
from vgslam.viewer.plots import RunPath, overlaid_paths, run_color


def paths_of(comparison: Comparison) -> list[RunPath]:
    """The paths that could be aligned, with their runs' names."""
    return [
        RunPath(name, [piece.positions for piece in pieces])
        for name, pieces in zip(comparison.names, comparison.overlay.pieces, strict=True)
    ]


def page(comparison: Comparison) -> str:
    """HTML that needs no other file; every text from outside is escaped."""
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in comparison.notes)
    parts = [
        html.section("Notes", f'<ul class="warning">{notes}</ul>' if notes else ""),
        html.section("Figures", _figures(comparison)), _paths(comparison),
        html.section("Settings that differ", _settings(comparison)),
    ]  # fmt: skip
    title, inputs = f"{len(comparison.names)} runs", ", ".join(dict.fromkeys(comparison.inputs))
    return html.document(title, title, inputs, "".join(parts))


def _figures(comparison: Comparison) -> str:
    head = "".join(
        f'<th class=number><i class="mark" style="background:{run_color(i)}"></i>{html.escape(name)}</th>'
        for i, name in enumerate(comparison.names)
    )
    rows = ""
    for figure in comparison.columns:
        shown = [html.escape(figure.shown(row[figure.key])) for row in comparison.rows]
        cells = "".join(f"<td class=number>{text}</td>" for text in shown)
        rows += f"<tr><th>{html.escape(figure.title)}</th>{cells}</tr>"
    return f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _paths(comparison: Comparison) -> str:
    overlay = comparison.overlay
    if not any(overlay.pieces):
        return ""
    figure = overlaid_paths(paths_of(comparison), overlay.truth, overlay.is_metric)
    frame = "the truth" if overlay.truth is not None else "the first run"
    return html.section("Paths", html.svg_image(figure, f"paths aligned with {frame}"),
                        html.paragraph(f"Each is aligned with {frame}, scale included.", "hint"))  # fmt: skip


def _settings(comparison: Comparison) -> str:
    if not comparison.settings:
        return html.paragraph("None.")
    return html.rows_table(
        ["setting", *comparison.names], [[name, *values] for name, values in comparison.settings.items()]
    )
