from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from bench.pycolmap_peer import export_images, main, model_trajectory
from vgslam.errors import CalibrationError
from vgslam.geometry import se3


def sequence(folder, calibrated=True):
    (folder / "images").mkdir(parents=True)
    for i in range(7):
        cv2.imwrite(str(folder / "images" / f"{i:03d}.png"), np.full((48, 64, 3), 10 * i, np.uint8))
    (folder / "times.txt").write_text("".join(f"{i / 10:.3f}\n" for i in range(7)))
    if calibrated:
        calib = '{"width": 64, "height": 48, "fx": 60, "fy": 61, "cx": 31.5, "cy": 23.5, "distortion": [0, 0, 0, 0]}'
        (folder / "calib.json").write_text(calib)
    return folder


def test_every_third_frame_is_exported_with_its_time(tmp_path):
    camera, times = export_images(sequence(tmp_path / "a"), tmp_path / "out", 3)
    assert (camera.fx, camera.fy) == (60, 61)
    assert np.allclose(times, [0.0, 0.3, 0.6])
    images = sorted((tmp_path / "out").iterdir())
    assert [cv2.imread(str(p))[0, 0, 0] for p in images] == [0, 30, 60]


def test_a_sequence_without_calibration_is_refused(tmp_path, capsys):
    with pytest.raises(CalibrationError, match="not calibrated"):
        export_images(sequence(tmp_path / "a", calibrated=False), tmp_path / "out", 1)


def test_registered_images_become_poses_at_their_times():
    poses = {i: se3.exp(np.array([0.1 * i, 0.2, 0.0, i, 1.0, 2.0])) for i in (0, 2, 3)}

    def image(i):
        rigid = SimpleNamespace(matrix=lambda: se3.inverse(poses[i])[:3])
        return SimpleNamespace(name=f"{i:06d}.png", cam_from_world=lambda: rigid)

    model = SimpleNamespace(reg_image_ids=lambda: [12, 10, 13], images={10: image(0), 12: image(2), 13: image(3)})
    trajectory = model_trajectory(model, np.array([5.0, 6.0, 7.0, 8.0]))
    assert trajectory.timestamps_s.tolist() == [5.0, 7.0, 8.0]
    assert np.allclose(trajectory.T_world_cam, [poses[i] for i in (0, 2, 3)])


def test_without_pycolmap_the_pip_command_is_named(tmp_path, capsys, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pycolmap", None)
    assert main([str(sequence(tmp_path / "a")), str(tmp_path), "1"]) == 6
    assert "pip install" in capsys.readouterr().err
