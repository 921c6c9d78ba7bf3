"""Calibration files that hold several cameras, COLMAP's cameras.bin, and lenses that are refused by name."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from vgslam.errors import CalibrationError
from vgslam.sources.calibration import read_calibration
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions
from vgslam.types import Camera

LARGE, SMALL = (752, 480), (640, 360)
CHAIN = """cam0: {camera_model: pinhole, distortion_model: none, distortion_coeffs: [],
  intrinsics: [500, 510, 370, 241], resolution: [752, 480]}
cam1: {camera_model: pinhole, distortion_model: none, distortion_coeffs: [],
  intrinsics: [400, 400, 320, 181], resolution: [640, 360]}
"""
ORB3 = """%YAML:1.0
Camera.type: "PinHole"
Camera1.fx: 500
Camera1.fy: 510
Camera1.cx: 370
Camera1.cy: 241
Camera2.fx: 400
Camera2.fy: 400
Camera2.cx: 360
Camera2.cy: 240
Camera.width: 752
Camera.height: 480
"""
K = {1: [[500, 0, 370], [0, 510, 241], [0, 0, 1]], 2: [[400, 0, 360], [0, 400, 240], [0, 0, 1]]}
D = {1: [-0.2, 0.05, 0, 0], 2: [0.1, 0.02, 0.001, 0]}
FIRST, SECOND = (500, 510, 370, 241), (400, 400, 360, 240)


def stereo(matrix: str, distortion: str, sides: tuple[str, str] = ("1", "2")) -> str:
    """A pair as OpenCV's samples write it, with what else they hold."""
    fields = {matrix + side: K[i] for i, side in enumerate(sides, 1)}
    fields |= {distortion + side: D[i] for i, side in enumerate(sides, 1)}
    eye = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    return json.dumps({**fields, "R": eye, "T": [1, 0, 0], "R1": eye, "R2": eye, "P1": eye, "P2": eye, "Q": eye})


def brown(w: int, h: int, focal: float) -> dict[str, object]:
    return {"projection_type": "brown", "width": w, "height": h, "focal_x": focal, "focal_y": focal, "c_x": 0, "c_y": 0}


def plain(f: float, w: int, h: int) -> dict[str, float]:
    return {"width": w, "height": h, "fx": f, "fy": f, "cx": w / 2, "cy": h / 2}


SIDES = {
    "chain.yaml": (CHAIN, "cam0", "cam1"),
    "cameras.txt": ("1 PINHOLE 752 480 500 510 370.5 241.5\n7 PINHOLE 640 360 400 400 320.5 181.5\n", "1", "7"),
    "camera_models.json": (json.dumps({"a b": brown(*LARGE, 0.7), "c 0.5": brown(*SMALL, 0.6)}), "a b", "c 0.5"),
    "left_right.yaml": (json.dumps({"left": plain(500, *LARGE), "right": plain(400, *SMALL)}), "left", "right"),
    "list.json": (json.dumps([plain(500, *LARGE), plain(400, *SMALL)]), "cameras[0]", "cameras[1]"),
    "basalt.json": (json.dumps({"value0": {"intrinsics": [
        {"camera_type": "pinhole", "intrinsics": {"fx": 500, "fy": 500, "cx": 370, "cy": 241}},
        {"camera_type": "pinhole", "intrinsics": {"fx": 400, "fy": 400, "cx": 320, "cy": 181}},
    ], "resolution": [[752, 480], [640, 360]]}}), "intrinsics[0]", "intrinsics[1]"),
}  # fmt: skip


@pytest.mark.parametrize("name", SIDES)
def test_the_camera_that_fits_the_images_is_taken_and_another_by_its_name(tmp_path: Path, name: str) -> None:
    text, first, second = SIDES[name]
    (tmp_path / name).write_text(text)
    for image, taken, other in ((LARGE, first, second), (SMALL, second, first)):
        said: list[str] = []
        camera = read_calibration(tmp_path / name, image, said.append)
        assert camera is not None
        assert (camera.width, camera.height) == image
        assert said == [f"{tmp_path / name}: calibration: camera {taken} ({image[0]}x{image[1]}) is used, not {other} "
                        f"({'640x360' if image is LARGE else '752x480'}); FILE#{other} takes another"]  # fmt: skip
    said = []
    named = read_calibration(tmp_path / f"{name}#{second}", LARGE, said.append)
    assert named is not None
    assert (named.width, named.height) == SMALL
    assert said == []
    with pytest.raises(CalibrationError, match=r"has no camera 'x'; its cameras: .*752x480.*640x360"):
        read_calibration(tmp_path / f"{name}#x", LARGE)
    with pytest.raises(CalibrationError, match=r"none of its cameras is for images of 500x500: .*752x480.*640x360"):
        read_calibration(tmp_path / name, (500, 500))


