"""Windows of recorded sequences: geometry of the resizing and of the depth, and the shared sequences themselves."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vgslam.errors import InputError
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam_train.data.real_windows import REAL_SETS, DepthFiles, RealSet, real_windows, register_depth

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture
def recording(tmp_path):
    """12 images of 320x240 with depth for every second one and truth for all but the sixth."""
    folder = tmp_path / "walk"
    (folder / "images").mkdir(parents=True)
    (folder / "depth").mkdir()
    rows = []
    for i in range(12):
        image = np.full((240, 320, 3), 10 * i, np.uint8)
        image[:, 160:] = 200
        cv2.imwrite(str(folder / "images" / f"{i:04d}.png"), image)
        if i % 2 == 0:
            cv2.imwrite(str(folder / "depth" / f"{i:04d}.png"), np.full((240, 320), 1000 + i, np.uint16))
        if i != 5:
            rows.append(f"{i / 10} 0 0 {0.1 * i} 0 0 0 1")
    (folder / "times.txt").write_text("\n".join(str(i / 10) for i in range(12)))
    (folder / "groundtruth.txt").write_text("\n".join(rows))
    calib = {"width": 320, "height": 240, "fx": 300, "fy": 300, "cx": 159.5, "cy": 119.5, "depth_scale": 1000}
    (folder / "calib.json").write_text(json.dumps(calib))
    return tmp_path


def test_windows_of_a_recording(recording):
    batch = real_windows(recording, RealSet("walk", "walk", 1, None, DepthFiles(every=2)), 3, max_windows=100)
    # 12 frames without the sixth: windows of three start at 0..2 and 6..9.
    assert batch.images.shape == (7, 3, 3, 48, 64)
    assert (batch.images.dtype, batch.depth.dtype, batch.T_world_cam.dtype) == (
        torch.float32, torch.float32, torch.float64
    )  # fmt: skip
    shade = batch.images[:, :, 0, 10, 10] * 255
    assert shade.round().int().tolist() == [[10 * (k + i) for i in range(3)] for k in (0, 1, 2, 6, 7, 8, 9)]
    assert (batch.T_world_cam[:, 0] == torch.eye(4)).all()
    np.testing.assert_allclose(batch.T_world_cam[:, 2, 2, 3], 0.2, atol=1e-9)
    np.testing.assert_allclose(batch.depth[0, :, 20, 30], [1.0, 0.0, 1.002], atol=1e-6)
    np.testing.assert_allclose(batch.K[0], Camera(300, 300, 159.5, 119.5, 320, 240).resized(64, 48).K)


def test_stride_picks_images_and_their_own_depth(recording):
    batch = real_windows(recording, RealSet("walk", "walk", 3, None, DepthFiles(every=2)), 2)
    # Images 0 3 6 9.
    np.testing.assert_allclose(batch.T_world_cam[:, 1, 2, 3], 0.3, atol=1e-9)
    np.testing.assert_allclose(batch.depth[:, :, 20, 30], [[1.0, 0], [0, 1.006], [1.006, 0]], atol=1e-6)


def test_windows_are_spread_evenly(recording):
    batch = real_windows(recording, RealSet("walk", "walk"), 2, max_windows=2)
    shade = (batch.images[:, 0, 0, 10, 10] * 255).round().int().tolist()
    assert shade == [0, 100]


def test_pixels_are_means_over_what_they_cover(recording):
    batch = real_windows(recording, RealSet("walk", "walk"), 2, max_windows=1)
    row = batch.images[0, 1, 0, 24] * 255
    assert row[31] == pytest.approx(10, abs=0.5)
    assert row[32] == pytest.approx(200, abs=0.5)


@pytest.mark.parametrize(("n_frames", "message"), [(1, "2 or more"), (13, "13 frames in a row")])
def test_too_few_frames_are_named(recording, n_frames, message):
    with pytest.raises(InputError, match=message):
        real_windows(recording, RealSet("walk", "walk"), n_frames)


def test_what_is_missing_is_named(recording):
    (recording / "walk" / "depth" / "0010.png").unlink()
    with pytest.raises(InputError, match="depth image 5"):
        real_windows(recording, RealSet("walk", "walk", 1, None, DepthFiles(every=2)), 2)
    (recording / "walk" / "groundtruth.txt").unlink()
    with pytest.raises(InputError, match="has no truth"):
        real_windows(recording, RealSet("walk", "walk"), 2)


def test_depth_of_a_slanted_plane_is_registered():
    """1/z = n . ray in either camera: exact up to the slope within a pixel."""
    depth_camera, camera = Camera(585, 585, 320, 240, 640, 480), Camera(52.5, 52.5, 31.5, 23.5, 64, 48)
    offset = np.array([0.0255, 0.01, 0.0])
    normal = np.array([0.1, -0.05, 0.4])  # normal . point = 1 in the depth camera
    v, u = np.mgrid[:480, :640]
    rays = depth_camera.rays(np.stack([u, v], -1)).reshape(480, 640, 3)
    depth = register_depth((1 / (rays @ normal)).astype(np.float32), depth_camera, camera, tuple(offset))
    v, u = np.mgrid[:48, :64]
    small_rays = camera.rays(np.stack([u, v], -1)).reshape(48, 64, 3)
    expected = (1 - offset @ normal) / (small_rays @ normal)
    seen = depth > 0
    assert seen[4:-4, 4:-4].all()
    np.testing.assert_allclose(depth[seen], expected[seen], rtol=0.01)
    assert abs(np.median(depth[4:-4, 4:-4] / expected[4:-4, 4:-4]) - 1) < 1e-3


def test_holes_of_the_depth_stay_holes():
    camera = Camera(300, 300, 159.5, 119.5, 320, 240)
    depth = np.full((240, 320), 2.0, np.float32)
    depth[:, :100] = 0
    small = register_depth(depth, camera, camera.resized(64, 48))
    assert (small[:, :20] == 0).all()
    assert (small[:, 20:] == 2).all()


@pytest.mark.data
@pytest.mark.parametrize("chosen", REAL_SETS, ids=lambda s: s.name)
def test_shared_sequences(chosen):
    if not DATA.is_dir():
        pytest.skip("the real sequences (../shared/data) are not here")
    batch = real_windows(DATA, chosen, 2, max_windows=8)
    assert batch.images.shape[:3] == (8, 2, 3)
    assert batch.images.shape[-2] % 8 == 0
    assert batch.images.shape[-1] % 8 == 0
    assert 2500 < batch.images[0, 0, 0].numel() < 4000
    if chosen.depth is None:
        assert (batch.depth == 0).all()
        return
    assert (batch.depth > 0).float().mean() > 0.5
    assert _depth_agrees(batch) < 0.06


def _depth_agrees(batch):
    """Median relative difference between depths of frame 1 taken to frame 0 by the true pose, and those seen there."""
    differences = []
    for depth, T, K in zip(batch.depth.double().numpy(), batch.T_world_cam.numpy(), batch.K.numpy(), strict=True):
        rows, cols = depth.shape[1:]
        camera = Camera(K[0, 0], K[1, 1], K[0, 2], K[1, 2], cols, rows)
        v, u = np.nonzero(depth[1] > 0)
        points = se3.transform(T[1], camera.rays(np.stack([u, v], 1)) * depth[1, v, u, None])
        points = points[points[:, 2] > 0.1]
        px = np.rint(camera.project(points)).astype(int)
        inside = ((px >= 0) & (px < (cols, rows))).all(1)
        seen = depth[0, px[inside, 1], px[inside, 0]]
        differences.append(np.abs(points[inside, 2] / np.where(seen > 0, seen, np.nan) - 1))
    return np.nanmedian(np.concatenate(differences))
