"""Drifted observations of a slanted wall, measured again: a plane has exact images, as a homography is."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from two_laps import two_laps

from vgslam.frontend.features import Gray
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap
from vgslam.refine import remeasure
from vgslam.refine.adjust import RefineConfig
from vgslam.refine.problem import Problem, gather
from vgslam.refine.refine_map import refine_map
from vgslam.refine.remeasure import references, remeasured, slopes, warps
from vgslam.types import Array

CAMERA = Camera(260.0, 260.0, 159.5, 119.5, 320, 240)
NORMAL, DISTANCE = np.array([0.8, -0.2, 1.0]), 4.0
"""The wall: points X of the world with NORMAL . X = DISTANCE; steep enough to matter for a patch."""
N_CAMS = 7


def wall_points(n: int, seed: int = 1) -> Array:
    """Points (n,3) of the wall in the middle of what the cameras see."""
    rng = np.random.default_rng(seed)
    rays = np.column_stack([rng.uniform(-0.4, 0.4, n), rng.uniform(-0.3, 0.3, n), np.ones(n)])
    return rays * (DISTANCE / (rays @ NORMAL))[:, None]


def poses() -> Array:
    """T_cam_world (7,4,4) of a camera that walks along the wall, looking at it and turning a little."""
    steps = range(N_CAMS)
    turns = [se3.so3_exp(np.array([0.01 * k, 0.03 * (k - 3), 0.02 * k])) for k in steps]
    return se3.inverse(np.array([se3.from_rt(turns[k], np.array([0.15 * (k - 3), 0.02 * k, 0.05 * k])) for k in steps]))


def world(drift_px: float = 0.15, n: int = 150, T: Array | None = None) -> Problem:
    """What a tracker makes of the wall: each observation is where the one before was, and a little off."""
    rng = np.random.default_rng(5)
    X, T = wall_points(n), poses() if T is None else T
    local = np.einsum("cij,lj->cli", T[:, :3, :3], X) + T[:, None, :3, 3]
    exact = CAMERA.project(local.reshape(-1, 3)).reshape(N_CAMS, n, 2)
    walk = np.cumsum(rng.normal(scale=drift_px, size=exact.shape), axis=0)
    cam, point = np.repeat(np.arange(N_CAMS), n), np.tile(np.arange(n), N_CAMS)
    return Problem(
        CAMERA, 0.0, np.arange(N_CAMS), T, np.arange(n), X, np.ones(n, bool), cam, point,
        (exact + walk).reshape(-1, 2), np.ones(N_CAMS * n, bool),
    )  # fmt: skip


def image(k: int, T_cam_world: Array | None = None) -> Gray:
    """The wall as camera k sees it, from a texture that the camera of the world's origin would see exactly."""
    rng = np.random.default_rng(11)
    texture = cv2.GaussianBlur(rng.normal(size=(720, 960)), (0, 0), 4.0)
    texture = np.clip(128.0 + 45.0 * texture / texture.std(), 0, 255).astype(np.uint8)
    T, K = (poses() if T_cam_world is None else T_cam_world)[k], CAMERA.K
    of_texture = np.array([[2.0, 0.0, 160.0], [0.0, 2.0, 120.0], [0.0, 0.0, 1.0]])  # wider, and twice as fine
    H = K @ (T[:3, :3] + np.outer(T[:3, 3], NORMAL) / DISTANCE) @ np.linalg.inv(of_texture @ K)
    return np.asarray(cv2.warpPerspective(texture, H, (CAMERA.width, CAMERA.height), flags=cv2.INTER_AREA), np.uint8)


def off_from_reference(p: Problem) -> Array:
    """(M,): how far each observation is from where it would be, had its landmark been where its reference saw it."""
    error = p.pixels - CAMERA.project(p.local_points())
    return np.linalg.norm(error - error[references(p)[p.point]], axis=1)


