"""How well the observations determine a calibration, and what the solver is told, with values worked out by hand."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hand_map import CAMERA, at

from vgslam.geometry import se3
from vgslam.refine import adjust as adjust_module
from vgslam.refine import calibration as module
from vgslam.refine.adjust import UNFIT, CalibrationOutcome, RefineConfig, Watch, adjust
from vgslam.refine.calibration import Determined, _Jacobian, _reduced, determined, noise_px
from vgslam.refine.ceres import FocalPrior, FreeCalibration, SolverOptions, solve
from vgslam.refine.problem import Problem, project
from vgslam.types import Array, Camera


def seen_by_all(poses: Sequence[Array], points: Array, camera: Camera = CAMERA, k1: float = 0.0) -> Problem:
    """The problem of cameras that all see all points where they are."""
    n, m = len(points), len(poses)
    p = Problem(
        camera, k1, np.arange(m), se3.inverse(np.stack(poses)), np.arange(n), np.array(points, np.float64),
        np.ones(n, bool), np.repeat(np.arange(m), n), np.tile(np.arange(n), m), np.zeros((m * n, 2)),
        np.ones(m * n, bool),
    )  # fmt: skip
    return replace(p, pixels=project(camera, k1, p.local_points()))


def cloud(n: int = 60) -> Array:
    """Points (n,3) before the cameras, at depths from 3 to 6."""
    return np.random.default_rng(0).uniform([-2, -1.5, 3], [2, 1.5, 6], (n, 3))


def around(n: int = 5) -> list[Array]:
    """Cameras that move and turn."""
    return [at(0.3 * k, 0.2 * (k % 2), 0.1 * k, (3.0 * (k % 3), -4.0 * k, 5.0 * (k % 2))) for k in range(n)]


# -- what is known


def test_a_prior_and_the_observations_add_up() -> None:
    """1e4 of the observations and 1 / 0.01^2 of the prior."""
    known = Determined(np.diag([1e4, 1e6]), 1.0)
    np.testing.assert_allclose(known.deviations(0.01, is_k1_free=True), [2e4**-0.5, 1e-3])
    np.testing.assert_allclose(known.deviations(0.01, is_k1_free=False), [2e4**-0.5, 0.0])
    bound = Determined(np.array([[1e4, 5e4], [5e4, 1e6]]), 1.0)
    # a free distortion takes 5e4^2 / 1e6 = 2500 from the focal length
    assert bound.deviations(0.01, is_k1_free=True)[0] == pytest.approx(17500.0**-0.5)
    assert bound.deviations(0.01, is_k1_free=False)[0] == pytest.approx(2e4**-0.5)


def test_a_prior_on_the_focal_length_holds_it_and_what_hangs_on_it() -> None:
    """(H + P) x = H s: x = (-9e9 + 9.75e9, -3.9e9 + 0.45e9) / 1.75e10."""
    bound = Determined(np.array([[1e4, 5e4], [5e4, 1e6]]), 1.0, np.array([0.1, -0.2]))
    np.testing.assert_allclose(bound.wanted(0.01), [0.75 / 17.5, -3.45 / 17.5])
    np.testing.assert_allclose(bound.wanted(1e6), [0.1, -0.2])


def test_the_noise_is_that_of_the_median_error_and_at_most_a_pixel() -> None:
    """All are off by (.3, .4), .5 px, which is 1.1774 deviations of one axis; a third of them by far more."""
    p = seen_by_all(around(), cloud())
    off = np.tile([0.3, 0.4], (len(p.pixels), 1))
    off[::3] *= 100.0
    assert noise_px(replace(p, pixels=p.pixels + off)) == pytest.approx(0.5 / np.sqrt(2 * np.log(2)), rel=1e-3)
    assert noise_px(replace(p, pixels=p.pixels + 3.0)) == 1.0
    assert noise_px(replace(p, in_use=np.zeros(len(p.in_use), bool))) == 1.0


def noisy_walk(told_fx: float, sigma_px: float = 0.2) -> Problem:
    """Eighty cameras, a walk four times over, with the true focal length of CAMERA among a hundred points, and the
    camera as it is told."""
    true = seen_by_all([se3.from_rt(T[:3, :3], T[:3, 3] + 0.02 * k) for k in range(4) for T in around(20)], cloud(100))
    pixels = true.pixels + np.random.default_rng(1).normal(0.0, sigma_px, true.pixels.shape)
    return replace(true, pixels=pixels, camera=replace(CAMERA, fx=told_fx, fy=told_fx))


@pytest.mark.parametrize("error", [-0.1, 0.1])
def test_a_focal_length_that_the_map_refutes_is_left_to_the_map(error: float) -> None:
    told = CAMERA.fx * (1.0 + error)
    done = adjust(noisy_walk(told), RefineConfig(), Watch())
    assert done is not None
    assert done.calibration.refuted_px == told
    assert done.after.camera.fx == pytest.approx(CAMERA.fx, rel=0.01)
    assert done.before.camera.fx == told


@pytest.mark.parametrize("settings", [
    {}, {"is_calibration_fixed": True}, {"is_focal_estimated": True, "focal_rel_sigma": 0.1},
])  # fmt: skip
def test_only_what_was_given_and_is_wrong_is_refuted(settings: dict[str, object]) -> None:
    wrong = bool(settings)
    done = adjust(noisy_walk(CAMERA.fx * (1.1 if wrong else 1.0)), RefineConfig(**settings), Watch())  # type: ignore[arg-type]
    assert done is not None
    assert done.calibration.refuted_px == 0.0


def few_of_a_walk(told_fx: float = CAMERA.fx, k1: float = 0.0, n: int = 12, sigma_px: float = 0.1) -> Problem:
    """A few of the cameras, whose pixels a lens with distortion k1 has bent, and the camera as it is told."""
    true = seen_by_all(around(n), cloud(60))
    bent = CAMERA.project(replace(true, k1=0.0).local_points())
    centre = np.array([CAMERA.cx, CAMERA.cy])
    r2 = (((bent - centre) / CAMERA.fx) ** 2).sum(1, keepdims=True)
    pixels = centre + (bent - centre) * (1.0 + k1 * r2)
    pixels += np.random.default_rng(2).normal(0.0, sigma_px, pixels.shape)
    return replace(true, pixels=pixels, camera=replace(CAMERA, fx=told_fx, fy=told_fx))


def other_error(p: Problem, **settings: object) -> float:
    done = adjust(p, RefineConfig(**settings), Watch())  # type: ignore[arg-type]
    assert done is not None
    assert done.calibration.is_unfit == (done.calibration.other_error < UNFIT or done.calibration.refuted_px > 0)
    return done.calibration.other_error


def test_a_calibration_that_fits_leaves_nothing_to_another_one() -> None:
    for n in (3, 5, 12, 40):
        assert 0.95 < other_error(few_of_a_walk(n=n)) < 1.05


@pytest.mark.parametrize(("told", "k1"), [(0.8, 0.0), (1.25, 0.0), (1.0, -0.2), (1.0, 0.2)])
def test_one_that_does_not_fit_few_keyframes_is_called_so(told: float, k1: float) -> None:
    p = few_of_a_walk(told * CAMERA.fx, k1, n=6)
    done = adjust(p, RefineConfig(), Watch())
    assert done is not None
    assert done.calibration.is_unfit
    if not done.calibration.refuted_px:
        assert done.after.camera.fx == p.camera.fx, "the map keeps what was given"


@pytest.mark.parametrize("settings", [{"is_calibration_fixed": True}, {"is_focal_estimated": True}])
def test_nobody_is_asked_where_nothing_was_given_or_it_has_to_stay(settings: dict[str, object]) -> None:
    assert other_error(few_of_a_walk(0.8 * CAMERA.fx, n=6), **settings) == 1.0


@pytest.mark.parametrize(("n", "is_asked"), [(64, True), (65, False)])
def test_many_keyframes_are_not_asked(n: int, is_asked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adjust_module, "_other_error", lambda *_: 0.5)
    assert other_error(few_of_a_walk(n=n)) == (0.5 if is_asked else 1.0)


def test_nobody_is_asked_while_a_recording_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adjust_module, "_other_error", lambda *_: 0.5)
    done = adjust(noisy_walk(1.02 * CAMERA.fx), RefineConfig(focal_rel_sigma=0.1), Watch(), for_calibration=True)
    assert done is not None
    assert done.calibration.other_error == 1.0


@pytest.mark.parametrize(("other", "refuted", "is_unfit"), [(0.79, 0.0, True), (0.81, 0.0, False), (1.0, 90.0, True)])
def test_when_a_calibration_does_not_fit(other: float, refuted: float, is_unfit: bool) -> None:
    assert CalibrationOutcome(False, False, 0.01, 0.02, 0.0, refuted, other).is_unfit == is_unfit


Part = tuple[Array, Array]


def of_blocks(parts: list[Part | None], monkeypatch: pytest.MonkeyPatch, sigma_px: float = 1.0) -> Determined:
    """What blocks of 16 keyframes say that have these informations and gradients."""
    n = 16 * len(parts)
    p = seen_by_all([at()] * n, cloud(2))
    monkeypatch.setattr(module, "_reduced", lambda p, active, begin, end, loss_px: parts[begin // 16])
    return determined(p, sigma_px=sigma_px)


H = np.diag([4.0, 1.0])


def test_few_blocks_however_exact_are_worth_a_twenty_fifth(monkeypatch: pytest.MonkeyPatch) -> None:
    g = np.array([100.0, 0.0])
    found = of_blocks([(H, g), (H, -g), (H, g)], monkeypatch)
    np.testing.assert_allclose(found.information, 3.0 * H / 25.0)
    assert found.overcount == pytest.approx(25.0)
    exact = of_blocks([(H, g), (H, -g), (H, g)], monkeypatch, sigma_px=0.5)
    np.testing.assert_allclose(exact.information, found.information)
    none = of_blocks([None, None], monkeypatch)
    np.testing.assert_array_equal(none.information, np.zeros((2, 2)))
    assert none.overcount == 25.0


def test_blocks_together_say_how_far_off_the_calibration_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Curvatures of 12 and 3, and slopes of 24 and -9."""
    found = of_blocks([(H, np.array([8.0, -3.0]))] * 3, monkeypatch)
    np.testing.assert_allclose(found.step, [-2.0, 3.0])


