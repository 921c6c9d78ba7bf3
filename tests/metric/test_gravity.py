"""Which way is up, on maps whose truth is known."""

from pathlib import Path

import numpy as np
import pytest
from metric_scene import curve, looking, straight, up_of, walk

from vgslam.errors import InputError
from vgslam.geometry import se3
from vgslam.metric.fulfil import fulfil, read_request
from vgslam.metric.gravity import from_accelerations, levelled, roll_fixed, turned_to_z, upright
from vgslam.types import Array


def angle_deg(a: Array, b: Array) -> float:
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b)))


def test_cameras_that_roll_about_upright_give_gravity_and_the_map_stands_up() -> None:
    rolls = np.random.default_rng(0).normal(0, 4, 24)
    w = walk(curve(24, rolls))
    [found] = fulfil(w.slam_map, read_request(None, "upright"))
    assert found.gravity_sigma_deg is not None
    up = up_of(w)
    assert angle_deg(up, np.array([0.0, 0.0, 1.0])) < min(3.0, 2.5 * found.gravity_sigma_deg)
    assert (found.is_upright, found.is_metric) == (True, False)
    world = w.slam_map.world_of(0)
    assert (world.is_upright, world.tilt_sigma_deg) == (True, found.gravity_sigma_deg)
    np.testing.assert_allclose(w.slam_map.keyframes[0].S_world_keyframe.t, 0.0, atol=1e-9)
    ahead = w.slam_map.keyframes[0].S_world_keyframe.R[:, 2]
    assert ahead[0] > 0.99
    assert abs(ahead[1]) < 1e-6


def test_a_constant_pitch_does_not_mislead_a_camera_that_turns() -> None:
    yaw = np.linspace(0, 180, 30)
    R = np.stack([looking(y, np.zeros(3), pitch_deg=-25.0) for y in yaw])[:, :3, :3]
    found = upright(R)
    assert angle_deg(found.up_world, np.array([0.0, 0.0, 1.0])) < 2.5
    assert not found.notes


def test_a_camera_that_looks_one_way_says_that_its_pitch_is_not_known() -> None:
    R = straight()[:, :3, :3]
    found = upright(R)
    assert angle_deg(found.up_world, np.array([0.0, 0.0, 1.0])) < 1e-6
    assert found.sigma_deg > 10.0
    assert "looks one way" in found.notes[0]
    assert upright(curve()[:, :3, :3]).sigma_deg < 0.5 * found.sigma_deg


def test_gravity_is_found_whatever_the_axes_of_the_map() -> None:
    rng = np.random.default_rng(5)
    R = curve(20, rng.normal(0, 3, 20))[:, :3, :3]
    expected = upright(R)
    for _ in range(5):
        Q = se3.so3_exp(rng.normal(size=3))
        np.testing.assert_allclose(upright(Q @ R).up_world, Q @ expected.up_world, atol=1e-9)


def test_levelled_axes_stand_up_whatever_the_camera_looks_at() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        up = rng.normal(size=3)
        up /= np.linalg.norm(up)
        T = se3.from_rt(se3.so3_exp(rng.normal(size=3)), np.zeros(3))
        R = levelled(up, T)
        np.testing.assert_allclose(R @ up, [0, 0, 1], atol=1e-9)
        np.testing.assert_allclose(turned_to_z(up) @ up, [0, 0, 1], atol=1e-9)
    T = se3.from_rt(np.diag([1.0, -1.0, -1.0]), np.zeros(3))  # looks straight down
    np.testing.assert_allclose(levelled(np.array([0.0, 0.0, 1.0]), T) @ [0, 0, 1], [0, 0, 1], atol=1e-9)


def test_the_roll_about_a_line_is_the_one_that_stands_up() -> None:
    line = np.array([1.0, 0.2, 0.1]) / np.linalg.norm([1.0, 0.2, 0.1])
    right = turned_to_z(np.array([0.1, 0.3, 1.0]))
    for angle in (-2.0, 0.5, 3.0):
        R = roll_fixed(se3.so3_exp(angle * line), line, np.array([0.0, 0.0, 1.0]))
        up = R @ [0, 0, 1]
        assert np.linalg.norm(R @ line - line) < 1e-9
        assert all(up[2] >= (se3.so3_exp(a * line) @ up)[2] - 1e-9 for a in np.linspace(-3, 3, 61))
    assert right.shape == (3, 3)


def _acceleration_file(path: Path, T: Array, sigma: float, lying: bool = False) -> Path:
    rng = np.random.default_rng(2)
    lines = ["time,ax,ay,az"]
    for k, one in enumerate(T):
        a = one[:3, :3].T @ np.array([0.0, 0.0, 9.81]) + rng.normal(0, sigma, 3)
        a = rng.normal(size=3) if lying else a
        lines.append(f"{0.5 * k},{a[0]},{a[1]},{a[2]}")
    path.write_text("\n".join(lines))
    return path


def test_accelerations_give_gravity_though_the_camera_never_is_upright(tmp_path: Path) -> None:
    T = curve(20, np.linspace(60, 110, 20))
    w = walk(T)
    file = _acceleration_file(tmp_path / "imu.csv", T, 0.5)
    [found] = fulfil(w.slam_map, read_request(None, f"accelerometer:{file}"))
    assert found.gravity_sigma_deg is not None
    assert angle_deg(up_of(w), np.array([0.0, 0.0, 1.0])) < 2.5 * found.gravity_sigma_deg
    assert found.gravity_sigma_deg < 3.0


def test_accelerations_that_contradict_one_another_are_refused(tmp_path: Path) -> None:
    T = curve(20)
    file = _acceleration_file(tmp_path / "imu.csv", T, 0.5, lying=True)
    w = walk(T)
    with pytest.raises(InputError, match="axes of the camera"):
        fulfil(w.slam_map, read_request(None, f"accelerometer:{file}"))
    assert not w.slam_map.worlds
    with pytest.raises(InputError, match="3 are needed"):
        from_accelerations(T[:2, :3, :3], np.ones((2, 3)))


def test_scale_and_gravity_come_together(tmp_path: Path) -> None:
    w = walk(curve())
    at = w.T_world_cam[:, :3, 3]
    [found] = fulfil(w.slam_map, read_request(f"frames:0,30={np.linalg.norm(at[15] - at[0])}", "upright"))
    assert found.is_metric
    assert found.is_upright
    T = w.slam_map.trajectory().T_world_cam
    np.testing.assert_allclose(T[:, 2, 3], 0.0, atol=1e-6)  # a level walk, from the height of the first camera
    np.testing.assert_allclose(np.linalg.norm(T[15, :3, 3] - T[0, :3, 3]), np.linalg.norm(at[15] - at[0]))
    assert len(found.lines()) == 2
