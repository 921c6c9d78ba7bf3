"""Layouts of programs, each number worked out by hand from the program's own conventions. Images have 640x480 px."""

from math import pi
from typing import Any

import pytest

from vgslam.sources.calibration.document import read_named, rows_of
from vgslam.sources.calibration.fields import Fields, number, numbers
from vgslam.sources.calibration.flat import read_flat
from vgslam.sources.calibration.groups import unwrapped
from vgslam.sources.calibration.photogrammetry import ALICEVISION, METASHAPE, OPENMVG, SCANNET
from vgslam.sources.calibration.reconstructions import _COLMAP, COLMAP, MODELS, NERFSTUDIO, OPEN3D, OPENSFM
from vgslam.sources.calibration.slam_systems import DSO, KALIBR, KITTI, NUMBERS, ORB_SLAM
from vgslam.sources.calibration.stated import NotCalibrated, Stated

SIZE = (640, 480)


def four(s: Stated) -> tuple[float, float, float | None, float | None]:
    return s.fx, s.fy, s.cx, s.cy


# -- nerfstudio


def nerf(**fields: Any) -> Stated:
    return NERFSTUDIO.read({"w": 640, "h": 480, "frames": [], **fields}, None)


def test_nerfstudio_counts_pixels_from_the_corner_of_the_image() -> None:
    assert four(nerf(fl_x=500, fl_y=510, cx=320, cy=241)) == (500, 510, 319.5, 240.5)
    assert four(nerf(fl_x=500, camera_angle_x=1.0)) == (500, 500, None, None)
    assert nerf(camera_angle_x=pi / 2).fy == pytest.approx(320)
    wide = nerf(camera_angle_x=pi / 2, camera_angle_y=pi / 2)
    assert (wide.fx, wide.fy) == pytest.approx((320, 240))
    assert NERFSTUDIO.read({"camera_angle_x": pi / 2, "frames": []}, (800, 600)).fx == pytest.approx(400)


def test_nerfstudio_says_opencv_for_radtan_and_k4_for_a_fisheye_alone() -> None:
    bent = nerf(fl_x=500, camera_model="OPENCV", k1=0.1, p2=0.2)
    assert (bent.model, bent.coefficients) == ("radtan", (0.1, 0, 0, 0.2))
    fisheye = nerf(fl_x=500, camera_model="OPENCV_FISHEYE", k1=0.1, k4=0.4)
    assert (fisheye.model, fisheye.coefficients) == ("OPENCV_FISHEYE", (0.1, 0, 0, 0.4))
    assert nerf(fl_x=500, is_fisheye=True, k4=0.4).coefficients == (0, 0, 0, 0.4)
    for model in ("OPENCV", None):
        with pytest.raises(ValueError, match="k4 of transforms"):
            nerf(fl_x=500, camera_model=model, k4=0.4)


def frame(name: str, fl: float | None = None) -> dict[str, Any]:
    return {"file_path": name, "transform_matrix": [[1]], **({} if fl is None else {"fl_x": fl, "w": 640, "h": 480})}


def test_cameras_of_single_frames_of_nerfstudio() -> None:
    scene = {"frames": [frame("a", 500), frame("b", 500), frame("c", 400)]}
    assert NERFSTUDIO.matches(scene)
    assert NERFSTUDIO.matches({"frames": [frame("a")]})
    assert not NERFSTUDIO.matches({"frames": []})
    assert not NERFSTUDIO.matches({"frames": [{"file_path": "a"}]})
    cameras = NERFSTUDIO.cameras(scene)
    assert list(cameras) == ["a", "c"]
    assert [NERFSTUDIO.read(camera, None).fx for camera in cameras.values()] == [500, 400]
    assert NERFSTUDIO.cameras({"frames": scene["frames"][:2]}) == {}
    for above in ("fl_x", "camera_angle_x"):
        assert NERFSTUDIO.cameras({**scene, above: 1.0}) == {}
    assert NERFSTUDIO.read({"fl_x": 300, **scene}, SIZE).fx == 300
    assert NERFSTUDIO.read({"camera_angle_x": pi / 2, **scene}, SIZE).fx == pytest.approx(320)


# -- OpenSfM, Open3D, COLMAP