def test_drift_is_taken_out() -> None:
    p = world()
    again = remeasured(p, image)
    use = again.in_use
    before, after = off_from_reference(p), off_from_reference(again)
    assert use.mean() > 0.8
    assert np.median(before[p.cam == 0]) > 0.25
    assert np.median(after[use & (p.cam != 3)]) < 0.06
    assert np.percentile(after[use], 95) < 0.25


def test_the_reference_is_the_middle_of_the_track() -> None:
    p = world()
    assert (p.cam[references(p)] == 3).all()
    late = replace(p, in_use=p.cam >= 4)
    assert (p.cam[references(late)] == 5).all()
    none = replace(p, in_use=p.point != 8)
    assert references(none)[8] == -1
    assert (remeasured(p, image).pixels[references(p)] == p.pixels[references(p)]).all()


def test_a_patch_on_a_slanted_wall_is_warped_as_its_homography_says() -> None:
    p = world(drift_px=0.0)
    reference = references(p)
    slope = slopes(p, p.local_points(), reference)
    rows = np.flatnonzero(p.cam == 0)
    seen = reference[p.point[rows]]
    A = warps(p, rows, p.local_points()[seen], p.cam[seen], slope[p.point[rows]])
    T = p.T_cam_world
    T_0_3 = T[0] @ se3.inverse(T[3])
    n3 = T[3][:3, :3] @ NORMAL  # the wall in the frame of camera 3: n3 . X = d3
    d3 = DISTANCE + n3 @ T[3][:3, 3]
    H = CAMERA.K @ (T_0_3[:3, :3] + np.outer(T_0_3[:3, 3], n3) / d3) @ np.linalg.inv(CAMERA.K)

    def through(pixels: Array) -> Array:
        return np.asarray(cv2.perspectiveTransform(pixels[None], H)[0])

    at = p.pixels[seen]
    steps = np.eye(2)
    exact = np.stack([through(at + steps[0]) - through(at), through(at + steps[1]) - through(at)], axis=-1)
    assert np.abs(A - exact).max() < 0.01
    faces = warps(p, rows, p.local_points()[seen], p.cam[seen], np.zeros((len(rows), 2)))
    assert np.abs(faces - exact).max() > 0.03


def test_neighbours_on_no_plane_say_nothing_and_one_stray_little() -> None:
    p = world(drift_px=0.0)
    local, reference = p.local_points(), references(p)
    true = slopes(p, local, reference)
    one = local.copy()
    one[(p.cam == 3) & (p.point == 17)] *= 0.4
    others = np.arange(len(p.points)) != 17
    assert np.abs(slopes(p, one, reference) - true)[others].max() < 0.3 * np.abs(true).max()
    wild = local * np.random.default_rng(2).uniform(0.3, 3.0, (len(local), 1))
    assert (slopes(p, wild, reference) == 0.0).all(1).mean() > 0.8


def test_what_is_hidden_in_a_keyframe_is_dropped_there() -> None:
    p = world()
    edge = int(np.percentile(p.pixels[p.cam == 5, 0], 70))

    def hidden(k: int) -> Gray:
        seen = image(k).copy()
        if k == 5:
            seen[:, edge:] = 60  # something grey stands in front
        return seen

    again = remeasured(p, hidden)
    behind = (p.cam == 5) & (p.pixels[:, 0] > edge + 7)
    assert behind.sum() > 15
    assert not again.in_use[behind].any()
    assert again.in_use[p.cam != 5].mean() > 0.8


def test_a_keyframe_in_which_hardly_anything_is_found_keeps_what_tracking_saw() -> None:
    p = world()

    def strange(k: int) -> Gray:
        return image(k) if k != 5 else np.asarray(image(k)[::-1], np.uint8)

    again = remeasured(p, strange)
    mine = p.cam == 5
    assert again.in_use[mine].all()
    assert (again.pixels[mine] == p.pixels[mine]).all(1).mean() > 0.9


def test_a_keyframe_of_few_landmarks_keeps_all_of_them() -> None:
    p = world(n=40)
    edge = int(np.percentile(p.pixels[p.cam == 5, 0], 65))

    def hidden(k: int) -> Gray:
        seen = image(k).copy()
        if k == 5:
            seen[:, edge:] = 60
        return seen

    mine = p.cam == 5
    again = remeasured(p, hidden)
    assert (again.pixels[mine] != p.pixels[mine]).any(1).mean() > 0.5
    assert again.in_use[mine].all()


