"""Which views, boards and cameras of a calibration are believed, from both sides of each limit."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from vgslam.calibrate import boards as boards_module
from vgslam.calibrate import judge as judge_module
from vgslam.calibrate import solve as solve_module
from vgslam.calibrate.boards import Corners, Finder, finder
from vgslam.calibrate.judge import _best, _doubts, _refuse_few, _refuse_frontal, _refuse_vague, calibrate
from vgslam.calibrate.solve import Solution, _Fit, _jackknife, _pinhole, solve
from vgslam.calibrate.views import BoardView, bare_parts, choose, covered
from vgslam.errors import CalibrationError
from vgslam.types import Array, Camera

SIZE = (640, 480)
CAMERA = Camera(500.0, 500.0, 319.5, 239.5, *SIZE)
WIDE = Camera(200.0, 200.0, 319.5, 239.5, *SIZE)
"""Sees 116 degrees across."""


def solution(rms_px: float = 0.2, fx_sigma_px: float = 1.0, camera: Camera = CAMERA, n: int = 10) -> Solution:
    return Solution(camera, rms_px, tuple(range(n)), fx_sigma_px)


def views(n: int) -> list[BoardView]:
    return [BoardView("", np.zeros((12, 3)), np.zeros((12, 2)))] * n


# -- what is refused


def test_eight_views_are_needed() -> None:
    _refuse_few(views(8), 50)
    with pytest.raises(CalibrationError, match="in 7 of 50"):
        _refuse_few(views(7), 50)


def normals(tilts_deg: list[float]) -> Array:
    angles = np.radians(tilts_deg)
    return np.stack([np.sin(angles), np.zeros(len(angles)), np.cos(angles)], axis=1)


def test_four_views_are_tilted_by_fifteen_degrees() -> None:
    _refuse_frontal(normals([0.0] * 9 + [15.1] * 4))
    for tilts in ([0.0] * 9 + [15.1] * 3, [14.9] * 13):
        with pytest.raises(CalibrationError, match="nearly parallel"):
            _refuse_frontal(normals(tilts))


@pytest.mark.parametrize(("fx_sigma_px", "rms_px", "coverage", "said"), [
    (4.9, 1.9, 0.31, None), (5.1, 1.9, 0.31, "stays open by"), (4.9, 1.93, 0.31, "do not fit"),
    (4.9, 1.9, 0.29, "29 % of the image"), (np.nan, 0.1, 0.9, "stays open by"),
])  # fmt: skip
def test_a_hundredth_of_the_focal_length_2_px_and_three_tenths_of_the_image(
    fx_sigma_px: float, rms_px: float, coverage: float, said: str | None
) -> None:
    """0.003 of 640 px are 1.92."""
    if said is None:
        _refuse_vague(solution(rms_px, fx_sigma_px), coverage, SIZE)
        return
    with pytest.raises(CalibrationError, match=said):
        _refuse_vague(solution(rms_px, fx_sigma_px), coverage, SIZE)


@pytest.mark.parametrize(("rms_px", "coverage", "bare", "n_picked", "n_doubts"), [
    (0.63, 0.71, ["left"], 10, 0), (0.65, 0.71, ["left"], 10, 1), (0.63, 0.69, ["left"], 10, 1),
    (0.63, 0.69, [], 10, 0), (0.63, 0.71, [], 11, 1), (0.65, 0.69, ["left"], 12, 3),
])  # fmt: skip
def test_what_is_doubted(rms_px: float, coverage: float, bare: list[str], n_picked: int, n_doubts: int) -> None:
    assert len(_doubts(solution(rms_px), coverage, bare, SIZE, n_picked)) == n_doubts


@pytest.mark.parametrize(("pinhole", "fisheye", "is_fisheye"), [
    (solution(0.3), 0.01, False), (solution(0.65), 0.58, True), (solution(0.65), 0.59, False),
    (solution(0.3, camera=WIDE), 0.26, True), (solution(0.3, camera=WIDE), 0.28, False), (None, 0.5, True),
    (solution(0.65), None, False),
])  # fmt: skip
def test_a_fisheye_is_taken_for_a_wide_or_bad_pinhole_if_it_is_better(
    pinhole: Solution | None, fisheye: float | None, is_fisheye: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.001 of 640 px is 0.64; nine tenths of the error of the pinhole are 0.585 and 0.27."""

    def solved(views: object, size: object, is_fisheye: bool) -> Solution:
        found = pinhole if not is_fisheye else None if fisheye is None else solution(fisheye)
        if found is None:
            raise CalibrationError("none")
        return found

    monkeypatch.setattr(judge_module, "solve", solved)
    found = _best(views(9), SIZE, "auto")
    assert (found is not pinhole) == is_fisheye


