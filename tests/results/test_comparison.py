"""Runs side by side: paths that differ by a known similarity lie over one another, and what differs is told."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from page_runs import write_run

from vgslam.cli import main
from vgslam.results.comparison.compare import compare, differences, names_of
from vgslam.results.comparison.document import page
from vgslam.results.comparison.overlay import aligned
from vgslam.results.page.document import page as report_page
from vgslam.results.page.run_data import RunData, read_run_data

R = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def write_bend(
    folder: Path, scale: float = 1.0, lost: tuple[int, ...] = (), name: str = "hall", **report: object
) -> Path:  # fmt: skip
    """A run along a bend, in another frame and scale."""
    n = int(str(report.get("n_frames", 40)))
    write_run(folder, n, lost)
    rows = []
    for i in range(n):
        if i not in lost:
            x, y, z = scale * R @ (np.sin(i / 10), 0.1 * np.cos(i / 7), 0.2 * i) + (1.0, 2.0, 3.0)
            rows.append(f"{0.1 * i:.9f} {x:.9f} {y:.9f} {z:.9f} 0 0 {np.sqrt(0.5)} {np.sqrt(0.5)}")
    (folder / "trajectory.tum").write_text("\n".join(rows) + "\n")
    told = json.loads((folder / "report.json").read_text()) | {"source_name": name, "n_keyframes": 8} | report
    (folder / "report.json").write_text(json.dumps(told))
    return folder


def read(*folders: Path) -> list[RunData]:
    return [read_run_data(folder) for folder in folders]


def test_paths_of_another_scale_lie_over_the_first(tmp_path: Path) -> None:
    runs = read(write_bend(tmp_path / "a"), write_bend(tmp_path / "b", scale=4.0, lost=(20, 21)))
    got = compare(runs)
    (first,), (second,) = got.overlay.pieces
    shared = np.isin(np.round(first.timestamps_s, 6), np.round(second.timestamps_s, 6))
    assert shared.sum() == 38
    assert np.allclose(first.positions[shared], second.positions, atol=1e-6)
    assert got.overlay.distance_percent[0] is None
    assert got.overlay.distance_percent[1] == pytest.approx(0, abs=1e-4)
    assert [row["coverage_percent"] for row in got.rows] == [100.0, 95.0]


@pytest.mark.parametrize("rows", [None, 20])
def test_a_coverage_that_no_file_bears_out_is_not_shown(tmp_path: Path, rows: int | None) -> None:
    """The report says 38 of 40; status.csv is missing, or holds 20 rows and trajectory.tum what belongs to them."""
    runs = [write_bend(tmp_path / "a", lost=(3, 4)), write_bend(tmp_path / "b", lost=(3, 4))]
    statuses, poses = runs[1] / "status.csv", runs[1] / "trajectory.tum"
    if rows is None:
        statuses.unlink()
    else:
        statuses.write_text("".join(statuses.read_text().splitlines(keepends=True)[: rows + 1]))
        poses.write_text("".join(poses.read_text().splitlines(keepends=True)[: rows - 2]))
        (runs[1] / "keyframes.tum").unlink()
    data = read(*runs)
    assert [row["coverage_percent"] for row in compare(data).rows] == [95.0, None]
    assert any("b: " in note and "status.csv" in note for note in compare(data).notes)
    assert ["95.0 %" in report_page(one) for one in data] == [True, False]


def test_a_run_without_any_pose_covers_nothing(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", 5, lost=(0, 1, 2, 3, 4))
    (folder / "status.csv").unlink()
    assert read_run_data(folder).coverage_percent == 0.0


def test_runs_of_unequal_length_are_told(tmp_path: Path) -> None:
    """Forty frames beside forty say nothing; beside one more, that the errors are of other frames."""
    same = [write_bend(tmp_path / "a"), write_bend(tmp_path / "b")]
    assert compare(read(*same)).notes == []
    (note,) = compare(read(*same, write_bend(tmp_path / "c", n_frames=41))).notes
    assert "different numbers of frames" in note


def test_the_distance_from_the_first_is_in_percent_of_its_path(tmp_path: Path) -> None:
    """Every second position off by d across a line of length L: after alignment d/2 everywhere."""
    folders = [write_run(tmp_path / "a", 41), write_run(tmp_path / "b", 41)]
    for folder, d in zip(folders, (0.0, 0.04)):
        rows = [f"{0.1 * i:.9f} {d * (i % 2)} 0 {0.2 * i} 0 0 0 1" for i in range(41)]
        (folder / "trajectory.tum").write_text("\n".join(rows) + "\n")
    got = compare(read(*folders))
    assert got.overlay.distance_percent[1] == pytest.approx(100 * 0.02 / 8.0, rel=0.01)


def test_a_line_is_aligned_by_its_orientations() -> None:
    T = np.tile(np.eye(4), (5, 1, 1))
    T[:, 2, 3] = np.arange(5)
    turned = T.copy()
    turned[:, :3, :3] = R
    turned[:, :3, 3] = 2.0 * T[:, :3, 3] @ R.T
    S = aligned(turned, T)
    assert S is not None
    assert np.allclose(S.R, R)
    assert S.s == pytest.approx(2.0)
    assert aligned(turned, np.tile(np.eye(4), (5, 1, 1))) is None


def test_with_the_truth_errors_are_scored_anew_and_paths_lie_on_it(tmp_path: Path) -> None:
    a, b = write_bend(tmp_path / "a"), write_bend(tmp_path / "b", scale=2.0)
    out = tmp_path / "out"
    assert main(["compare", str(a), str(b), "--truth", str(b / "trajectory.tum"), "--out", str(out)]) == 0
    told = json.loads((out / "compare.json").read_text())
    assert [run["ate_m"] for run in told["runs"]] == pytest.approx([0, 0], abs=1e-6)
    assert "from_first_percent" not in [k for run in told["runs"] for k, v in run.items() if v is not None]
    assert (out / "paths.png").read_bytes().startswith(b"\x89PNG")
    assert "aligned with the truth" in (out / "compare.html").read_text()


def test_runs_of_different_inputs_are_compared_as_far_as_it_goes(tmp_path: Path) -> None:
    runs = read(write_bend(tmp_path / "a"), write_bend(tmp_path / "b", name="kitchen"))
    got = compare(runs)
    assert "different inputs (hall, kitchen)" in got.notes[0]
    assert got.overlay.pieces == [[], []]
    assert [row["n_keyframes"] for row in got.rows] == [8, 8]
    assert "Paths" not in page(got)
    assert all(compare(runs, is_same_input=True).overlay.pieces)


def test_a_run_without_a_pose_or_an_end_is_told(tmp_path: Path) -> None:
    a, b = write_bend(tmp_path / "a"), write_bend(tmp_path / "b", complete=False)
    (b / "trajectory.tum").unlink()
    got = compare(read(a, b))
    assert "b did not reach its end" in got.notes
    assert any("fewer than 3 frames with a pose in common with a" in note for note in got.notes)
    assert [len(p) for p in got.overlay.pieces] == [1, 0]


def test_only_settings_that_differ_are_told(tmp_path: Path) -> None:
    runs = read(write_bend(tmp_path / "a"), write_bend(tmp_path / "b"))
    runs[0].config_text = "slam:\n  tracker:\n    gate: 3.5\n    sigma_px: 0.7\nout: x\nno_refine: false\n"
    runs[1].config_text = "slam:\n  tracker:\n    gate: 4.0\n    sigma_px: 0.7\nout: y\nno_refine: false\nmask: null\n"
    assert differences(runs) == {"slam.tracker.gate": ["3.5", "4.0"], "mask": ["(not set)", "none"]}


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    assert names_of([tmp_path / "x" / "run", tmp_path / "y" / "run"]) == ["x/run", "y/run"]
    assert names_of([tmp_path / "run", tmp_path / "run"]) == ["run", "run (2)"]
    assert names_of([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]


def test_what_is_no_run_is_left_out_with_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b, c = write_bend(tmp_path / "a"), write_bend(tmp_path / "b"), tmp_path / "c"
    assert main(["compare", str(a), str(c), str(b), "--json"]) == 2
    printed = capsys.readouterr()
    assert [run["name"] for run in json.loads(printed.out)["runs"]] == ["a", "b"]
    assert printed.err.count("\n") == 1
    assert "c: is not there" in printed.err
    assert main(["compare", str(a), str(c)]) == 2
    assert "1 of 2 folders hold a run" in capsys.readouterr().err
    assert main(["compare", str(a)]) == 2


def test_an_out_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write_bend(tmp_path / "a"), write_bend(tmp_path / "b")
    (tmp_path / "file").write_text("")
    assert main(["compare", str(a), str(b), "--out", str(tmp_path / "file")]) == 3
    assert "is a file; give a folder" in capsys.readouterr().err


def test_the_terminal_has_units_and_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write_bend(tmp_path / "a", cpu_s=4.0), write_bend(tmp_path / "b[m]", name="kitchen", cpu_s=5.0)
    assert main(["compare", str(a), str(b)]) == 0
    printed = capsys.readouterr().out
    for words in ("different inputs", "[ms/frame]", "b[m]", "100", "125"):
        assert words in printed


def test_hostile_names_make_no_live_html(tmp_path: Path) -> None:
    evil = "\"><script>alert(1)</script><img src=x onerror=alert(2)>"
    runs = read(write_bend(tmp_path / "a", name=evil, version=evil), write_bend(tmp_path / "b", name=f"{evil}2"))
    runs[0].config_text = f"mask: '{evil}'\n"

    class Live(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag != "script"
            assert not any(name.startswith("on") for name, _ in attrs)

    Live().feed(page(compare(runs, is_same_input=True)))
