"""A map of images with lens distortion: raw photos, and videos without a calibration, of the same camera fit it."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from vgslam.cli import main
from vgslam.geometry import se3
from vgslam.store.open import load_map
from vgslam.types import Array

ZOOM, DISTORTION = 1.3, (-0.3, 0.06, 0.0, 0.0)
N_FRAMES = 30


@pytest.fixture(scope="module")
def bent(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of the demo as a lens with distortion would see them (images/), and the map of them (m); do not write
    into it."""
    folder = tmp_path_factory.mktemp("bent")
    (folder / "images").mkdir()
    calib = json.loads((demo_folder / "calib.json").read_text())
    K = np.array([[calib["fx"], 0, calib["cx"]], [0, calib["fy"], calib["cy"]], [0, 0, 1.0]])
    K_bent = K * [[ZOOM, 1, 1], [1, ZOOM, 1], [1, 1, 1]]
    w, h = calib["width"], calib["height"]
    pixels = np.stack(np.meshgrid(np.arange(w), np.arange(h)), axis=-1).reshape(-1, 1, 2).astype(np.float64)
    source = cv2.undistortPoints(pixels, K_bent, np.array(DISTORTION), P=K).reshape(h, w, 2).astype(np.float32)
    assert source.min() > 0
    for file in sorted((demo_folder / "images").iterdir())[:N_FRAMES]:
        image = cv2.remap(cv2.imread(str(file)), source, None, cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / "images" / file.name), image)
    given = {**calib, "fx": K_bent[0, 0], "fy": K_bent[1, 1], "distortion": list(DISTORTION)}
    (folder / "calib.json").write_text(json.dumps(given))
    words = ["run", folder, "--network", "none", "--out", folder / "out", "--quiet", "--map", folder / "m"]
    assert main([str(word) for word in words]) == 0
    return folder


def worst(rows: list[dict], bent: Path) -> tuple[int, float, float]:
    """How many of the answers are accepted, and their largest differences from the map's frames: degrees, and the
    share of the map's extent."""
    T = {f.frame_id: pose for f, pose in zip(load_map(bent / "m").session_frames(), poses(bent), strict=True)}
    size = np.ptp(np.array(list(T.values()))[:, :3, 3], axis=0).max()
    found = [(np.array(row["T_world_cam"]), T[int(Path(row["image"]).stem)]) for row in rows if row["is_found"]]
    degrees = [se3.angle_deg(a[:3, :3].T @ b[:3, :3]) for a, b in found]
    return len(found), max(degrees), max(float(np.linalg.norm(a[:3, 3] - b[:3, 3])) for a, b in found) / size


def poses(bent: Path) -> Array:
    return load_map(bent / "m").trajectory().T_world_cam


def located(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict]:
    capsys.readouterr()
    assert main(["relocalize", *[str(w) for w in words], "--json"]) == 0
    return json.loads(capsys.readouterr().out)["images"]


def some(bent: Path) -> list[Path]:
    return sorted((bent / "images").iterdir())[3:N_FRAMES:6]


def test_the_map_keeps_the_calibration_as_it_was_given(bent: Path) -> None:
    m = load_map(bent / "m")
    assert m.recorded_camera is not None
    assert m.recorded_camera.distortion == pytest.approx(DISTORTION)
    assert not m.keyframes[-1].camera.is_distorted


def test_raw_photos_of_the_same_camera_are_straightened(bent: Path, capsys: pytest.CaptureFixture[str]) -> None:
    n, degrees, share = worst(located(capsys, bent / "m", *some(bent)), bent)
    assert n == len(some(bent))
    assert degrees < 0.5
    assert share < 0.05


@pytest.mark.parametrize("factor", [0.75, 2.0])
def test_photos_of_another_size_are_scaled(bent: Path, factor: float, tmp_path: Path, capsys) -> None:
    for file in some(bent):
        cv2.imwrite(str(tmp_path / file.name), cv2.resize(cv2.imread(str(file)), None, fx=factor, fy=factor))
    n, degrees, _ = worst(located(capsys, bent / "m", tmp_path), bent)
    assert n == len(some(bent))
    assert degrees < 1.0
    n, degrees, _ = worst(located(capsys, bent / "m", tmp_path, "--calib", bent / "calib.json"), bent)
    assert n == len(some(bent))
    assert degrees < 1.0


def test_photos_of_another_camera_need_its_field_of_view(bent: Path, demo_folder: Path, tmp_path: Path, capsys) -> None:
    """The demo's own images, cut to a square: its focal length says the field of view."""
    calib = json.loads((demo_folder / "calib.json").read_text())
    w, h = calib["width"], calib["height"]
    for file in some(bent):
        image = cv2.imread(str(demo_folder / "images" / file.name))
        cv2.imwrite(str(tmp_path / file.name), image[:, (w - h) // 2 : (w + h) // 2])
    assert main(["relocalize", str(bent / "m"), str(tmp_path)]) == 2
    assert "another shape than its camera's" in capsys.readouterr().err
    fov = np.degrees(2 * np.arctan(h / 2 / calib["fx"]))
    n, degrees, _ = worst(located(capsys, bent / "m", tmp_path, "--fov-deg", fov), bent)
    assert n >= len(some(bent)) - 1
    assert degrees < 1.5
    assert main(["relocalize", str(bent / "m"), str(tmp_path), "--fov-deg", "60", "--calib", "c.json"]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_a_recording_without_calibration_is_straightened_as_the_map_says(bent: Path, tmp_path: Path) -> None:
    words = ["run", bent / "images", "--network", "none", "--out", tmp_path / "out", "--quiet", "--map", bent / "m"]
    assert main([str(w) for w in [*words, "--localize", "--fps", "30", "--max-frames", "12"]]) == 0
    found = np.loadtxt(tmp_path / "out" / "trajectory.tum")
    assert len(found) == 12
    truth = poses(bent)[:12]  # the first frames are where a single image was found, the later ones tracked
    size = np.ptp(poses(bent)[:, :3, 3], axis=0).max()
    assert np.linalg.norm(found[6:, 1:4] - truth[6:, :3, 3], axis=1).max() < 0.01 * size


@pytest.mark.parametrize("calibrated", [True, False])
def test_frames_of_another_size_are_told_about_the_map(bent: Path, calibrated: bool, tmp_path: Path, capsys) -> None:
    path = Path(shutil.copytree(bent / "m", tmp_path / "m"))
    (tmp_path / "small" / "images").mkdir(parents=True)
    for file in some(bent):
        cv2.imwrite(str(tmp_path / "small" / "images" / file.name), cv2.resize(cv2.imread(str(file)), (80, 60)))
    if calibrated:
        shutil.copy(bent / "calib.json", tmp_path / "small")
    camera = load_map(path).keyframes[-1].camera
    words = ["run", tmp_path / "small", "--network", "none", "--out", tmp_path / "out", "--quiet", "--map", path]
    assert main([str(w) for w in words]) == 2
    err = capsys.readouterr().err.strip()
    assert f"the map {path} was made with a camera of {camera.width}x{camera.height}, these frames are 80x60" in err
    assert len(err.splitlines()) == 1


def test_a_map_that_was_never_saved_is_called_that(bent: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "m" / "pictures").mkdir(parents=True)
    (tmp_path / "m" / ".lock").touch()
    assert main(["map", "info", str(tmp_path / "m")]) == 9
    assert "holds no map yet: the run that was to make it ended before its first save" in capsys.readouterr().err
    assert main(["relocalize", str(tmp_path / "m"), str(some(bent)[0])]) == 9
    assert "holds no map yet" in capsys.readouterr().err
