"""Exports as other programs find them: endings, names of images, depth, decimated meshes, and signs of the axes."""

import csv
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
from export_views import CAMERA, component, keyframe

from vgslam.errors import ConfigError, InputError
from vgslam.map.slam_map import Session
from vgslam.results.saved_depth import depth_of_image
from vgslam.store.exports.cloud import export_gltf, export_ply
from vgslam.store.exports.colmap import export_colmap
from vgslam.store.exports.component import Component
from vgslam.store.exports.depth import export_depth
from vgslam.store.exports.mesh import export_mesh
from vgslam.store.exports.nerfstudio import export_nerfstudio
from vgslam.store.exports.place import remove_export
from vgslam.store.exports.suffixes import check_suffix
from vgslam.types import Sim3

QUARTER_ABOUT_Y = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""R_world_cam of a camera that looks along +x; its right is -z, its down +y."""


@pytest.fixture
def turned() -> Component:
    """A camera at the origin, and one at (1, 2, 3), at scale 2, that looks along +x."""
    return component(keyframe(0, Sim3.identity()), keyframe(1, Sim3(QUARTER_ABOUT_Y, np.array([1.0, 2.0, 3.0]), 2.0)))


class TestNames:
    def test_they_tell_the_frame_and_a_table_tells_the_time(self, turned: Component, tmp_path: Path) -> None:
        export_colmap(turned, tmp_path, is_text=True)
        assert sorted(p.name for p in (tmp_path / "images").iterdir()) == ["frame_000000.png", "frame_000010.png"]
        rows = list(csv.DictReader((tmp_path / "images.csv").open()))
        assert [(r["name"], r["frame"], float(r["timestamp_s"]), r["keyframe"]) for r in rows] == [
            ("frame_000000.png", "0", 0.0, "0"), ("frame_000010.png", "10", 0.5, "1")
        ]  # fmt: skip

    def test_frames_of_several_sessions_do_not_collide(self, tmp_path: Path) -> None:
        part = component(keyframe(0, Sim3.identity(), frame_id=3), keyframe(1, Sim3.identity(), frame_id=103))
        part.slam_map.sessions += [Session("a", "then", 0), Session("b", "now", 100)]
        export_nerfstudio(part, tmp_path)
        found = [f["file_path"] for f in json.loads((tmp_path / "transforms.json").read_text())["frames"]]
        assert found == ["images/session_00_frame_000003.png", "images/session_01_frame_000003.png"]
        assert all((tmp_path / name).is_file() for name in found)
        assert [r["session"] for r in csv.DictReader((tmp_path / "images.csv").open())] == ["0", "1"]


class TestColmap:
    @pytest.mark.parametrize("is_text", [True, False])
    def test_a_pose_by_hand(self, turned: Component, tmp_path: Path, is_text: bool) -> None:
        pycolmap = pytest.importorskip("pycolmap", reason="pycolmap is not installed")
        export_colmap(turned, tmp_path, is_text)
        read = pycolmap.Reconstruction(str(tmp_path / "sparse" / "0"))
        [image] = [i for i in read.images.values() if i.name == "frame_000010.png"]
        T = image.cam_from_world().matrix()
        np.testing.assert_allclose(T @ [5.0, 2.0, 3.0, 1.0], [0, 0, 4], atol=1e-12)  # ahead of it
        np.testing.assert_allclose(T @ [1.0, 2.0, 2.0, 1.0], [1, 0, 0], atol=1e-12)  # on its right
        assert [c.model.name for c in read.cameras.values()] == ["SIMPLE_PINHOLE"]
        np.testing.assert_allclose(next(iter(read.cameras.values())).params, [100, 40, 30])


class TestNerfstudio:
    def test_a_pose_by_hand(self, turned: Component, tmp_path: Path) -> None:
        """OpenGL's camera looks along -z and has y up."""
        export_nerfstudio(turned, tmp_path)
        frame = json.loads((tmp_path / "transforms.json").read_text())["frames"][1]
        T = np.array(frame["transform_matrix"])
        np.testing.assert_allclose(T @ [0, 0, -4, 1], [5, 2, 3, 1], atol=1e-12)
        np.testing.assert_allclose(T @ [1, 0, 0, 1], [1, 2, 2, 1], atol=1e-12)
        np.testing.assert_allclose(T @ [0, 1, 0, 1], [1, 1, 3, 1], atol=1e-12)
        assert [frame[name] for name in ("fl_x", "fl_y", "cx", "cy", "w", "h")] == [100, 100, 40, 30, 80, 60]
        assert frame["timestamp_s"] == 0.5

    @pytest.mark.parametrize(("depth", "scale"), [(2.0, 1e-3), (0.02, None), (2000.0, None)])
    def test_depth_is_in_units_of_the_poses(self, depth: float, scale: float | None, tmp_path: Path) -> None:
        part = component(keyframe(0, Sim3.identity(), depth), keyframe(1, Sim3.from_T(np.eye(4), 2.0), depth))
        export_nerfstudio(part, tmp_path)
        scene = json.loads((tmp_path / "transforms.json").read_text())
        step = scene["depth_unit_scale_factor"]
        assert scale is None or step == scale
        assert scene["unit"] == "map units"
        for frame, expected in zip(scene["frames"], (depth, 2 * depth), strict=True):
            image = cv2.imread(str(tmp_path / frame["depth_file_path"]), cv2.IMREAD_UNCHANGED)
            assert (image.dtype, image.shape) == (np.dtype(np.uint16), (60, 80))
            np.testing.assert_allclose(image * step, expected, rtol=1e-3)
            assert frame["depth_unit_scale_factor"] == step

    def test_without_depth_none_is_claimed(self, tmp_path: Path) -> None:
        k = keyframe(0, Sim3.identity())
        k.depth = k.confidence = k.depth_camera = None
        export_nerfstudio(component(k), tmp_path)
        text = (tmp_path / "transforms.json").read_text()
        assert "depth" not in text
        assert not (tmp_path / "depth").exists()

    def test_what_is_not_known_is_0(self) -> None:
        k = keyframe(0, Sim3.identity())
        assert k.depth is not None
        assert k.confidence is not None
        k.depth[0, 0], k.depth[0, 1], k.confidence[0, 2] = np.nan, 0.0, 0.1
        depth = depth_of_image(k)
        assert depth[0, :4].tolist() == [0.0, 0.0, 0.0, 2.0]

    def test_a_smaller_depth_map_is_spread_over_the_image(self) -> None:
        k = keyframe(0, Sim3.identity())
        k.depth, k.confidence = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32), None
        k.depth_camera = CAMERA.resized(2, 2)
        depth = depth_of_image(k)
        assert (depth[0, 0], depth[0, 79], depth[59, 0], depth[59, 79]) == (1, 2, 3, 4)
        assert (depth[29, 39], depth[30, 40]) == (1, 4)


