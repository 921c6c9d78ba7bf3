"""7-Scenes folders of a few images each."""

from pathlib import Path

import numpy as np
import pytest

from vgslam.errors import InputError
from vgslam.geometry import se3
from vgslam.sources import SourceOptions, open_source

# --- 7-Scenes ---


@pytest.fixture
def scene(tmp_path: Path, write_images) -> Path:
    for name in ("seq-01", "seq-02"):
        folder = tmp_path / "office" / name
        write_images(folder, [f"frame-{i:06d}.color.png" for i in range(3)], width=640, height=480)
        write_images(folder, [f"frame-{i:06d}.depth.png" for i in range(3)], grey=True)
        for i in range(3):
            T = se3.from_rt(se3.so3_exp(np.array([0.0, 0.1 * i, 0.0])), np.array([i, 0.0, 1.0]))
            np.savetxt(folder / f"frame-{i:06d}.pose.txt", T)
    return tmp_path / "office"


def test_7scenes_sequence(scene: Path) -> None:
    source = open_source(scene / "seq-02")
    frames = list(source)
    assert (source.kind, source.name, source.n_frames) == ("7scenes", "office_seq-02", 3)
    assert [f.timestamp_s for f in frames] == pytest.approx([0, 1 / 30, 2 / 30])
    assert frames[0].image.shape == (480, 640, 3)
    assert source.truth is not None
    np.testing.assert_allclose(source.truth.T_world_cam[:, :3, 3], [[0, 0, 1], [1, 0, 1], [2, 0, 1]])
    assert source.camera is not None
    assert source.camera.fx == pytest.approx(525.5, abs=0.1)
    assert "no colour calibration" in source.warnings[0]


def test_7scenes_scene_folder(scene: Path) -> None:
    source = open_source(scene)
    assert source.name == "office_seq-01"
    assert any("holds 2 sequences: seq-01 is used" in line for line in source.warnings)
    assert open_source(scene, SourceOptions(topic="seq-02")).name == "office_seq-02"
    with pytest.raises(InputError, match="no 7-Scenes sequence"):
        open_source(scene, SourceOptions(topic="seq-09"))


def test_7scenes_broken_poses_are_left_out(scene: Path) -> None:
    folder = scene / "seq-01"
    np.savetxt(folder / "frame-000001.pose.txt", np.full((4, 4), np.nan))
    (folder / "calib.json").write_text('{"width": 640, "height": 480, "fx": 500}')
    source = open_source(folder)
    assert source.truth is not None
    np.testing.assert_allclose(source.truth.timestamps_s, [0, 2 / 30])
    assert source.warnings == ["truth: 1 of 3 images have no valid pose file"]
    assert source.camera is not None
    assert source.camera.fx == 500
