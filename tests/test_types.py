"""The containers refuse what they must never hold, naming the field, and accept what is right."""

from dataclasses import replace

import numpy as np
import pytest

from vgslam.geometry import se3
from vgslam.types import (
    Camera,
    Edge,
    EdgeKind,
    Frame,
    PoseEstimate,
    Sim3,
    Status,
    Trajectory,
    WindowInput,
    WindowPrediction,
    check_pose,
)

IMAGE = np.zeros((4, 6, 3), np.uint8)
CAMERA = Camera(5.0, 5.0, 2.5, 1.5, 6, 4)
SHEARED = np.eye(4) + np.eye(4, k=1) * 0.1
WITH_NAN = se3.from_rt(np.eye(3), np.array([0, np.nan, 0]))


def poses(n: int) -> np.ndarray:
    return np.array([se3.exp(np.array([0, 0.1 * i, 0, i, 0, 0])) for i in range(n)])


@pytest.mark.parametrize(
    ("T", "message"),
    [
        (np.eye(3), "T_x_y: expected 4x4"),
        (WITH_NAN, "T_x_y: holds numbers that are not finite"),
        (SHEARED, "T_x_y: rotation part is not orthonormal"),
        (np.stack([np.eye(4), 2 * np.eye(4)]), "T_x_y: rotation part is not orthonormal"),
    ],
)
def test_check_pose_names_the_field(T: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_pose("T_x_y", T)


def test_check_pose_accepts_rigid_motions_and_float32_rounding() -> None:
    check_pose("T", poses(5))
    check_pose("T", poses(5).astype(np.float32).astype(np.float64))
    check_pose("T", np.zeros((0, 4, 4)))


@pytest.mark.parametrize(
    "image", [IMAGE[..., 0], IMAGE[..., :2], IMAGE.astype(np.float32), np.zeros((4, 6, 4), np.uint8), IMAGE[None]]
)
def test_frame_image_must_be_rgb_bytes(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"frame 3: image must be \(H,W,3\) uint8"):
        Frame(3, 0.0, image)


@pytest.mark.parametrize("stamp", [np.nan, np.inf])
def test_frame_timestamp_must_be_finite(stamp: float) -> None:
    with pytest.raises(ValueError, match="frame 3: timestamp"):
        Frame(3, stamp, IMAGE)
    assert Frame(3, 1.5, IMAGE, CAMERA).camera == CAMERA


@pytest.mark.parametrize("status", list(Status))
def test_a_pose_goes_with_tracked_and_relocalized_only(status: Status) -> None:
    has_pose = status in (Status.TRACKED, Status.RELOCALIZED)
    estimate = PoseEstimate(0, 0.0, status, T_ref_cam=np.eye(4) if has_pose else None)
    assert (estimate.T_ref_cam is not None) == has_pose
    with pytest.raises(ValueError, match=r"status .* and pose do not agree"):
        PoseEstimate(0, 0.0, status, T_ref_cam=None if has_pose else np.eye(4))


def test_a_pose_estimate_must_be_rigid() -> None:
    with pytest.raises(ValueError, match="T_ref_cam"):
        PoseEstimate(0, 0.0, Status.TRACKED, T_ref_cam=SHEARED)


def window_input(**changes: object) -> WindowInput:
    fields: dict = {"frame_ids": np.array([4, 7]), "images": [IMAGE, IMAGE], "camera": CAMERA}
    return WindowInput(**{**fields, **changes})


def test_window_input() -> None:
    assert window_input(T_window_cam=poses(2)).track_px.shape == (0, 2)
    with pytest.raises(ValueError, match="2 frame ids and 1 images"):
        window_input(images=[IMAGE])
    with pytest.raises(ValueError, match="0 frame ids"):
        window_input(frame_ids=np.zeros(0, np.int64), images=[])
    with pytest.raises(ValueError, match="track_frame, track_id and track_px differ"):
        window_input(track_frame=np.array([0]), track_id=np.array([5, 6]), track_px=np.zeros((1, 2)))
    with pytest.raises(ValueError, match="landmark_ids and landmarks differ"):
        window_input(landmark_ids=np.array([1]))
    with pytest.raises(ValueError, match="T_window_cam"):
        window_input(T_window_cam=np.stack([np.eye(4), SHEARED]))


def window_prediction(**changes: object) -> WindowPrediction:
    fields: dict = {
        "frame_ids": np.array([4, 7]), "T_window_cam": poses(2), "cameras": [CAMERA, CAMERA],
        "depth": np.ones((2, 4, 6), np.float32), "confidence": np.ones((2, 4, 6), np.float32),
    }  # fmt: skip
    return WindowPrediction(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_ids": np.array([4])}, "differ in length"),
        ({"cameras": [CAMERA]}, "differ in length"),
        ({"depth": np.ones((1, 4, 6), np.float32)}, "differ in length"),
        ({"confidence": np.ones((2, 4, 5), np.float32)}, "depth and confidence differ in shape"),
        ({"T_window_cam": poses(3)[1:]}, "first camera must be the identity"),
        ({"T_window_cam": np.stack([np.eye(4), WITH_NAN])}, "T_window_cam"),
        ({"depth": np.full((2, 4, 6), np.nan, np.float32)}, "depth must be finite"),
        ({"depth": np.full((2, 4, 6), -1, np.float32)}, "depth must be finite and >= 0"),
        ({"raw_scale": 0.0}, "raw_scale must be positive"),
        ({"raw_scale": float("nan")}, "raw_scale must be positive"),
    ],
)
def test_window_prediction_refuses(changes: dict, message: str) -> None:
    assert window_prediction().raw_scale == 1.0
    with pytest.raises(ValueError, match=message):
        window_prediction(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id_b": 1}, "edge from keyframe 1 to itself"),
        ({"sigmas": np.ones(6)}, "7 positive"),
        ({"sigmas": np.r_[np.ones(6), 0.0]}, "7 positive"),
        ({"sigmas": np.r_[np.ones(6), np.nan]}, "7 positive"),
    ],
)
def test_edge_refuses(changes: dict, message: str) -> None:
    edge = Edge(1, 2, Sim3.identity(), np.ones(7), EdgeKind.LOOP)
    with pytest.raises(ValueError, match=message):
        replace(edge, **changes)