@pytest.mark.parametrize(
    ("name", "text", "first", "second", "bent"),
    [
        ("orb3.yaml", ORB3, "Camera1", "Camera2", False),
        ("m.json", stereo("M", "D"), "M1", "M2", True),
        ("k.json", stereo("K", "D"), "K1", "K2", True),
        ("c.json", stereo("cameraMatrix", "distCoeffs"), "cameraMatrix1", "cameraMatrix2", True),
        ("s.json", stereo("camera_matrix_", "dist_coeffs_", ("left", "right")), "camera_matrix_left",
         "camera_matrix_right", True),
    ],
)  # fmt: skip
def test_pairs_of_one_size(tmp_path: Path, name: str, text: str, first: str, second: str, bent: bool) -> None:
    (tmp_path / name).write_text(text)
    said: list[str] = []
    camera = read_calibration(tmp_path / name, LARGE, said.append)
    other = read_calibration(tmp_path / f"{name}#{second}", LARGE, said.append)
    assert camera == Camera(*FIRST, *LARGE, tuple(D[1]) if bent else ())
    assert other == Camera(*SECOND, *LARGE, tuple(D[2]) if bent else ())
    assert len(said) == 1
    assert f"camera {first}" in said[0]
    assert f"FILE#{second} takes another" in said[0]


def test_frames_with_cameras_of_their_own_have_to_be_named(tmp_path: Path) -> None:
    frames = [{"file_path": f"images/{i}.png", "fl_x": 500.0 + i, "fl_y": 500.0 + i, "cx": 376, "cy": 240, "w": 752,
               "h": 480} for i in (0, 0, 1)]  # fmt: skip
    frames.append(frames[0] | {"file_path": "images/9.png", "w": 640, "h": 360, "cx": 320, "cy": 180})
    file = tmp_path / "transforms.json"
    file.write_text(json.dumps({"frames": frames}))
    with pytest.raises(CalibrationError, match=r"3 different cameras \(images/0.png.*FILE#images/0.png"):
        read_calibration(file, LARGE)
    assert read_calibration(Path(f"{file}#images/1.png"), LARGE) == Camera(501, 501, 375.5, 239.5, *LARGE)
    assert read_calibration(file, SMALL) == Camera(500, 500, 319.5, 179.5, *SMALL)


def test_a_name_for_a_camera_that_has_none_and_a_file_that_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps(plain(500, *LARGE)))
    with pytest.raises(CalibrationError, match="holds one camera, which has no name; leave #left out"):
        read_calibration(tmp_path / "c.json#left")
    (tmp_path / "c.json#left").write_text(json.dumps(plain(400, *LARGE)))
    found = read_calibration(tmp_path / "c.json#left")
    assert found is not None
    assert found.fx == 400
    with pytest.raises(CalibrationError, match=r"no\.json#cam0: no such calibration file"):
        read_calibration(tmp_path / "no.json#cam0")


def test_sources_take_the_name_of_a_camera(tmp_path: Path, write_images: Callable[..., list]) -> None:
    write_images(tmp_path / "frames", ["0.png", "1.png"], width=64, height=36)
    (tmp_path / "chain.yaml").write_text(CHAIN)
    source = open_source(tmp_path / "frames", SourceOptions(calib=tmp_path / "chain.yaml#cam1"))
    assert source.camera is not None
    assert source.camera.fx == pytest.approx(40.0)


def packed(*cameras: tuple[int, int, int, int, list[float]]) -> bytes:
    """A cameras.bin, as COLMAP's documentation of its format says."""
    data = struct.pack("<Q", len(cameras))
    for number, model, width, height, values in cameras:
        data += struct.pack(f"<iiQQ{len(values)}d", number, model, width, height, *values)
    return data


def test_binary_cameras_of_colmap(tmp_path: Path) -> None:
    file = tmp_path / "cameras.bin"
    file.write_bytes(packed((3, 4, *LARGE, [500, 510, 370.5, 241.5, -0.2, 0.05, 0.001, -0.002]),
                            (9, 0, *SMALL, [400.25, 320.5, 180.5])))  # fmt: skip
    said: list[str] = []
    assert read_calibration(file, LARGE, said.append) == Camera(*FIRST, *LARGE, (-0.2, 0.05, 0.001, -0.002, *[0.0] * 4))
    assert "camera 3 (752x480) is used, not 9 (640x360)" in said[0]
    assert read_calibration(Path(f"{file}#9")) == Camera(400.25, 400.25, 320, 180, *SMALL)
    file.write_bytes(packed((1, 2, *SMALL, [400, 320, 180, 0.1])))
    assert read_calibration(file) == Camera(400, 400, 319.5, 179.5, *SMALL, (0.1, *[0.0] * 7))


@pytest.mark.parametrize("spoil", ["cut", "longer", "none", "many", "text"])
def test_what_is_no_cameras_bin(tmp_path: Path, spoil: str) -> None:
    whole = packed((1, 1, *LARGE, [500, 510, 370.5, 241.5]))
    data = {"cut": whole[:-1], "longer": whole + b"\0", "text": b"fx: 500, fy: 500, cx: 320, cy: 240, w: 752, h: 480",
            "none": struct.pack("<Q", 0), "many": struct.pack("<Q", 2**62) + whole[8:]}[spoil]  # fmt: skip
    (tmp_path / "cameras.bin").write_bytes(data)
    with pytest.raises(CalibrationError, match=r"cameras\.bin: is no cameras\.bin of COLMAP's"):
        read_calibration(tmp_path / "cameras.bin")


