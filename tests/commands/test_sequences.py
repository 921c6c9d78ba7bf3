"""The whole program on what cameras do: turn in place, be cut, and on real sequences where they are at hand."""

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from vgslam.evaluation.evaluate import EvaluationOptions, evaluate
from vgslam.geometry import se3
from vgslam.slam import Slam
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.types import Camera, Frame, Status

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the real sequences of ../shared/data")


def panorama(seed: int, width: int = 3072, height: int = 1536) -> np.ndarray:
    """Noise of several octaves with rectangles on it, on the sphere around the camera."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 110.0, np.float32)
    for cells, strength in ((8, 40), (32, 35), (128, 30), (512, 30)):
        noise = rng.normal(size=(cells // 2, cells, 3)).astype(np.float32)
        image += strength * cv2.resize(np.concatenate([noise, noise[:, :1]], axis=1), (width, height))
    for _ in range(700):
        x, y = int(rng.integers(0, width)), int(rng.integers(150, height - 150))
        size = int(rng.integers(8, 50))
        image[y : y + size, x : x + int(size * rng.uniform(0.4, 2))] += rng.uniform(-120, 120, 3).astype(np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)


def look(texture: np.ndarray, camera: Camera, R_world_cam: np.ndarray) -> np.ndarray:
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = camera.rays(np.stack([u, v], axis=-1).reshape(-1, 2)) @ R_world_cam.T
    longitude = np.arctan2(rays[:, 0], rays[:, 2])
    latitude = np.arctan2(rays[:, 1], np.hypot(rays[:, 0], rays[:, 2]))
    h, w = texture.shape[:2]
    x = ((longitude / (2 * np.pi) + 0.5) * w - 0.5).reshape(u.shape).astype(np.float32)
    y = ((latitude / np.pi + 0.5) * h - 0.5).reshape(u.shape).astype(np.float32)
    return cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def test_turning_in_place_neither_invents_translation_nor_loses_the_rotation() -> None:
    texture, camera = panorama(0), Camera.from_fov(480, 360, 62)
    rng = np.random.default_rng(1)
    i = np.arange(150)
    yaw = np.cumsum(2.5 + 2.5 * np.sin(i / 15))
    truth = [
        se3.so3_exp(np.radians([0, y, 0])) @ se3.so3_exp(np.radians([8 * np.sin(n / 17), 0, 5 * np.sin(n / 29)]))
        for n, y in enumerate(yaw)
    ]
    slam = Slam(camera)
    for n, R in enumerate(truth):
        image = look(texture, camera, R) + rng.normal(0, 3, (360, 480, 3))
        slam.process(Frame(n, n / 30, np.clip(image, 0, 255).astype(np.uint8)))
    slam.finish()
    trajectory = slam.map.trajectory()
    assert len(trajectory) == len(truth)
    assert slam.n_components == 1
    start = trajectory.T_world_cam[0, :3, :3] @ truth[0].T
    error = [se3.angle_deg((start @ R).T @ T[:3, :3]) for R, T in zip(truth, trajectory.T_world_cam)]
    turned = sum(se3.angle_deg(a.T @ b) for a, b in itertools.pairwise(truth))
    assert turned > 300
    assert max(error) < 0.02 * turned
    # map units: the depth of the scene is 1
    assert np.abs(trajectory.T_world_cam[:, :3, 3]).max() < 0.1
    assert not slam.map.landmarks.is_triangulated.any()


def run_on(
    path: Path, options: SourceOptions, skip: range | None = None, is_halved: bool = False
) -> tuple[Slam, object]:
    source = open_source(path, options)
    assert source.camera is not None
    size = source.camera.width // 2, source.camera.height // 2
    slam = Slam(source.camera.resized(*size) if is_halved else source.camera)
    n = 0
    for frame in source:
        if skip is not None and frame.id in skip:
            continue
        image = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA) if is_halved else frame.image
        slam.process(Frame(n, frame.timestamp_s, image))
        n += 1
    slam.finish()
    return slam, source


@needs_data
@pytest.mark.data
def test_driving() -> None:
    slam, source = run_on(DATA / "kitti00_f000-199", SourceOptions())
    trajectory = slam.map.trajectory()
    assert len(trajectory) == 200
    assert slam.n_components == 1
    assert evaluate(trajectory, source.truth).headline.ate_m.rmse <= 1.4


@needs_data
@pytest.mark.data
def test_a_hand_held_camera_in_a_kitchen() -> None:
    """Every third frame of the sequence (10 Hz), against both references."""
    folder = DATA / "7scenes_redkitchen_seq01"
    slam, source = run_on(folder, SourceOptions(stride=3))
    trajectory = slam.map.trajectory()
    assert len(trajectory) == 334
    assert slam.n_components == 1
    options = EvaluationOptions(max_difference_s=0.005)
    assert evaluate(trajectory, source.truth, options).headline.ate_m.rmse <= 0.13
    sfm = read_trajectory(folder / "groundtruth_sfm.txt")
    assert evaluate(trajectory, sfm, options).headline.ate_m.rmse <= 0.095


@needs_data
@pytest.mark.data
@pytest.mark.parametrize(("start", "first", "length"), [(0, 49, 51), (80, 32, 30)])
def test_a_cut_while_driving_is_noticed_on_the_first_frame_after_it(start: int, first: int, length: int) -> None:
    shown = SourceOptions(start=start, max_frames=first + length + 20)
    slam, source = run_on(DATA / "kitti00_f000-199", shown, range(first, first + length), is_halved=True)
    assert slam.n_losses == 1
    trajectory = slam.map.trajectory()
    before = trajectory.component_ids[trajectory.frame_ids < first]
    after = trajectory.component_ids[trajectory.frame_ids >= first]
    assert len(after) > 0
    assert not set(before) & set(after)
    for score in evaluate(trajectory, source.truth).components:
        assert score.ate_m.rmse <= 1.4


@needs_data
@pytest.mark.data
def test_no_false_pose_where_there_is_no_texture() -> None:
    slam, source = run_on(DATA / "tum_fr3_cabinet_58", SourceOptions())
    statuses = [f.status for f in slam.map.frames]
    assert statuses.count(Status.LOST) + statuses.count(Status.INITIALIZING) > 40
    trajectory = slam.map.trajectory()
    if len(trajectory) >= 3:
        for score in evaluate(trajectory, source.truth).components:
            assert score.ate_m.rmse < 0.05
