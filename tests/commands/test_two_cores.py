"""`vgslam run` on two cores: what it writes, says and leaves is what it does on one."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import until

from vgslam import beside
from vgslam.system import SlamSystem
from vgslam.types import Frame, PoseEstimate

pytestmark = [pytest.mark.painted, pytest.mark.two_cores]
WORDS = ("--network", "none", "--cores", 2)
MEASURED = {"command", "cpu_s", "wall_s", "stage_cpu_s", "frames_per_cpu_s", "frames_per_wall_s", "peak_memory_mib"}


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    yield
    mine = {"vgslam-reading", "vgslam-second-process"}
    until(lambda: not {t.name for t in threading.enumerate()} & mine)
    beside.allow(1)


def results(folder: Path) -> tuple[dict[str, bytes], dict]:
    """The files of a run, and its report without what was measured."""
    kept = [p for p in folder.rglob("*") if p.is_file() and p.name not in ("report.json", "config.yaml")]
    report = json.loads((folder / "report.json").read_text())
    if report["refinement"] is not None:
        report["refinement"] = [line for line in report["refinement"]["lines"] if " s" not in line]
    return {str(p.relative_to(folder)): p.read_bytes() for p in kept}, {
        key: value for key, value in report.items() if key not in MEASURED
    }


def test_every_file_is_the_same_to_the_last_bit(sequence: Path, vgslam, tmp_path: Path) -> None:
    (sequence / "images" / "0007.png").write_bytes(b"no image")
    code, _, _ = vgslam("run", sequence, "--quiet", *WORDS, "--out", tmp_path / "two")
    assert code == 0
    assert beside.is_allowed()
    vgslam("run", sequence, "--quiet", *WORDS[:-1], 1, "--out", tmp_path / "one")
    assert not beside.is_allowed()
    (one, report), (two, report_of_two) = results(tmp_path / "one"), results(tmp_path / "two")
    assert one.keys() == two.keys() >= {"plots/depth.png", "plots/error.png", "trajectory.tum"}
    assert [name for name in one if one[name] != two[name]] == []
    assert report == report_of_two
    assert any("0007.png" in line for line in report["warnings"])


def test_ctrl_c_ends_it_in_order(sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch) -> None:
    process = SlamSystem.process

    def interrupted(self: SlamSystem, frame: Frame) -> PoseEstimate:
        estimate = process(self, frame)
        if frame.id == 30:
            signal.raise_signal(signal.SIGINT)
        return estimate

    monkeypatch.setattr(SlamSystem, "process", interrupted)
    code, _, _ = vgslam.run(sequence, *WORDS)
    assert code == 130
    assert len(vgslam.statuses()) == 31
    assert "Ctrl-C" in vgslam.report()["stopped_by"]


def test_ctrl_c_while_plots_are_drawn_elsewhere(sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("vgslam.session.extras.Extras._plot", interrupted)
    code, _, _ = vgslam.run(sequence, *WORDS)
    assert code == 130
    assert "the plot top_view.png" in vgslam.report()["stopped_by"]
    assert vgslam.report()["evaluation"] is not None


def test_only_one_or_two_can_be_asked_for(sequence: Path, vgslam) -> None:
    code, _, err = vgslam.run(sequence, "--cores", 3)
    assert code == 2
    assert "--cores 3: give 1 or 2" in err
