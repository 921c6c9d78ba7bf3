"""What decides about a calibration, from both sides of each limit. Images have 640x480 px."""

import json
from pathlib import Path
from typing import Any

import pytest

from vgslam.errors import CalibrationError
from vgslam.sources.calibration import camera_from_document, check_plausible, doubts, read_calibration
from vgslam.sources.calibration.flat import read_flat, whole_size
from vgslam.sources.calibration.lens import make_camera
from vgslam.sources.calibration.plausible import check_stated_size
from vgslam.sources.calibration.read import choose, listed, note
from vgslam.types import Camera

SIZE = (640, 480)
K = [[500, 0, 320], [0, 510, 241], [0, 0, 1]]
FOUR = {"fx": 500, "fy": 510, "cx": 320, "cy": 241}


def camera(**changes: float) -> Camera:
    return Camera(**({"fx": 500, "fy": 500, "cx": 320, "cy": 240} | changes), width=640, height=480)


def four(c: Camera | None) -> tuple[float, float, float, float]:
    assert c is not None
    return c.fx, c.fy, c.cx, c.cy


def coefficients(**fields: Any) -> tuple[float, ...]:
    return read_flat({**FOUR, **fields}, SIZE).coefficients


# -- plausible


@pytest.mark.parametrize(("inside", "beyond"), [
    ({"cx": 12.9}, {"cx": 12.7}), ({"cx": 626.1}, {"cx": 626.3}), ({"cy": 9.7}, {"cy": 9.5}),
    ({"cy": 469.3}, {"cy": 469.5}),
])  # fmt: skip
def test_a_principal_point_is_at_the_border_within_a_fiftieth_of_the_image(
    inside: dict[str, float], beyond: dict[str, float]
) -> None:
    check_plausible(camera(**inside))
    with pytest.raises(ValueError, match="at the border"):
        check_plausible(camera(**beyond))


@pytest.mark.parametrize(("at_border", "outside"), [
    ({"cx": -0.4}, {"cx": -0.6}), ({"cx": 639.4}, {"cx": 639.6}), ({"cy": -0.4}, {"cy": -0.6}),
    ({"cy": 479.4}, {"cy": 479.6}),
])  # fmt: skip
def test_the_image_reaches_half_a_pixel_beyond_the_middles_of_the_outermost(
    at_border: dict[str, float], outside: dict[str, float]
) -> None:
    for change, what in ((at_border, "at the border"), (outside, "outside the image")):
        with pytest.raises(ValueError, match=what):
            check_plausible(camera(**change))


@pytest.mark.parametrize(("near", "far"), [
    ({"cx": 415.4}, {"cx": 415.6}), ({"cx": 223.6}, {"cx": 223.4}), ({"cy": 311.4}, {"cy": 311.6}),
    ({"cy": 167.6}, {"cy": 167.4}),
])  # fmt: skip
def test_a_principal_point_is_doubted_from_three_twentieths_of_the_image_off(
    near: dict[str, float], far: dict[str, float]
) -> None:
    assert doubts(camera(**near)) == []
    assert len(doubts(camera(**far))) == 1


def test_pixels_are_nearly_square() -> None:
    assert doubts(camera(fy=549)) == doubts(camera(fx=549)) == []
    assert len(doubts(camera(fy=551))) == len(doubts(camera(fx=551))) == 1
    for changes in ({"fy": 851}, {"fx": 851}):
        with pytest.raises(ValueError, match=r"differ by a factor of 1\.7"):
            check_plausible(camera(**changes))
    check_plausible(camera(fy=849))
    check_plausible(camera(fx=849))


@pytest.mark.parametrize("changes", [{"fy": 11}, {"fx": 11}, {"cx": 11}, {"cy": 11}])
def test_what_is_normalised_is_all_below_ten(changes: dict[str, float]) -> None:
    tiny = {"fx": 0.8, "fy": 0.8, "cx": 0.5, "cy": 0.5}
    with pytest.raises(ValueError, match="normalised"):
        check_plausible(camera(**tiny))
    with pytest.raises(ValueError, match=r"^((?!normalised).)*$"):
        check_plausible(camera(**(tiny | changes)))


