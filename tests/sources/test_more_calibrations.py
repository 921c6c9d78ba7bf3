"""Calibrations of programs that are met less often: read as they are meant, or refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from vgslam.errors import CalibrationError
from vgslam.sources.calibration import read_calibration
from vgslam.sources.undistort import Undistorter
from vgslam.types import Camera

SIZE = (752, 480)
FOUR = (458.0, 457.0, 367.0, 248.0)
K = (-0.28, 0.07, 0.0002, 0.0001)
PLAIN, BENT = Camera(*FOUR, *SIZE), Camera(*FOUR, *SIZE, K)


def read(folder: Path, name: str, text: Any, camera: str = "") -> Camera | None:
    (folder / name).write_text(text if isinstance(text, str) else json.dumps(text))
    return read_calibration(Path(f"{folder / name}{camera}"), SIZE)


def matrix(rows: int, cols: int, data: list[float]) -> str:
    return f"!!opencv-matrix\n   rows: {rows}\n   cols: {cols}\n   dt: d\n   data: {data}\n"


AGISOFT = """<?xml version="1.0" encoding="UTF-8"?>
<calibration>
  <projection>{projection}</projection>
  <width>752</width>
  <height>480</height>
  <f>457</f>
  <cx>-8.5</cx>
  <cy>8.5</cy>
  <k1>-0.28</k1>
  <k2>0.07</k2>
  {more}