def test_blocks_that_contradict_one_another_are_worth_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four blocks: C = diag(1 / 16, 1 / 4). Gradients of +-30, whatever they have in common: the sum of squares, 3600,
    over 16^2 and times 4 / 3 is a variance of 18.75. The curvature promises 25 / 16: twelve times less. The distortion,
    of which nothing is contradicted, keeps 25 / 4."""
    common = np.array([7.0, 5.0])
    g = [np.array([x, 0.0]) + common for x in (30.0, -30.0, 30.0, -30.0)]
    found = of_blocks([(H, x) for x in g], monkeypatch)
    np.testing.assert_allclose(found.information, np.diag([1 / 18.75, 4.0 / 25.0]))
    assert found.overcount == pytest.approx(18.75 * 16.0)


def test_blocks_that_agree_are_worth_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    g = [np.array([x, 0.0]) for x in (1.0, -1.0, 1.0, -1.0)]
    found = of_blocks([(H, x) for x in g], monkeypatch)
    np.testing.assert_allclose(found.information, 4.0 * H / 25.0)
    exact = of_blocks([(H, x) for x in g], monkeypatch, sigma_px=0.5)
    np.testing.assert_allclose(exact.information, 4.0 * found.information)


def test_eight_blocks_speak_for_twelve(monkeypatch: pytest.MonkeyPatch) -> None:
    found = of_blocks([(H, np.zeros(2))] * 12, monkeypatch)
    np.testing.assert_allclose(found.information, 12.0 * H / 25.0)


def test_a_block_has_ten_observations_a_keyframe_or_says_nothing() -> None:
    p = seen_by_all(around(4), cloud(10))
    active = p.is_active()
    assert _reduced(p, active, 0, 4, 1.0) is not None
    active[0] = False
    assert _reduced(p, active, 0, 4, 1.0) is None


def theta_moved(p: Problem, log_focal: float, k1: float) -> Problem:
    f = np.exp(log_focal)
    return replace(p, camera=replace(p.camera, fx=p.camera.fx * f, fy=p.camera.fy * f), k1=p.k1 + k1)


def residuals(p: Problem) -> Array:
    return project(p.camera, p.k1, p.local_points()) - p.pixels


def test_what_only_one_keyframe_of_a_block_sees_does_not_count() -> None:
    """Five keyframes with ten observations each, of which one sees its own points alone: forty are left, of fifty."""
    p = seen_by_all(around(5), cloud(10))
    active = np.ones(len(p.cam), bool)
    assert _reduced(p, active, 0, 5, 1.0) is not None
    alone = replace(p, point=np.where(p.cam == 4, p.point + 10, p.point), points=np.concatenate([p.points, p.points]),
                    has_point=np.ones(20, bool), landmark_ids=np.arange(20))  # fmt: skip
    assert _reduced(alone, active, 0, 5, 1.0) is None
    assert _reduced(alone, active, 0, 4, 1.0) is not None


def test_without_information_the_focal_length_may_be_any() -> None:
    assert Determined(np.zeros((2, 2)), 25.0).focal_sigma() == np.inf
    assert Determined(np.diag([1e4, 0.0]), 25.0).focal_sigma() == np.inf
    assert Determined(np.diag([1e4, 1.0]), 25.0).focal_sigma() == pytest.approx(0.01)


def test_derivatives_are_those_of_the_projection() -> None:
    """By differences, of a lens with distortion and unequal focal lengths."""
    p = seen_by_all(around(2), cloud(12), replace(CAMERA, fy=80.0), 0.1)
    J = _Jacobian(p, np.arange(24), 1e6)
    step = 1e-6
    for i in range(2):
        d = np.eye(2)[i] * step
        found = (residuals(theta_moved(p, *d)) - residuals(theta_moved(p, *-d))) / (2 * step)
        np.testing.assert_allclose(J.theta[:, :, i], found, atol=1e-5)
    for i in range(3):
        d = np.eye(3)[i] * step
        moved = [residuals(replace(p, points=p.points + s * d)) for s in (1.0, -1.0)]
        np.testing.assert_allclose(J.point[:, :, i], (moved[0] - moved[1]) / (2 * step), atol=1e-4)
    for i in range(6):
        d = np.eye(6)[i] * step
        moved = [residuals(replace(p, T_cam_world=se3.exp(s * d) @ p.T_cam_world)) for s in (1.0, -1.0)]
        np.testing.assert_allclose(J.cam[:, :, i], (moved[0] - moved[1]) / (2 * step), atol=1e-4)


def test_residuals_are_weighed_by_the_soft_loss() -> None:
    """An error of sqrt(15) px, at a loss of 1 px, has the root of a weight 1 / sqrt(16): a half."""
    p = seen_by_all(around(2), cloud(6))
    off = replace(p, pixels=p.pixels - np.array([15.0**0.5, 0.0]))
    exact, weighed = _Jacobian(p, np.arange(12), 1.0), _Jacobian(off, np.arange(12), 1.0)
    np.testing.assert_allclose(weighed.residual, np.tile([0.5 * 15.0**0.5, 0.0], (12, 1)), atol=1e-12)
    for name in ("cam", "point", "theta"):
        np.testing.assert_allclose(getattr(weighed, name), 0.5 * getattr(exact, name))


def test_the_information_is_what_is_left_when_poses_and_points_are_free() -> None:
    """Against the dense normal equations, whose gauge is fixed by the first pose; the scale is free."""
    p = seen_by_all(around(3), cloud(14))
    found = _reduced(p, p.is_active(), 0, 3, 1.0)
    assert found is not None
    J = _Jacobian(p, np.arange(42), 1.0)
    A = np.zeros((42, 2, 12 + 42 + 2))
    for row, (c, i) in enumerate(zip(p.cam.tolist(), p.point.tolist(), strict=True)):
        if c:
            A[row, :, 6 * c - 6 : 6 * c] = J.cam[row]
        A[row, :, 12 + 3 * i : 15 + 3 * i] = J.point[row]
        A[row, :, -2:] = J.theta[row]
    A = A.reshape(84, -1)
    rest, theta = A[:, :-2], A[:, -2:]
    left = theta - rest @ np.linalg.lstsq(rest, theta, rcond=None)[0]
    np.testing.assert_allclose(found[0], left.T @ left, rtol=0.02)


# -- what the solver is told

STEPS = SolverOptions(max_iterations=60, tolerance=1e-12)


def too_long(p: Problem, factor: float) -> Problem:
    """The problem with a focal length that is wrong by a factor."""
    return replace(p, camera=replace(p.camera, fx=p.camera.fx * factor, fy=p.camera.fy * factor))


def test_a_wrong_focal_length_is_found_and_the_ratio_of_both_stays() -> None:
    camera = Camera(100.0, 80.0, 90.0, 70.0, 200, 160)
    p = seen_by_all(around(), cloud(), camera)
    loose = FreeCalibration(FocalPrior(100.0, 1e3))
    found = solve(too_long(p, 1.05), STEPS, loose)
    assert found.camera.fx == pytest.approx(100.0, rel=1e-3)
    assert found.camera.fy == pytest.approx(80.0, rel=1e-3)
    assert found.errors_px().max() < 0.01
    held = solve(too_long(p, 1.05), STEPS)
    assert held.camera == too_long(p, 1.05).camera


def test_a_distortion_is_found_where_it_is_free() -> None:
    p = seen_by_all(around(), cloud(), k1=0.08)
    start = replace(p, k1=0.0)
    found = solve(start, STEPS, FreeCalibration(None, True))
    assert found.k1 == pytest.approx(0.08, abs=1e-4)
    assert found.camera.fx == 100.0
    assert solve(start, STEPS, FreeCalibration(FocalPrior(100.0, 1e3))).k1 == 0.0


@pytest.mark.parametrize("sigma_px", [8.0, 20.0])
def test_a_prior_pulls_as_much_as_its_deviation_says(sigma_px: float) -> None:
    """Observations with information I about the focal length in px say 100, the prior 101: the mean of both, by
    their weights."""
    p = seen_by_all(around(), cloud(30))
    p = replace(p, camera=replace(p.camera, fx=101.0, fy=101.0))
    reduced = _reduced(replace(p, camera=CAMERA), p.is_active(), 0, 5, 1.0)
    assert reduced is not None
    information, weight = reduced[0][0, 0] / 100.0**2, 1.0 / sigma_px**2
    expected = (100.0 * information + 101.0 * weight) / (information + weight)
    assert 100.1 < expected < 100.9
    found = solve(p, STEPS, FreeCalibration(FocalPrior(101.0, sigma_px)))
    assert found.camera.fx == pytest.approx(expected, abs=0.05)


def test_the_prior_is_about_what_was_given_and_not_about_where_the_search_begins() -> None:
    p = seen_by_all(around(), cloud(30))
    found = solve(p, STEPS, FreeCalibration(FocalPrior(104.0, 1e-3)))
    assert found.camera.fx == pytest.approx(104.0, abs=0.01)


def test_held_keyframes_stay_and_steps_are_counted() -> None:
    p = seen_by_all(around(), cloud())
    T = p.T_cam_world.copy()
    T[2:] = se3.exp(np.array([0.02, -0.01, 0.03, 0.05, 0.02, -0.04])) @ T[2:]
    start = replace(p, T_cam_world=T)
    held = np.array([True, True, False, False, False])
    found = solve(start, STEPS, held=held)
    np.testing.assert_allclose(found.T_cam_world[:2], p.T_cam_world[:2], atol=1e-12)
    assert found.errors_px().max() < 1e-3
    one = solve(start, SolverOptions(max_iterations=1, tolerance=1e-12), held=held)
    assert 1e-3 < one.errors_px().max() < start.errors_px().max()


def test_the_loss_bends_at_the_width_that_is_given() -> None:
    """A third of the observations of one point lie 8 px aside: they count less at a width of 1 px than of 100."""
    poses = [at(), at(x=1.0), at(x=2.0), at(x=0.5)]
    p = seen_by_all(poses, np.concatenate([cloud(), [[0.8, 0.0, 4.0]]]))
    off = p.pixels.copy()
    off[(p.cam == 3) & (p.point == 60)] += np.array([0.0, 8.0])
    held = np.ones(4, bool)
    moved = [
        solve(replace(p, pixels=off), replace(STEPS, loss_px=width), held=held).points[60, 1] for width in (0.1, 100.0)
    ]
    assert abs(moved[0]) < 0.3 * abs(moved[1])
