"""Cameras of OpenMVG, AliceVision, ScanNet and hloc, and matrices that are all of a file."""

import json
from pathlib import Path
from typing import Any

import pytest

from vgslam.errors import CalibrationError
from vgslam.sources.calibration import read_calibration
from vgslam.types import Camera

SIZE = (320, 240)


def read(path: Path, content: object, size: tuple[int, int] = SIZE) -> Camera:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    camera = read_calibration(path, size, is_chosen=True)
    assert camera is not None
    return camera


def openmvg(name: str, key: int = 0, width: int = 320, **more: object) -> dict[str, Any]:
    data = {"width": width, "height": 240, "focal_length": 260.5, "principal_point": [161.0, 119.0], **more}
    return {"key": key, "value": {"polymorphic_name": name, "ptr_wrapper": {"id": 1, "data": data}}}


@pytest.mark.parametrize(
    ("more", "distortion", "is_fisheye"),
    [
        ({}, (), False),
        ({"disto_k1": [-0.1]}, (-0.1, 0, 0, 0, 0), False),
        ({"disto_k3": [-0.1, 0.02, 0.003]}, (-0.1, 0.02, 0, 0, 0.003), False),
        ({"disto_t2": [-0.1, 0.02, 0.003, 0.001, -0.002]}, (-0.1, 0.02, 0.001, -0.002, 0.003), False),
        ({"fisheye": [0.1, 0.02, 0.003, 0.004]}, (0.1, 0.02, 0.003, 0.004), True),
    ],
)
def test_a_camera_of_openmvg(more: dict[str, object], distortion: object, is_fisheye: bool, tmp_path: Path) -> None:
    camera = read(tmp_path / "sfm_data.json", {"sfm_data_version": "0.3", "intrinsics": [openmvg("pinhole", **more)]})
    assert camera == Camera(260.5, 260.5, 161.0, 119.0, *SIZE, distortion, is_fisheye)  # type: ignore[arg-type]


def test_of_several_cameras_of_openmvg_that_of_the_images_is_taken(tmp_path: Path) -> None:
    both = [openmvg("pinhole", 0, 640), openmvg("pinhole", 7)]
    assert read(tmp_path / "sfm_data.json", {"sfm_data_version": "0.3", "intrinsics": both}).width == 320
    path = tmp_path / "sfm_data.json#0"
    assert read_calibration(path, None, is_chosen=True).width == 640  # type: ignore[union-attr]


def alicevision(**more: object) -> dict[str, Any]:
    camera = {"intrinsicId": "1", "width": "320", "height": "240", "sensorWidth": "36", "type": "radial3",
              "focalLength": "27", "principalPoint": ["2", "-3"], "distortionParams": ["-.1", ".02", "0"]}  # fmt: skip
    return {"version": ["1", "2", "0"], "intrinsics": [{**camera, **more}], "poses": []}


def test_a_camera_of_alicevision_in_millimetres_from_the_middle(tmp_path: Path) -> None:
    """27 mm of 36 over 320 px are 240 px; the middle of pixels that are counted from their corner is 160, 120."""
    camera = read(tmp_path / "cameras.sfm", alicevision())
    assert camera == Camera(240.0, 240.0, 161.5, 116.5, *SIZE, (-0.1, 0.02, 0.0, 0.0, 0.0))
    older = read(tmp_path / "cameras.sfm", alicevision(pxFocalLength="250", principalPoint=["161", "119"]))
    assert (older.fx, older.cx, older.cy) == (250.0, 161.0, 119.0)
    with pytest.raises(CalibrationError, match="type '3deanamorphic4' of AliceVision is not supported"):
        read(tmp_path / "cameras.sfm", alicevision(type="3deanamorphic4"))


def test_a_camera_of_scannet(tmp_path: Path) -> None:
    scene = "colorHeight = 240\ncolorWidth = 320\nfx_color = 260.1\nfx_depth = 577\nfy_color = 261.2\nmx_color = 160\n"
    want = Camera(260.1, 261.2, 160.0, 120.0, *SIZE)
    assert read(tmp_path / "scene0000_00.txt", scene + "my_color = 120\naxisAlignment = 1 0 0 0\n") == want
    info = ("m_versionNumber = 4\nm_sensorName = StructureSensor\nm_colorWidth = 320\nm_colorHeight = 240\n"
            "m_calibrationColorIntrinsic = 260.1 0 160 0 0 261.2 120 0 0 0 1 0 0 0 0 1\n")  # fmt: skip
    assert read(tmp_path / "_info.txt", info) == want


def test_images_of_known_cameras_as_hloc_lists_them(tmp_path: Path) -> None:
    row = "SIMPLE_RADIAL 320 240 260 160 120 -0.1\n"
    camera = read(tmp_path / "queries.txt", f"a/0.png {row}a/1.png {row}")
    assert (camera.fx, camera.cx, camera.distortion[0]) == (260.0, 159.5, -0.1)
    other = "PINHOLE 640 480 500 500 320 240\n"
    assert read(tmp_path / "queries.txt", f"a/0.png {other}a/1.png {row}").fx == 260.0
    assert read(tmp_path / "queries.txt", f"a/0.png {other}a/1.png {row}", (640, 480)).fx == 500.0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le-bom", "utf-8-sig"])
def test_text_as_windows_writes_it(encoding: str, tmp_path: Path) -> None:
    text = "fx: 260\nfy: 260\ncx: 160\ncy: 120\nwidth: 320\nheight: 240\n"
    data = b"\xff\xfe" + text.encode("utf-16-le") if encoding == "utf-16-le-bom" else text.encode(encoding)
    assert read(tmp_path / "a.yaml", data) == Camera(260.0, 260.0, 160.0, 120.0, *SIZE)


def test_a_matrix_alone_as_json(tmp_path: Path) -> None:
    assert read(tmp_path / "K.json", [[260, 0, 160], [0, 261, 120], [0, 0, 1]]).fy == 261.0


def test_what_lies_beside_the_calibration_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "cameras.txt").write_text("1 PINHOLE 320 240 260 260 160 120\n")
    with pytest.raises(CalibrationError, match=r"is a folder; give the file in it \(cameras\.txt\)"):
        read_calibration(tmp_path / "model", SIZE, is_chosen=True)
    with pytest.raises(CalibrationError, match=r"COLMAP's list of images or points; give cameras\.txt"):
        read(tmp_path / "images.txt", "# Image list with two lines of data per image:\n1 1 0 0 0 0 0 0 1 0.png\n")


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"sfm_data_version": "0.3", "intrinsics": []}, "intrinsics is empty"),
        ({"sfm_data_version": "0.3", "intrinsics": [{"value": 3}]}, "no value, ptr_wrapper, data"),
        ({"sfm_data_version": "0.3", "intrinsics": [openmvg("x", disto_k3=[1])]}, "distortion must be k1 k2 k3"),
        (alicevision(sensorWidth=None), "sensorWidth"),
        (alicevision(principalPoint=["1"]), "principalPoint must be two numbers"),
        ({"fx_color": 1}, "fy_color"),
        ({"m_calibrationColorIntrinsic": [1, 2]}, "must be 16 numbers"),
    ],
)
def test_one_that_is_broken_is_a_line(document: object, says: str, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=says):
        read(tmp_path / "a.json", document)