</calibration>
"""
SIZED = {"width": 752, "height": 480}
CENTRE = {"cx": 367, "cy": 248}
OPEN3D = {"width": 752, "height": 480, "intrinsic_matrix": [458, 0, 0, 0, 457, 0, 367, 248, 1]}
KITTI = "P0: 458 0 367 0 0 457 248 0 0 0 1 0\nP1: 458 0 367 -300 0 457 248 0 0 0 1 0\n"
FX = {"fx": 458, "fy": 457, **CENTRE}
K_NAMED = dict(zip(("k1", "k2", "p1", "p2"), K, strict=True))
K33 = [[458, 0, 367], [0, 457, 248], [0, 0, 1]]
ORB = "%YAML:1.0\nLEFT.height: 480\nLEFT.width: 752\n"
ORB += "LEFT.D: !!opencv-matrix\n   rows: 1\n   cols: 4\n   dt: d\n   data:"


@pytest.mark.parametrize(
    ("name", "text", "camera"),
    [
        ("i.yaml", "%YAML:1.0\n---\nintrinsic: " + matrix(3, 3, [458, 0, 367, 0, 457, 248, 0, 0, 1]), PLAIN),
        ("o.yaml", f"{ORB}{list(K)}\nLEFT.K: {matrix(3, 3, [458, 0, 367, 0, 457, 248, 0, 0, 1])}", BENT),
        ("s.json", {"cameras": [{"camera": {
            "intrinsics": {"cols": 1, "rows": 4, "data": list(FOUR)}, "type": "pinhole",
            "distortion": {"type": "radial-tangential", "parameters": {"cols": 1, "rows": 4, "data": list(K)}},
        }}]}, BENT),
        ("l.json", {**SIZED, "intrinsics": [*FOUR, *K]}, BENT),
        ("m.json", {**SIZED, "calibration": [*FOUR, *K, 0.01]}, Camera(*FOUR, *SIZE, (*K, 0.01))),
        ("n.json", {"focal_length": 458, "pixel_aspect_ratio": 457 / 458, "principal_point": [367, 248],
                    "image_size": SIZE, "radial_distortion": [-0.28, 0.07, 0.01],
                    "tangential_distortion": [0.0002, 0.0001]}, Camera(*FOUR, *SIZE, (*K, 0.01))),
        ("p.json", {**SIZED, **CENTRE, "fx": 458, "fy": 457, "k1": -0.28, "s1": 0.01},
         Camera(*FOUR, *SIZE, (-0.28, *[0.0] * 7, 0.01, 0.0, 0.0, 0.0))),
        ("t.json", {"class_name": "PinholeCameraTrajectory", "parameters": [{"intrinsic": OPEN3D}] * 2}, PLAIN),
        ("calib.txt", KITTI, PLAIN),
        ("z.conf", "[LEFT_CAM_2K]\nfx=1400\nfy=1400\ncx=1104\ncy=621\n[LEFT_CAM_VGA]\nfx=458\nfy=457\ncx=367\ncy=248\n"
                   "k1=-0.28\nk2=0.07\np1=0.0002\np2=0.0001\n[STEREO]\nBaseline=120\n", BENT),
        ("c.toml", "width = 752\nheight = 480\nfx = 458.0\nfy = 457.0\ncx = 367.0\ncy = 248.0\n", PLAIN),
        ("d.ini", "fx = 458\nfy = 457\ncx = 367 ; px\ncy = 248\n", PLAIN),
        ("w.txt", "fx 458\nfy 457\ncx 367\ncy 248\n", PLAIN),
        ("a.xml", AGISOFT.format(projection="frame", more="<p1>0.0001</p1><p2>0.0002</p2><b1>1</b1>"),
         Camera(*FOUR, *SIZE, (*K, 0.0))),
        ("f.xml", AGISOFT.format(projection="fisheye", more="<k3>0.01</k3>"),
         Camera(457, *FOUR[1:], *SIZE, (-0.28, 0.07, 0.01, 0.0), True)),
        ("g.json", {"intrinsic_params": FX, "distortion_params": K_NAMED}, BENT),
        ("h.json", {"intrinsics": FX, "dist_coeffs": K_NAMED}, BENT),
        ("k.json", {"K": K33, "distortion_coefficients": K_NAMED}, BENT),
        ("q.json", {"camera": FX, "dist_coeffs": K}, BENT),
        ("r.json", {"Dataset": {"type": "tum", "Calibration": {**FX, **K_NAMED}}, "Training": {"lr": 1}}, BENT),
        ("u.json", [{"token": "a", "camera_intrinsic": K33}], PLAIN),
        ("v.json", {"camera_type": "pinhole-radtan8", "intrinsics": {**FX, **K_NAMED, "k3": 0}}, BENT),
        ("x.json", {"K": K33, "D": [0.1, 0.2, 0, 0, 0], "distortion_model": "equidistant"},
         Camera(*FOUR, *SIZE, (0.1, 0.2, 0.0, 0.0), True)),
        ("y.json", {"f": 458, "fy": 457, **CENTRE, "k": -0.28}, Camera(*FOUR, *SIZE, (-0.28, 0.0, 0.0, 0.0))),
        ("b.json", {"intrinsics": [FOUR] * 3}, PLAIN),
        ("svo.yaml", "cam_model: Pinhole\ncam_width: 752\ncam_height: 480\ncam_fx: 458\ncam_fy: 457\ncam_cx: 367\n"
                     "cam_cy: 248\ncam_d0: -.28\ncam_d1: .07\ncam_d2: .0002\ncam_d3: .0001\n", BENT),
        ("ov2.yaml", "Camera.model_left: pinhole\nCamera.left_nwidth: 752\nCamera.left_nheight: 480\nCamera.fxl: 458\n"
                     "Camera.fyl: 457\nCamera.cxl: 367\nCamera.cyl: 248\nCamera.k1l: -.28\nCamera.k2l: .07\n"
                     "Camera.p1l: .0002\nCamera.p2l: .0001\n", BENT),
        ("six.txt", "458 457 367 248 752 480\n", PLAIN),
        ("s.pincam", "752 480 458 457 367 248\n", PLAIN),
        ("k.csv", "fx,458\nfy,457\ncx,367\ncy,248\n", PLAIN),
        ("h.csv", "fx,fy,cx,cy,k1,k2,p1,p2\n458,457,367,248,-.28,.07,.0002,.0001\n", BENT),
        ("np.txt", "[[458.   0. 367.]\n [  0. 457. 248.]\n [  0.   0.   1.]]\n", PLAIN),
        ("m.txt", "K = [458 0 367; 0 457 248; 0 0 1]\n", PLAIN),
    ],
    ids=lambda v: v if isinstance(v, str) and "." in v[:8] and len(v) < 12 else "",
)  # fmt: skip
def test_what_is_read(name: str, text: Any, camera: Camera, tmp_path: Path) -> None:
    """p1 and p2 of Metashape are OpenCV's p2 and p1."""
    found = read(tmp_path, name, text)
    assert found is not None
    assert (found.distortion, found.is_fisheye) == (camera.distortion, camera.is_fisheye)
    assert (found.fx, found.fy, found.cx, found.cy) == pytest.approx((camera.fx, camera.fy, camera.cx, camera.cy))
    assert (found.width, found.height) == SIZE


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.xml", AGISOFT.format(projection="spherical", more=""), "projection 'spherical' is not supported"),
        ("b.xml", AGISOFT.format(projection="frame", more="<k4>0.1</k4>"), r"k4 \(0\.1\) is not supported"),
        ("c.xml", AGISOFT.format(projection="frame", more="<b2>3</b2>"), r"b2 \(3\) is not supported"),
        ("d.xml", '<?xml version="1.0"?>\n<document version="1.5.0">\n  <chunk label="x"/>\n</document>', "Metashape"),
        ("p.cam", "Pix4D Version 4.5\nF 4.5\nPx 3.6\nPy 2.4\nK1 -0.1\n", "of Pix4D, in millimetres"),
        ("q.txt", "fileName imageWidth imageHeight \ncamera matrix K [3x3]\n", "Pix4D's list"),
        ("r.xmp", '<x:xmpmeta xmlns:xcr="http://www.capturingreality.com/ns/xcr/1.1#"/>', "of RealityCapture"),
        ("r.csv", "#name,x,y,alt,heading,pitch,roll,f,px,py,k1\na.jpg,0,0,0,0,0,0,22,0,0,0\n", "of RealityCapture"),
        ("t.csv", "time,frame,fx,fy,cx,cy\n0.0,0,458,457,367,248\n.1,1,458,457,367,248\n", "a camera for each frame"),
        ("b.out", "# Bundle file v0.3\n1 1\n", "of Bundler"),
        ("v.nvm", "NVM_V3\n\n1\n", "VisualSFM"),
        ("h.yaml", "<!DOCTYPE html>\n<html></html>", "a web page"),
        ("e.yaml", " \n", "is empty"),
        ("k.json", {"cam0": {"camera_model": "fov", "intrinsics": [0.9, *FOUR], "resolution": [752, 480]}},
         "fov model are 4 numbers, got 5"),
        ("w.json", {**SIZED, **CENTRE, "fx": 458, "fy": 457, "model": "fov", "w": 0.9, "k1": 0.1}, "is one number"),
        ("s.json", {"width": 480, "height": 752, "fx": 458, "fy": 457, **CENTRE}, "width and height, or cx and"),
        ("i.json", {**SIZED, "ppx": 367, "ppy": 248, "fx": 458, "fy": 457, "model": "Inverse Brown Conrady",
                    "coeffs": [-0.28, 0.07, 0, 0, 0]}, "with coefficients of 0 alone"),
        ("f.json", {**SIZED, "focal_length": 24, "sensor_width": 36}, "beside sensor_width is in mm"),
        ("n.json", {"w": 752, "h": 480, "camera_angle_x": 90, "frames": []}, "no field of view in radians"),
        ("y.json", {"intrinsics": [FOUR, (459, *FOUR[1:]), FOUR]}, "of 3 frames differ"),
        ("t.json", '{"fx": 458, "fy": 457, "fx": 500}', "'fx' twice"),
        ("t.yaml", "fx: 458\nfx: 500\n", "'fx' twice"), ("t.ini", "fx = 458\nfx = 500\n", "'fx' twice"),
        ("d.json", {**FX, "distortion": "strong"}, "distortion must be a list of numbers"),
        ("6.txt", "458 457 367 248 480 752\n", "six numbers"),
        ("c.m", "% Focal length\nfc = [ 458 ; 457 ];\n", "Bouguet"),
        ("o.txt", "#polynomial coefficients for the DIRECT "
         "mapping function\n", "OCamCalib"),
        ("rs.txt", 'Intrinsic of "Color"\n Width: 752\n', "rs-enumerate-devices"),
        ("o.json", {"class_name": "PinholeCameraTrajectory", "parameters": [
            {"intrinsic": OPEN3D}, {"intrinsic": {**OPEN3D, "intrinsic_matrix": [459, 0, 0, 0, 457, 0, 367, 248, 1]}}
        ]}, r"2 different cameras .*name one, as in FILE#parameters\[0\]"),
    ],
    ids=lambda v: v if isinstance(v, str) and "." in v[:8] and len(v) < 8 else "",
)  # fmt: skip
def test_what_is_refused_by_name(name: str, text: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=said) as no:
        read(tmp_path, name, text)
    assert "\n" not in str(no.value)