def test_numbers_in_another_order_are_known_by_a_middle_within_a_twenty_fifth() -> None:
    """0.08 of 640 is 51.2, of 480 38.4: twice the distance from the middles 319.5 and 239.5."""
    with pytest.raises(ValueError, match=r"width and height, or cx and cy, are in the wrong order"):
        check_plausible(camera(cx=258.6, cy=345.0))
    check_plausible(camera(cx=258.8, cy=345.0))
    check_plausible(camera(cx=258.6, cy=345.2))
    with pytest.raises(ValueError, match=r"fx 500, fy 500, cx 345, cy 258\.6 would fit"):
        check_plausible(camera(fx=345, fy=258.6, cx=500, cy=500))
    for changes in ({"fx": 345.2, "fy": 258.6}, {"fx": 345, "fy": 258.8}):
        with pytest.raises(ValueError, match="outside the image"):
            check_plausible(camera(**changes, cx=500, cy=500))
    for cy in (560, -300):  # 500 and 560 are no fx and fy, nor are 500 and -300
        with pytest.raises(ValueError, match="outside the image"):
            check_plausible(camera(fx=320, fy=240, cx=500, cy=cy))


@pytest.mark.parametrize(("fx", "is_possible"), [(28.1, True), (27.9, False), (12210, True), (12230, False)])
def test_fields_of_view_of_pinholes(fx: float, is_possible: bool) -> None:
    """320 / tan 85 deg = 28.0 px; 320 / tan 1.5 deg = 12,220 px."""
    if is_possible:
        check_plausible(camera(fx=fx, fy=fx))
    else:
        with pytest.raises(ValueError, match="field of view"):
            check_plausible(camera(fx=fx, fy=fx))


@pytest.mark.parametrize(("cx", "cy", "is_of_another_size"), [
    (159.5, 119.5, True), (639.5, 479.5, True), (225.3, 163.7, False), (220.3, 163.7, True), (159.5, 143.5, False),
    (159.5, 239.5, False),
])  # fmt: skip
def test_a_principal_point_in_the_middle_of_another_image(cx: float, cy: float, is_of_another_size: bool) -> None:
    """At .5 and 2 of the size; at .705 and .684 one is too near; .689 and .684; .5 and .6 are of no image."""
    given = Camera(500, 500, cx, cy, *SIZE)
    if is_of_another_size:
        with pytest.raises(ValueError, match=f"about {round(2 * cx + 1)}x{round(2 * cy + 1)}, and"):
            check_stated_size(given)
    else:
        check_stated_size(given)


@pytest.mark.parametrize(("p", "n"), [((0.019, 0.0), 0), ((0.021, 0.0), 1), ((0.0, -0.021), 1), ((0.0, -0.019), 0)])
def test_large_tangential_coefficients_may_be_those_of_a_fisheye(p: tuple[float, float], n: int) -> None:
    lines = doubts(Camera(500, 500, 320, 240, *SIZE, (0.1, 0.1, *p)))
    assert len(lines) == n
    assert all("add distortion_model: fisheye" in line for line in lines)
    assert doubts(Camera(500, 500, 320, 240, *SIZE, (0.1, 0.1, 0.1, 0.1), True)) == []


# -- fields side by side


def test_one_focal_length_stands_for_both() -> None:
    for fields in ({"fy": 500}, {"fx": 500}, {"focal_length": 500}, {"focal_length": "500"}, {"f": [500]}):
        assert four(camera_from_document(fields, SIZE)) == (500, 500, 319.5, 239.5)
    assert four(camera_from_document({"focal_length": [500, 510]}, SIZE)) == (500, 510, 319.5, 239.5)
    assert four(camera_from_document({"f": 500, "fy": 510}, SIZE))[:2] == (500, 510)
    assert four(camera_from_document({"f": 500, "pixel_aspect_ratio": 1.1}, SIZE))[:2] == pytest.approx((500, 550))


@pytest.mark.parametrize(("width", "height", "size"), [(0, 0, None), (640, 480, SIZE), (640.0, 480.0, SIZE)])
def test_a_size_is_two_whole_numbers(width: float, height: float, size: tuple[int, int] | None) -> None:
    assert whole_size(width, height) == size


@pytest.mark.parametrize(("width", "height", "name"), [
    (0, 480, "width"), (640, 0, "height"), (640.5, 480, "width"), (640, -480, "height"), (1e6, 480, "width"),
])  # fmt: skip
def test_what_is_no_size_is_named(width: float, height: float, name: str) -> None:
    with pytest.raises(ValueError, match=f"camera {name} must be a positive whole number"):
        whole_size(width, height)


def test_half_a_size_is_none() -> None:
    for half in ({"width": 1000}, {"height": 1000}):
        assert read_flat({**FOUR, **half}, SIZE).size is None


@pytest.mark.parametrize(("skew", "is_possible"), [(4.9, True), (5.1, False), (-5.1, False)])
def test_a_matrix_has_hardly_any_skew(skew: float, is_possible: bool) -> None:
    fields = {"K": [[500, skew, 320], [0, 510, 241], [0, 0, 1]]}
    if is_possible:
        assert four(camera_from_document(fields, SIZE)) == (500, 510, 320, 241)
    else:
        with pytest.raises(ValueError, match="must be"):
            camera_from_document(fields, SIZE)


