import errno
import json
import os
import shutil

import numpy as np
import pytest

from vgslam import atomic
from vgslam.errors import InputError, OutputError
from vgslam.results.report import RunReport
from vgslam.results.run_folder import RUN_FILES, RunWriter
from vgslam.results.status import read_status
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.types import PoseEstimate, Status, Trajectory


def run_of(n, lost=(), components=None):
    """Trajectory with a pose for every frame not lost, every fourth of them a keyframe, and all statuses."""
    t = 100.0 + 0.1 * np.arange(n)
    posed = np.array([i for i in range(n) if i not in lost], np.int64)
    T = np.tile(np.eye(4), (len(posed), 1, 1))
    T[:, 0, 3] = 0.1 * posed
    components = np.zeros(n, np.int64) if components is None else components
    trajectory = Trajectory(t[posed], T, posed, components[posed])
    keyframes = Trajectory(t[posed][::4], T[::4], posed[::4], components[posed][::4])
    statuses = [
        PoseEstimate(i, t[i], Status.LOST) if i in lost
        else PoseEstimate(i, t[i], Status.TRACKED, 0, np.eye(4), None, 50 + i, 0.75)
        for i in range(n)
    ]  # fmt: skip
    return trajectory, keyframes, statuses


def test_flush_writes_every_row(tmp_path):
    components = np.repeat([0, 2], [6, 6])
    trajectory, keyframes, statuses = run_of(12, lost=(4, 5), components=components)
    writer = RunWriter(tmp_path / "out" / "run")
    writer.flush(trajectory, keyframes, statuses)
    out = tmp_path / "out" / "run"
    assert np.allclose(read_trajectory(out / "trajectory.tum").T_world_cam, trajectory.T_world_cam)
    assert np.allclose(read_trajectory(out / "trajectory.kitti").T_world_cam, trajectory.T_world_cam)
    assert np.allclose(read_trajectory(out / "keyframes.tum").timestamps_s, keyframes.timestamps_s)
    lines = (out / "status.csv").read_text().splitlines()
    assert lines[0] == "frame_id,timestamp_s,status,n_inliers,inlier_ratio,component,keyframe,rotation_only"
    assert len(lines) == 13
    assert lines[1] == "0,100.000000000,TRACKED,50,0.7500,0,1,0"
    assert lines[5] == "4,100.400000000,LOST,0,0.0000,0,0,0"
    assert lines[7] == "6,100.600000000,TRACKED,56,0.7500,2,1,0"
    table = read_status(out / "status.csv")
    labelled = table.label(read_trajectory(out / "trajectory.tum"))
    assert (labelled.frame_ids == trajectory.frame_ids).all()
    assert (labelled.component_ids == trajectory.component_ids).all()
    assert table.statuses[4] is Status.LOST


def test_a_later_flush_replaces_the_poses(tmp_path):
    writer = RunWriter(tmp_path)
    writer.flush(*run_of(5))
    trajectory, keyframes, statuses = run_of(20)
    moved = Trajectory(trajectory.timestamps_s, trajectory.T_world_cam @ np.diag([1, -1, -1, 1.0]))
    writer.flush(moved, keyframes, statuses)
    assert np.allclose(read_trajectory(tmp_path / "trajectory.tum").T_world_cam, moved.T_world_cam)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_flush_with_no_pose_at_all(tmp_path):
    nothing = Trajectory(np.zeros(0), np.zeros((0, 4, 4)))
    RunWriter(tmp_path).flush(nothing, nothing, [PoseEstimate(0, 0.0, Status.INITIALIZING)])
    assert len((tmp_path / "status.csv").read_text().splitlines()) == 2
    assert (tmp_path / "trajectory.kitti").read_text() == ""


