"""Scores as a table: every cell of one that was worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from vgslam.evaluation.coverage import Coverage
from vgslam.evaluation.evaluate import EvaluationOptions, evaluate
from vgslam.evaluation.relative import KittiError, RelativeError
from vgslam.evaluation.scores import ComponentScore, ErrorStatistics, Evaluation
from vgslam.evaluation.table import evaluation_table, number
from vgslam.types import Trajectory


def score() -> ComponentScore:
    """A score whose figures are all different."""
    x = np.arange(20.0)
    T = np.tile(np.eye(4), (20, 1, 1))
    T[:, 0, 3], T[:, 1, 3] = x, np.sin(x)
    made = evaluate(Trajectory(x, T), Trajectory(x, T), EvaluationOptions()).headline
    return replace(
        made, n_poses=123, scale=1.234567, ate_sim3_m=ErrorStatistics(1.11119, 2.2, 3.3, 4.4),
        ate_se3_m=ErrorStatistics(5.5, 6.6, 7.7, 8.8), ate_percent_of_path=0.98765, path_length_m=12.34567,
        turned_deg=76.54321, rotation_ape_deg=ErrorStatistics(0.1, 0.2, 0.3, 0.4),
        rotation_only_ape_deg=ErrorStatistics(0.5, 0.6, 0.7, 0.8),
        rpe_frame=RelativeError(9, 0.012345, 9.0, 0.34567, 9.0, 9.0), rpe_time=None,
        kitti=KittiError(7, 1.23456, 0.87654), scale_drift=None, centroid_ate_m=45.6789, line_ate_m=3.45678, flags=[],
    )  # fmt: skip


COVERAGE = Coverage(
    n_frames=80, n_poses=60, n_scored=50, coverage=0.625, coverage_largest=0.5, longest_gap_frames=7,
    longest_gap_s=1.23456, n_losses=3, n_components=1, gaps_from_frames=True,
)  # fmt: skip


def rows(evaluation: Evaluation, title: str = "t") -> tuple[list[str], dict[str, list[str]]]:
    """The head of the table but for its first cell, and the cells beside each name."""
    columns = evaluation_table(evaluation, title).columns
    names = [str(c) for c in columns[0].cells]
    cells = [[str(c) for c in column.cells] for column in columns[1:]]
    return [str(c.header) for c in columns[1:]], {n: [c[i] for c in cells] for i, n in enumerate(names)}


def made(components: list[ComponentScore], coverage: Coverage, keyframes: ComponentScore | None = None) -> Evaluation:
    return Evaluation(components, [], coverage, 0.02, 0.5, keyframes, ["a note"])


def test_every_cell() -> None:
    heads, found = rows(made([score()], COVERAGE))
    assert heads == ["all frames"]
    assert found == {
        "poses scored": ["123"],
        "ATE, Sim(3) (m) *": ["1.111 / 2.2 / 3.3 / 4.4"],
        "ATE, SE(3) (m) *": ["5.5 / 6.6 / 7.7 / 8.8"],
        "scale (reference per estimate)": ["1.235"],
        "ATE in % of path": ["0.988 %"],
        "path, angle turned": ["12.35 m, 76.54 deg"],
        "rotation (aligned by positions), deg *": ["0.1 / 0.2 / 0.3 / 0.4"],
        "rotation (aligned by rotations), deg *": ["0.5 / 0.6 / 0.7 / 0.8"],
        "RPE, 1 frame (rmse)": ["0.01235 m / 0.3457 deg"],
        "RPE, 0.5 s (rmse)": ["n/a"],
        "KITTI t_rel, r_rel": ["1.235 %, 0.8765 deg/100 m"],
        "scale drift, last / first quarter": ["n/a"],
        "trivial ATE: centroid, line": ["45.68 m, 3.457 m"],
        "coverage": ["0.6250 (50 of 80), largest component 0.5000"],
        "components": ["1"],
        "losses": ["3"],
        "longest gap": ["7 frames, 1.235 s"],
    }


def test_what_is_not_known_is_said_to_be_so() -> None:
    nothing = replace(score(), scale=None, ate_sim3_m=None, ate_percent_of_path=None, rpe_frame=None, kitti=None)
    blind = replace(COVERAGE, n_frames=None, coverage=None, coverage_largest=None, gaps_from_frames=False)
    found = rows(made([nothing], blind))[1]
    names = "ATE, Sim(3) (m) *", "scale (reference per estimate)", "ATE in % of path", "RPE, 1 frame (rmse)"
    assert [found[n] for n in (*names, "KITTI t_rel, r_rel")] == [["n/a"]] * 5
    assert found["coverage"] == ["n/a (number of frames not known)"]
    assert found["losses"] == ["3 (inferred from the times of the poses)"]
    assert found["longest gap"] == ["7 frames, 1.235 s (inferred from the times of the poses)"]


@pytest.mark.parametrize(
    ("n_components", "heads"),
    [(1, ["all frames"]), (2, ["all frames, component 4", "all frames, component 5"])],
)
def test_components_have_columns_and_names_where_there_are_several(n_components: int, heads: list[str]) -> None:
    """Remarks stand under the column that they are about; what is said of all stands in the first."""
    first = replace(score(), component_id=4)
    second = replace(score(), component_id=5, n_poses=7, flags=["a", "b"])
    of_keyframes = replace(score(), n_poses=9)
    components = [first, second][:n_components]
    coverage = replace(COVERAGE, n_components=n_components)
    found_heads, found = rows(made(components, coverage, of_keyframes))
    assert found_heads == [*heads, "keyframes"]
    assert found["poses scored"] == [*["123", "7"][:n_components], "9"]
    assert found["components"] == [str(n_components)] + [""] * n_components
    assert found.get("remarks") == (None if n_components == 1 else ["", "a; b", ""])


def test_title_and_notes_are_text_without_markup() -> None:
    table = evaluation_table(made([score()], COVERAGE), "a[b]\x1b[2J")
    assert table.title == r"a\[b]\x1b[2J"
    assert table.caption == "* rmse / mean / median / max\na note"


def test_figures_have_so_many_digits() -> None:
    assert number(None) == "n/a"
    assert number(1234.5678) == "1235"
    assert number(1.23456, 3, " %") == "1.23 %"
    assert number(0.0) == "0"