@pytest.mark.parametrize("which", [3, 5])
def test_an_image_of_another_size_says_nothing(which: int) -> None:
    p = world()
    again = remeasured(p, lambda k: image(k) if k != which else np.zeros((120, 160), np.uint8))
    mine = p.cam == which
    assert (again.pixels[mine] == p.pixels[mine]).all()
    assert again.in_use[mine].all()


def test_a_patch_that_is_found_far_away_is_another_one() -> None:
    p = world(drift_px=0.02)
    astray = (p.cam == 1) & (p.point % 5 == 0)
    far = replace(p, pixels=p.pixels + np.where(astray, 4.0, 0.0)[:, None] * [0.6, 0.8])
    again = remeasured(far, image)
    assert not again.in_use[astray].any()
    assert (again.pixels[astray] == far.pixels[astray]).all()
    near = replace(p, pixels=p.pixels + np.where(astray, 2.0, 0.0)[:, None] * [0.6, 0.8])
    assert remeasured(near, image).in_use[astray].mean() > 0.8


def test_a_wall_that_becomes_more_than_twice_as_large_is_not_searched_for() -> None:
    T = poses()
    T[5] = np.eye(4)
    T[5, 2, 3] = -0.5 * DISTANCE
    p = world(drift_px=0.05, T=T)
    again = remeasured(p, lambda k: image(k, T))
    z = p.local_points()[:, 2]
    stretch = z[references(p)[p.point]] / z
    near, far = (p.cam == 5) & (stretch > 2.1) & (z > 0.1), (p.cam == 5) & (stretch < 1.8)
    assert near.sum() > 20
    assert (again.pixels[near] == p.pixels[near]).all()
    assert (again.pixels[far] != p.pixels[far]).any(1).sum() > 20


# -- by hand


def test_the_gradient_of_a_plane_is_that_of_the_eight_nearest_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """All count the same, and a prior of none as one at 5.5 px does: (O^T O + 5.5^2) g = O^T r."""
    monkeypatch.setattr(remeasure, "MISFIT", 1e9)
    monkeypatch.setattr(remeasure, "STEEPEST", 1e9)
    rng = np.random.default_rng(4)
    for n in (9, 12, 40):
        pixels, inverse_z = rng.uniform(0, 30, (n, 2)), rng.uniform(0.2, 0.6, n)
        found = remeasure._planes(pixels, inverse_z, np.arange(n))
        for i in range(n):
            near = np.argsort(np.linalg.norm(pixels - pixels[i], axis=1))[1:9]
            offset, rise = pixels[near] - pixels[i], inverse_z[near] - inverse_z[i]
            expected = np.linalg.solve(offset.T @ offset + 30.25 * np.eye(2), offset.T @ rise)
            assert found[i] == pytest.approx(expected)


def eight_around(inverse_z: Array, gap_px: float = 20.0) -> Array:
    """The gradient at the middle of nine points on a grid, the fifth of them."""
    y, x = np.mgrid[-1:2, -1:2] * gap_px
    return remeasure._planes(np.stack([x.ravel(), y.ravel()], axis=1), inverse_z, np.array([4]))[0]


