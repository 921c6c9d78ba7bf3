"""The tables of the README: from docs/bench/accuracy.json, and beside it orbslam3.json and pycolmap.json.

python tools/readme_table.py          exit code 1 if the README's tables are others
python tools/readme_table.py --write  writes them again
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
README, BENCH = ROOT / "README.md", ROOT / "docs" / "bench"
BEGIN, END = "<!-- {}: made by `python tools/readme_table.py --write` -->\n", "<!-- end of {} -->\n"
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
    made = with_tables(page)
    if arguments == ["--write"]:
        README.write_text(made)
        return 0
    if page != made:
        print("README.md: its tables are not those of docs/bench/*.json; run "
              " `python tools/readme_table.py --write`")  # fmt: skip
    return int(page != made)


def with_tables(page: str) -> str:
    """The page with all tables as they are measured. Raises ValueError if a mark is missing, KeyError for a sequence
    that was not measured."""
    measured, orbslam3, pycolmap = (
        json.loads((BENCH / f"{name}.json").read_text()) for name in ("accuracy", "orbslam3", "pycolmap")
    )
    sequences = {s["name"]: s for run in measured["runs"] for s in run["sequences"]}
    page = with_text(page, "accuracy", table(sequences))
    return with_text(page, "peers", peers(sequences, orbslam3["rows"]) + colmap(sequences, pycolmap))


def table(sequences: dict[str, Any]) -> str:
    """Head and a row for each sequence."""
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


def peers(sequences: dict[str, Any], others: list[dict[str, Any]]) -> str:
    """ORB-SLAM3 and the run from the first frame, which is what ORB-SLAM3 had."""
    rows = [
        "| from the first frame on | coverage: ORB-SLAM3 | vgslam | ATE: ORB-SLAM3 | vgslam "
        "| CPU ms a frame: ORB-SLAM3 | vgslam |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for other in others:
        mine = first_start(sequences[other["sequence"]])
        cells = [
            SHOWN[other["sequence"]].split(",")[0], f"{other['coverage']:.2f}", f"{mine['coverage'] or 0.0:.2f}",
            metres(other["ate_m"]), metres(mine["ate_m"]), f"{other['cpu_ms']:.0f}", f"{mine['cpu_ms']:.0f}",
        ]  # fmt: skip
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def colmap(sequences: dict[str, Any], measured: dict[str, Any]) -> str:
    """A sentence about the sequence that pycolmap has reconstructed."""
    sequence = measured["sequences"][0]
    mine, peer = first_start(sequences[sequence["name"]]), sequence["peer"]
    total_s = 1e-3 * mine["cpu_ms"] * mine["n_frames"]
    return (
        f"\npycolmap {peer['version']} (one image in {peer['stride']} of redkitchen, focal length fixed): "
        f"{metres(peer['scores_m']['groundtruth_sfm'])} on {peer['n_registered']} images, {peer['cpu_s']:.0f} s of "
        f"CPU; vgslam: {metres(mine['ate_m'])} on all {mine['n_frames']}, {total_s:.0f} s.\n"
    )


def first_start(sequence: dict[str, Any]) -> dict[str, Any]:
    """The run from the first frame. Raises StopIteration if there is none."""
    return next(run for run in sequence["runs"] if run["start"] == 0)


def metres(value: float | None) -> str:
    """Two significant digits, never in powers of ten; "lost" where nothing has a pose."""
    if value is None:
        return "lost"
    digits = 1
    while float(f"{value:.{digits}f}") < 10 ** (1 - digits) and digits < 6:
        digits += 1
    return f"{value:.{digits}f} m"


def with_text(page: str, name: str, text: str) -> str:
    """The page with a text between the two marks of a name. Raises ValueError if a mark is missing."""
    begin, end = BEGIN.format(name), END.format(name)
    return page[: page.index(begin) + len(begin)] + text + page[page.index(end) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