def test_the_tilt_that_is_told_is_that_of_a_view_that_was_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last ten of twelve views are chosen, and of these the first is left out; the others lie at 20 to 28."""
    tilts = [70.0, 80.0, 60.0, *np.arange(20.0, 29.0)]
    found = normals(tilts)
    px = np.stack([x.ravel() for x in np.meshgrid(np.arange(0, 640, 20), np.arange(0, 480, 20))], axis=1).astype(float)
    many = [BoardView(str(i), np.zeros((len(px), 3)), px) for i in range(12)]
    monkeypatch.setattr(judge_module, "normal_of", lambda view, size: found[int(view.name)])
    monkeypatch.setattr(judge_module, "choose", lambda views, normals, size, most: list(range(2, 12)))
    monkeypatch.setattr(judge_module, "solve", lambda *_, **__: replace(solution(), used=tuple(range(1, 10))))
    got = calibrate(many, SIZE, 12)
    assert got.most_tilt_deg == pytest.approx(28.0)
    assert (got.n_views, got.n_seen, got.coverage) == (9, 12, 1.0)
    assert len(got.doubts) == 1


# -- the camera


def fits(view_rms: list[float], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stands in for OpenCV: views are told by their number of points; returns how many were solved with, each time."""
    asked: list[int] = []

    def fit(some: list[BoardView], size: object, is_fisheye: bool) -> _Fit:
        asked.append(len(some))
        return _Fit(CAMERA, 0.1, np.array([view_rms[len(v.points)] for v in some]), 3.0)

    monkeypatch.setattr(solve_module, "_fit", fit)
    monkeypatch.setattr(solve_module, "_jackknife", lambda *_: 2.0)
    return asked


def numbered(n: int) -> list[BoardView]:
    return [BoardView("", np.zeros((i, 3)), np.zeros((i, 2))) for i in range(n)]