def test_existing_results_are_not_overwritten(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty; add --overwrite"):
        RunWriter(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        RunWriter(tmp_path / "file", overwrite=True)
    assert (tmp_path / "precious.txt").read_text() == "mine"
    assert not (tmp_path / "plots").exists()


def test_a_folder_without_results_is_used(tmp_path):
    """Such as a run that was killed before its first frame has left."""
    (tmp_path / "run" / "plots").mkdir(parents=True)
    RunWriter(tmp_path / "run").flush(*run_of(5))
    assert (tmp_path / "run" / "status.csv").is_file()


@pytest.mark.parametrize("is_used", [False, True])
def test_an_unused_folder_is_removed(tmp_path, is_used):
    """Such as that of a run whose viewer is not installed, which is told when settings are written already."""
    writer = RunWriter(tmp_path / "run")
    writer.write_config("a: 1")
    if is_used:
        writer.flush(*run_of(1))
    writer.remove_if_unused()
    assert (tmp_path / "run" / "plots").is_dir() == (tmp_path / "run" / "config.yaml").is_file() == is_used


def test_overwrite_removes_what_a_run_writes_and_nothing_else(tmp_path):
    for name in (*RUN_FILES, "notes.md", "plots/my.png", "deeper/report.json", ".report.json.abc12", ".hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    RunWriter(tmp_path, overwrite=True)
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert left == [".hidden", "deeper/report.json", "notes.md", "plots/my.png"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        RunWriter(tmp_path / "file" / "run")


@pytest.mark.parametrize("failing", ["status.csv", "report.json", "cloud.ply", "top_view.png"])
def test_full_disk_keeps_the_earlier_files_and_says_which(tmp_path, monkeypatch, failing):
    writer = RunWriter(tmp_path)
    writer.flush(*run_of(5), RunReport(n_frames=5))
    writer.write_cloud(np.zeros((3, 3)), np.zeros((3, 3), np.uint8))
    writer.write_plot("top_view.png", b"png")
    before = {name: (tmp_path / name).read_bytes() for name in writer.kept()}

    def no_space(handle):
        if f".{failing}." in os.readlink(f"/proc/self/fd/{handle}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, "fsync", no_space)

    def everything():
        writer.flush(*run_of(9), RunReport(n_frames=9))
        writer.write_cloud(np.ones((4, 3)), np.zeros((4, 3), np.uint8))
        writer.write_plot("top_view.png", b"newer")

    with pytest.raises(OutputError, match="No space left on device") as info:
        everything()
    assert "\n" not in str(info.value)
    assert "trajectory.tum" in str(info.value).split("kept in")[1]
    kept = "plots/top_view.png" if failing == "top_view.png" else failing
    assert (tmp_path / kept).read_bytes() == before[kept]
    assert not list(tmp_path.rglob(".*"))


def test_flushes_cost_a_constant_times_the_last(tmp_path):
    writer = RunWriter(tmp_path)
    trajectory, keyframes, statuses = run_of(4)
    written = []
    for n in range(1, 5001):
        if writer.is_flush_due(n):
            written.append(n)
            writer._frames_at_flush = n
    assert written[0] == 50
    assert max(np.diff(written)) <= 0.26 * 5000
    assert sum(written) < 5 * 5000
    writer.flush(trajectory, keyframes, statuses)
    assert not writer.is_flush_due(4)


@pytest.mark.parametrize(("took_s", "after_s", "is_due"), [(0.1, 11.0, True), (0.1, 9.0, False), (1.0, 11.0, False)])
def test_flush_is_due_after_a_while_when_it_is_cheap(tmp_path, took_s, after_s, is_due):
    flushed_s = 100.0 + took_s
    looks = iter([100.0, 100.0, flushed_s, flushed_s + after_s, flushed_s + after_s])
    writer = RunWriter(tmp_path, clock=looks.__next__)
    writer.flush(*run_of(4))
    assert writer.is_flush_due(10) is is_due
    assert not writer.is_flush_due(4), "nothing new"


def test_plot_names_are_fixed(tmp_path):
    with pytest.raises(ValueError, match="unknown"):
        RunWriter(tmp_path).write_plot("../evil.png", b"")


def test_report_of_an_interrupted_run(tmp_path):
    writer = RunWriter(tmp_path)
    report = RunReport(command=["vgslam", "run", "x.mp4"], n_frames=7, statuses={"TRACKED": 7})
    writer.write_report(report)
    assert json.loads((tmp_path / "report.json").read_text())["complete"] is False
    report.set_timing(cpu_s=0.5, wall_s=0.25)
    report.finish(stopped_by="Ctrl-C")
    report.evaluation = {"ate": np.float64(0.5), "nan": float("nan"), "n": np.int64(3)}
    writer.write_report(report)
    data = json.loads((tmp_path / "report.json").read_text())
    assert (data["complete"], data["stopped_by"]) == (False, "Ctrl-C")
    assert data["evaluation"] == {"ate": 0.5, "nan": None, "n": 3}
    back = RunReport.read(tmp_path / "report.json")
    assert back.frames_per_cpu_s == 14.0
    assert back.frames_per_wall_s == 28.0
    assert back.machine == report.machine
    report.finish()
    assert (report.complete, report.stopped_by) == (True, None)


def test_report_names_machine_version_and_memory():
    from vgslam.results.environment import peak_memory_mib

    report = RunReport()
    assert report.machine.cores >= 1
    assert report.machine.python.count(".") == 2
    assert report.version
    before = peak_memory_mib()
    block = np.ones(40 * 2**17)  # 40 MiB, touched
    assert peak_memory_mib() >= before
    assert peak_memory_mib() > 40
    assert block[-1] == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"complete": true}', '{"a": 1}'])
def test_a_damaged_report_is_refused(tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(InputError, match=r"report\.json: not a"):
        RunReport.read(tmp_path / "report.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a status.csv"),
        ("frame_id,timestamp_s,status,n_inliers,inlier_ratio,component,keyframe\n0,x,LOST,0,0,0,0\n", "line 2"),
        ("frame_id,timestamp_s,status,n_inliers,inlier_ratio,component,keyframe\n0,1,ASLEEP,0,0,0,0\n", "line 2"),
        ("frame_id,timestamp_s,status,n_inliers,inlier_ratio,component,keyframe\n0,1,LOST,0,0,0,0\n1\n", "line 3"),
    ],
)
def test_a_damaged_status_table_is_refused(tmp_path, text, message):
    (tmp_path / "status.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_status(tmp_path / "status.csv")


def test_poses_of_no_frame_are_refused(tmp_path):
    RunWriter(tmp_path).flush(*run_of(5))
    table = read_status(tmp_path / "status.csv")
    with pytest.raises(InputError, match="belongs to no frame"):
        table.label(run_of(6)[0])


def test_a_folder_that_somebody_removed_is_made_again_with_its_settings(tmp_path):
    writer = RunWriter(tmp_path / "run")
    writer.write_config("a: 1\n")
    shutil.rmtree(tmp_path / "run")
    writer.flush(*run_of(5))
    assert (tmp_path / "run" / "config.yaml").read_text() == "a: 1\n"
    assert (tmp_path / "run" / "status.csv").is_file()
    writer.write_plot("top_view.png", b"png")


def test_overwrite_removes_links_to_nowhere_and_saved_depth(tmp_path):
    (tmp_path / "report.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "depth").mkdir()
    (tmp_path / "depth" / "frame_000001.npz").write_text("old")
    RunWriter(tmp_path, overwrite=True)
    assert not (tmp_path / "report.json").is_symlink()
    assert not list((tmp_path / "depth").iterdir())


def test_plots_are_not_led_elsewhere(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "plots").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="symbolic link"):
        RunWriter(tmp_path / "run", overwrite=True)


def test_a_folder_that_was_there_before_stays(tmp_path):
    writer = RunWriter(tmp_path)
    writer.write_config("a: 1")
    writer.remove_if_unused()
    assert (tmp_path / "config.yaml").is_file()
    with pytest.raises(OutputError, match="is not empty"):
        RunWriter(tmp_path)


@pytest.mark.parametrize(("n", "flushed_at", "is_due"), [(49, 0, False), (50, 0, True), (400, 301, False),
                                                         (400, 300, True)])  # fmt: skip
def test_it_is_flushed_after_fifty_new_frames_or_a_quarter(tmp_path, n, flushed_at, is_due):
    writer = RunWriter(tmp_path, clock=lambda: 0.0)
    writer._frames_at_flush = flushed_at
    assert writer.is_flush_due(n) is is_due


def test_standard_output_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="- is no folder"):
        RunWriter("-")
    assert not list(tmp_path.iterdir())
