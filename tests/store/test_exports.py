"""Exports read back: the same cameras, poses, points and pixels, in the other program's conventions."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
from synthetic import CAMERA, pose

from vgslam.errors import InputError, MissingDependencyError
from vgslam.geometry import se3
from vgslam.map.slam_map import SlamMap
from vgslam.sources.trajectory_io import read_trajectory, write_trajectory
from vgslam.store.exports.cloud import cloud_of, export_gltf, export_ply
from vgslam.store.exports.colmap import export_colmap
from vgslam.store.exports.component import Component
from vgslam.store.exports.mesh import export_mesh
from vgslam.store.exports.nerfstudio import export_nerfstudio
from vgslam.types import Keyframe, PoseEstimate, Sim3, Status

SMALL = CAMERA.resized(80, 60)
N_VIEWS, N_POINTS = 4, 30


def plane_depth(T_world_cam: np.ndarray, distance: float = 5.0) -> np.ndarray:
    """Depth of the wall z = distance."""
    u, v = np.meshgrid(np.arange(80), np.arange(60))
    rays = SMALL.rays(np.stack([u.ravel(), v.ravel()], axis=1))
    z = (distance - T_world_cam[2, 3]) / (rays @ T_world_cam[2, :3])
    return z.reshape(60, 80).astype(np.float32)


@pytest.fixture(scope="module")
def scene() -> SlamMap:
    """Landmarks on a wall seen by four cameras without error, with dense depth, at scale 2; and a second component."""
    rng = np.random.default_rng(4)
    wall = np.column_stack([rng.uniform(-1, 1, (N_POINTS, 2)), np.full(N_POINTS, 5.0)])
    color = rng.integers(0, 256, (N_POINTS, 3), np.uint8)
    m = SlamMap()
    ids = np.arange(N_POINTS)
    for k in range(N_VIEWS):
        T = pose((2.0 * k, -3.0 * k, 1.0), (0.2 * k, 0.1, 0.05 * k))
        S = Sim3.from_T(T, 2.0)
        keyframe = Keyframe(k, 2 * k, 0.2 * k, rng.integers(0, 256, (60, 80, 3), np.uint8), SMALL, S)
        keyframe.depth, keyframe.depth_camera = plane_depth(T) / np.float32(2), SMALL
        keyframe.confidence = np.ones((60, 80), np.float32)
        m.add_keyframe(keyframe, np.zeros(0, np.int64), np.zeros((0, 2)))
        if k == 0:
            m.landmarks.add(0, S.inverse().apply(wall), np.full(N_POINTS, 0.01), color)
            m.landmarks.is_triangulated[:] = True
        m.observe(k, ids, SMALL.project(se3.transform(se3.inverse(T), wall)))
        for i in (0, 1):
            T_ref_cam = pose((0, 0, 0), (0, 0, 0.1 * i))
            m.frames.append(PoseEstimate(2 * k + i, 0.2 * k + 0.1 * i, Status.TRACKED, k, T_ref_cam))
    m.landmarks.rel_sigma[7] = 0.5  # too uncertain to be exported
    m.add_keyframe(
        Keyframe(N_VIEWS, 8, 0.8, np.zeros((60, 80, 3), np.uint8), SMALL, Sim3.identity(), 3),
        np.zeros(0, np.int64), np.zeros((0, 2)),
    )  # fmt: skip
    m.frames.append(PoseEstimate(8, 0.8, Status.TRACKED, N_VIEWS, np.eye(4), component_id=3))
    return m


@pytest.fixture
def component(scene: SlamMap) -> Component:
    return Component.of(scene)


def test_the_largest_component_is_exported_unless_another_is_named(scene: SlamMap) -> None:
    assert (Component.of(scene).id, len(Component.of(scene).keyframes)) == (0, N_VIEWS)
    assert len(Component.of(scene, 3).keyframes) == 1
    with pytest.raises(InputError, match="no component 1; it has 0, 3"):
        Component.of(scene, 1)
    with pytest.raises(InputError, match="empty"):
        Component.of(SlamMap())


@pytest.mark.parametrize("kind", ["tum", "kitti"])
def test_trajectories(component: Component, tmp_path: Path, kind: str) -> None:
    trajectory = component.trajectory()
    write_trajectory(tmp_path / "t", trajectory, kind)
    read = read_trajectory(tmp_path / "t", kind)
    assert len(read) == 8
    np.testing.assert_allclose(read.T_world_cam, component.slam_map.trajectory().T_world_cam[:8], atol=1e-9)


def test_sessions_are_exported_one_at_a_time(scene: SlamMap) -> None:
    import copy

    m = copy.deepcopy(scene)
    m.begin_session("x", "now")
    m.sessions.insert(0, type(m.sessions[0])("w", "then", 0))
    with pytest.raises(InputError, match=r"2 sessions.*--session 0\.\.1"):
        Component.of(m).trajectory()
    assert len(Component.of(m).trajectory(0)) == 8
    with pytest.raises(InputError, match="no pose"):
        Component.of(m).trajectory(1)
    with pytest.raises(InputError, match="no session 2"):
        Component.of(m).trajectory(2)


def test_ply(component: Component, tmp_path: Path) -> None:
    export_ply(component, tmp_path / "c.ply")
    read = trimesh.load(tmp_path / "c.ply")
    points, colors = cloud_of(component)
    assert len(points) == N_POINTS - 1 + N_VIEWS * 80 * 60
    np.testing.assert_allclose(points[:, 2], 5.0, atol=1e-4)  # all of it lies on the wall
    np.testing.assert_allclose(read.vertices, points, atol=1e-5)
    np.testing.assert_array_equal(read.colors[:, :3], colors)


def test_clouds_stay_within_their_size(component: Component) -> None:
    points, colors = cloud_of(component, max_points=1000)
    assert 200 < len(points) == len(colors) <= 1000
    with pytest.raises(InputError, match="no points"):
        cloud_of(Component.of(component.slam_map, 3))


def test_gltf_has_y_up(component: Component, tmp_path: Path) -> None:
    export_gltf(component, tmp_path / "c.glb")
    read = trimesh.load(tmp_path / "c.glb")
    (cloud,) = read.geometry.values()
    points, colors = cloud_of(component)
    np.testing.assert_allclose(cloud.vertices, points * [1, -1, -1], atol=1e-5)
    np.testing.assert_array_equal(np.asarray(cloud.colors)[:, :3], colors)


@pytest.mark.parametrize("is_text", [True, False])
def test_colmap_reads_its_model(component: Component, tmp_path: Path, is_text: bool) -> None:
    pycolmap = pytest.importorskip("pycolmap", reason="pycolmap is not installed")
    export_colmap(component, tmp_path, is_text)
    read = pycolmap.Reconstruction(str(tmp_path / "sparse" / "0"))
    (camera,) = read.cameras.values()
    is_square = SMALL.fx == SMALL.fy
    assert camera.model.name == ("SIMPLE_PINHOLE" if is_square else "PINHOLE")
    assert (camera.width, camera.height) == (80, 60)
    focal = [SMALL.fx] if is_square else [SMALL.fx, SMALL.fy]
    np.testing.assert_allclose(camera.params, [*focal, SMALL.cx + 0.5, SMALL.cy + 0.5])
    assert (len(read.images), len(read.points3D)) == (N_VIEWS, N_POINTS - 1)
    m = component.slam_map
    for image in read.images.values():
        k = m.keyframes[int(Path(image.name).stem.removeprefix("frame_")) // 2]
        T = np.linalg.inv(np.vstack([image.cam_from_world().matrix(), [0, 0, 0, 1]]))
        np.testing.assert_allclose(T, k.S_world_keyframe.pose, atol=1e-9)
        written = cv2.imread(str(tmp_path / "images" / image.name))[:, :, ::-1]
        np.testing.assert_array_equal(written, k.image)
        for point in image.points2D:
            if point.has_point3D():
                seen = image.project_point(read.points3D[point.point3D_id].xyz)
                np.testing.assert_allclose(seen, point.xy, atol=1e-6)
    for point in read.points3D.values():
        assert point.track.length() == N_VIEWS
        assert point.error < 1e-6
        assert abs(point.xyz[2] - 5.0) < 1e-9
    colors = {tuple(p.color.tolist()) for p in read.points3D.values()}
    assert colors == {tuple(c) for i, c in enumerate(m.landmarks.color.tolist()) if i != 7}


def test_nerfstudio_cameras_look_along_minus_z(component: Component, tmp_path: Path) -> None:
    export_nerfstudio(component, tmp_path)
    scene = json.loads((tmp_path / "transforms.json").read_text())
    cloud = trimesh.load(tmp_path / scene["ply_file_path"]).vertices
    assert (len(scene["frames"]), len(cloud)) == (N_VIEWS, N_POINTS - 1)
    for frame, k in zip(scene["frames"], component.keyframes):
        image = cv2.imread(str(tmp_path / frame["file_path"]))[:, :, ::-1]
        np.testing.assert_array_equal(image, k.image)
        local = se3.transform(np.linalg.inv(np.array(frame["transform_matrix"])), np.asarray(cloud, np.float64))
        assert (local[:, 2] < 0).all()
        u = frame["fl_x"] * local[:, 0] / -local[:, 2] + frame["cx"]
        v = frame["fl_y"] * -local[:, 1] / -local[:, 2] + frame["cy"]
        mine = np.delete(component.slam_map.observed[k.id].pixels, 7, axis=0)
        np.testing.assert_allclose(np.stack([u, v], axis=1) - 0.5, mine, atol=1e-4)


def test_a_mesh_without_open3d_names_the_command(
    component: Component, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vgslam\[mesh\]'"):
        export_mesh(component, tmp_path / "m.ply")


def test_an_open3d_that_cannot_be_loaded_is_not_called_missing(
    component: Component, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "open3d.py").write_text("raise ImportError('libusb-1.0.so.0: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "open3d", raising=False)
    with pytest.raises(MissingDependencyError, match=r"cannot be loaded \(libusb-1\.0\.so\.0") as caught:
        export_mesh(component, tmp_path / "m.ply")
    assert "pip install" not in str(caught.value)


def test_the_mesh_lies_on_the_wall(component: Component, tmp_path: Path) -> None:
    pytest.importorskip("open3d", reason="needs Open3D: pip install 'vgslam[mesh]'")
    export_mesh(component, tmp_path / "m.ply")
    mesh = trimesh.load(tmp_path / "m.ply")
    assert len(mesh.faces) > 1000
    assert np.abs(mesh.vertices[:, 2] - 5.0).max() < 0.02  # a voxel
    assert abs(mesh.vertices[:, 2].mean() - 5.0) < 0.002  # half a pixel of error is 0.004
    assert mesh.area > 10.0
    with pytest.raises(InputError, match="no dense depth"):
        export_mesh(Component.of(component.slam_map, 3), tmp_path / "n.ply")