@pytest.mark.parametrize(("w", "h", "larger"), [(640, 480, 640), (480, 640, 640)])
def test_opensfm_measures_in_the_larger_side_from_the_middle(w: int, h: int, larger: int) -> None:
    camera = {"projection_type": "brown", "width": w, "height": h, "focal_x": 0.8, "focal_y": 0.9, "c_x": 0.01,
              "c_y": -0.02, "k1": 0.1, "p2": 0.2}  # fmt: skip
    read = OPENSFM.read({"cameras": {"one": camera}}, None)
    assert four(read) == pytest.approx((0.8 * larger, 0.9 * larger, (w - 1) / 2 + 6.4, (h - 1) / 2 - 12.8))
    assert read.coefficients == (0.1, 0, 0, 0.2)
    plain = OPENSFM.read({"one": {"projection_type": "perspective", "focal": 0.8, "k1": 0.1, "k2": 0.2}}, (w, h))
    assert four(plain) == pytest.approx((512, 512, (w - 1) / 2, (h - 1) / 2))
    assert not OPENSFM.matches({"cameras": {"one": {"focal": 0.8}}})
    with pytest.raises(ValueError, match="width and height are missing"):
        OPENSFM.read({"one": {"projection_type": "perspective", "focal": 0.8}}, None)


def test_the_views_of_open3d_with_cameras_of_their_own() -> None:
    def view(f: float) -> dict[str, Any]:
        return {"intrinsic": {"width": 640, "height": 480, "intrinsic_matrix": [f, 0, 0, 0, f, 0, 319.5, 239.5, 1]}}

    same, different = {"parameters": [view(500), view(500)]}, {"parameters": [view(500), view(500), view(400)]}
    assert OPEN3D.matches(same)
    assert not OPEN3D.matches({"parameters": [{"intrinsic": {}}, {"intrinsic": "intrinsic_matrix"}]})
    assert four(OPEN3D.read(same, None)) == (500, 500, 319.5, 239.5)
    assert OPEN3D.cameras(same) == {}
    assert list(OPEN3D.cameras(different)) == ["parameters[0]", "parameters[2]"]


NUMBERS_OF = {"f": 500.0, "fx": 500.0, "fy": 510.0, "cx": 320.5, "cy": 240.5}
KNOWN = {"radtan": "k1 k2 p1 p2 k3 k4 k5 k6", "fisheye": "k1 k2 k3 k4", "fov": "w", "eucm": "alpha beta", "pinhole": ""}


@pytest.mark.parametrize("model", _COLMAP)
def test_parameters_of_colmaps_models_by_their_names(model: str) -> None:
    """The n-th coefficient is n tenths; those that the lens does not have have to be 0."""
    lens, order = _COLMAP[model]
    of = {name: (i + 1) / 10 for i, name in enumerate(KNOWN[lens].split())}
    values = [NUMBERS_OF.get(name, of.get(name, 0.0)) for name in order.split()]
    read = COLMAP.read([["1", model, "640", "480", *map(str, values)]], None)
    fy = 500.0 if "f" in order.split() else 510.0
    assert (four(read), read.size, read.model) == ((500.0, fy, 320.0, 240.0), SIZE, lens)
    assert read.coefficients == tuple(of[name] if name in order.split() else 0.0 for name in KNOWN[lens].split())
    left = [i for i, name in enumerate(order.split()) if name not in NUMBERS_OF and name not in of]
    for i in left:
        with pytest.raises(ValueError, match=f"with {order.split()[i]} is not supported"):
            COLMAP.read([["1", model, "640", "480", *(str(v + (n == i)) for n, v in enumerate(values))]], None)
    with pytest.raises(ValueError, match=f"got {len(values) - 1} numbers"):
        COLMAP.read([["1", model, "640", "480", *map(str, values[:-1])]], None)
    assert next(n for name, n in MODELS.values() if name == model) == len(values)


@pytest.mark.parametrize(("row", "is_one"), [
    ("1 PINHOLE 640 480 500 500 320 240", True), ("a.png PINHOLE 640 480 500 500 320 240", True),
    ("a.png NONE 640 480 500 500 320 240", False), ("1 NEW 640 480 500", True), ("1 NEW 640 480", False),
    ("1 2 640 480 500 500 320 240", False), ("1 PINHOLE 640 480 500 x", False), ("1 PINHOLE x 480 500 1 2", False),
])  # fmt: skip
def test_a_row_of_colmap(row: str, is_one: bool) -> None:
    assert COLMAP.matches(rows_of(row)) is is_one


