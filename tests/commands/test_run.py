"""`vgslam run`: what a good run leaves behind, and what every kind of bad input leads to."""

import errno
import json
import os
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from vgslam.sources.trajectory_io import read_trajectory

N = 45


def one_line(err: str) -> str:
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]


@pytest.mark.painted
def test_a_run_leaves_poses_for_every_frame_and_its_honest_report(sequence: Path, vgslam) -> None:
    code, out, _ = vgslam.run(sequence)
    assert code == 0
    assert f"plain, {N} frames" in out
    trajectory = read_trajectory(vgslam.out / "trajectory.tum")
    assert len(trajectory) == N
    assert np.allclose(trajectory.timestamps_s, np.loadtxt(sequence / "times.txt"), atol=1e-6)
    report = vgslam.report()
    assert report["complete"] is True
    assert report["n_poses"] == report["n_frames"] == N
    assert report["evaluation"]["headline"]["ate_sim3_m"]["rmse"] < 0.01
    assert set(vgslam.statuses()) == {"TRACKED"}
    assert len((vgslam.out / "trajectory.kitti").read_text().splitlines()) == N
    for name in ("keyframes.tum", "config.yaml", "cloud.ply", "plots/top_view.png", "plots/error.png"):
        assert (vgslam.out / name).stat().st_size > 100, name
    assert (vgslam.out / "cloud.ply").read_bytes().startswith(b"ply\n")


def test_the_camera_that_was_adjusted_is_for_the_next_run(sequence: Path, vgslam, tmp_path: Path) -> None:
    """The images are bent by a lens that the calibration does not know; with the one that was found, less is left."""
    calib = json.loads((sequence / "calib.json").read_text())
    pinhole = np.array([[calib["fx"], 0, calib["cx"]], [0, calib["fy"], calib["cy"]], [0, 0, 1]])
    y, x = np.indices((calib["height"], calib["width"]), np.float32)
    straight = cv2.undistortPoints(np.stack([x.ravel(), y.ravel()], 1), pinhole, np.array([-0.03, 0, 0, 0]), P=pinhole)
    for file in (sequence / "images").iterdir():
        image = cv2.imread(str(file))
        cv2.imwrite(str(file), cv2.remap(image, *straight.reshape(*x.shape, 2).transpose(2, 0, 1), cv2.INTER_LINEAR))
    assert vgslam.run(sequence, "--network", "none")[0] == 0
    found = json.loads((vgslam.out / "camera.json").read_text())
    assert found["distortion"][0] == pytest.approx(-0.03, abs=0.008)
    before = vgslam.report()["refinement"]["components"][0]["before"]["mean_px"]
    file = tmp_path / "camera.json"
    (vgslam.out / "camera.json").rename(file)
    code, _, _ = vgslam.run(sequence, "--network", "none", "--calib", file, "--overwrite")
    assert code == 0
    assert vgslam.report()["refinement"]["components"][0]["before"]["mean_px"] < 0.7 * before


def test_json_is_the_report_and_nothing_else(sequence: Path, vgslam) -> None:
    code, out, err = vgslam.run(sequence, "--json", "--max-frames", 20)
    assert code == 0
    assert json.loads(out) == vgslam.report()
    assert "keyframes" in err, "what is told otherwise goes to standard error"
    code, out, err = vgslam.run(sequence, "--json", "--poses", "-", "--overwrite")
    assert (code, out) == (2, "")
    assert "--json" in one_line(err)


def test_the_same_input_gives_the_same_trajectory(sequence: Path, vgslam, tmp_path: Path) -> None:
    for name in "ab":
        vgslam("run", sequence, "--out", tmp_path / name, "--quiet", "--max-frames", 30)
    a, b = ((tmp_path / n / "trajectory.tum").read_bytes() for n in "ab")
    assert a == b
    assert len(a) > 1000


def test_selection_of_frames(sequence: Path, vgslam) -> None:
    code, _, _ = vgslam.run(sequence, "--start", 3, "--stride", 2, "--max-frames", 12)
    assert code == 0
    times = np.loadtxt(sequence / "times.txt")
    assert np.allclose(read_trajectory(vgslam.out / "trajectory.tum").timestamps_s, times[3:27:2], atol=1e-6)