@pytest.mark.parametrize(("slope", "steepness"), [(0.03, 0.03), (0.039, 0.039), (0.06, 0.04), (1.0, 0.04)])
@pytest.mark.parametrize("at", [0.1, 0.5, 2.0])
def test_no_surface_is_steeper_than_a_twenty_fifth_a_pixel(
    slope: float, steepness: float, at: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is a share of the inverse depth in the middle; the sign and the axis stay."""
    monkeypatch.setattr(remeasure, "SPREAD_PX", 1e-6)
    for axis, sign in ((0, 1.0), (1, -1.0)):
        offset = np.mgrid[-1:2, -1:2][1 - axis].ravel() * 20.0
        found = eight_around(at * (1.0 + sign * slope * offset))
        assert found[axis] == pytest.approx(sign * steepness * at)
        assert found[1 - axis] == pytest.approx(0.0, abs=1e-9)


def test_neighbours_that_agree_in_less_than_two_fifths_are_no_plane() -> None:
    flat = np.ones(9)
    assert np.linalg.norm(eight_around(flat)) == 0.0
    tilted = 1.0 + 0.002 * np.mgrid[-1:2, -1:2][1].ravel() * 20.0
    assert np.linalg.norm(eight_around(tilted)) > 1e-3
    wild = tilted * np.array([0.3, 3.0, 0.5, 2.0, 1.0, 0.2, 5.0, 0.4, 1.9])
    assert np.linalg.norm(eight_around(wild)) == 0.0


def test_a_slope_is_that_in_the_image_of_the_reference() -> None:
    """A wall that camera 0 faces at a distance of 4, and that camera 1 sees at an angle of 30 degrees."""
    rng = np.random.default_rng(3)
    X = np.column_stack([rng.uniform(-1, 1, (40, 2)), np.full(40, 4.0)])
    T = np.stack([np.eye(4), se3.from_rt(se3.so3_exp(np.array([0.0, np.radians(30), 0.0])), np.array([0.0, 0.0, 1.0]))])
    local = np.concatenate([se3.transform(T[0], X), se3.transform(T[1], X)])
    p = Problem(
        CAMERA, 0.0, np.arange(2), T, np.arange(40), X, np.ones(40, bool), np.repeat([0, 1], 40),
        np.tile(np.arange(40), 2), CAMERA.project(local), np.ones(80, bool),
    )  # fmt: skip
    reference = np.where(np.arange(40) < 20, np.arange(40), 40 + np.arange(40))
    found = slopes(p, p.local_points(), reference)
    assert np.abs(found[:20]).max() < 1e-9
    steep = np.abs(found[20:, 0])
    assert steep.min() > 2e-4  # tan(30 degrees) / (260 px x 4), less what the prior takes
    assert steep.max() < 6e-4


@pytest.mark.parametrize(
    ("n_todo", "n_found", "drops"),
    [(100, 51, True), (100, 50, True), (100, 49, False), (59, 30, True), (58, 29, False), (30, 30, True)],
)
def test_a_keyframe_can_do_without_half_if_thirty_are_left(n_todo: int, n_found: int, drops: bool) -> None:
    p = world(n=120)
    mine = np.flatnonzero(p.cam == 5)[:n_todo]
    is_found = np.zeros(len(p.cam), bool)
    is_found[mine[:n_found]] = True
    unfound = remeasure._unfound(p, mine, is_found)
    assert unfound.sum() == (n_todo - n_found if drops else 0)
    assert not unfound[mine[:n_found]].any()


def test_a_wall_that_becomes_less_than_half_as_large_is_not_searched_for() -> None:
    T = poses()
    T[5] = np.eye(4)
    T[5, 2, 3] = 1.3 * DISTANCE
    p = world(drift_px=0.05, T=T)
    again = remeasured(p, lambda k: image(k, T))
    z = p.local_points()[:, 2]
    stretch = z[references(p)[p.point]] / z
    far = (p.cam == 5) & (stretch < 0.4)
    assert far.sum() > 20
    assert (again.pixels[far] == p.pixels[far]).all()


def test_the_map_keeps_what_was_measured_again() -> None:
    """Two rendered laps whose observations are half a pixel off."""
    plain, again = two_laps(), two_laps()
    refine_map(plain.slam_map, RefineConfig(is_calibration_fixed=True, remeasures=False))
    refine_map(again.slam_map, RefineConfig(is_calibration_fixed=True))

    def usual_error_px(m: SlamMap) -> float:
        p = gather(m, np.arange(len(m.keyframes)))
        return float(np.median(p.errors_px()[p.is_active()]))

    assert usual_error_px(again.slam_map) < 0.4 * usual_error_px(plain.slam_map)
    assert again.position_error() < 0.8 * plain.position_error()
