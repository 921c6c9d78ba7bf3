"""What fails when the frames are through: all else is kept, the report and the exit code tell."""

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from vgslam.commands.run import RunArgs
from vgslam.errors import OutputError
from vgslam.results.run_folder import CAMERA, FAILURES, RUN_FILES, STATIC_MASK
from vgslam.session.map_session import MapSession
from vgslam.session.run import Run
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.store.manifest import MANIFEST
from vgslam.store.open import load_map
from vgslam.viewer.open import NullViewer

N = 16
"""Frames of a run; the map begins with the ninth."""
WORDS = ("--network", "none", "--max-frames", str(N))
EXTRAS = "vgslam.session.extras"
PLOTS = {f"plots/{name}.png" for name in ("top_view", "error", "status", "depth")}


def fail(*_: object, **__: object) -> None:
    raise RuntimeError("no pen")


def files(out: Path) -> set[str]:
    return {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}


def everything_but(*absent: str) -> set[str]:
    """What a run writes; so few frames determine no calibration, and everything moves."""
    return {*RUN_FILES} - {STATIC_MASK, CAMERA, *absent}


@pytest.mark.parametrize(("target", "step", "absent"), [
    (f"{EXTRAS}.point_cloud", "the cloud", {"cloud.ply"}),
    (f"{EXTRAS}.score", "the score", {"plots/error.png"}),
    (f"{EXTRAS}.end_to_start_percent", "the length", set()),
    (f"{EXTRAS}.drawings", "the plots", PLOTS),
    ("vgslam.viewer.depth_strip.depth_strip", "the plot depth.png", {"plots/depth.png"}),
    ("vgslam.session.adaptation.Adaptation.finish", "ending the adaptation", set()),
    ("vgslam.store.map_folder.to_arrays", "saving the map", set()),
])  # fmt: skip
def test_a_step_that_breaks_takes_nothing_else_along(
    target: str, step: str, absent: set[str], sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, fail)
    code, out, err = vgslam.run(sequence, *WORDS, "--map", vgslam.out.parent / "m")
    [line] = err.splitlines()
    assert code == 3
    assert f"{step} failed (RuntimeError: no pen" in line
    assert str(vgslam.out) in line
    assert "Traceback" not in out
    report = vgslam.report()
    assert report["complete"] is False
    assert step in report["stopped_by"]
    assert (report["evaluation"] is None) == (step == "the score")
    assert files(vgslam.out) == everything_but(*absent)
    assert "no pen" in (vgslam.out / FAILURES).read_text()
    assert (vgslam.out.parent / "m" / MANIFEST).exists() == (step != "saving the map")