def test_whole_matrices_have_no_coefficients_behind_them() -> None:
    rows = [*K[0], 0, *K[1], 0, *K[2], 0, 0, 0, 0, 1]
    columns = [500, 0, 0, 0, 510, 0, 320, 241, 1]
    for values in (rows, columns, [*K[0], *K[1], *K[2]]):
        read = read_flat({"intrinsics": values}, SIZE)
        assert (read.fx, read.fy, read.cx, read.cy, read.coefficients) == (500, 510, 320, 241, ())
    assert read_flat({"intrinsics": [500, 510, 320, 241, 0.1, 0.2, 0, 0]}, SIZE).coefficients == (0.1, 0.2, 0, 0)
    assert read_flat({"K": K, "intrinsics": [9, 9, 9, 9, 0.1, 0.2, 0, 0]}, SIZE).coefficients == ()
    with pytest.raises(ValueError, match=r"must be \[fx, fy, cx, cy\], got 3"):
        read_flat({"intrinsics": [500, 320, 241]}, SIZE)


def test_a_region_has_both_sides_and_may_begin_in_the_corner() -> None:
    def read(**roi: Any) -> tuple[Any, ...]:
        c = camera_from_document({**FOUR, "width": 640, "height": 480, "roi": roi}, (400, 300))
        assert c is not None
        return c.cx, c.cy, c.width, c.height

    assert read(width=400, height=300, x_offset=100, y_offset=50) == (220, 191, 400, 300)
    assert read(width=400, height=300, x_offset=None) == (320, 241, 400, 300)
    assert read(width=400, height=0, x_offset=100) == read(width=0, height=300) == (320, 241, 640, 480)


# -- coefficients


def test_coefficients_by_their_names() -> None:
    assert coefficients(k1=0.1, p2=0.2) == (0.1, 0, 0, 0.2)
    assert coefficients(k1=0.1, k3=0.3) == (0.1, 0, 0, 0, 0.3)
    assert coefficients(k1=0, k2=0) == ()
    assert coefficients(radial=[0.1], tangential=[0.3, 0.4]) == (0.1, 0, 0.3, 0.4)
    assert coefficients(radial=[0.1, 0.2, 0.3]) == (0.1, 0.2, 0, 0, 0.3)
    for wrong in ({"radial": [1, 2, 3, 4]}, {"radial": [1], "tangential": [1]}, {"tangential": [1, 2, 3]}):
        with pytest.raises(ValueError, match="k1 k2"):
            coefficients(**wrong)
    with pytest.raises(ValueError, match="add distortion_model"):
        coefficients(k1=0.1, k4=0.1)
    assert coefficients(k1=0.1, k4=0.1, p1=0.0) == (0.1, 0, 0, 0, 0, 0.1)
    assert coefficients(k4=0.1, distortion_model="radtan") == (0, 0, 0, 0, 0, 0.1)


def test_coefficients_of_wide_lenses() -> None:
    fisheye = {"distortion_model": "fisheye"}
    assert coefficients(**fisheye, k1=0.1, k4=0.4) == (0.1, 0, 0, 0.4)
    assert coefficients(**fisheye, k1=0.1, k2=0.2, k5=0.5) == (0.1, 0.2, 0, 0)
    assert coefficients(**fisheye, mu=500, mv=510, k2=0.2, k3=0.3, k4=0.4, k5=0.5) == (0.2, 0.3, 0.4, 0.5)
    assert coefficients(**fisheye, xi=0.9, k1=0.1) == (0.1, 0, 0, 0)
    assert coefficients(distortion_model="fov", w=0.92) == (0.92,)
    with pytest.raises(ValueError, match="one number, w"):
        coefficients(distortion_model="fov", w=0.92, k1=0.1)
    assert coefficients(distortion_model="ds", xi=-0.2, alpha=0.6) == coefficients(xi=-0.2, alpha=0.6) == (-0.2, 0.6)
    assert coefficients(xi=1.1, k1=0.1, k2=0.2) == (1.1, 0.1, 0.2, 0, 0)
    assert coefficients(xi=1.1, D=[0.1, 0.2, 0, 0]) == (1.1, 0.1, 0.2, 0, 0)
    assert coefficients(xi=1.1, D=[1.2, 0.1, 0.2, 0, 0]) == (1.2, 0.1, 0.2, 0, 0)