class TestDepth:
    @pytest.mark.parametrize("form", ["png", "npz", "exr"])
    def test_it_lies_beside_its_image_under_the_same_name(self, form: str, turned: Component, tmp_path: Path) -> None:
        turned.slam_map.image_names = {0: "a.jpg", 10: "b.jpg"}
        turned.slam_map.keyframes[1].confidence = None
        words = export_depth(turned, tmp_path, form)  # type: ignore[arg-type]
        told = json.loads((tmp_path / "depth" / "depth.json").read_text())
        assert [f["file"] for f in told["frames"]] == [f"a.{form}", f"b.{form}"]
        assert sorted(p.name for p in (tmp_path / "images").iterdir()) == ["a.png", "b.png"]
        assert [f["frame_id"] for f in told["frames"]] == [0, 10]
        np.testing.assert_allclose(np.array(told["frames"][1]["T_world_cam"])[:3, 3], [1, 2, 3])
        if form == "png":
            for frame, depth in zip(told["frames"], (2.0, 4.0), strict=True):
                image = cv2.imread(str(tmp_path / "depth" / frame["file"]), cv2.IMREAD_UNCHANGED)
                np.testing.assert_allclose(image * frame["step"], depth, rtol=1e-3)
                assert cv2.imread(str(tmp_path / "depth" / frame["confidence_file"]), cv2.IMREAD_UNCHANGED).min() == 255
        assert "2 with depth, in map units" in words

    def test_without_depth_there_is_none_to_export(self, tmp_path: Path) -> None:
        k = keyframe(0, Sim3.identity())
        k.depth = k.confidence = k.depth_camera = None
        with pytest.raises(InputError, match="no dense depth"):
            export_depth(component(k), tmp_path / "x", "png")
        assert not (tmp_path / "x").exists()

    @pytest.mark.parametrize("form", ["png", "npz", "exr"])
    def test_an_older_one_is_removed_whole(self, form: str, turned: Component, tmp_path: Path) -> None:
        export_depth(turned, tmp_path, form)  # type: ignore[arg-type]
        (tmp_path / "depth" / "mine.exr").touch()
        remove_export(tmp_path)
        kept = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
        assert kept == {"images.csv", "depth/mine.exr"}