def test_settings_from_a_file_and_the_command_line(sequence: Path, vgslam, tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text("mapper: {window: 5, n_linked: 2}\n")
    code, _, _ = vgslam.run(sequence, "--config", config, "--slam.mapper.window", 6, "--max-frames", 20)
    assert code == 0
    text = (vgslam.out / "config.yaml").read_text()
    assert "window: 6" in text
    assert "n_linked: 2" in text
    config.write_text("mapper: {windw: 5}\n")
    code, _, err = vgslam.run(sequence, "--config", config, "--overwrite")
    assert code == 2
    assert "windw" in one_line(err)


@pytest.mark.parametrize("kind", ["missing", "empty", "text"])
def test_nothing_to_read(kind: str, tmp_path: Path, vgslam) -> None:
    path = tmp_path / "input"
    if kind == "empty":
        path.mkdir()
    if kind == "text":
        path = tmp_path / "video.mp4"
        path.write_text("this is not a video\n" * 50)
    code, _, err = vgslam.run(path)
    assert code == 2
    assert str(path) in one_line(err)
    assert not (vgslam.out / "trajectory.tum").exists()


def test_a_video_cut_off_in_the_middle_keeps_what_came_before(tmp_path: Path, demo_images, vgslam) -> None:
    whole = tmp_path / "whole.mkv"
    with av.open(str(whole), "w") as video:
        stream = video.add_stream("libx264", rate=30, options={"crf": "18", "g": "5"})
        stream.height, stream.width = demo_images[0].shape[:2]
        for image in demo_images:
            video.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        video.mux(stream.encode(None))
    data = whole.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(data[: int(0.6 * len(data))])
    code, _, _ = vgslam.run(cut, "--fov-deg", 70)
    assert code == 0
    assert 15 <= vgslam.report()["n_frames"] < N


@pytest.mark.parametrize("fault", ["corrupt", "size", "deep", "grey"])
def test_one_odd_image_in_the_middle(fault: str, sequence: Path, vgslam) -> None:
    victim = sequence / "images" / "0020.png"
    image = cv2.imread(str(victim))
    if fault == "corrupt":
        victim.write_bytes(victim.read_bytes()[:700])
    elif fault == "size":
        cv2.imwrite(str(victim), cv2.resize(image, (200, 100)))
    elif fault == "deep":
        cv2.imwrite(str(victim), image.astype(np.uint16) * 257)
    else:
        cv2.imwrite(str(victim), cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    code, _, _ = vgslam.run(sequence)
    assert code == 0
    report = vgslam.report()
    skipped = fault in ("corrupt", "size")
    assert report["n_frames"] == N - skipped
    assert report["n_poses"] == report["n_frames"]
    assert any("0020.png" in w for w in report["warnings"]) == skipped


def change_calib(sequence: Path, **values: float) -> None:
    path = sequence / "calib.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_calibration_of_another_resolution_is_scaled_when_the_aspect_agrees(sequence: Path, vgslam) -> None:
    calib = json.loads((sequence / "calib.json").read_text())
    doubled = {k: 2 * calib[k] for k in ("width", "height", "fx", "fy")}
    change_calib(sequence, **doubled, cx=2 * calib["cx"] + 0.5, cy=2 * calib["cy"] + 0.5)
    code, _, _ = vgslam.run(sequence, "--max-frames", 20)
    report = vgslam.report()
    assert code == 0
    assert report["camera"]["fx"] == pytest.approx(calib["fx"])
    assert report["camera"]["cx"] == pytest.approx(calib["cx"])
    assert any("scaled" in w for w in report["warnings"])


@pytest.mark.parametrize(
    ("values", "named"), [({"width": 777}, "777"), ({"fx": float("nan")}, "fx"), ({"fy": -300.0}, "fy")]
)
def test_calibration_that_cannot_be_right_is_refused(values: dict, named: str, sequence: Path, vgslam) -> None:
    change_calib(sequence, **values)
    code, _, err = vgslam.run(sequence)
    assert code == 2
    assert named in one_line(err)


@pytest.mark.parametrize("fault", ["duplicate", "decreasing", "missing"])
def test_timestamps(fault: str, sequence: Path, vgslam) -> None:
    times = (sequence / "times.txt").read_text().split()
    if fault == "missing":
        (sequence / "times.txt").unlink()
    else:
        times[20] = times[19] if fault == "duplicate" else times[5]
        (sequence / "times.txt").write_text("\n".join(times) + "\n")
    code, _, _ = vgslam.run(sequence)
    assert code == 0
    report = vgslam.report()
    assert report["warnings"]
    assert (np.diff(read_trajectory(vgslam.out / "trajectory.tum").timestamps_s) > 0).all()
    assert report["n_frames"] == N - (fault != "missing")


def test_truth_that_does_not_overlap_in_time(sequence: Path, vgslam, tmp_path: Path) -> None:
    rows = np.loadtxt(sequence / "groundtruth.txt")
    rows[:, 0] += 1e6
    elsewhere = tmp_path / "elsewhere.txt"
    np.savetxt(elsewhere, rows, fmt="%.9f")
    code, _, err = vgslam.run(sequence, "--truth", elsewhere, "--max-frames", 20)
    assert code != 0
    assert "overlap" in one_line(err)


def test_a_single_frame_has_no_pose(sequence: Path, vgslam) -> None:
    code, _, err = vgslam.run(sequence, "--max-frames", 1)
    assert code == 4
    assert "could be tracked" in one_line(err)
    assert vgslam.statuses() == ["INITIALIZING"]


def write_images(folder: Path, images: list[np.ndarray]) -> None:
    for i, image in enumerate(images):
        cv2.imwrite(str(folder / "images" / f"{i:04d}.png"), image[..., ::-1])


def test_black_frames_get_no_pose(sequence: Path, vgslam, demo_images) -> None:
    write_images(sequence, [np.zeros_like(demo_images[0])] * N)
    code, _, err = vgslam.run(sequence)
    assert code == 4
    one_line(err)
    assert set(vgslam.statuses()) == {"INITIALIZING"}
    rows = [row for row in (vgslam.out / "trajectory.tum").read_text().splitlines() if not row.startswith("#")]
    assert rows == []


def test_black_frames_in_between_are_lost_and_the_rest_is_not(sequence: Path, vgslam, demo_images) -> None:
    images = list(demo_images)
    for i in range(22, 30):
        images[i] = np.zeros_like(images[0])
    write_images(sequence, images)
    code, _, _ = vgslam.run(sequence)
    assert code == 0
    statuses = vgslam.statuses()
    assert set(statuses[22:30]) == {"LOST"}
    assert set(statuses[:22]) == {"TRACKED"}
    assert statuses[30] == "RELOCALIZED"
    report = vgslam.report()
    assert report["n_losses"] == 1
    assert report["n_components"] == 1
    assert report["evaluation"]["headline"]["ate_sim3_m"]["rmse"] < 0.02


@pytest.mark.parametrize("words", [(), ("--network", "none")])
def test_a_camera_that_stands_still_stays_where_it_is(
    words: tuple[str, ...], sequence: Path, vgslam, demo_images
) -> None:
    rng = np.random.default_rng(0)
    first = demo_images[0].astype(np.float64)
    write_images(sequence, [np.clip(first + rng.normal(0, 2, first.shape), 0, 255).astype(np.uint8) for _ in range(N)])
    (sequence / "groundtruth.txt").unlink()
    code, _, _ = vgslam.run(sequence, *words)
    assert code == 0
    trajectory = read_trajectory(vgslam.out / "trajectory.tum")
    assert len(trajectory) == N
    assert np.abs(trajectory.T_world_cam[:, :3, 3]).max() < 0.01  # the scene's depth is about 1
    assert any("guesses" in w for w in vgslam.report()["warnings"])


def test_an_output_folder_that_exists_is_not_touched_without_being_told(sequence: Path, vgslam) -> None:
    vgslam.out.mkdir()
    (vgslam.out / "trajectory.tum").write_text("precious")
    code, _, err = vgslam.run(sequence)
    assert code == 3
    assert "--overwrite" in one_line(err)
    assert (vgslam.out / "trajectory.tum").read_text() == "precious"
    code, _, _ = vgslam.run(sequence, "--overwrite", "--max-frames", 30)
    assert code == 0
    assert len(read_trajectory(vgslam.out / "trajectory.tum")) == 30


def test_a_full_disk_keeps_what_was_written(sequence: Path, vgslam, monkeypatch: pytest.MonkeyPatch) -> None:
    from vgslam.results import run_folder

    monkeypatch.setattr(run_folder, "FLUSH_MIN_FRAMES", 10)
    real, calls = os.replace, 0

    def replace(a: str, b: str) -> None:
        nonlocal calls
        calls += 1
        if calls > 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(a, b)

    monkeypatch.setattr(os, "replace", replace)
    code, _, err = vgslam.run(sequence)
    assert code == 3
    assert "No space left" in one_line(err)
    assert len((vgslam.out / "status.csv").read_text().splitlines()) > 5
    assert vgslam.report()["complete"] is False
