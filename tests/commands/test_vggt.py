"""`vgslam run --network vggt` with random weights: it ends cleanly, and it does not pretend."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import HANG_S

from vgslam.errors import WeightsError
from vgslam.results.comparison.compare import differences
from vgslam.results.page.document import page
from vgslam.results.page.run_data import read_run_data
from vgslam.results.report import RunReport
from vgslam.sources.trajectory_io import read_trajectory

LINGBOT = Path(__file__).resolve().parents[3] / "shared" / "data" / "lingbot_loop"
RANDOM = ("--network", "vggt", "--weights", "random", "--device", "cpu")


def check_it_does_not_pretend(vgslam, out: str) -> None:
    """Printed, in the report's warnings, and in what it records of the weights."""
    assert "RANDOM" in out
    assert sum("RANDOM" in line for line in out.splitlines() if line.startswith("warning:")) == 1
    report = vgslam.report()
    assert report["complete"] is True
    assert any("RANDOM" in warning and "meaningless" in warning for warning in report["warnings"])
    assert report["weights"]["is_random"] is True
    assert report["weights"]["licence"] == "random weights"
    assert "random" in report["model_id"]
    assert len(vgslam.statuses()) == report["n_frames"]


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not LINGBOT.is_dir(), reason="needs ../shared/data/lingbot_loop")
def test_an_uncalibrated_sequence_ends_cleanly(vgslam) -> None:
    code, out, err = vgslam.run(LINGBOT, "--max-frames", 20, *RANDOM)
    assert (code, err) == (0, "")
    check_it_does_not_pretend(vgslam, out)
    report = vgslam.report()
    assert report["n_frames"] == 20
    assert report["camera"]["is_estimated"] is True
    assert len(read_trajectory(vgslam.out / "trajectory.tum")) == report["n_poses"]


def test_the_demo_ends_cleanly(sequence: Path, vgslam) -> None:
    code, out, err = vgslam.run(sequence, "--max-frames", 16, *RANDOM, "--vggt.dense-depth")
    assert (code, err) == (0, "")
    check_it_does_not_pretend(vgslam, out)
    assert vgslam.report()["weights"]["n_parameters"] > 0
    assert vgslam.report()["network"]["asked"]["depth"]["asked"] > 0


def test_with_every_use_switched_off_it_is_sfm(sequence: Path, vgslam, tmp_path: Path) -> None:
    """To the last byte of the trajectory; but the weights are still named."""
    off = [
        f"--vggt.no-{use}"
        for use in ("initialise", "motion-guess", "dense-depth")
    ]
    code, out, _ = vgslam.run(sequence, "--max-frames", 30, *RANDOM, *off)
    assert code == 0
    assert "RANDOM" in out
    alone_words = ("--network", "none", "--max-frames", 30, "--out", tmp_path / "sfm", "--quiet")
    assert vgslam("run", sequence, *alone_words)[0] == 0
    alone, guided = ((folder / "trajectory.tum").read_bytes() for folder in (tmp_path / "sfm", vgslam.out))
    assert guided == alone
    assert len(alone) > 1000
    assert json.loads((tmp_path / "sfm" / "report.json").read_text())["weights"] is None


def test_wrong_weights_are_one_line(sequence: Path, vgslam, tmp_path: Path) -> None:
    code, out, err = vgslam.run(sequence, "--network", "vggt", "--weights", tmp_path / "none.safetensors")
    assert code == WeightsError.exit_code == 5
    assert out == ""
    lines = err.strip().splitlines()
    assert len(lines) == 1
    assert "none.safetensors" in lines[0]
    assert not vgslam.out.exists()


def test_without_weights_those_of_the_package_are_used(sequence: Path, vgslam) -> None:
    words = ("--max-frames", 12, "--network", "vggt", "--vggt.dense-depth")
    code, out, _ = vgslam.run(sequence, *words)
    assert code == 0
    assert "RANDOM" not in out
    weights = vgslam.report()["weights"]
    assert weights["model_id"].startswith("vggt:vggt-s@")
    assert weights["licence"] == "Apache-2.0"
    assert weights["allows_commercial_use"]
    assert weights["poses_from"] == "solver"
    assert weights["was_asked"]
    assert vgslam.run(sequence, *words, "--readout", "head", "--overwrite")[0] == 0
    assert vgslam.report()["weights"]["poses_from"] == "head"


def test_a_report_from_before_there_were_weights_is_read(sequence: Path, vgslam, tmp_path: Path) -> None:
    assert vgslam.run(sequence, "--max-frames", 12)[0] == 0
    data = vgslam.report()
    for later in ("weights", "evaluations"):
        del data[later]
    older = tmp_path / "older.json"
    older.write_text(json.dumps(data))
    report = RunReport.read(older)
    assert report.weights is None
    assert report.evaluations == {}
    assert report.n_frames == 12


def test_a_run_in_which_nothing_is_weak_never_loads_torch(sequence: Path, tmp_path: Path) -> None:
    """In a process of its own: the poses are those without a network to the last byte, and the report says why."""
    folders = {network: tmp_path / network for network in ("none", "vggt")}
    for network, folder in folders.items():
        words = ["run", str(sequence), "--network", network, "--max-frames", "30", "--out", str(folder), "--quiet"]
        code = f"import sys; from vgslam.cli import main; c = main({words!r}); sys.exit(c or ('torch' in sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_S)
        assert done.returncode == 0, done.stderr
    assert "network: not asked: torch was not loaded" in done.stdout
    assert len({(folder / "trajectory.tum").read_bytes() for folder in folders.values()}) == 1
    alone, report = (json.loads((folder / "report.json").read_text()) for folder in folders.values())
    assert alone["network"] is None
    assert report["network"] == {
        "asked": {}, "n_asked": 0, "n_believed": 0, "cpu_s": 0.0, "is_torch_loaded": False, "trouble": None,
        "line": "network: not asked: torch was not loaded", "starts": [],
    }  # fmt: skip
    assert report["weights"]["model_id"].startswith("vggt:vggt-s@")
    assert report["weights"]["n_parameters"] == 1_338_525
    assert not report["weights"]["was_asked"]
    text = page(read_run_data(folders["vggt"]))
    assert "weights (not asked)" in text
    assert f"{report['model_id']} (not asked)" in text
    told = differences([read_run_data(folder) for folder in folders.values()])
    assert told["weights"] == ["none", f"{report['model_id']} (not asked)"]