# -- OpenMVG, AliceVision, ScanNet


def mvg(**data: Any) -> dict[str, Any]:
    own = {"focal_length": 500, "principal_point": [320, 241], **data}
    return {"sfm_data_version": "0.3", "intrinsics": [{"value": {"ptr_wrapper": {"data": own}}}]}


def test_a_camera_of_openmvg_of_the_size_of_the_images_or_its_own() -> None:
    assert OPENMVG.matches(mvg())
    assert not OPENMVG.matches({"intrinsics": []})
    assert OPENMVG.read(mvg(), SIZE).size == SIZE
    assert OPENMVG.read(mvg(width=800), SIZE).size == OPENMVG.read(mvg(height=600), SIZE).size == SIZE
    assert OPENMVG.read(mvg(width=800, height=600), SIZE).size == (800, 600)
    inner = {"disto_k1": [0.1], "value0": {"focal_length": 400, "principal_point": [1, 2]}}
    newer = {"sfm_data_version": "0.3", "intrinsics": [{"value": {"ptr_wrapper": {"data": inner}}}]}
    assert four(OPENMVG.read(newer, SIZE)) == (400, 400, 1, 2)
    assert OPENMVG.read(mvg(k1=[0.1]), SIZE).coefficients == (0.1, 0, 0, 0, 0)
    assert OPENMVG.cameras(mvg()) == {}
    two = {"sfm_data_version": "0.3", "intrinsics": [{"key": 4}, {}]}
    assert list(OPENMVG.cameras(two)) == ["4", "1"]


def alice(**more: Any) -> dict[str, Any]:
    return {"intrinsics": [{"intrinsicId": "9", "width": 640, "height": 480, **more}]}


@pytest.mark.parametrize(("given", "middle"), [
    ([0, 0], (319.5, 239.5)), ([159, 119], (478.5, 358.5)), ([161, 0], (161, 0)), ([0, 121], (0, 121)),
    ([-159, -119], (160.5, 120.5)), ([-161, 0], (-161, 0)),
])  # fmt: skip
def test_a_principal_point_of_alicevision_is_from_the_middle_where_it_is_near(
    given: list[float], middle: tuple[float, float]
) -> None:
    """Within a quarter of the image, which are 160 and 120 px."""
    read = ALICEVISION.read(alice(pxFocalLength=500, principalPoint=given), None)
    assert (read.cx, read.cy) == middle


def test_a_focal_length_of_alicevision_in_pixels_goes_before_millimetres() -> None:
    mm = {"focalLength": 18, "sensorWidth": 36}
    assert four(ALICEVISION.read(alice(**mm), None)) == (320, 320, 319.5, 239.5)
    assert ALICEVISION.read(alice(**mm, pxFocalLength=[500, 510]), None).fx == 500
    assert ALICEVISION.read(alice(**mm, pxFocalLength=[]), None).fy == 320
    assert not ALICEVISION.matches({"intrinsics": []})
    assert not ALICEVISION.matches({"intrinsics": [{"key": 1}]})
    for left_out in ("width", "height"):
        camera = alice(pxFocalLength=500)
        del camera["intrinsics"][0][left_out]
        assert ALICEVISION.read(camera, (800, 600)).size == (800, 600)
        with pytest.raises(ValueError, match="width and height are missing"):
            ALICEVISION.read(camera, None)


@pytest.mark.parametrize(("kind", "given", "model", "k"), [
    ("pinhole", [], "pinhole", ()), ("radial1", [0.1], "radtan", (0.1, 0, 0, 0, 0)),
    ("brown", [0.1, 0.2, 0.3, 0.4, 0.5], "radtan", (0.1, 0.2, 0.4, 0.5, 0.3)), ("fisheye1", [0.9], "fov", (0.9,)),
    ("fisheye4", [0.1, 0.2, 0.3, 0.4], "fisheye", (0.1, 0.2, 0.3, 0.4)), ("radial3", None, "radtan", (0,) * 5),
])  # fmt: skip
def test_lenses_of_alicevision(kind: str, given: list[float] | None, model: str, k: tuple[float, ...]) -> None:
    read = ALICEVISION.read(alice(type=kind, pxFocalLength=500, distortionParams=given), None)
    assert (read.model, read.coefficients) == (model, k)


