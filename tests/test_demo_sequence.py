"""The demo sequence that ships: complete, small, and its truth agrees with its images."""

import itertools
import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import vgslam
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera

FOLDER = Path(vgslam.__file__).parent / "assets" / "demo"


@pytest.fixture(scope="module")
def demo():
    with av.open(str(FOLDER / "demo.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        frames = list(container.decode(video=0))
    images = np.stack([f.to_ndarray(format="gray") for f in frames])
    rows = np.loadtxt(FOLDER / "groundtruth.txt")
    T = np.stack([se3.from_rt(se3.rotation_from_quaternion(r[4:]), r[1:4]) for r in rows])
    calib = json.loads((FOLDER / "calib.json").read_text())
    assert calib.pop("distortion") == [0.0, 0.0, 0.0, 0.0]
    return images, rows[:, 0], T, Camera(**calib), np.array([float(f.time) for f in frames])


def test_it_is_small_and_complete(demo):
    images, times, T, camera, video_times = demo
    assert (FOLDER / "demo.mp4").stat().st_size <= 3_000_000
    assert len(images) == len(T) >= 200
    assert images.shape[1:] == (camera.height, camera.width)
    np.testing.assert_allclose(video_times, times, atol=1e-3)


def test_it_moves_like_a_person_and_returns(demo):
    _, _, T, _, _ = demo
    steps = np.linalg.norm(np.diff(T[:, :3, 3], axis=0), axis=1)
    turns = np.array([se3.angle_deg(a[:3, :3].T @ b[:3, :3]) for a, b in itertools.pairwise(T)])
    assert 0.01 < steps.min() < steps.max() < 0.08
    assert turns.max() < 3.0
    assert turns.sum() > 330
    assert np.linalg.norm(T[-1, :3, 3] - T[0, :3, 3]) < 0.3
    assert se3.angle_deg(T[0, :3, :3].T @ T[-1, :3, :3]) < 15


def test_every_part_has_corners_to_follow(demo):
    images = demo[0]
    for image in images[::10]:
        corners = cv2.goodFeaturesToTrack(image, 1000, 0.01, 6)[:, 0]
        assert len(corners) > 250
        cells = {(int(x // 120), int(y // 120)) for x, y in corners}
        assert len(cells) >= 10  # of 4 x 3


def test_truth_agrees_with_the_images(demo):
    """Features followed over five frames lie on the epipolar lines that the truth predicts."""
    images, _, T, camera, _ = demo
    for k in range(0, len(images) - 5, 30):
        points = cv2.goodFeaturesToTrack(images[k], 400, 0.01, 8)
        forward, found, _ = cv2.calcOpticalFlowPyrLK(images[k], images[k + 5], points, None)
        back, _, _ = cv2.calcOpticalFlowPyrLK(images[k + 5], images[k], forward, None)
        good = (found[:, 0] == 1) & (np.abs(back - points).max((1, 2)) < 0.3)
        assert good.sum() > 80
        T_b_a = se3.inverse(T[k + 5]) @ T[k]
        E = se3.skew(T_b_a[:3, 3]) @ T_b_a[:3, :3]
        F = np.linalg.inv(camera.K).T @ E @ np.linalg.inv(camera.K)
        a, b = (np.column_stack([p[good, 0], np.ones(good.sum())]) for p in (points, forward))
        lines = a @ F.T
        distance = np.abs((b * lines).sum(1)) / np.hypot(lines[:, 0], lines[:, 1])
        assert np.median(distance) < 0.35
        off = b + np.array([0, 5.0, 0])
        wrong = np.abs((off * lines).sum(1)) / np.hypot(lines[:, 0], lines[:, 1])
        assert np.median(wrong) > 3 * np.median(distance)
