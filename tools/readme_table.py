"""The first table of the README, from docs/bench/accuracy.json.

python tools/readme_table.py          exit code 1 if the README's table is another one
python tools/readme_table.py --write  writes it again
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
README, MEASURED = ROOT / "README.md", ROOT / "docs" / "bench" / "accuracy.json"
BEGIN, END = "<!-- accuracy: made by `python tools/readme_table.py --write` -->\n", "<!-- end of accuracy -->\n"
HEAD = (
    "| sequence, without a network | ATE: median of the starts | worst | coverage | CPU ms a frame | peak memory |\n"
    "|---|---:|---:|---:|---:|---:|\n"
)
SHOWN = {
    "kitti00_f000-199": "KITTI 00, frames 0–199 (1241×376)",
    "7scenes_redkitchen_seq01": "7-Scenes redkitchen, 1000 frames, SfM reference",
    "euroc_V101_kf100": "EuRoC V1_01, 100 images about 1 s apart",
    "tum_fr1_rpy_f000-149": "TUM fr1 rpy, 150 frames of a camera that turns",
}
"""The sequences that the table has, in its order, and what it calls them."""


def main(arguments: list[str]) -> int:
    """Checks, or writes with --write; returns the exit code."""
    page = README.read_text()
    made = with_table(page, table(json.loads(MEASURED.read_text())))
    if arguments == ["--write"]:
        README.write_text(made)
        return 0
    if page != made:
        print("README.md: its first table is not that of docs/bench/accuracy.json; "
              "run `python tools/readme_table.py --write`")  # fmt: skip
    return int(page != made)


def table(measured: dict[str, Any]) -> str:
    """Head and rows. Raises KeyError for a sequence that was not measured."""
    sequences = {s["name"]: s for run in measured["runs"] for s in run["sequences"]}
    return HEAD + "".join(row(label, sequences[name]) for name, label in SHOWN.items())


def row(label: str, sequence: dict[str, Any]) -> str:
    """One sequence: errors with two digits, coverage as its range over the starts."""
    s = sequence["summary"]
    covered = sorted({f"{run['coverage'] or 0.0:.2f}" for run in sequence["runs"]})
    cells = [
        label, metres(s["ate_m"]["median"]), metres(s["ate_m"]["worst"]),
        covered[0] if len(covered) == 1 else f"{covered[0]}–{covered[-1]}",
        f"{s['cpu_ms']['median']:.0f}", f"{s['peak_mib']['median']:.0f} MiB",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |\n"


def metres(value: float | None) -> str:
    """Two significant digits, never in powers of ten; "lost" where nothing has a pose."""
    if value is None:
        return "lost"
    digits = 1
    while float(f"{value:.{digits}f}") < 10 ** (1 - digits) and digits < 6:
        digits += 1
    return f"{value:.{digits}f} m"


def with_table(page: str, rows: str) -> str:
    """The page with the table between its two marks. Raises ValueError if a mark is missing."""
    return page[: page.index(BEGIN) + len(BEGIN)] + rows + page[page.index(END) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
