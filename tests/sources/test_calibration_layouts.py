"""Calibrations in the layouts of other programs, lens models by their formulas, and cameras that cannot be."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from vgslam.errors import CalibrationError
from vgslam.sources.calibration import doubts, read_calibration
from vgslam.sources.calibration.lens import double_sphere_radius, eucm_radius, fov_radius, make_camera
from vgslam.sources.undistort import Undistorter
from vgslam.types import Camera

SIZE = (640, 480)
PLAIN = Camera(500, 510, 320, 241, *SIZE)
BENT = Camera(500, 510, 320, 241, *SIZE, (-0.2, 0.05, 0.001, -0.002))
WIDE = Camera(300, 300, 320, 241, *SIZE, (0.01, 0.002, 0.003, 0.004), True)
EDGE = Camera(500, 510, 319.5, 240.5, *SIZE)

ORB = """%YAML:1.0
# a comment
Camera.type: "{type}"
Camera{n}.fx: 500.0
Camera{n}.fy: 510.
Camera{n}.cx: 320
Camera{n}.cy: 241
{k}
Camera.width: 640
Camera.height: 480
Camera.newWidth: 320
ORBextractor.nFeatures: 1000
"""
RADTAN_K = "Camera.k1: -0.2\nCamera.k2: 0.05\nCamera.p1: 0.001\nCamera.p2: -0.002"
MATRIX = [[500, 0, 320], [0, 510, 241], [0, 0, 1]]
ECHO = """header: {stamp: {sec: 1, nanosec: 2}, frame_id: cam}
height: 480
width: 640
distortion_model: plumb_bob
d: [-0.2, 0.05, 0.001, -0.002, 0.0]
k: [500, 0, 320, 0, 510, 241, 0, 0, 1]
r: [1, 0, 0, 0, 1, 0, 0, 0, 1]
p: [500, 0, 320, 0, 0, 510, 241, 0, 0, 0, 1, 0]
binning_x: 0
roi: {x_offset: 0, y_offset: 0, height: 0, width: 0, do_rectify: false}
---
"""
CHAIN = """cam0:
  camera_model: {projection}
  distortion_model: {model}
  distortion_coeffs: {k}
  intrinsics: {four}
  resolution: [640, 480]
  rostopic: /cam0