class TestMesh:
    @pytest.fixture(autouse=True)
    def needs_open3d(self) -> None:
        pytest.importorskip("open3d", reason="needs Open3D: pip install 'vgslam[mesh]'")

    def test_it_is_decimated(self, tmp_path: Path) -> None:
        part = component(keyframe(0, Sim3.identity()))
        export_mesh(part, tmp_path / "fine.ply")
        words = export_mesh(part, tmp_path / "coarse.ply", max_faces=200)
        fine, coarse = trimesh.load(tmp_path / "fine.ply"), trimesh.load(tmp_path / "coarse.ply")
        assert len(fine.faces) > 1000
        assert 100 < len(coarse.faces) <= 200
        assert f"decimated from {len(fine.faces)}" in words
        assert abs(coarse.area - fine.area) < 0.05 * fine.area
        assert np.abs(coarse.vertices[:, 2] - 2.0).max() < 0.02
        with pytest.raises(ConfigError, match="--max-faces must be at least 1"):
            export_mesh(part, tmp_path / "none.ply", max_faces=0)

    @pytest.mark.parametrize(("suffix", "sign"), [(".ply", 1), (".obj", 1), (".glb", -1), (".gltf", -1)])
    def test_the_ending_is_the_format(self, suffix: str, sign: int, tmp_path: Path) -> None:
        """The wall is red on the left, and ahead: +z, or -z in glTF, which has y up."""
        file = tmp_path / f"m{suffix}"
        export_mesh(component(keyframe(0, Sim3.identity())), file)
        mesh = trimesh.load(file, force="mesh", process=False)
        np.testing.assert_allclose(mesh.vertices[:, 2], 2.0 * sign, atol=0.02)
        red = np.asarray(mesh.visual.vertex_colors)[:, 0] > 128
        assert mesh.vertices[red, 0].mean() < -0.2 < 0.2 < mesh.vertices[~red, 0].mean()
        assert (suffix == ".glb") == file.read_bytes().startswith(b"glTF")

    def test_open3d_reads_it(self, tmp_path: Path) -> None:
        import open3d

        export_mesh(component(keyframe(0, Sim3.identity())), tmp_path / "m.ply")
        mesh = open3d.io.read_triangle_mesh(str(tmp_path / "m.ply"))
        assert len(mesh.triangles) > 1000
        assert mesh.has_vertex_colors()


class TestEndings:
    @pytest.mark.parametrize("suffix", [".glb", ".gltf"])
    def test_gltf_clouds(self, suffix: str, tmp_path: Path) -> None:
        export_gltf(component(keyframe(0, Sim3.identity())), tmp_path / f"c{suffix}")
        [cloud] = trimesh.load(tmp_path / f"c{suffix}").geometry.values()
        assert len(cloud.vertices) == 4800
        np.testing.assert_allclose(cloud.vertices[:, 2], -2.0, atol=1e-5)
        assert (suffix == ".glb") == (tmp_path / f"c{suffix}").read_bytes().startswith(b"glTF")

    @pytest.mark.parametrize(("name", "out", "words"), [
        ("ply", "c.obj", "--format ply writes .ply, not .obj; for .obj give --format mesh"),
        ("ply", "c.xyz", "--format ply writes .ply, not .xyz"),
        ("gltf", "c.ply", "--format gltf writes .glb, .gltf, not .ply; for .ply give --format ply or --format mesh"),
        ("mesh", "m.stl", "--format mesh writes .ply, .obj, .glb, .gltf, not .stl"),
        ("mesh", "m.blub", "--format mesh writes .ply, .obj, .glb, .gltf, not .blub"),
        ("tum", "t.ply", "--format tum writes .tum, .txt, not .ply; for .ply give --format ply or --format mesh"),
        ("tum", "t.csv", "--format tum writes .tum, .txt, not .csv"),
        ("kitti", "t.tum", "--format kitti writes .kitti, .txt, not .tum; for .tum give --format tum"),
        ("colmap", "model.xyz", "--format colmap does not write .xyz; --format ply writes .ply; --format gltf"),
    ])  # fmt: skip
    def test_others_are_refused_by_name(self, name: str, out: str, words: str) -> None:
        with pytest.raises(ConfigError, match=re.escape(words)):
            check_suffix(name, Path(out))

    @pytest.mark.parametrize(("name", "out", "suffix"), [
        ("ply", "C.PLY", ".ply"), ("gltf", "c", ".glb"), ("mesh", "m.OBJ", ".obj"), ("tum", "poses.txt", ".txt"),
        ("colmap", "model", ""),
    ])  # fmt: skip
    def test_possible_ones(self, name: str, out: str, suffix: str) -> None:
        assert check_suffix(name, Path(out)) == suffix

    def test_nothing_is_written_under_another_ending(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError):
            export_ply(component(keyframe(0, Sim3.identity())), tmp_path / "c.glb")
        assert list(tmp_path.iterdir()) == []
