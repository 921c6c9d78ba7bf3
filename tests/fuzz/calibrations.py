"""Calibration files of all layouts."""

from io import BytesIO
from pathlib import Path

import numpy as np
from fuzz.grammar import NESTED, ROWS, as_json, documents
from fuzz.mutations import mostly, mutated_files
from fuzz.parser import Files, Parser
from hypothesis import strategies as st

from vgslam.sources.calibration import doubts, fit_to_image, read_calibration
from vgslam.sources.undistort import Undistorter

SIZE = (64, 48)
TEXTS = {
    "own.json": '{"width": 64, "height": 48, "fx": 50, "fy": 51, "cx": 31.5, "cy": 23.5, "distortion'
    '": [0.1, -0.05, 0, 0]}',
    "fisheye.json": '{"width": 64, "height": 48, "fx": 30, "distortion": [0.1, 0, 0, 0], "distortion'
    '_model": "fisheye"}',
    "nerf.json": '{"w": 64, "h": 48, "fl_x": 50, "fl_y": 50, "cx": 32, "cy": 24, "k1": 0.1, "camera_model": "OPENCV",'
    '"frames": [{"file_path": "a.png", "transform_matrix": [[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]}]}',
    "opensfm.json": '{"v2 x": {"projection_type": "perspective", "width": 64, "height": 48, "focal":'
    ' 0.8, "k1": 0, "k2": 0}}',
    "opencv.yaml": "%YAML:1.0\n---\nimage_width: 64\nimage_height: 48\ncamera_matrix: !!opencv-matri"
    "x\n   rows: 3\n   cols: 3\n"
    "   dt: d\n   data: [50., 0., 31., 0., 50., 23., 0., 0., 1.]\ndistortion_coefficients: !!opencv-matrix\n"
    "   rows: 1\n   cols: 5\n   dt: d\n   data: [0.1, 0, 0, 0, 0]\n",
    "ros.yaml": "image_width: 64\nimage_height: 48\ncamera_name: c\ncamera_matrix:\n  rows: 3\n  col"
    "s: 3\n  data: [50, 0, 31, 0, 50,"
    " 23, 0, 0, 1]\ndistortion_model: plumb_bob\ndistortion_coefficients:\n  rows: 1\n  cols: 5\n  d"
    "ata: [0.1, 0, 0, 0, 0]\n",
    "sensor.yaml": "sensor_type: camera\nT_BS:\n  cols: 4\n  rows: 4\n  data: [1,0,0,0, 0,1,0,0, 0,0"
    ",1,0, 0,0,0,1]\nresolution: [64,"
    " 48]\ncamera_model: pinhole\nintrinsics: [50, 50, 31, 23]\ndistortion_model: radial-tangential\n"
    "distortion_coefficients: [-0.28, 0.07, 0.0002, 0.00002]\n",
    "kalibr.yaml": "cam0:\n  camera_model: ds\n  intrinsics: [-0.2, 0.6, 30, 30, 31, 23]\n  resolution: [64, 48]\n"
    "cam1:\n  camera_model: pinhole\n  intrinsics: [30, 30, 31, 23]\n",
    "orb.yaml": '%YAML:1.0\nCamera.type: "PinHole"\nCamera.fx: 50.0\nCamera.fy: 50.0\nCamera.cx: 31.'
    "0\nCamera.cy: 23.0\n"
    "Camera.k1: 0.1\nCamera.width: 64\nCamera.height: 48\nORBextractor.nFeatures: 1000\n",
    "cameras.txt": "# camera list\n1 OPENCV 64 48 50 50 32 24 0.1 0 0 0\n2 FOV 64 48 50 50 32 24 0.9\n",
    "dso.txt": "FOV 0.8 1.0 0.5 0.5 0.9\n64 48\ncrop\n64 48\n",
    "numbers.txt": "50 50 31 23 0.1 0 0 0\n",
    "matrix.txt": "50 0 31\n0 50 23\n0 0 1\n",
    "opencv.xml": '<?xml version="1.0"?>\n<opencv_storage>\n<image_width>64</image_width><image_heig'
    "ht>48</image_height>\n"
    '<camera_matrix type_id="opencv-matrix"><rows>3</rows><cols>3</cols><dt>d</dt><data>50. 0. 31. 0. 50. 23. 0. 0. 1.'
    "</data></camera_matrix></opencv_storage>\n",
}
WORDS = (
    b"fisheye",
    b"equidistant",
    b"ds",
    b"eucm",
    b"omni",
    b"fov",
    b"rational_polynomial",
    b"data",
    b"intrinsics",
    b"camera_matrix",
    b"projection_parameters",
    b"OPENCV_FISHEYE",
    b"mu",
    b"roi",
    b"cam0:",
    b"&a",
    b"*a",
    b"!!binary",
    b"!!set",
    b"2001-01-01",
)
NAMES = [
    "width",
    "height",
    "fx",
    "fy",
    "cx",
    "cy",
    "k1",
    "k2",
    "k3",
    "k4",
    "p1",
    "p2",
    "distortion",
    "distortion_model",
    "camera_matrix",
    "intrinsics",
    "resolution",
    "camera",
    "cam0",
    "cam1",
    "Camera.fx",
    "Camera.fy",
    "Camera.type",
    "frames",
    "fl_x",
    "camera_angle_x",
    "cameras",
    "projection_type",
    "projection_parameters",
    "roi",
    "focal",
    "camera_model",
    "xi",
    "alpha",
    "K",
    "D",
    "w",
    "h",
    "value0",
]


def samples() -> list[Files]:
    """One file each, called so that the folder's reader finds it."""
    return [{name: text.encode()} for name, text in TEXTS.items()] + [{"a.npz": _npz()}, {"a.npy": _npy()}]


def _npz() -> bytes:
    file = BytesIO()
    np.savez_compressed(file, camera_matrix=np.array([[50, 0, 31], [0, 50, 23], [0, 0, 1.0]]), dist=np.zeros(5))
    return file.getvalue()


def _npy() -> bytes:
    file = BytesIO()
    np.save(file, np.array([[50, 0, 31], [0, 50, 23], [0, 0, 1.0]]))
    return file.getvalue()


def read(folder: Path) -> None:
    """Each file, and what is made of its camera; the size of the images stands in for one that is not stated."""
    for path in sorted(folder.iterdir()):
        lines: list[str] = []
        for is_chosen in (False, True):
            camera = read_calibration(path, SIZE, lines.append, is_chosen)
            if camera is not None:
                fitted, _ = fit_to_image(camera, *SIZE)
                doubts(fitted)
                if fitted.is_distorted or fitted.is_fisheye:
                    Undistorter(fitted)(np.zeros((SIZE[1], SIZE[0]), np.uint8))


INVENTED = st.one_of(
    st.tuples(st.sampled_from(["a.json", "a.yaml"]), documents(NAMES).map(as_json)),
    st.tuples(st.sampled_from(["a.txt", "a.yaml"]), ROWS),
    st.tuples(st.sampled_from(["a.json", "a.yaml", "a.txt", "a.xml"]), NESTED),
).map(lambda pair: {pair[0]: pair[1]})
PARSERS = [Parser("calibration", mostly(mutated_files(samples, WORDS), INVENTED), read)]