def test_scannet_has_the_colour_camera() -> None:
    plain = {"fx_color": 500, "fy_color": 510, "mx_color": 320, "my_color": 241}
    assert (four(SCANNET.read(plain, SIZE)), SCANNET.read(plain, SIZE).size) == ((500, 510, 320, 241), SIZE)
    assert SCANNET.read({**plain, "colorWidth": 800, "colorHeight": 600}, SIZE).size == (800, 600)
    assert SCANNET.read({**plain, "colorWidth": 800}, SIZE).size == SIZE
    rows = [500, 1, 320, 0, 2, 510, 241, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    assert four(SCANNET.read({"m_calibrationColorIntrinsic": rows}, SIZE)) == (500, 510, 320, 241)


# -- SLAM systems


def test_settings_of_orb_slam() -> None:
    one = {"Camera.type": "PinHole", "Camera.fx": 500, "Camera.fy": 510, "Camera.cx": 320, "Camera.cy": 241,
           "Camera.k1": 0.1, "Camera.width": 640, "Camera.height": 480, "Camera.newWidth": 99,
           "Camera.newHeight": 9, "ORBextractor.nFeatures": 1000}  # fmt: skip
    assert ORB_SLAM.matches(one)
    assert not ORB_SLAM.matches({"ORBextractor.nFeatures": 1000})
    read = ORB_SLAM.read(one, None)
    assert (four(read), read.size, read.coefficients) == ((500, 510, 320, 241), SIZE, (0.1, 0, 0, 0))
    assert ORB_SLAM.cameras(one) == {}
    two = {"Camera.width": 640, "Camera1.fx": 500, "Camera2.fx": 400, "Camera2.k1": 0.2}
    cameras = ORB_SLAM.cameras(two)
    assert list(cameras) == ["Camera1", "Camera2"]
    assert [ORB_SLAM.read(c, SIZE).fx for c in cameras.values()] == [500, 400]
    assert [ORB_SLAM.read(c, SIZE).coefficients for c in cameras.values()] == [(), (0.2, 0, 0, 0)]
    assert ORB_SLAM.read({"Camera.type": "Rectified", "Camera1.fx": 500}, SIZE).model == "rectified"


def test_cameras_of_a_chain_of_kalibr() -> None:
    chain = {"cam10": {"intrinsics": [5, 5, 3, 2]}, "cam2": {"intrinsics": [4, 4, 3, 2]}, "cam3": {"T": 1}, "imu0": 1}
    assert KALIBR.matches(chain)
    assert not KALIBR.matches({"cam0": {"fx": 1}})
    assert list(KALIBR.cameras(chain)) == ["cam2", "cam10"]
    assert four(KALIBR.read({"cam0": {"intrinsics": [500, 510, 320, 241]}}, SIZE)) == (500, 510, 320, 241)


@pytest.mark.parametrize(("model", "values", "distortion", "k"), [
    ("ds", [-0.2, 0.6, 500, 510, 320, 241], ("none", []), (-0.2, 0.6)),
    ("eucm", [0.6, 1.1, 500, 510, 320, 241], ("none", []), (0.6, 1.1)),
    ("omni", [1.1, 500, 510, 320, 241], ("radtan", [0.1, 0.2, 0, 0]), (1.1, 0.1, 0.2, 0, 0)),
    ("omni", [1.1, 500, 510, 320, 241], ("none", [0.1]), (1.1,)),
])  # fmt: skip
def test_lenses_of_kalibr_have_their_own_numbers_first(
    model: str, values: list[float], distortion: tuple[str, list[float]], k: tuple[float, ...]
) -> None:
    camera = {"camera_model": model, "intrinsics": values, "distortion_model": distortion[0],
              "distortion_coeffs": distortion[1]}  # fmt: skip
    read = KALIBR.read({"cam0": camera}, SIZE)
    assert (four(read), read.model, read.coefficients) == ((500, 510, 320, 241), model, k)
    with pytest.raises(ValueError, match=f"are {len(values)} numbers, got {len(values) - 1}"):
        KALIBR.read({"cam0": {**camera, "intrinsics": values[1:]}}, SIZE)
    wrong = {**camera, "distortion_model": "equidistant", "distortion_coeffs": [0.1, 0, 0, 0]}
    with pytest.raises(ValueError, match="is not supported; use one of them"):
        KALIBR.read({"cam0": wrong}, SIZE)


def test_projections_of_kitti() -> None:
    P = "700 0 320 -300 0 710 241 0 0 0 1 0"
    assert KITTI.matches({"P0": P})
    assert KITTI.matches({"P_rect_00": P})
    assert not KITTI.matches({"P1": [[1]], "P2": [[1]]})
    read = KITTI.read({"P0": P}, None)
    assert (four(read), read.model) == ((700, 710, 320, 241), "pinhole")


# -- rows, text, fields


@pytest.mark.parametrize(("text", "four_", "size", "model", "k"), [
    ("Pinhole 500 510 320 241 0\n640 480\ncrop\n", (500, 510, 320, 241), SIZE, "pinhole", ()),
    ("500 510 320 241 0.9\n640 480\ncrop\n640 480\n", (500, 510, 320, 241), SIZE, "fov", (0.9,)),
    ("0.5 0.6 0.5 0.5 0.9\n640 480\ncrop\n", (320, 288, 319.5, 239.5), SIZE, "fov", (0.9,)),
    ("RadTan 500 510 320 241 .1 .2 0 0\n640 480\n", (500, 510, 320, 241), SIZE, "radtan", (0.1, 0.2, 0, 0)),
    ("EquiDistant 500 510 320 241 0 0 0 0\n640 480\n", (500, 510, 320, 241), SIZE, "fisheye", (0, 0, 0, 0)),
    ("Pinhole 500 510 320 241\n", (500, 510, 320, 241), (9, 9), "pinhole", ()),
])  # fmt: skip
def test_rows_of_dso(text: str, four_: tuple[float, ...], size: Any, model: str, k: tuple[float, ...]) -> None:
    rows = rows_of(text)
    assert DSO.matches(rows)
    read = DSO.read(rows, (9, 9))
    assert (four(read), read.size, read.model, read.coefficients) == (four_, size, model, k)


def test_rows_that_are_no_camera_of_dso() -> None:
    for text in ("500 510 320 241\n640 480\ncrop\n", "500 510 320 241 0.9\n640 480\n", "Pinhole 500 x 320 241\n"):
        assert not DSO.matches(rows_of(text))
    with pytest.raises(ValueError, match="got 3 numbers"):
        DSO.read(rows_of("Pinhole 500 510 320\n640 480"), None)
    with pytest.raises(ValueError, match="second row"):
        DSO.read(rows_of("Pinhole .5 .6 .5 .5\n"), None)


@pytest.mark.parametrize(("text", "four_", "k"), [
    ("500 510 320 241", (500, 510, 320, 241), ()), ("500,510,320,241,0", (500, 510, 320, 241), ()),
    ("500 510 320 241 .1 .2 0 0", (500, 510, 320, 241), (0.1, 0.2, 0, 0)),
    ("500 0 320\n0 510 241\n0 0 1", (500, 510, 320, 241), ()),
    ("500 0 320 0\n0 510 241 0\n0 0 1 0\n0 0 0 1", (500, 510, 320, 241), ()),
])  # fmt: skip
def test_rows_of_numbers(text: str, four_: tuple[float, ...], k: tuple[float, ...]) -> None:
    rows = rows_of(text)
    assert NUMBERS.matches(rows)
    assert (four(NUMBERS.read(rows, None)), NUMBERS.read(rows, None).coefficients) == (four_, k)


@pytest.mark.parametrize(("text", "says"), [
    ("500 510 320 241 .1", "a fifth number"), ("1 2 3", "needs one row"), ("1 2 3 4 5 6", "six numbers"),
    ("1 2 3 4\n1 2 3 4", "needs one row"), ("500 9 320\n0 510 241\n0 0 1", "no camera matrix"),
    ("500 0 320\n9 510 241\n0 0 1", "no camera matrix"), ("500 0 320\n0 510 241\n0 0 2", "no camera matrix"),
])  # fmt: skip
def test_rows_of_other_numbers(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        NUMBERS.read(rows_of(text), None)


METASHAPE_XML = {"projection": "frame", "width": 640, "height": 480, "f": 500, "cx": 1, "cy": -2, "b1": 10, "k1": 0.1,
                 "k2": 0.2, "k3": 0.3, "p1": 0.4, "p2": 0.5}  # fmt: skip


def test_metashape_counts_from_the_middle_and_changes_p1_and_p2() -> None:
    read = METASHAPE.read(METASHAPE_XML, None)
    assert (four(read), read.size) == ((510, 500, 320.5, 237.5), SIZE)
    assert (read.model, read.coefficients) == ("radtan", (0.1, 0.2, 0.5, 0.4, 0.3))
    wide = {"projection": "fisheye", "width": 640, "height": 480, "f": 300, "k1": 0.1, "k4": 0.4}
    assert (METASHAPE.read(wide, None).model, METASHAPE.read(wide, None).coefficients) == ("fisheye", (0.1, 0, 0, 0.4))
    assert METASHAPE.matches(METASHAPE_XML)
    assert not METASHAPE.matches({"f": 500, "width": 640})


@pytest.mark.parametrize(("changes", "says"), [
    ({"k4": 0.1}, "k4"), ({"p3": 0.1}, "p3"), ({"p4": 0.1}, "p4"), ({"b2": 0.53}, "b2"), ({"f": 0}, "positive"),
    ({"width": 0}, "positive"), ({"projection": "spherical"}, "is not supported"),
    ({"projection": "fisheye"}, "p1 .*p2"),
])  # fmt: skip
def test_terms_of_metashape_that_opencv_does_not_have(changes: dict[str, Any], says: str) -> None:
    """A skew of .52 shifts the far corner by .52 480 / 500 = .4992 px, one of .53 by .509."""
    with pytest.raises(ValueError, match=says):
        METASHAPE.read(METASHAPE_XML | changes, None)
    METASHAPE.read(METASHAPE_XML | {"b2": 0.52}, None)


def test_text_with_a_name_and_a_value_in_each_line() -> None:
    assert read_named("fx 500\nfy 510.5\nmodel 1 2\n") == {"fx": 500, "fy": 510.5, "model": [1, 2]}
    assert read_named("# a\nfx = 500\n[left]\nfx = 400\n") == {"fx": 500, "left": {"fx": 400}}
    assert read_named("name = a b\nfx = [1, 2]") == {"name": "a b", "fx": [1, 2]}
    for other in ("", "# only", "fx: 500", "fx 500\nhello", "[left]\n[right]"):
        assert read_named(other) is None


def test_fields_by_any_of_their_names() -> None:
    fields = Fields({"Camera_Matrix": 1, "K1": [[1]], "k1": 0.1, "fx": None, "lens": "", "skew": 0, "d": [0, 0],
                     "p1": 3})  # fmt: skip
    assert fields.first("mtx", "cameramatrix") == 1
    assert fields.first("m1") == [[1]]
    assert (fields.number("k1"), fields.number("fx")) == (0.1, None)
    assert fields.has("fx")
    assert not fields.has("fy")
    assert fields.unused() == ["p1"]
    assert Fields({"k": [1, 2]}).has_numbers("k")
    assert Fields({"k": "1 2"}).has_numbers("k")
    assert Fields({"k": {"data": [1]}}).has_numbers("k")
    assert not Fields({"k": [{"a": 1}]}).has_numbers("k")
    assert not Fields({"k": {"a": 1}}).has_numbers("k")
    assert (number("a", "2.5"), number("a", [3])) == (2.5, 3.0)
    assert (numbers("a", "[1, 2]"), numbers("a", None), numbers("a", {"data": [[1], [2]]})) == ([1, 2], [], [1, 2])
    for wrong in ([1, 2], "x"):
        with pytest.raises(ValueError, match="camera a must be a number"):
            number("a", wrong)


def test_a_camera_within_takes_what_stands_beside_it() -> None:
    given = {"rate": 5, "D": [1], "cam": {"fx": 500}, "other": {"fx": 1}}
    assert unwrapped(given) == {"rate": 5, "D": [1], "fx": 500, "other": {"fx": 1}}
    sizes = {"resolution": [[1, 2], [3, 4]]}
    assert unwrapped({**sizes, "cam": {"fx": 500}}) == {**sizes, "fx": 500}
    assert unwrapped({"depth": {"fx": 500}}) == {"depth": {"fx": 500}}, "a depth camera alone is none"
    assert unwrapped({"distortion": {"type": "fov", "parameters": [1]}, "fx": 5}) == {
        "distortion_type": "fov", "distortion_parameters": [1], "fx": 5,
    }  # fmt: skip
    with pytest.raises(NotCalibrated):
        read_flat({"K": [[0, 0, 0]] * 3}, SIZE)
