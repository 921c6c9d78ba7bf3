"""Cameras from boards: known ones are found again, and what does not determine one is refused."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from board_pictures import april_grid, charuco, checkerboard, picture, tilted

from vgslam.calibrate.boards import finder
from vgslam.calibrate.judge import calibrate
from vgslam.calibrate.views import BoardView, bare_parts, choose, covered, normal_of, tilt_deg
from vgslam.cli import main
from vgslam.errors import CalibrationError, ConfigError
from vgslam.sources.calibration import read_calibration
from vgslam.types import Array, Camera

SIZE = (640, 480)
PINHOLE = Camera(520.0, 515.0, 330.0, 236.0, *SIZE, (-0.25, 0.08, 0.001, -0.0008))
FISHEYE = Camera(230.0, 229.0, 322.0, 238.0, *SIZE, (0.02, -0.005, 0.001, 0.0), True)
SMALL = Camera(390.0, 386.0, 247.0, 177.0, 480, 360, (-0.25, 0.08, 0.001, -0.0008))
BOARD = np.stack([*np.meshgrid(np.arange(9.0), np.arange(6.0)), np.zeros((6, 9))], axis=-1).reshape(-1, 3)


def seen(camera: Camera, rotation: Array, centre_px: Array, distance: float, noise: Array) -> BoardView:
    """Corners of a board of 9x6 by projection, distance in squares, without those outside the image."""
    R = cv2.Rodrigues(np.asarray(rotation, np.float64))[0]
    middle = np.array([(centre_px[0] - camera.cx) / camera.fx, (centre_px[1] - camera.cy) / camera.fy, 1.0])
    t = (distance * middle - R @ BOARD.mean(axis=0)).reshape(3, 1)
    k = np.array(camera.distortion)
    if camera.is_fisheye:
        px, _ = cv2.fisheye.projectPoints(BOARD.reshape(1, -1, 3), np.asarray(rotation, np.float64), t, camera.K, k)
    else:
        px, _ = cv2.projectPoints(BOARD, np.asarray(rotation, np.float64), t, camera.K, k)
    px = px.reshape(-1, 2) + noise
    inside = ((px >= 0) & (px < SIZE)).all(axis=1)
    return BoardView("", BOARD[inside], px[inside])


def views_of(camera: Camera, n: int, distance: float, sigma_px: float = 0.1, tilt: float = 1.0) -> list[BoardView]:
    rng = np.random.default_rng(5)
    return [
        seen(camera, tilt * rotation, centre, d, rng.normal(0, sigma_px, (54, 2)))
        for rotation, centre, d in tilted(n, camera, distance)
    ]


def test_a_pinhole_is_found_again_within_its_own_deviation() -> None:
    got = calibrate(views_of(PINHOLE, 30, 11.0), SIZE, 30)
    assert not got.camera.is_fisheye
    assert got.camera.fx == pytest.approx(PINHOLE.fx, rel=0.002)
    assert got.camera.fy == pytest.approx(PINHOLE.fy, rel=0.002)
    assert abs(got.camera.fx - PINHOLE.fx) < 4 * got.fx_sigma_px
    assert len(got.camera.distortion) == 4  # k3 is zero: not told apart from it
    assert got.camera.distortion[:2] == pytest.approx(PINHOLE.distortion[:2], abs=0.03)
    assert got.rms_px == pytest.approx(0.1 * np.sqrt(2), rel=0.1)
    assert got.coverage > 0.7


def test_a_clear_k3_is_kept() -> None:
    bent = Camera(520.0, 515.0, 330.0, 236.0, *SIZE, (-0.3, 0.12, 0.0, 0.0, 0.35))
    got = calibrate(views_of(bent, 40, 11.0, sigma_px=0.02), SIZE, 40)
    assert len(got.camera.distortion) == 5
    assert got.camera.distortion[4] == pytest.approx(0.35, abs=0.1)


@pytest.mark.parametrize("lens", ["auto", "fisheye"])
def test_a_fisheye_is_found_again(lens: str) -> None:
    got = calibrate(views_of(FISHEYE, 30, 5.5), SIZE, 30, lens)  # type: ignore[arg-type]
    assert got.camera.is_fisheye
    assert got.camera.fx == pytest.approx(FISHEYE.fx, rel=0.005)


def test_a_view_that_was_misread_is_left_out() -> None:
    views = views_of(PINHOLE, 20, 11.0)
    shifted = views[7].pixels.copy()
    shifted[::3] += (6.0, -5.0)
    views[7] = BoardView("", views[7].points, shifted)
    got = calibrate(views, SIZE, 20)
    assert got.n_views == 19
    assert any("1 views did not fit" in line for line in got.doubts)
    assert got.camera.fx == pytest.approx(PINHOLE.fx, rel=0.003)


def test_a_board_that_is_seen_too_little_is_refused_with_what_to_film() -> None:
    with pytest.raises(CalibrationError, match=r"in none of 50 images.*check --board.*film the board at 15 to 45"):
        calibrate([], SIZE, 50)
    with pytest.raises(CalibrationError, match=r"seen in 7 of 50 images, at least 8.*film the board"):
        calibrate(views_of(PINHOLE, 7, 11.0), SIZE, 50)


def test_a_board_parallel_to_the_image_is_refused() -> None:
    with pytest.raises(CalibrationError, match=r"nearly parallel.*in 0 of 20 views.*film the board"):
        calibrate(views_of(PINHOLE, 20, 11.0, tilt=0.1), SIZE, 20)


def test_a_board_in_one_part_of_the_image_is_refused() -> None:
    views = [
        seen(PINHOLE, rotation, np.array([200.0, 150.0]), 40.0, np.zeros((54, 2)))
        for rotation, _, _ in tilted(20, PINHOLE, 1.0)
    ]
    with pytest.raises(CalibrationError, match=r"in \d+ % of the image|stays open by"):
        calibrate(views, SIZE, 20)


def test_corners_that_fit_no_camera_are_refused() -> None:
    with pytest.raises(CalibrationError, match=r"do not fit a camera|stays open by"):
        calibrate(views_of(PINHOLE, 20, 11.0, sigma_px=4.0), SIZE, 20)


def test_the_tilt_of_a_board_is_that_against_the_image_wherever_it_is() -> None:
    camera = Camera(576.0, 576.0, 319.5, 239.5, *SIZE)  # the focal length that is guessed
    angle = np.radians(30)
    views = [
        seen(camera, np.array(r), np.array(c), 15.0, np.zeros((54, 2)))
        for r in ((0, 0, 0.3), (angle, 0, 0), (0, angle, 0)) for c in ((320.0, 240.0), (200.0, 150.0))
    ]  # fmt: skip
    tilts = tilt_deg(np.array([normal_of(v, SIZE) for v in views]))
    assert tilts == pytest.approx([0, 0, 30, 30, 30, 30], abs=1e-3)


def test_views_are_chosen_to_differ() -> None:
    views = views_of(PINHOLE, 9, 11.0)
    many = [views[0]] * 30 + views[1:]
    normals = np.array([normal_of(v, SIZE) for v in many])
    chosen = choose(many, normals, SIZE, 9)
    assert sum(i < 30 for i in chosen) == 1
    assert chosen[-8:] == list(range(30, 38))
    assert choose(views, normals[-9:], SIZE, 9) == list(range(9))


def test_parts_without_corners_are_named() -> None:
    x, y = np.meshgrid(np.arange(0, 640, 8), np.arange(0, 480, 8))
    px = np.stack([x, y], axis=-1).reshape(-1, 2).astype(float)
    assert bare_parts(covered(px, SIZE)) == []
    assert bare_parts(covered(px[px[:, 0] < 400], SIZE)) == ["top right", "right", "bottom right"]
    assert covered(px[px[:, 1] < 240], SIZE).mean() == 0.5


def test_pictures_of_a_checkerboard_give_a_file_that_calib_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rendered board of 9x6 corners, named by its squares (10x7), in a folder of images."""
    texture, _, _ = checkerboard(9, 6)
    for i, (rotation, centre, distance) in enumerate(tilted(12, SMALL, 1.2)):
        cv2.imwrite(str(tmp_path / f"{i:03d}.png"), picture(texture, SMALL, rotation, centre, distance))
    out = tmp_path / "camera.json"
    assert main(["calibrate", str(tmp_path), "--board", "checkerboard:10x7", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "seems to count squares" in printed
    assert "px RMS" in printed
    camera = read_calibration(out, (480, 360))
    assert camera is not None
    assert camera.fx == pytest.approx(SMALL.fx, rel=0.005)
    assert camera.fy == pytest.approx(SMALL.fy, rel=0.005)
    assert (camera.cx, camera.cy) == pytest.approx((SMALL.cx, SMALL.cy), abs=2.0)
    assert main(["calibrate", str(tmp_path), "--board", "checkerboard:9x6", "--out", str(out)]) == 3
    assert "--overwrite" in capsys.readouterr().err
    assert json.loads(out.read_text())["n_views"] == 12


@pytest.mark.parametrize("border", [1, 2])
def test_corners_of_an_april_grid_lie_on_one_plane_as_it_is_printed(border: int) -> None:
    """By a pinhole without distortion the board's points and the pixels are a homography apart."""
    camera = Camera(390.0, 386.0, 247.0, 177.0, 480, 360)
    texture, _, _ = april_grid(4, 4, border=border)
    find = finder("aprilgrid:4x4")
    n = 0
    for rotation, centre, distance in tilted(3, camera, 1.15):
        got = find.find(picture(texture, camera, rotation, centre, distance))
        if got is None:
            continue
        points, pixels = got
        n += len(points)
        H, _ = cv2.findHomography(points[:, :2], pixels)
        off = cv2.perspectiveTransform(points[:, None, :2], H).reshape(-1, 2) - pixels
        assert np.sqrt((off**2).sum(axis=1).mean()) < 0.25
    assert n >= 2 * 4 * 8
    assert bool(find.note) == (border == 2)


def test_corners_of_a_charuco_board_lie_on_one_plane_when_a_part_is_seen() -> None:
    camera = Camera(390.0, 386.0, 247.0, 177.0, 480, 360)
    texture, _, _ = charuco(8, 6)
    image = picture(texture, camera, np.array([0.3, 0.2, 0.0]), np.array([240.0, 180.0]), 1.0)
    image[:, :150] = 90
    got = finder("charuco:8x6:5x5_100").find(image)
    assert got is not None
    points, pixels = got
    assert 12 <= len(points) < 35
    H, _ = cv2.findHomography(points[:, :2], pixels)
    off = cv2.perspectiveTransform(points[:, None, :2], H).reshape(-1, 2) - pixels
    assert np.sqrt((off**2).sum(axis=1).mean()) < 0.3


@pytest.mark.parametrize("text", [
    "", "checkerboard", "checkerboard:9", "checkerboard:9x", "checkerboard:2x6", "checkerboard:9x600",
    "checkerboard:9x6:25", "charuco:8x6", "charuco:8x6:nonsense", "charuco:8x6:5x5_100:2", "aprilgrid:40x40",
    "aprilgrid:6x6:36h11:x", "dots:4x5", "charuco:8x6:5x5_100:nan",
])  # fmt: skip
def test_a_board_that_is_not_understood_is_refused_with_the_syntax(text: str) -> None:
    with pytest.raises(ConfigError, match="--board"):
        finder(text)


def test_what_is_odd_about_images_is_told_but_not_that_they_have_no_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No time matters to a calibration, and there is no --fps to give."""
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.full((60, 80), 128, np.uint8))
    (tmp_path / "c.png").write_bytes(b"no image")
    main(["calibrate", str(tmp_path), "--board", "checkerboard:9x6", "--out", str(tmp_path / "c.json")])
    told = capsys.readouterr().err
    assert "c.png" in told
    assert "frames/s" not in told


def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(tmp_path / "none"), "--board", "checkerboard:9x6"]) == 2
    assert main(["calibrate", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 2
    cv2.imwrite(str(tmp_path / "a.png"), np.full((60, 80), 128, np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.full((60, 80), 128, np.uint8))
    assert main(["calibrate", str(tmp_path), "--board", "checkerboard:9x6", "--out", str(tmp_path / "c.json")]) == 2
    assert "in none of 2 images" in capsys.readouterr().err
    assert not (tmp_path / "c.json").exists()