def mei(p1: float, **more: float) -> str:
    groups = {"mirror_parameters": {"xi": 1.2}, "distortion_parameters": {"k1": -0.1, "k2": 0.05, "p1": p1, "p2": 0.0},
              "projection_parameters": {"gamma1": 900, "gamma2": 900, "u0": 370, "v0": 241}}  # fmt: skip
    return json.dumps({"model_type": "MEI", "image_width": 752, "image_height": 480, **groups, **more})


def test_meis_lens_is_the_same_in_all_its_spellings(tmp_path: Path) -> None:
    """Camodocal's, OpenCV's without a model's name, Kalibr's, and fields side by side."""
    flat = {**SIZED, "cx": 370, "cy": 241, "fx": 900, "fy": 900, "distortion_model": "omni", "xi": 1.2}
    K900 = [[900, 0, 370], [0, 900, 241], [0, 0, 1]]
    kalibr = {"camera_model": "omni", "distortion_model": "radtan", "intrinsics": [1.2, 900, 900, 370, 241],
              "resolution": SIZE}  # fmt: skip
    found = [
        read(tmp_path, "a.yaml", mei(0.0)),
        read(tmp_path, "b.json", {"K": K900, "xi": [[1.2]], "D": [-0.1, 0.05, 0, 0]}),
        read(tmp_path, "c.json", {"cam0": {**kalibr, "distortion_coeffs": [-0.1, 0.05, 0, 0]}}),
        read(tmp_path, "d.json", {**flat, "k1": -0.1, "k2": 0.05}),
        read(tmp_path, "e.json", {**SIZED, "K": K900, "distortion_model": "omni", "D": [1.2, -0.1, 0.05, 0, 0]}),
    ]
    assert found[0] is not None
    assert found[0].is_fisheye
    assert found.count(found[0]) == len(found)
    bare = read(tmp_path, "f.json", flat)
    assert bare is not None
    assert bare != found[0]
    for name, text in {
        "g.yaml": mei(0.001),
        "h.json": {"K": K900, "xi": 1.2, "D": [-0.1, 0.05, 0.001, 0]},
        "i.json": {**flat, "k1": -0.1, "p1": 0.001},
        "j.json": {"cam0": {**kalibr, "distortion_coeffs": [-0.1, 0.05, 0.001, 0]}},
    }.items():
        with pytest.raises(CalibrationError, match=r"omni \(Mei\) model with p1, p2 \(0\.001, 0\) is not supported"):
            read(tmp_path, name, text)


def test_distortion_that_leaves_no_image_around_the_axis_is_refused(tmp_path: Path) -> None:
    """Found by the fuzz: the pinhole's principal point lay far outside."""
    with pytest.raises(CalibrationError, match="distortion coefficients leave"):
        Undistorter(Camera(50, 50, 31, 23, 64, 48, (0.1, 0.0, 1.0, 0.0, 0.0)))
    (tmp_path / "a.json").write_text(json.dumps({"cam0": {"intrinsics": [1, 2, 3, 4, 5]}}))
    with pytest.raises(CalibrationError, match="pinhole model are 4 numbers, got 5"):
        read_calibration(tmp_path / "a.json", SIZE)
    (tmp_path / "b.json").write_text(json.dumps({"fx": 458, "resolution": []}))
    assert read_calibration(tmp_path / "b.json", SIZE) == Camera(458, 458, 375.5, 239.5, *SIZE)
