"""Nothing that went wrong ends with 0: truths that cannot be scored, and inputs that break midway."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vgslam import errors
from vgslam.errors import InputError
from vgslam.session.main_loop import MainLoop

N = 45


def test_codes() -> None:
    """As docs and scripts know them; 2 is all input that cannot be used as it is."""
    codes = {kind.__name__: kind.exit_code for kind in vars(errors).values() if isinstance(kind, type)}
    assert codes == {
        "VgslamError": 1, "InputError": 2, "CalibrationError": 2, "ConfigError": 2, "OutputError": 3,
        "TrackingError": 4, "WeightsError": 5, "WeightsNotFoundError": 5, "MissingDependencyError": 6, "GraphError": 7,
        "EvaluationError": 8, "MapError": 9, "PluginError": 10,
    }  # fmt: skip


def test_the_readme_has_every_code() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    cells = re.findall(r"^\| ([\d, ]+) \|", readme, re.MULTILINE)
    told = [int(n) for cell in cells for n in cell.split(",")]
    kinds = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type)}
    assert told == sorted({0, *kinds, 130, 143})


@pytest.fixture
def two_poses(sequence: Path, tmp_path: Path) -> Path:
    """A truth for two frames of the sequence, and for times after its end: no score comes of that."""
    rows = np.loadtxt(sequence / "groundtruth.txt")[:6]
    rows[2:, 0] += 100.0
    path = tmp_path / "two.txt"
    np.savetxt(path, rows, fmt="%.9f")
    return path


def test_a_truth_that_was_asked_for_and_cannot_be_scored_is_told_by_the_code(
    sequence: Path, two_poses: Path, vgslam
) -> None:
    code, out, _ = vgslam.run(sequence, "--truth", two_poses, "--max-frames", 20)
    assert code == 8
    assert "not scored: " in out
    report = vgslam.report()
    assert report["evaluation"] is None
    assert (report["complete"], report["stopped_by"]) == (True, None), "all poses are there"
    assert any("not scored" in w for w in report["warnings"])


def test_a_truth_that_happens_to_be_there_may_be_of_no_use(sequence: Path, two_poses: Path, vgslam) -> None:
    two_poses.replace(sequence / "groundtruth.txt")
    code, out, _ = vgslam.run(sequence, "--max-frames", 20)
    assert code == 0
    assert "not scored: " in out


def test_a_truth_that_can_be_scored_is(sequence: Path, vgslam) -> None:
    code, _, _ = vgslam.run(sequence, "--truth", sequence / "groundtruth.txt", "--max-frames", 20)
    assert code == 0
    assert vgslam.report()["evaluation"]["headline"]["n_poses"] == 20


def test_an_input_that_breaks_midway_ends_with_2_and_is_not_complete(
    sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = MainLoop.run

    def breaking(self: MainLoop, *followers) -> Iterator:
        for i, tracked in enumerate(run(self, *followers)):
            if i == 30:
                raise InputError("the disk has gone")
            yield tracked

    monkeypatch.setattr(MainLoop, "run", breaking)
    code, _, err = vgslam.run(sequence)
    assert code == 2
    assert "the disk has gone" in err
    report = vgslam.report()
    assert (report["complete"], report["stopped_by"]) == (False, "the disk has gone")
    assert report["n_frames"] == 31
