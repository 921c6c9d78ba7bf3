"""Where exports may go, what they replace, and what another program must not find in them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from export_views import component, keyframe

from vgslam.errors import ConfigError, InputError, OutputError
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import Session
from vgslam.store.exports.images import LONGEST_NAME, image_names
from vgslam.store.exports.mesh import export_mesh
from vgslam.store.exports.nerfstudio import export_nerfstudio
from vgslam.store.exports.place import check_place, remove_export
from vgslam.store.map_folder import MapFolder


@pytest.fixture
def export(tmp_path: Path) -> Path:
    export_nerfstudio(component(keyframe(0, Sim3.identity()), keyframe(1, Sim3.identity())),
                      tmp_path / "x")  # fmt: skip
    return tmp_path / "x"


class TestPlaces:
    @pytest.mark.parametrize("out", ["", "sub", "images/deep", "c.ply"])
    def test_nothing_goes_into_a_map(self, out: str, tmp_path: Path) -> None:
        part = component(keyframe(0, Sim3.identity()))
        with MapFolder(tmp_path / "m") as folder:
            folder.save(part.slam_map)
        for name in ("colmap", "ply"):
            with pytest.raises(OutputError, match="is a map"):
                check_place(name, tmp_path / "m" / out, may_overwrite=True)

    def test_other_files_are_not_mixed_with_an_export(self, tmp_path: Path) -> None:
        (tmp_path / "images").mkdir()
        check_place("colmap", tmp_path, may_overwrite=True)  # empty folders are as good as none
        (tmp_path / "images" / "mine.jpg").touch()
        with pytest.raises(OutputError, match="holds files and no export"):
            check_place("colmap", tmp_path, may_overwrite=True)

    def test_a_file_is_no_folder(self, export: Path, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="is a folder, and --format ply writes a file"):
            check_place("ply", export, may_overwrite=True)
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="is a file, and --format colmap writes a folder"):
            check_place("colmap", tmp_path / "file", may_overwrite=True)

    def test_an_export_is_replaced_where_that_is_asked_for(self, export: Path) -> None:
        check_place("colmap", export, may_overwrite=True)
        with pytest.raises(OutputError, match="add --overwrite"):
            check_place("colmap", export, may_overwrite=False)

    def test_standard_output_is_no_place(self) -> None:
        with pytest.raises(ConfigError, match="not to standard output"):
            check_place("ply", Path("-"), may_overwrite=False)


class TestReplacing:
    def test_nothing_of_the_old_export_stays_and_all_that_is_others_does(self, export: Path) -> None:
        (export / "sparse" / "0").mkdir(parents=True)
        for name in ("sparse/0/cameras.bin", "sparse/0/frames.bin", "notes.txt", "images/mine.png"):
            (export / name).touch()  # frames.bin is COLMAP's own
        remove_export(export)
        kept = {str(p.relative_to(export)) for p in export.rglob("*") if p.is_file()}
        assert kept == {"images.csv", "notes.txt", "images/mine.png"}

    def test_a_table_does_not_lead_outside(self, export: Path, tmp_path: Path) -> None:
        (tmp_path / "victim").touch()
        table = export / "images.csv"
        table.write_text(table.read_text() + "../../victim,0,0,0,0\n")
        remove_export(export)
        assert (tmp_path / "victim").exists()

    def test_what_is_no_export_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "transforms.json").touch()
        (tmp_path / "images.csv").write_text("name,label\n")
        remove_export(tmp_path)
        assert (tmp_path / "transforms.json").exists()


def test_depth_is_there_for_every_image_or_for_none(tmp_path: Path) -> None:
    """nerfstudio refuses a data set in which some images have depth and some have none."""
    without = keyframe(1, Sim3.identity())
    without.depth = without.confidence = without.depth_camera = None
    words = export_nerfstudio(component(keyframe(0, Sim3.identity()), without), tmp_path)
    frames = json.loads((tmp_path / "transforms.json").read_text())["frames"]
    known, unknown = (cv2.imread(str(tmp_path / f["depth_file_path"]), cv2.IMREAD_UNCHANGED) for f in frames)
    assert known.min() > 0
    assert (unknown.dtype, unknown.shape, unknown.max()) == (np.dtype(np.uint16), (60, 80), 0)
    assert "2 depth images" in words
    assert "1 of them of unknown depth" in words


def test_depth_that_is_nowhere_sure_is_none(tmp_path: Path) -> None:
    doubtful = keyframe(0, Sim3.identity())
    doubtful.confidence = np.full((60, 80), 0.4, np.float32)
    assert "no depth is sure enough" in export_nerfstudio(component(doubtful), tmp_path)
    assert "depth" not in (tmp_path / "transforms.json").read_text()
    assert not (tmp_path / "depth").exists()


def test_names_that_the_session_would_make_too_long_are_numbers() -> None:
    part = component(keyframe(0, Sim3.identity()), keyframe(1, Sim3.identity()))
    part.slam_map.image_names = {0: "ü" * 120 + ".png", 10: "b.png"}
    assert image_names(part)[0] == "ü" * 120 + ".png"
    part.slam_map.sessions = [Session("a", "", 0), Session("b", "", 10)]
    names = image_names(part)
    assert names == {0: "session_00_" + "ü" * 120 + ".png", 1: "session_01_b.png"}
    part.slam_map.image_names[0] = "ü" * 123 + ".png"
    assert image_names(part) == {0: "session_00_frame_000000.png", 1: "session_01_frame_000000.png"}
    assert LONGEST_NAME == 255


class TestMesh:
    @pytest.fixture(autouse=True)
    def needs_open3d(self) -> None:
        pytest.importorskip("open3d", reason="needs Open3D: pip install 'vgslam[mesh]'")

    def test_a_view_of_what_is_too_far_away_is_left_out(self, tmp_path: Path) -> None:
        near = [keyframe(i, Sim3.identity()) for i in range(3)]
        assert "triangles" in export_mesh(component(*near, keyframe(3, Sim3.identity(), 100.0)),
                                          tmp_path / "m.ply")  # fmt: skip

    def test_depth_that_is_nowhere_sure_makes_no_mesh(self, tmp_path: Path) -> None:
        doubtful = keyframe(0, Sim3.identity())
        doubtful.confidence = np.full((60, 80), 0.4, np.float32)
        with pytest.raises(InputError, match="nowhere sure enough for a mesh"):
            export_mesh(component(doubtful), tmp_path / "m.ply")

    def test_more_triangles_than_asked_for_are_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import open3d

        monkeypatch.setattr(open3d.geometry.TriangleMesh, "simplify_quadric_decimation", lambda mesh, _: mesh)
        words = export_mesh(component(keyframe(0, Sim3.identity())), tmp_path / "m.ply", max_faces=9)
        assert "not to 9: with fewer it would fold over" in words