def test_a_model_of_colmap_that_is_not_known_is_said_with_those_that_are(tmp_path: Path) -> None:
    """A newer COLMAP's: it is not cut off, but where its parameters end cannot be known."""
    data = packed((1, 1, *LARGE, [500, 510, 370.5, 241.5]), (7, 99, *LARGE, [500.0] * 4))
    (tmp_path / "cameras.bin").write_bytes(data)
    with pytest.raises(CalibrationError, match=r"camera 7 has COLMAP's model 99, which is not known.* 1 PINHOLE,"):
        read_calibration(tmp_path / "cameras.bin")


def test_models_of_colmap_that_are_not_supported_are_named(tmp_path: Path) -> None:
    (tmp_path / "cameras.bin").write_bytes(packed((1, 13, *LARGE, [500, 500, 370, 241, 0.1])))
    with pytest.raises(CalibrationError, match="COLMAP's camera model DIVISION is not supported"):
        read_calibration(tmp_path / "cameras.bin")


def chain(model: str, distortion: str, k: list[float], four: list[float]) -> str:
    cam = {"camera_model": model, "distortion_model": distortion, "distortion_coeffs": k, "intrinsics": four,
           "resolution": [752, 480]}  # fmt: skip
    return json.dumps({"cam0": cam})


def test_kalibrs_other_lenses(tmp_path: Path) -> None:
    k8 = [-0.2, 0.05, 0.001, -0.002, 0.01, 0.02, 0.03, 0.04]
    file = tmp_path / "chain.yaml"
    file.write_text(chain("pinhole", "radtan8", k8, [500, 510, 370, 241]))
    assert read_calibration(file, LARGE) == Camera(*FIRST, *LARGE, tuple(k8))
    file.write_text(chain("omni", "radtan", [-0.1, 0.05, 0.001, -0.002], [1.2, 900, 900, 370, 241]))
    with pytest.raises(CalibrationError, match=r"omni \(Mei\) model with p1, p2 \(0\.001, -0\.002\) is not "):
        read_calibration(file, LARGE)
    file.write_text(chain("omni", "equidistant", [-0.1, 0.05, 0.001, -0.002], [1.2, 900, 900, 370, 241]))
    with pytest.raises(CalibrationError, match="omni with equidistant is not supported"):
        read_calibration(file, LARGE)
    file.write_text(chain("omni", "radtan", [-0.1, 0.05, 0, 0], [1.2, 900, 900, 370, 241]))
    camera = read_calibration(file, LARGE)
    assert camera is not None
    assert camera.is_fisheye
    assert camera.fx == pytest.approx(900 / 2.2, rel=1e-3)  # near the axis r = theta / (1 + xi)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"focal_length": [500, 510], "principal_point": [370, 241]}, FIRST),
        ({"focal_length": [500], "cx": 370, "cy": 241}, (500, 500, 370, 241)),
        ({"focal_length": 500, "principal_point": [370, 241]}, (500, 500, 370, 241)),
        ({"focal_length": [500, 510], "projection_type": "perspective"}, (500, 510, 375.5, 239.5)),
    ],
)
def test_focal_lengths_as_a_pair(tmp_path: Path, fields: dict[str, object], expected: tuple[float, ...]) -> None:
    (tmp_path / "c.yaml").write_text(json.dumps({"width": 752, "height": 480, **fields}))
    assert read_calibration(tmp_path / "c.yaml", LARGE) == Camera(*expected, *LARGE)


def test_a_focal_length_of_three_numbers_is_none(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(json.dumps({"width": 752, "height": 480, "focal_length": [1, 2, 3]}))
    with pytest.raises(CalibrationError, match=r"focal_length must be \[fx, fy\], got 3 numbers"):
        read_calibration(tmp_path / "c.yaml", LARGE)


@pytest.mark.parametrize(("model", "own"), [("ds", [-0.2, 0.6]), ("eucm", [0.6, 1.1])])
def test_kalibrs_own_numbers_of_a_lens_come_first(tmp_path: Path, model: str, own: list[float]) -> None:
    """Near the axis r = theta / (1 + xi) of a double sphere, and theta of an EUCM lens."""
    (tmp_path / "chain.yaml").write_text(chain(model, "none", [], [*own, 400, 410, 370, 241]))
    camera = read_calibration(tmp_path / "chain.yaml", LARGE)
    assert camera is not None
    slope = 1 / (1 + own[0]) if model == "ds" else 1.0
    assert (camera.fx, camera.fy) == pytest.approx((400 * slope, 410 * slope), rel=1e-3)
    assert (camera.cx, camera.cy) == (370, 241)
    (tmp_path / "chain.yaml").write_text(chain(model, "none", [], [*own[:1], 400, 410, 370, 241]))
    with pytest.raises(CalibrationError, match=f"intrinsics of the {model} model are 6 numbers, got 5"):
        read_calibration(tmp_path / "chain.yaml", LARGE)