cam1: {{camera_model: pinhole, intrinsics: [1, 1, 1, 1], distortion_coeffs: [], distortion_model: none}}
"""
FOUR, K4 = "[500, 510, 320, 241]", "[-0.2, 0.05, 0.001, -0.002]"
NERF = {"fl_x": 500, "fl_y": 510, "cx": 320, "cy": 241, "w": 640, "h": 480, "frames": []}
OPENSFM = {"projection_type": "brown", "width": 640, "height": 480, "focal_x": 0.78125, "focal_y": 0.796875, "c_x": 0.0,
           "c_y": 1 / 640, "k1": 0, "k2": 0, "p1": 0, "p2": 0, "k3": 0}  # fmt: skip
FIELDS = {"width": 640, "height": 480, "fx": 500, "fy": 510, "cx": 320, "cy": 241}

LAYOUTS = {
    "orb2.yaml": (ORB.format(type="PinHole", n="", k=RADTAN_K), BENT),
    "orb3.yaml": (ORB.format(type="PinHole", n="1", k=RADTAN_K.replace("Camera", "Camera1")), BENT),
    "rectified.yaml": (ORB.format(type="Rectified", n="1", k=""), PLAIN),
    "echo.yaml": (ECHO, Camera(500, 510, 320, 241, *SIZE, (-0.2, 0.05, 0.001, -0.002, 0.0))),
    "radtan_chain.yaml": (CHAIN.format(projection="pinhole", model="radtan", k=K4, four=FOUR), BENT),
    "plain_chain.yaml": (CHAIN.format(projection="pinhole", model="none", k="[]", four=FOUR), PLAIN),
    "equi_chain.yaml": (CHAIN.format(projection="pinhole", model="equidistant", k="[0.01, 0.002, 0.003, 0.004]",
                                     four="[300, 300, 320, 241]"), WIDE),
    "stella.yaml": ("Camera:\n  name: x\n  setup: monocular\n  model: perspective\n  fx: 500\n  fy: 510\n  cx: 320\n"
                    "  cy: 241\n  k1: -0.2\n  k2: 0.05\n  p1: 0.001\n  p2: -0.002\n  k3: 0\n  cols: 640\n  rows: 480\n"
                    "Feature: {name: orb}", BENT),
    "vins.yaml": ("%YAML:1.0\n---\nmodel_type: PINHOLE\nimage_width: 640\nimage_height: 480\ndistortion_parameters:\n"
                  "  k1: -0.2\n  k2: 0.05\n  p1: 0.001\n  p2: -0.002\nprojection_parameters:\n  fx: 500\n  fy: 510\n"
                  "  cx: 320\n  cy: 241\n", BENT),
    "transforms.json": (json.dumps({**NERF, "camera_model": "OPENCV", "k1": -0.2, "k2": 0.05, "p1": 0.001,
                                    "p2": -0.002}), Camera(500, 510, 319.5, 240.5, *SIZE, BENT.distortion)),
    "frames.json": (json.dumps({"camera_model": "PINHOLE", "frames": [{k: v for k, v in NERF.items() if k != "frames"}
                                                                      | {"file_path": str(i)} for i in (1, 2)]}), EDGE),
    "cameras.txt": ("# Camera list\n1 OPENCV 640 480 500 510 320.5 241.5 -0.2 0.05 0.001 -0.002\n", BENT),
    "fisheye.txt": ("1 OPENCV_FISHEYE 640 480 300 300 320.5 241.5 0.01 0.002 0.003 0.004\n", WIDE),
    "camera_models.json": (json.dumps({"v2 x": OPENSFM}), Camera(500, 510, 319.5, 240.5, *SIZE)),
    "reconstruction.json": (json.dumps([{"cameras": {"x": OPENSFM}, "shots": {}}]), EDGE),
    "open3d.json": (json.dumps({"width": 640, "height": 480, "intrinsic_matrix": [500, 0, 0, 0, 510, 0, 320, 241, 1]}),
                    PLAIN),
    "params.json": (json.dumps({"class_name": "PinholeCameraParameters", "intrinsic": {
        "width": 640, "height": 480, "intrinsic_matrix": [500, 0, 0, 0, 510, 0, 320, 241, 1]}}), PLAIN),
    "mast3r.yaml": ("width: 640\nheight: 480\ncalibration: [500, 510, 320, 241, -0.2, 0.05, 0.001, -0.002]\n", BENT),
    "dso.txt": ("RadTan 500 510 320 241 -0.2 0.05 0.001 -0.002\n640 480\ncrop\n640 480\n", BENT),
    "relative.txt": ("Pinhole 0.78125 1.0625 0.5 0.5 0\n640 480\ncrop\n640 480\n",
                     Camera(500, 510, 319.5, 239.5, *SIZE)),
    "droid.txt": ("500 510 320 241 -0.2 0.05 0.001 -0.002\n", BENT),
    "matrix.txt": ("500 0 320\n0 510 241\n0 0 1\n", PLAIN),
    "mtx.json": (json.dumps({"mtx": MATRIX, "dist": [[-0.2, 0.05, 0.001, -0.002]]}), BENT),
    "stereo.yaml": (f"M1: {MATRIX}\nD1: {K4}\n", BENT),
    "K1.yaml": (f"K1: {MATRIX}\nD1: {K4}\n", BENT),
    "fields.json": (json.dumps({**FIELDS, "k1": -0.2, "k2": 0.05, "p1": 0.001, "p2": -0.002}), BENT),
    "realsense.json": (json.dumps({"width": 640, "height": 480, "fx": 500, "fy": 510, "ppx": 320, "ppy": 241, "model":
                                   "distortion.brown_conrady", "coeffs": [-0.2, 0.05, 0.001, -0.002]}), BENT),
    "sensor.yaml": (f"sensor_type: camera\nT_BS: {{rows: 4, cols: 4, data: []}}\nresolution: [640, 480]\n"
                    f"camera_model: pinhole\nintrinsics: {FOUR}\ndistortion_model: radial-tangential\n"
                    f"distortion_coefficients: {K4}\n", BENT),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout(tmp_path: Path, name: str) -> None:
    text, expected = LAYOUTS[name]
    (tmp_path / name).write_text(text)
    said: list[str] = []
    camera = read_calibration(tmp_path / name, SIZE, said.append)
    assert camera is not None
    np.testing.assert_allclose(four(camera), four(expected), rtol=1e-12)
    assert (camera.width, camera.height, camera.is_fisheye) == (*SIZE, expected.is_fisheye)
    k = [*camera.distortion, *[0.0] * (8 - len(camera.distortion))]
    np.testing.assert_allclose(k, [*expected.distortion, *[0.0] * (8 - len(expected.distortion))], rtol=1e-12)
    assert len(said) == ("chain" in name)


def four(c: Camera) -> tuple[float, ...]:
    return c.fx, c.fy, c.cx, c.cy


def test_arrays_and_xml(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", mtx=np.array(MATRIX, float), dist=np.array([BENT.distortion]))
    assert read_calibration(tmp_path / "c.npz", SIZE) == BENT
    storage = cv2.FileStorage(str(tmp_path / "c.xml"), cv2.FILE_STORAGE_WRITE)
    storage.write("cameraMatrix", np.array(MATRIX, float))
    storage.write("dist_coeffs", np.array([BENT.distortion]))
    storage.release()
    assert read_calibration(tmp_path / "c.xml", SIZE) == BENT


@pytest.mark.parametrize(
    ("model", "k", "radius"),
    [
        ("fov", (0.92,), lambda t: fov_radius(t, 0.92)),
        ("ds", (-0.18, 0.59), lambda t: double_sphere_radius(t, -0.18, 0.59)),
        ("eucm", (0.6, 1.1), lambda t: eucm_radius(t, 0.6, 1.1)),
    ],
)
def test_undistorted_pixels_follow_the_pinhole(model: str, k: tuple, radius: object) -> None:
    lens = make_camera((240.0, 242.0, 322.0, 238.0), SIZE, model, k)
    undistorter = Undistorter(lens)
    pinhole = undistorter.camera
    rays = pinhole.rays(np.random.default_rng(0).uniform([0, 0], [639, 479], (500, 2)))
    off = np.hypot(rays[:, 0], rays[:, 1])
    bent = radius(np.arctan(off)) / off
    expected = rays[:, :2] * bent[:, None] * [240.0, 242.0] + [322.0, 238.0]
    rvec = np.zeros(3)
    seen = cv2.fisheye.projectPoints(rays.reshape(-1, 1, 3), rvec, rvec, lens.K, np.array(lens.distortion))[0]
    assert np.abs(seen.reshape(-1, 2) - expected).max() < 0.05
    assert pinhole.fov_deg[0] > 80


def test_points_at_known_angles() -> None:
    """Formulas against projections worked out from their definitions in another way."""
    theta = np.array([0.2, 0.9])
    # Double sphere without its second sphere and EUCM with beta 1 are the unified model; with alpha 0, pinholes.
    np.testing.assert_allclose(double_sphere_radius(theta, 0.0, 0.0), np.tan(theta))
    np.testing.assert_allclose(eucm_radius(theta, 0.4, 1.0), double_sphere_radius(theta, 0.0, 0.4))
    np.testing.assert_allclose(np.tan(fov_radius(theta, 0.9) * 0.9), 2 * np.tan(0.45) * np.tan(theta))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fx": 0.65, "fy": 0.87, "cx": 0.5, "cy": 0.5}, "normalised.*multiply"),
        ({"fx": 9.9, "fy": 9.9, "cx": 9.9, "cy": 9.9}, "normalised"),
        ({"fx": 10.1, "fy": 10.1, "cx": 10.1, "cy": 10.1}, "at the border"),
        ({"cx": 0, "cy": 0}, "at the border"),
        ({"cx": 700}, "outside the image"),
        ({"fy": 51}, "differ by a factor of 9.8"),
        ({"fx": 320, "cx": 500, "fy": 240, "cy": 500}, "wrong order"),
        ({"cx": 241, "cy": 320}, "wrong order"),
        ({"fx": 15, "fy": 15}, "field of view of 17"),
        ({"fx": 5e4, "fy": 5e4}, "field of view of 0.7"),
        ({"distortion_model": "equirectangular"}, "not supported"),
        ({"distortion_model": "none", "k1": 0.1}, "has coefficients"),
        ({"k1": 0.1, "k2": 0.1, "k3": 0.1, "k4": 0.1}, "add distortion_model"),
    ],
)
def test_cameras_that_cannot_be(tmp_path: Path, changes: dict, message: str) -> None:
    (tmp_path / "c.json").write_text(json.dumps({**FIELDS, **changes}))
    with pytest.raises(CalibrationError, match=message):
        read_calibration(tmp_path / "c.json")


def test_unusual_cameras_are_doubted() -> None:
    assert doubts(PLAIN) == []
    assert "squeezed" in doubts(Camera(500, 665, 320, 241, *SIZE))[0]
    assert "cropped" in doubts(Camera(500, 500, 500, 241, *SIZE))[0]


def test_a_file_without_a_camera_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("lens: zoom\nfps: 30\n")
    with pytest.raises(CalibrationError, match=r"fx, fy .* missing \(found: lens, fps\)"):
        read_calibration(tmp_path / "c.yaml", SIZE)
    (tmp_path / "c.yaml").write_text("width: 640\nheight: 480\n")
    assert read_calibration(tmp_path / "c.yaml", SIZE) is None
    with pytest.raises(CalibrationError, match="missing"):
        read_calibration(tmp_path / "c.yaml", SIZE, is_chosen=True)


def test_fields_that_may_matter_are_named(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps({**FIELDS, "skew": 3, "lens_shift": 2, "rostopic": "/a", "T_BS": [1]}))
    said: list[str] = []
    assert read_calibration(tmp_path / "c.json", None, said.append) == PLAIN
    assert len(said) == 1
    assert "not used: skew, lens_shift" in said[0]


def test_messages_of_uncalibrated_drivers(tmp_path: Path) -> None:
    zeros = ECHO.replace("500, 0, 320, 0, 510, 241, 0, 0, 1", "0, 0, 0, 0, 0, 0, 0, 0, 0")
    (tmp_path / "c.yaml").write_text(zeros)
    said: list[str] = []
    assert read_calibration(tmp_path / "c.yaml", SIZE, said.append) is None
    assert "not calibrated" in said[0]


def test_a_region_of_the_sensor(tmp_path: Path) -> None:
    roi = "x_offset: 100, y_offset: 50, height: 300, width: 400"
    (tmp_path / "c.yaml").write_text(ECHO.replace("x_offset: 0, y_offset: 0, height: 0, width: 0", roi))
    camera = read_calibration(tmp_path / "c.yaml", (400, 300))
    assert camera is not None
    assert (camera.cx, camera.cy, camera.width, camera.height) == (220, 191, 400, 300)


def test_a_size_that_the_file_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("1000 1000 640 360\n")
    with pytest.raises(CalibrationError, match="add the width and height"):
        read_calibration(tmp_path / "c.txt", (2560, 1440))


def test_lenses_are_followed_in_all_of_the_image_or_refused() -> None:
    """An EUCM lens that no polynomial follows out to 65 degrees: a long lens (34 degrees in the corner) can be had."""
    lens = make_camera((800.0, 800.0, 320.0, 240.0), SIZE, "eucm", (0.75, 2.5))
    theta = np.linspace(0.01, np.radians(33.9), 200)  # r = .5 there: 400 px, the corner
    theta_d = theta * (1 + sum(k * theta ** (2 * i) for i, k in enumerate(lens.distortion, 1)))
    off_px = lens.fx * theta_d - 800.0 * eucm_radius(theta, 0.75, 2.5)
    assert np.abs(off_px).max() < 0.05
    with pytest.raises(ValueError, match="cannot be followed"):
        make_camera((400.0, 400.0, 320.0, 240.0), SIZE, "eucm", (0.75, 2.5))


def test_an_omnidirectional_lens_by_hand() -> None:
    """At 60 degrees from xi = 1: m = sqrt(3) / 3, m^2 = 1/3, m^4 = 1/9. r = m (1 - .1 / 3 + .18 / 9) = .5697."""
    lens = make_camera((500.0, 500.0, 320.0, 240.0), SIZE, "omni", (1.0, -0.1, 0.18, 0.0, 0.0))
    theta = np.pi / 3
    theta_d = theta * (1 + sum(k * theta ** (2 * i) for i, k in enumerate(lens.distortion, 1)))
    assert lens.fx * theta_d == pytest.approx(500.0 * np.sqrt(1 / 3) * (1 - 0.1 / 3 + 0.18 / 9), abs=0.05)


@pytest.mark.parametrize(("fx", "is_possible"), [(132.0, True), (130.0, False)])
def test_a_fisheye_sees_no_more_than_280_degrees(tmp_path: Path, fx: float, is_possible: bool) -> None:
    """640 px at 132 px per radian are 278 degrees, at 130 they are 282."""
    fields = {**FIELDS, "fx": fx, "fy": fx, "distortion_model": "fisheye"}
    (tmp_path / "c.json").write_text(json.dumps(fields))
    if is_possible:
        assert read_calibration(tmp_path / "c.json") is not None
        return
    with pytest.raises(CalibrationError, match="field of view of 282 degrees; 3 to 280"):
        read_calibration(tmp_path / "c.json")


def test_angles_of_nerfstudio(tmp_path: Path) -> None:
    """320 px are half the width; tan 30 degrees is sqrt(3) / 3. 240 px at 500 px are half the angle in y."""
    scene = {"camera_angle_x": np.pi / 3, "w": 640, "h": 480, "frames": []}
    (tmp_path / "transforms.json").write_text(json.dumps(scene))
    camera = read_calibration(tmp_path / "transforms.json")
    assert camera is not None
    assert four(camera) == pytest.approx((320 * 3**0.5, 320 * 3**0.5, 319.5, 239.5))
    (tmp_path / "transforms.json").write_text(json.dumps({**scene, "camera_angle_y": 2 * np.arctan(240 / 500)}))
    camera = read_calibration(tmp_path / "transforms.json")
    assert camera is not None
    assert four(camera) == pytest.approx((320 * 3**0.5, 500.0, 319.5, 239.5))
