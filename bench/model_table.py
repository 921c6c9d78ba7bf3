"""The tables of `python -m bench model`, for the terminal and as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from bench.memory_growth import MemoryPoint
    from bench.network_profile import ProfileRow

_MIB, _GB = 2**20, 1e9


@dataclass(frozen=True)
class TextTable:
    """Cells as text, all rows as long as the header."""

    title: str
    note: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    n_left: int  # number of columns of words, aligned left

    def rich(self) -> Table:
        """The table for the terminal."""
        table = Table(title=self.title, caption=self.note)
        for i, name in enumerate(self.header):
            table.add_column(name, justify="left" if i < self.n_left else "right")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """Title, table and note."""
        rule = ["---" if i < self.n_left else "---:" for i in range(len(self.header))]
        lines = [self.header, rule, *self.rows]
        return "\n".join([f"**{self.title}**", "", *(f"| {' | '.join(c)} |" for c in lines), "", self.note, ""])


def stage_table(rows: "Sequence[ProfileRow]", n_parameters: int) -> TextTable:
    """One line for each stage, and one for all stages of a case together where there are several."""
    first = rows[0]
    peak = "measured" if first.is_memory_measured else "sum of the tensors that live at one time"
    cells: list[tuple[str, ...]] = []
    for case in _cases(rows):
        cells += [_cells(r, r.stage, r.time_s, r.cpu_s, r.peak_bytes, r.flops) for r in case]
        if len(case) > 1:
            whole = (sum(r.time_s for r in case), sum(r.cpu_s for r in case), max(r.peak_bytes for r in case))
            cells.append(_cells(case[0], "all", *whole, sum(r.flops for r in case)))
    return TextTable(
        f"{n_parameters / 1e6:.1f} million parameters, {first.width_px}x{first.height_px} px, random weights",
        f"Peak: {peak}, with weights. GFLOP: matrix products, attention and convolutions; 2 for each multiply-add.",
        ("device", "precision", "mask", "stage", "frames", "time (s)", "per frame (s)", "CPU (s)", "peak (MiB)",
         "GFLOP"),
        cells, 4,
    )  # fmt: skip


def _cases(rows: "Sequence[ProfileRow]") -> "list[list[ProfileRow]]":
    cases: dict[tuple[str, str, int], list[ProfileRow]] = {}
    for r in rows:
        cases.setdefault((r.precision, r.mask, r.frames), []).append(r)
    return list(cases.values())


def _cells(r: "ProfileRow", stage: str, time_s: float, cpu_s: float, peak: int, flops: int) -> tuple[str, ...]:
    return (
        r.device, r.precision, r.mask, stage, str(r.frames), f"{time_s:.4f}", f"{time_s / r.frames:.4f}",
        f"{cpu_s:.4f}", f"{peak / _MIB:.1f}", f"{flops / 1e9:.2f}",
    )  # fmt: skip


def memory_table(points: "Sequence[MemoryPoint]") -> TextTable:
    """The aggregator's memory against the number of frames, in 10^9 bytes as the original's is published."""
    cells: list[tuple[str, ...]] = []
    for p in points:
        best = p.counted_bytes if p.extrapolated_bytes is None else p.extrapolated_bytes
        share = None if p.original_bytes is None else (p.measured_bytes or best) / p.original_bytes
        cells.append((
            p.precision, str(p.frames), _gb(p.measured_bytes), _gb(p.extrapolated_bytes), _gb(p.counted_bytes),
            _gb(p.original_bytes), "–" if share is None else f"{share:.2f}",
        ))  # fmt: skip
    return TextTable(
        "Memory of the aggregator in GB (10^9 bytes), with its weights, without the heads'",
        "Measured: its weights and what a run added to the memory held before it. Line: straight line through the "
        "measured ones. Counted: tensors that live at one time. Original: published for bf16 on an H100, linear "
        "between 20 and 100 frames. Share: of the original's, measured or else by the line.",
        ("precision", "frames", "measured", "line", "counted", "original", "share"), cells, 1,
    )  # fmt: skip


def _gb(n_bytes: int | None) -> str:
    return "–" if n_bytes is None else f"{n_bytes / _GB:.{2 if n_bytes >= _GB else 4}f}"


def record(data: dict[str, Any], tables: Sequence[TextTable]) -> str:
    """The tables with what is needed to reproduce them."""
    machine = data["machine"]
    parts = [table.markdown() for table in tables]
    peak = data["process_peak_bytes"]
    if peak is not None:
        parts.append(f"Highest resident memory of the whole process: {peak / 2**30:.2f} GiB ({peak / _MIB:.0f} MiB).\n")
    parts.append(
        f"Command: `{data['command']}`; threads: {data['threads']}; vgslam {data['version']}, commit {data['commit']}, "
        f"torch {data['torch']}; {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
        f"{machine['system']}, Python {machine['python']}; device: {data['device_name']}.\n"
    )
    return "\n".join(parts)