@pytest.mark.parametrize(("rms", "used", "n_solved"), [
    ([0.3, 0.3, 0.3, 0.3, 0.89], 5, [5]), ([0.3, 0.3, 0.3, 0.3, 0.91], 4, [5, 4]),
    ([0.1, 0.1, 0.1, 0.1, 0.49], 5, [5]), ([0.1, 0.1, 0.1, 0.1, 0.51], 4, [5, 4]),
    ([0.1, 0.1, 0.1, 0.6], 4, [4]),
])  # fmt: skip
def test_a_view_is_left_out_at_three_medians_and_half_a_px_if_four_stay(
    rms: list[float], used: int, n_solved: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = fits(rms, monkeypatch)
    found = solve(numbered(len(rms)), SIZE, False)
    assert found.used == tuple(range(used))
    assert asked == n_solved
    assert found.fx_sigma_px == 3.0, "the larger of both deviations"


def test_the_views_that_are_used_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    fits([0.1, 9.0, 0.1, 0.1, 0.1], monkeypatch)
    assert solve(numbered(5), SIZE, False).used == (0, 2, 3, 4)


def test_the_deviation_of_groups_that_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten views in five groups; without each group the focal length is 498, 499, 500, 501, 502: squares of 10 together,
    four fifths of which are 8."""
    left_out: list[list[int]] = []

    def fit(some: list[BoardView], size: object, is_fisheye: bool) -> _Fit:
        left_out.append(sorted(set(range(10)) - {len(v.points) for v in some}))
        return _Fit(replace(CAMERA, fx=497.0 + len(left_out)), 0.1, np.zeros(1), 0.0)

    monkeypatch.setattr(solve_module, "_fit", fit)
    assert _jackknife(numbered(10), SIZE, False) == pytest.approx(8.0**0.5)
    assert left_out == [[0, 5], [1, 6], [2, 7], [3, 8], [4, 9]]


@pytest.mark.parametrize(("k3", "n_coefficients"), [(0.041, 5), (0.039, 4), (-0.041, 5)])
def test_k3_is_kept_at_four_deviations(k3: float, n_coefficients: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV gives the deviations of fx, fy, cx, cy, k1, k2, p1, p2, k3: 0.01 of that, and much more of the others."""
    sigmas = np.array([5.0] * 8 + [0.01] + [0.0] * 9)

    def radtan(views: object, size: object, flags: int) -> tuple[object, ...]:
        k = np.array([0.1, 0.2, 0.3, 0.4, 0.0 if flags else k3])
        return 0.1, CAMERA.K, k, None, None, sigmas, np.zeros(9)

    monkeypatch.setattr(solve_module, "_radtan", radtan)
    found = _pinhole(views(9), SIZE)
    assert len(found.camera.distortion) == n_coefficients
    assert found.fx_sigma == 5.0


# -- views and boards


def test_the_view_with_most_corners_is_chosen_first_and_then_the_farthest() -> None:
    """Boards at x = 90, 100, 250 and 410; the one at 100 shows most. The farthest from it is at 410; then that at 250,
    which is 150 from the nearest of both, the other one 10."""
    some = []
    for x, n in ((90.0, 4), (100.0, 9), (250.0, 4), (410.0, 4)):
        square = np.array([[0.0, 0.0], [40.0, 0.0], [40.0, 40.0], [0.0, 40.0]]) + np.array([x, 100.0])
        px = np.concatenate([square, np.tile(square.mean(axis=0), (n - 4, 1))])
        some.append(BoardView("", np.zeros((n, 3)), px))
    flat = normals([0.0] * 4)
    assert choose(some, flat, SIZE, 2) == [1, 3]
    assert choose(some, flat, SIZE, 3) == [1, 2, 3]


def test_a_cell_of_the_image_is_covered_by_a_corner_in_it() -> None:
    """Ten columns of 64 px and eight rows of 60; pixel centres at whole numbers."""
    found = covered(np.array([[63.4, 59.4], [63.6, 419.6], [639.4, 479.4]]), SIZE)
    assert np.argwhere(found).tolist() == [[0, 0], [7, 1], [7, 9]]


def test_a_part_of_the_image_is_bare_below_a_quarter() -> None:
    """The top left has three rows and three columns: three of nine cells are enough, two are not."""
    cells = np.ones((8, 10), bool)
    cells[:3, :3] = False
    cells[0, :2] = True
    assert bare_parts(cells) == ["top left"]
    cells[0, 2] = True
    assert bare_parts(cells) == []


def corners(n: int, width: float = 1.0) -> Corners:
    points = np.stack([np.arange(n) % 4, width * (np.arange(n) // 4), np.zeros(n)], axis=1).astype(float)
    return points, points[:, :2]


def test_a_view_of_twelve_corners_that_do_not_lie_on_a_line_is_of_use() -> None:
    for found, is_used in ((corners(12), True), (corners(11), False), (corners(12, 0.01), False), (None, False)):
        assert (Finder({"": lambda gray, found=found: found}).find(np.zeros((4, 4), np.uint8)) is not None) == is_used


def test_the_reading_that_has_seen_most_corners_is_the_only_one_after_three_views() -> None:
    asked: list[str] = []

    def look(name: str, n: int):
        return lambda gray: asked.append(name) or corners(n)

    found = Finder({"few": look("few", 12), "many": look("many", 16)})
    assert found.note == ""
    for _ in range(5):
        got = found.find(np.zeros((4, 4), np.uint8))
        assert got is not None
        assert len(got[0]) == 16
    assert asked == ["few", "many"] * 3 + ["many"] * 2
    assert found.note == "many"


def test_boards_are_read_as_they_are_usually_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[object, ...]] = []

    def noted(*args: object, **options: object) -> SimpleNamespace:
        made.append((*args[:3], *options.values()))
        return SimpleNamespace(find=None)

    for name in ("AprilGrid", "_CharucoLook", "Checkerboard"):
        monkeypatch.setattr(boards_module, name, noted)
    finder("aprilgrid:6x5")
    finder("charuco:8x6:5x5_100")
    finder("checkerboard:9x6")
    finder("checkerboard:9x3")
    assert made == [
        (6, 5, 0.3, 1), (6, 5, 0.3, 2), (8, 6, 0.75), (8, 6, 0.75), (9, 6), (8, 5), (9, 3),
    ]  # fmt: skip
