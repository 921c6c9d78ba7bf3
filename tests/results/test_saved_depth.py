"""The depth that a run saves: read back as depth.json says, it is the keyframes' depth in the world's unit."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from vgslam.errors import OutputError
from vgslam.map.slam_map import SlamMap
from vgslam.map.world import World
from vgslam.results.run_folder import RunWriter
from vgslam.results.saved_depth import save_depth
from vgslam.types import Camera, Keyframe, Sim3

from .test_exr import read

CAMERA = Camera(40.0, 40.0, 19.5, 14.5, 40, 30)
SCALE = 2.5


def map_with_depth(is_metric: bool, nearest: float = 1.0) -> SlamMap:
    """Three keyframes, the second without depth; map of half the image's size, one pixel unknown, one unsure."""
    m = SlamMap()
    for i in range(3):
        depth = confidence = None
        if i != 1:
            depth = (nearest + np.arange(300).reshape(15, 20) / 100).astype(np.float32)
            depth[0, 0] = 0.0
            confidence = np.full((15, 20), 0.8, np.float32)
            confidence[0, 1] = 0.25
        S = Sim3(np.eye(3), np.array([0.0, 0.0, float(i)]), SCALE)
        keyframe = Keyframe(
            i, 10 + 5 * i, 0.5 * i, np.zeros((30, 40, 3), np.uint8), CAMERA, S, 0, depth, confidence,
            None if depth is None else CAMERA.resized(20, 15),
        )  # fmt: skip
        m.add_keyframe(keyframe, np.zeros(0, np.int64), np.zeros((0, 2)))
    m.worlds[0] = World(is_metric=is_metric)
    return m


def test_png_is_in_millimetres_where_lengths_are_metres(tmp_path: Path) -> None:
    m = map_with_depth(is_metric=True)
    assert save_depth(tmp_path, m, 10, "png") == 2
    told = json.loads((tmp_path / "depth" / "depth.json").read_text())
    first, second = told["frames"]
    assert (first["unit"], first["step"], first["frame_id"], second["frame_id"]) == ("metres", 1e-3, 0, 10)
    image = cv2.imread(str(tmp_path / "depth" / first["file"]), cv2.IMREAD_UNCHANGED)
    assert (image.dtype, image.shape) == (np.uint16, (30, 40))
    keyframe = m.keyframes[0]
    assert keyframe.depth is not None
    expected = np.repeat(np.repeat(keyframe.depth, 2, axis=0), 2, axis=1) * SCALE
    known = image > 0
    assert known.sum() > 0.9 * image.size
    near = np.abs(image * first["step"] - expected) <= SCALE * 0.21  # a pixel of the depth map further, at most
    assert near[known].all()
    assert np.abs((image * first["step"] - expected)[known]).min() < 1e-3
    assert second["T_world_cam"][2][3] == 2.0
    assert first["camera"]["width"] == 40
    sure = cv2.imread(str(tmp_path / "depth" / first["confidence_file"]), cv2.IMREAD_UNCHANGED)
    assert sure.dtype == np.uint8
    assert sure[-1, -1] * told["confidence_step"] == pytest.approx(0.8, abs=0.002)
    assert {0.25, 0.8, 0.0} == {round(float(v) * told["confidence_step"], 2) for v in np.unique(sure)}


def test_depth_of_map_units_has_steps_that_fit(tmp_path: Path) -> None:
    save_depth(tmp_path, map_with_depth(is_metric=False, nearest=1000.0), 10, "png")
    (frame, _) = json.loads((tmp_path / "depth" / "depth.json").read_text())["frames"]
    image = cv2.imread(str(tmp_path / "depth" / frame["file"]), cv2.IMREAD_UNCHANGED)
    assert frame["unit"] == "map units"
    assert image[-1, -1] * frame["step"] == pytest.approx(SCALE * 1002.99, rel=1e-3)