def test_without_matplotlib_there_are_no_plots(sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.startswith("vgslam.viewer.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    code, _, err = vgslam.run(sequence, *WORDS)
    assert (code, len(err.splitlines())) == (3, 1)
    assert "matplotlib" in err
    assert files(vgslam.out) == everything_but(*PLOTS)
    assert vgslam.report()["evaluation"] is not None


class BrokenViewer(NullViewer):
    """A viewer that has gone."""

    show = fail


class UnclosableViewer(NullViewer):
    """A viewer that goes before the last state is shown."""

    close = fail


@pytest.mark.parametrize("viewer", [BrokenViewer, UnclosableViewer])
def test_a_viewer_that_is_gone(
    viewer: type[NullViewer], sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vgslam.session.viewing.open_viewer", lambda *_: viewer())
    code, _, err = vgslam.run(sequence, *WORDS)
    assert (code, len(err.splitlines())) == (3, 1)
    assert "the viewer failed" in err
    assert files(vgslam.out) == everything_but()
    assert vgslam.report()["n_poses"] == N


def test_finishing_the_map_breaks(sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch) -> None:
    """The poses of before are there; the map, which was being changed, is not saved."""
    monkeypatch.setattr("vgslam.reloc.closing.optimize_map", fail)
    code, _, err = vgslam.run(sequence, *WORDS, "--map", vgslam.out.parent / "m")
    assert (code, len(err.splitlines())) == (3, 1)
    assert "finishing the map failed (RuntimeError: no pen" in err
    assert str(vgslam.out) in err
    assert vgslam.report()["complete"] is False
    assert "finishing the map" in vgslam.report()["stopped_by"]
    assert len(read_trajectory(vgslam.out / "trajectory.tum")) == N
    assert not (vgslam.out.parent / "m" / MANIFEST).exists()


def test_a_folder_that_is_removed_meanwhile_is_made_again(
    sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch
) -> None:
    adding = Run.save_when_due

    def remove(self: Run, tracked) -> None:
        if tracked.frame.id == 12:
            shutil.rmtree(vgslam.out)
        adding(self, tracked)

    monkeypatch.setattr(Run, "save_when_due", remove)
    code, _, err = vgslam.run(sequence, *WORDS)
    assert (code, err) == (0, "")
    assert files(vgslam.out) == everything_but(FAILURES)
    assert vgslam.report()["complete"] is True


def test_a_disk_that_is_full_for_a_while_is_a_warning(
    sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vgslam.results.run_folder.FLUSH_MIN_FRAMES", 5)
    monkeypatch.setattr("vgslam.session.map_session.SAVE_MIN_KEYFRAMES", 2)
    now = {"frame": -1}
    sync, save = os.fsync, Run.save_when_due

    def no_space(handle: int) -> None:
        if 0 <= now["frame"] < 14:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    def follow(self: Run, tracked) -> None:
        now["frame"] = tracked.frame.id
        save(self, tracked)

    monkeypatch.setattr("vgslam.atomic.os.fsync", no_space)
    monkeypatch.setattr(Run, "save_when_due", follow)
    code, _, err = vgslam.run(sequence, *WORDS, "--map", vgslam.out.parent / "m")
    assert err == ""
    assert code == 0
    assert vgslam.report()["complete"] is True
    assert any("No space left" in w for w in vgslam.report()["warnings"])
    assert len(load_map(vgslam.out.parent / "m").frames) == N


@pytest.mark.parametrize(("limit_bytes", "fits"), [
    (6000, {"config.yaml", "keyframes.tum", "status.csv", "trajectory.tum"}), (60_000, {"report.json"}),
])  # fmt: skip
def test_a_limit_on_the_size_of_files(limit_bytes: int, fits: set[str], sequence: Path, tmp_path: Path) -> None:
    """A quota of the system: what fits is there, whole."""
    out = tmp_path / "out"
    words = [sys.executable, "-m", "vgslam", "run", sequence, *WORDS, "--out", out, "--map", tmp_path / "m"]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes)),
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    [line] = done.stderr.splitlines()
    assert "File too large" in line
    assert str(out) in line
    assert fits <= files(out)
    assert not any(Path(name).name.startswith(".") for name in files(out))
    if "report.json" in files(out):
        assert '"complete": false' in (out / "report.json").read_text()


def test_ctrl_c_while_the_map_is_saved_waits_for_it_and_leaves_out_cloud_and_plots(
    sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = MapSession.save

    def interrupted(self: MapSession) -> None:
        signal.raise_signal(signal.SIGINT)
        save(self)

    monkeypatch.setattr(MapSession, "save", interrupted)
    code, _, err = vgslam.run(sequence, *WORDS, "--map", vgslam.out.parent / "m")
    assert (code, len(err.splitlines())) == (130, 1)
    assert "interrupted while the run was finished (saving the map)" in err
    assert vgslam.report()["complete"] is False
    assert vgslam.report()["stopped_by"] == "interrupted while the run was finished (saving the map)"
    assert len(load_map(vgslam.out.parent / "m").frames) == N
    assert files(vgslam.out) == everything_but("cloud.ply", FAILURES, *PLOTS)


def test_ctrl_c_while_a_plot_is_drawn(sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("vgslam.viewer.plots.error_over_time", interrupted)
    code, _, err = vgslam.run(sequence, *WORDS)
    assert (code, len(err.splitlines())) == (143, 1)
    assert "(the plot error.png)" in vgslam.report()["stopped_by"]
    assert files(vgslam.out) == everything_but(FAILURES, "plots/error.png", "plots/status.png", "plots/depth.png")
    assert vgslam.report()["evaluation"] is not None


def test_a_report_that_cannot_be_written(sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on the disk says that the run is not complete, and so does what is printed."""

    def refused(*_: object) -> None:
        raise OutputError("report.json: full")

    monkeypatch.setattr("vgslam.results.run_folder.RunWriter.write_report", refused)
    code, out, err = vgslam.run(sequence, *WORDS, "--json")
    assert code == 3
    assert "report.json: full" in err
    assert json.loads(out)["complete"] is False
    assert "report.json: full" in json.loads(out)["stopped_by"]
    assert vgslam.report()["complete"] is False
    assert files(vgslam.out) == everything_but(FAILURES)


def test_the_demo_too(tmp_path: Path, vgslam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{EXTRAS}.point_cloud", fail)
    monkeypatch.setattr("vgslam.commands.demo.RunArgs", partial(RunArgs, max_frames=15))
    code, _, err = vgslam("demo", "--out", tmp_path / "d", "--quiet")
    assert (code, len(err.splitlines())) == (3, 1)
    assert "the cloud failed" in err
    assert (tmp_path / "d" / "plots" / "top_view.png").is_file()


def test_an_outlet_of_poses_that_cannot_be_closed(sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vgslam.poses_out.sockets.SocketSink.close", fail)
    code, _, err = vgslam.run(sequence, *WORDS, "--poses", "tcp:127.0.0.1:0")
    assert (code, len(err.splitlines())) == (3, 1)
    assert "closing the poses' outlet failed" in err
    assert files(vgslam.out) == everything_but()