def test_trajectory_fills_in_ids_and_components() -> None:
    trajectory = Trajectory(np.array([0.0, 0.5, 0.7]), poses(3))
    assert len(trajectory) == 3
    assert trajectory.frame_ids.tolist() == [0, 1, 2]
    assert trajectory.component_ids.tolist() == [0, 0, 0]
    assert not trajectory.is_metric
    given = replace(trajectory, frame_ids=np.array([3, 5, 9]), component_ids=np.array([0, 1, 1]))
    assert given.frame_ids.tolist() == [3, 5, 9]
    assert given.component_ids.tolist() == [0, 1, 1]
    assert len(Trajectory(np.zeros(0), np.zeros((0, 4, 4)))) == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"timestamps_s": np.array([0.0, 1.0])}, "timestamps and poses differ in length"),
        ({"timestamps_s": np.array([0.0, 1.0, 1.0])}, "strictly increasing"),
        ({"timestamps_s": np.array([0.0, 2.0, 1.0])}, "strictly increasing"),
        ({"timestamps_s": np.array([0.0, np.nan, 1.0])}, "finite"),
        ({"T_world_cam": np.stack([np.eye(4), SHEARED, np.eye(4)])}, "T_world_cam"),
        ({"frame_ids": np.array([1, 2])}, "frame_ids and poses differ in length"),
        ({"component_ids": np.array([0])}, "component_ids and poses differ in length"),
    ],
)
def test_trajectory_refuses(fields: dict, message: str) -> None:
    good = {"timestamps_s": np.array([0.0, 0.5, 0.7]), "T_world_cam": poses(3)}
    with pytest.raises(ValueError, match=message):
        Trajectory(**{**good, **fields})