def test_a_fisheye_bends_without_coefficients_and_has_four() -> None:
    lens = make_camera((300.0, 300.0, 320.0, 240.0), SIZE, "fisheye", ())
    assert (lens.is_fisheye, lens.distortion) == (True, (0, 0, 0, 0))
    for n in (1, 3, 5):
        with pytest.raises(ValueError, match=f"4 coefficients, got {n}"):
            make_camera((300.0, 300.0, 320.0, 240.0), SIZE, "fisheye", (0.1,) * n)
    with pytest.raises(ValueError, match="at most 14"):
        make_camera((300.0, 300.0, 320.0, 240.0), SIZE, "radtan", (0.1,) * 15)
    assert len(make_camera((300.0, 300.0, 320.0, 240.0), SIZE, "radtan", (0.1,) * 6).distortion) == 8


# -- files of several cameras, and what they say around them


def rig(*focal: float) -> dict[str, Any]:
    """As maplab has it: a list of cameras, each a mapping within."""
    return {"label": "rig", "cameras": [{"camera": {"fx": f, "image_width": 640, "image_height": 480}} for f in focal]}


def read(path: Path, document: Any, name: str = "", said: list[str] | None = None) -> Camera | None:
    (path / "c.json").write_text(json.dumps(document))
    return read_calibration(Path(f"{path / 'c.json'}{name}"), SIZE, None if said is None else said.append, True)


def test_of_cameras_within_a_list_the_one_that_is_taken_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    assert four(read(tmp_path, rig(500, 300), said=said))[0] == 500
    assert "camera cameras[0] (640x480) is used, not cameras[1] (640x480)" in said[0]
    assert four(read(tmp_path, rig(500, 300), "#cameras[1]"))[0] == 300
    said.clear()
    assert four(read(tmp_path, {"calibration": rig(500)}, said=said))[0] == 500
    assert said == []
    assert four(read(tmp_path, {"calibration": rig(500, 300)}, "#cameras[1]"))[0] == 300


def test_a_model_that_stands_around_the_camera_counts(tmp_path: Path) -> None:
    inner = {"fx": 300, "fy": 300, "D": [0.1, 0, 0, 0]}
    for document in ({"distortion_model": "fisheye", "camera": inner},
                     {"distortion_model": "fisheye", "calib": {"camera": inner}}):  # fmt: skip
        c = read(tmp_path, document)
        assert c is not None
        assert c.is_fisheye
    c = read(tmp_path, {"calib": {"k1": 0.1, "lens": {"fx": 300}}})
    assert c is not None
    assert c.distortion == (0.1, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(("name", "text", "what"), [
    ("ost.txt", "# oST version 5.0 parameters\n\n[image]\nwidth\n640\n", "give ost.yaml"),
    ("ost.ini", "[image]\n\nwidth\n640\n\n[narrow_stereo]\n\ncamera matrix\n500 0 320\n", "give ost.yaml"),
    ("results-cam.txt", "Calibration results \n====\nCamera-system parameters:\ncam0 (/cam0/image_raw):\n", "camchain"),
    ("cal.mat", "MATLAB 5.0 MAT-file, Platform: PCWIN64, Created on: Tue", "a file of MATLAB"),
    ("gopro.json", '{"name": "GoPro", "fisheye_params": {"camera_matrix": []}}', "Gyroflow.*fisheye"),
])  # fmt: skip
def test_files_for_other_readers_are_called_by_their_name(name: str, text: str, what: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CalibrationError, match=what):
        read_calibration(tmp_path / name, SIZE, is_chosen=True)


# -- one of several


HELD = {"a": (640, 480), "b": (320, 240), "c": None, "d": (1920, 1080)}


@pytest.mark.parametrize(("image", "taken"), [
    ((320, 240), "b"), ((1280, 960), "a"), ((1280, 720), "c"), ((1920, 1080), "d"), (None, "a"),
])  # fmt: skip
def test_the_camera_of_the_size_then_of_the_aspect_then_without_a_size(image: Any, taken: str) -> None:
    assert choose(HELD, None, image) == taken


def test_a_camera_that_is_named_or_has_to_be() -> None:
    assert choose(HELD, "B", None) == "b"
    with pytest.raises(ValueError, match=r"has no camera 'e'; its cameras: a \(640x480\), b \(320x240\), c, d"):
        choose(HELD, "e", None)
    with pytest.raises(ValueError, match="name one, as in FILE#a"):
        choose(HELD, None, None, is_first_taken=False)
    assert choose(HELD, None, (320, 240), is_first_taken=False) == "b"
    with pytest.raises(ValueError, match="none of its cameras is for images of 9x9"):
        choose({"a": (640, 480)}, None, (9, 9))
    used = "camera a (640x480) is used, not b (320x240), c, d (1920x1080); FILE#b takes another"
    assert note(HELD, "a") == f"calibration: {used}"
    assert listed({str(i): None for i in range(9)}) == "0, 1, 2, 3, 4, 5 and 3 more"