def test_npz_is_the_depth_map_itself(tmp_path: Path) -> None:
    m = map_with_depth(is_metric=True)
    save_depth(tmp_path, m, 10, "npz")
    (frame, _) = json.loads((tmp_path / "depth" / "depth.json").read_text())["frames"]
    read = np.load(tmp_path / "depth" / frame["file"])
    assert m.keyframes[0].depth is not None
    assert np.allclose(read["depth"], m.keyframes[0].depth * SCALE)
    assert read["confidence"][0, 0] == 0.0  # unknown
    assert read["confidence"][0, 1] == 0.25
    assert (frame["camera"]["width"], frame["step"]) == (20, 1.0)


def test_exr_has_what_npz_has(tmp_path: Path) -> None:
    m = map_with_depth(is_metric=True)
    save_depth(tmp_path, m, 10, "npz")
    expected = np.load(tmp_path / "depth" / "frame_000000.npz")
    save_depth(tmp_path, m, 10, "exr")
    told = json.loads((tmp_path / "depth" / "depth.json").read_text())
    frame = told["frames"][0]
    _, channels = read((tmp_path / "depth" / frame["file"]).read_bytes())
    assert np.array_equal(channels["Z"], expected["depth"])
    assert np.array_equal(channels["confidence"], expected["confidence"])
    assert (told["form"], frame["file"], frame["step"]) == ("exr", "frame_000000.exr", 1.0)
    assert (frame["unit"], frame["camera"]["width"]) == ("metres", 20)
    assert not list((tmp_path / "depth").glob("*.npz"))


def test_keyframes_of_earlier_sessions_are_not_saved_again(tmp_path: Path) -> None:
    assert save_depth(tmp_path, map_with_depth(is_metric=True), 15, "npz") == 1
    assert [p.name for p in (tmp_path / "depth").glob("*.npz")] == ["frame_000005.npz"]


def test_what_an_earlier_run_saved_goes_and_other_files_stay(tmp_path: Path) -> None:
    m = map_with_depth(is_metric=True)
    save_depth(tmp_path, m, 10, "npz")
    (tmp_path / "depth" / "mine.png").write_bytes(b"x")
    save_depth(tmp_path, m, 10, "png")
    assert not list((tmp_path / "depth").glob("*.npz"))
    RunWriter(tmp_path, overwrite=True)
    assert [p.name for p in (tmp_path / "depth").iterdir()] == ["mine.png"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "depth").symlink_to(tmp_path / "else")
    with pytest.raises(OutputError, match="is a symbolic link"):
        save_depth(tmp_path / "out", map_with_depth(is_metric=True), 10, "png")
    assert list((tmp_path / "else").iterdir()) == []


def test_each_component_has_its_own_unit_and_step(tmp_path: Path) -> None:
    """The third keyframe is of another component, in map units, and a hundred times as deep."""
    m = map_with_depth(is_metric=True)
    depth = m.keyframes[2].depth
    assert depth is not None
    m.keyframes[2].depth, m.keyframes[2].component_id = 100.0 * depth, 1
    save_depth(tmp_path, m, 10, "png")
    first, second = json.loads((tmp_path / "depth" / "depth.json").read_text())["frames"]
    assert [(f["component"], f["unit"]) for f in (first, second)] == [(0, "metres"), (1, "map units")]
    assert first["step"] == 1e-3
    image = cv2.imread(str(tmp_path / "depth" / second["file"]), cv2.IMREAD_UNCHANGED)
    assert image[-1, -1] * second["step"] == pytest.approx(SCALE * 399.0, rel=1e-2)


def test_confidence_of_what_is_unknown_is_zero_whatever_it_was(tmp_path: Path) -> None:
    m = map_with_depth(is_metric=True)
    confidence = np.full((15, 20), 0.8, np.float32)
    m.keyframes[0].confidence = confidence
    save_depth(tmp_path, m, 10, "npz")
    assert np.load(tmp_path / "depth" / "frame_000000.npz")["confidence"][0, 0] == 0.0
    m.keyframes[0].confidence = None
    save_depth(tmp_path, m, 10, "npz")
    assert np.load(tmp_path / "depth" / "frame_000000.npz")["confidence"][0, :2].tolist() == [0.0, 1.0]
