"""Rounds of adjustment and how their outcome is written back, with values worked out by hand."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hand_map import CAMERA, add_landmarks, at, grid, hand_map

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap
from vgslam.refine import adjust as module
from vgslam.refine.adjust import Adjusted, CalibrationOutcome, RefineConfig, Watch, adjust, choose_calibration
from vgslam.refine.apply import (
    Aligned,
    _aim,
    _follow,
    _forget_outliers,
    _set_landmarks,
    aligned,
    apply,
    depth_deviation,
    take_along,
    update_edges,
    with_removed,
)
from vgslam.refine.calibration import Determined
from vgslam.refine.ceres import FreeCalibration, SolverOptions
from vgslam.refine.problem import Problem, gather
from vgslam.types import Array, Edge, EdgeKind, Sim3

HELD = CalibrationOutcome(False, False, 0.01, 0.02)
FIXED = RefineConfig(is_calibration_fixed=True)


def walk(counts: Sequence[int] = (25, 25, 25, 25)) -> SlamMap:
    """Keyframes 0.5 apart before one wall, 4 away; keyframe k sees the first counts[k] of 25 landmarks."""
    m = hand_map([at(x=0.5 * k) for k in range(len(counts))])
    points = grid(5, 5, 4.0) + np.array([0.5, 0.0, 0.0])
    add_landmarks(m, 0, points, range(len(counts)))
    for k, n in enumerate(counts):
        m.unobserve(k, np.arange(n, 25))
    return m


# -- rounds


class Solver:
    """Stands in for Ceres: leaves the problem, and notes how it was asked."""

    def __init__(self) -> None:
        self.options: list[SolverOptions] = []
        self.free: list[FreeCalibration | None] = []
        self.held: list[list[bool]] = []

    def __call__(
        self, p: Problem, options: SolverOptions, free: FreeCalibration | None = None, held: Array | None = None
    ) -> Problem:
        self.options.append(options)
        self.free.append(free)
        self.held.append([] if held is None else held.tolist())
        return p


@pytest.fixture
def solver(monkeypatch: pytest.MonkeyPatch) -> Solver:
    found = Solver()
    monkeypatch.setattr(module, "solve_thinned", found)
    monkeypatch.setattr(module, "_other_error", lambda *_: 1.0)  # what another calibration would leave is asked aside
    return found


def run(m: SlamMap, config: RefineConfig = FIXED, **options: bool) -> Adjusted | None:
    return adjust(gather(m, np.arange(len(m.keyframes))), config, Watch(), **options)


@pytest.mark.parametrize(("deadline_s", "is_measured"), [(119.0, False), (121.0, True)])
def test_landmarks_are_measured_again_if_as_much_time_is_left_as_the_first_round_took(
    deadline_s: float, is_measured: bool, solver: Solver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPU time is 100 s before and 110 s after the first round; the clock on the wall tells nothing."""
    times = iter([100.0, 110.0])
    monkeypatch.setattr(module.time, "process_time", lambda: next(times, 110.0))
    monkeypatch.setattr(module.time, "monotonic", lambda: 1e9)
    monkeypatch.setattr(module, "_options", lambda config, tolerance, watch: SolverOptions())
    asked: list[Problem] = []
    monkeypatch.setattr(module, "remeasured", lambda p, gray_of: asked.append(p) or p)
    monkeypatch.setattr(module, "with_shared_landmarks", lambda p, *_: p)
    p = gather(walk(), np.arange(4))
    adjust(p, FIXED, Watch(deadline_s=deadline_s), gray_of=lambda k: np.zeros((160, 200), np.uint8))
    assert bool(asked) is is_measured


@pytest.mark.parametrize(("n", "is_weak"), [(11, True), (12, False)])
def test_a_keyframe_with_fewer_than_twelve_observations_is_held(n: int, is_weak: bool, solver: Solver) -> None:
    done = run(walk((25, 25, 25, n)))
    assert done is not None
    assert done.weak.tolist() == [False, False, False, is_weak]
    assert solver.held == [[False, False, False, is_weak]] * 3
    assert done.after.is_active()[done.after.cam == 3].any() != is_weak


@pytest.mark.parametrize(("counts", "is_done"), [
    ((20, 20, 20), True), ((19, 19, 19), False), ((25, 11, 11), False), ((25, 25, 11), True),
])  # fmt: skip
def test_twenty_points_and_two_keyframes_are_needed(counts: tuple[int, ...], is_done: bool, solver: Solver) -> None:
    assert (run(walk(counts)) is not None) == is_done


def known(
    monkeypatch: pytest.MonkeyPatch, focal: float, k1: float, overcount: float = 4.0, k1_step: float = 0.0,
    focal_step: float = 0.0,
) -> None:  # fmt: skip
    """The observations say so much of the focal length (its logarithm) and the distortion, which are off by a step."""
    found = Determined(np.diag([focal, k1]), overcount, np.array([focal_step, k1_step]))
    monkeypatch.setattr(module, "determined", lambda problem, loss_px, sigma_px=1.0: found)


def test_a_wide_focal_length_gets_more_and_finer_steps(solver: Solver, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow, wide = ([12, 12, 12], [1e-3, 1e-3, 2e-5]), ([12, 12, 30], [1e-3, 1e-4, 2e-6])
    for sigma, (steps, tolerances) in ((0.014, narrow), (0.016, wide)):
        known(monkeypatch, 1e6, 0.0)
        solver.options.clear()
        solver.free.clear()
        run(walk(), RefineConfig(focal_rel_sigma=sigma, max_iterations=12))
        assert [o.max_iterations for o in solver.options] == steps
        assert [o.tolerance for o in solver.options] == pytest.approx(tolerances)
        assert [f is not None and f.prior is not None for f in solver.free] == [False, True, True]


def test_nothing_is_adjusted_for_a_calibration_that_stays(solver: Solver, monkeypatch: pytest.MonkeyPatch) -> None:
    for focal, k1, is_done in ((0.0, 0.0, False), (1e6, 0.0, True), (0.0, 1e6, True)):
        known(monkeypatch, focal, k1)
        assert (run(walk(), RefineConfig(), for_calibration=True) is not None) == is_done
        assert run(walk(), RefineConfig()) is not None


@pytest.mark.parametrize(("k1_information", "rounds"), [(2400.0, 0), (2600.0, 1), (10100.0, 3)])
def test_nothing_is_solved_for_a_calibration_that_twice_its_deviation_would_not_determine(
    k1_information: float, rounds: int, solver: Solver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Distortion is free below a deviation of 0.01, an information of 10,000, of which a quarter is worth a try."""
    known(monkeypatch, 0.0, k1_information)
    run(walk(), RefineConfig(k1_sigma=0.02), for_calibration=True)
    assert len(solver.options) == rounds


def test_what_was_found_of_shared_landmarks_is_in_the_problem_of_before(
    solver: Solver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def longer(p: Problem, *_: object) -> Problem:
        return replace(
            p, cam=np.append(p.cam, 3), point=np.append(p.point, 20), pixels=np.concatenate([p.pixels, [[5.0, 6.0]]]),
            in_use=np.append(p.in_use, True),
        )  # fmt: skip

    monkeypatch.setattr(module, "with_shared_landmarks", longer)
    m = walk((25, 25, 25, 20))
    done = adjust(gather(m, np.arange(4)), FIXED, Watch(), gray_of=lambda k: np.zeros((160, 200), np.uint8))
    assert done is not None
    assert len(done.before.cam) == len(done.after.cam) == 96
    assert done.before.pixels[-1].tolist() == [5.0, 6.0]
    assert done.before.in_use.tolist() == [True] * 96


@pytest.mark.parametrize(("off_px", "is_begun", "is_known"), [
    (2.4, True, True), (2.6, True, False), (5.7, True, False), (6.1, False, False),
])  # fmt: skip
def test_a_point_is_begun_within_six_px_and_stays_within_two_and_a_half(
    off_px: float, is_begun: bool, is_known: bool, solver: Solver
) -> None:
    """Two keyframes see it so far above and below its epipolar line."""
    m = walk()
    [new] = add_landmarks(m, 0, np.array([[0.75, 0.0, 4.0]]), [3])
    m.landmarks.is_triangulated[new] = False
    for k, off in ((0, off_px), (3, -off_px)):
        pixel = m.observed[k].pixels[-1:] + np.array([0.0, off])
        m.unobserve(k, np.array([new]))
        m.observe(k, np.array([new]), pixel)
    done = run(m)
    assert done is not None
    assert done.before.has_point[new] == is_begun
    assert done.after.is_active()[done.after.point == new].any() == is_known


# -- what of the calibration is adjusted


def chosen(monkeypatch: pytest.MonkeyPatch, focal: float, k1: float, **settings: object):
    known(monkeypatch, focal, k1)
    p = gather(walk(), np.arange(4))
    return choose_calibration(p, RefineConfig(**{"focal_rel_sigma": 0.01, "k1_sigma": 0.02, **settings}))


@pytest.mark.parametrize(("k1_step", "is_estimated", "is_free"), [
    (-0.301, False, True), (-0.299, False, False), (0.301, False, True), (0.301, True, False),
])  # fmt: skip
def test_distortion_of_three_deviations_is_adjusted_where_a_calibration_was_given(
    k1_step: float, is_estimated: bool, is_free: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An information of 100 is a deviation of 0.1, ten times what determines a distortion as small as is usual."""
    known(monkeypatch, 0.0, 100.0, k1_step=k1_step)
    config = RefineConfig(k1_sigma=0.02, is_focal_estimated=is_estimated)
    free, found = choose_calibration(gather(walk(), np.arange(4)), config)
    assert free.is_k1_free == found.is_k1_free == is_free
    assert found.k1_sigma == pytest.approx(0.1 if is_free else 0.02)


def test_the_focal_length_is_adjusted_where_its_deviation_becomes_seven_tenths(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 / (I + 1e4) is 0.49e-4 at I = 10408."""
    for information, is_free in ((10300.0, False), (10500.0, True)):
        free, found = chosen(monkeypatch, information, 0.0)
        assert (free.prior is not None) == found.is_focal_free == found.is_any_free == is_free
        expected = (information + 1e4) ** -0.5 if is_free else 0.01
        assert found.focal_rel_sigma == pytest.approx(expected)
        assert found.k1_sigma == 0.02


def test_the_distortion_is_adjusted_where_its_deviation_becomes_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 / I is 1e-4 at I = 1e4."""
    for information, is_free in ((9900.0, False), (10100.0, True)):
        free, found = chosen(monkeypatch, 0.0, information)
        assert free.is_k1_free == found.is_k1_free == found.is_any_free == is_free
        assert found.k1_sigma == pytest.approx(information**-0.5 if is_free else 0.02)
        assert found.focal_rel_sigma == 0.01


def test_the_pull_is_that_of_what_was_given_worth_as_much_as_the_observations(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundredth of 100 px; observations count 4 times too much, so that the prior has to count 4 times as well."""
    prior = chosen(monkeypatch, 1e6, 0.0)[0].prior
    assert prior is not None
    assert (prior.fx, prior.sigma_px) == (100.0, pytest.approx(0.5))
    prior = chosen(monkeypatch, 1e6, 0.0, focal_px=120.0)[0].prior
    assert prior is not None
    assert (prior.fx, prior.sigma_px) == (120.0, pytest.approx(0.6))
    prior = chosen(monkeypatch, 1e6, 0.0, is_focal_estimated=True)[0].prior
    assert prior is not None
    assert (prior.fx, prior.sigma_px) == (100.0, pytest.approx(25.0))


def test_a_focal_length_is_doubted_by_the_deviations_between_it_and_what_the_map_wants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Deviations .03 of the map and .04 of what was given: .05 of their difference."""
    known(monkeypatch, 0.03**-2, 1e6, focal_step=-0.1)
    p = gather(walk(), np.arange(4))
    assert choose_calibration(p, RefineConfig(focal_rel_sigma=0.04))[1].focal_doubt == pytest.approx(2.0)
    given = RefineConfig(focal_rel_sigma=0.04, focal_px=100.0 * np.exp(0.05))
    assert choose_calibration(p, given)[1].focal_doubt == pytest.approx(3.0), "the map went .05 of the way already"
    assert choose_calibration(p, RefineConfig(is_focal_estimated=True))[1].focal_doubt == 0.0
    known(monkeypatch, 0.03**-2, 0.0, focal_step=-0.1)
    assert choose_calibration(p, RefineConfig())[1].focal_doubt == 0.0, "with k1 unknown nothing is known"


def test_at_the_end_the_errors_that_are_left_are_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Determined(np.eye(2), 25.0)
    asked: list[float] = []
    monkeypatch.setattr(module, "determined", lambda p, loss_px, sigma_px: asked.append(sigma_px) or found)
    monkeypatch.setattr(module, "noise_px", lambda p: 0.3)
    p = gather(walk(), np.arange(4))
    choose_calibration(p, RefineConfig())
    choose_calibration(p, RefineConfig(), is_end=True)
    assert asked == [1.0, 0.3]


def test_a_fixed_calibration_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    free, found = chosen(monkeypatch, 1e9, 1e9, is_calibration_fixed=True)
    assert free == FreeCalibration()
    assert found == CalibrationOutcome(False, False, 0.01, 0.02)
    assert not found.is_any_free


# -- written back


def test_what_was_adjusted_goes_back_to_where_the_first_keyframe_was_and_to_the_usual_depth() -> None:
    """All is three times as large, turned and elsewhere. Keyframe 0 was not adjusted: it is not what the rest is laid
    on."""
    p = gather(walk(), np.arange(4))
    S = Sim3(se3.so3_exp(np.array([0.2, 0.5, -0.3])), np.array([1.0, 2.0, 3.0]), 3.0)
    T = np.stack([S.compose_pose(x) for x in p.T_world_cam()])
    T[0] = at(x=9.0)
    after = replace(p, T_cam_world=se3.inverse(T), points=S.apply(p.points))
    weak = np.array([True, False, False, False])
    found = aligned(Adjusted(p, replace(after, in_use=after.cam > 0), weak, HELD))
    np.testing.assert_allclose(found.problem.T_world_cam(), p.T_world_cam(), atol=1e-9)
    np.testing.assert_allclose(found.problem.points, p.points, atol=1e-9)
    np.testing.assert_allclose(found.depth_ratio, 1.0)


def test_a_weak_keyframe_follows_the_nearest_strong_one_in_its_units() -> None:
    """Keyframe 3 stood 0.5 beside keyframe 2, whose surroundings have become twice as long, and which has turned."""
    p = gather(walk(), np.arange(4))
    T = p.T_world_cam()
    T[2] = at(x=5.0, turn=(0.0, 90.0, 0.0))
    ratio = np.array([1.0, 1.0, 2.0, 7.0])
    after = _follow(p, replace(p, T_cam_world=se3.inverse(T)), np.array([False, False, False, True]), ratio)
    np.testing.assert_allclose(after.T_world_cam()[3], at(x=5.0, z=-1.0, turn=(0.0, 90.0, 0.0)), atol=1e-12)
    np.testing.assert_allclose(after.T_world_cam()[:3], T[:3], atol=1e-12)
    assert ratio.tolist() == [1.0, 1.0, 2.0, 2.0]


def test_what_was_taken_out_of_the_images_adds_up_in_the_radius_of_the_new_focal_length() -> None:
    before, now = replace(CAMERA, removed_k1=0.1), replace(CAMERA, fx=200.0, fy=200.0)
    assert with_removed(now, before, 0.02).removed_k1 == pytest.approx(0.1 * 4.0 + 0.02)


def test_depth_is_straightened_without_mixing_and_gets_the_camera_in_its_size() -> None:
    m = hand_map([at()])
    depth = np.where(np.arange(100) < 70, 1.0, 3.0).astype(np.float32)[None].repeat(80, axis=0)
    keyframe = m.keyframes[0]
    keyframe.depth, keyframe.confidence = depth, depth / 4.0
    keyframe.depth_camera = CAMERA.resized(100, 80)
    keyframe.image = np.where(np.arange(200) < 140, 0, 200).astype(np.uint8)[None, :, None].repeat(160, 0).repeat(3, 2)
    lens = replace(CAMERA, fx=110.0, fy=110.0)
    take_along(m, np.array([0]), lens, 0.2)
    assert set(np.unique(m.keyframes[0].depth)) == {1.0, 3.0}
    assert set(np.unique(m.keyframes[0].confidence)) == {0.25, 0.75}
    assert (m.keyframes[0].depth != depth).any()
    image = m.keyframes[0].image
    assert len(np.unique(image)) > 2, "images are interpolated"
    assert m.keyframes[0].camera == lens
    assert m.keyframes[0].depth_camera == lens.resized(100, 80)


def test_landmarks_of_a_keyframe_go_to_the_rays_of_their_pixels_and_keep_their_depth() -> None:
    m = hand_map([at(), at(x=1.0)])
    mine = add_landmarks(m, 0, grid(2, 2, 4.0), [1])
    others = add_landmarks(m, 1, grid(2, 2, 5.0) + np.array([1.0, 0.0, 0.0]), [0])
    before = m.landmarks.xyz_host.copy()
    lens = Camera(200.0, 200.0, 99.5, 79.5, 200, 160)
    which = np.ones(8, bool)
    which[mine[3]] = False
    _aim(m, 0, lens, which)
    np.testing.assert_allclose(m.landmarks.xyz_host[mine[:3]], before[mine[:3]] * [0.5, 0.5, 1.0])
    np.testing.assert_array_equal(m.landmarks.xyz_host[mine[3]], before[mine[3]])
    np.testing.assert_array_equal(m.landmarks.xyz_host[others], before[others])


def test_a_new_focal_length_turns_the_rays_of_landmarks_whose_depth_is_a_guess() -> None:
    m = walk()
    m.landmarks.is_triangulated[:5] = False
    before = gather(m, np.arange(4))
    m.landmarks.xyz_host[:5] *= 2.0  # 8 before keyframe 0
    lens = replace(CAMERA, fx=200.0, fy=200.0)
    local = m.landmarks.xyz_host.copy()
    apply(m, before, Aligned(replace(before, camera=lens, has_point=np.arange(25) >= 5), np.ones(4)))
    np.testing.assert_allclose(m.landmarks.xyz_host[:5], local[:5] * [0.5, 0.5, 1.0])
    assert {k.camera.fx for k in m.keyframes} == {200.0}


@pytest.mark.parametrize(("n_cams", "off_px", "sigma"), [
    (2, 0.5, 0.1), (8, 0.5, 0.05), (2, 0.005, 0.003), (2, 9.0, 0.5),
])  # fmt: skip
def test_the_deviation_of_a_depth_is_that_of_the_angle_over_the_observations(
    n_cams: int, off_px: float, sigma: float
) -> None:
    """Half a pixel is 0.005 rad. Twice that over an angle of 0.1 is a tenth, of two observations; of eight half."""
    poses = [at(), *[at(x=4.0 * np.tan(0.1))] * (n_cams - 1)]
    m = hand_map(poses)
    add_landmarks(m, 0, np.array([[0.0, 0.0, 4.0]]), range(n_cams))
    p = gather(m, np.arange(n_cams))
    p = replace(p, pixels=p.pixels + np.array([0.0, off_px]))
    np.testing.assert_allclose(depth_deviation(p), [sigma], rtol=1e-6)


def test_landmarks_that_lost_their_observations_are_guesses_and_outliers_leave() -> None:
    m = walk()
    p = gather(m, np.arange(4))
    in_use = np.ones(len(p.cam), bool)
    in_use[(p.point == 7) & (p.cam > 0)] = False  # one observation is none
    in_use[(p.point == 8) & (p.cam == 2)] = False
    p = replace(p, in_use=in_use)
    m.landmarks.rel_sigma[9] = 0.9
    _set_landmarks(m, p)
    assert np.flatnonzero(~m.landmarks.is_triangulated).tolist() == [7]
    assert m.landmarks.rel_sigma[7] == 0.5
    assert m.landmarks.rel_sigma[9] == 0.003, "exact ones are believed to this"
    _forget_outliers(m, p)
    assert [len(seen.ids) for seen in m.observed] == [25, 25, 24, 25]
    assert 8 not in m.observed[2].ids
    m.landmarks.rel_sigma[7] = 0.8
    _set_landmarks(m, p)
    assert m.landmarks.rel_sigma[7] == 0.8, "a guess does not get better"


@pytest.mark.parametrize(("kind", "off", "is_taken"), [
    (EdgeKind.LOOP, 3.9, True), (EdgeKind.LOOP, 4.1, False), (EdgeKind.ODOMETRY, 4.1, True),
    (EdgeKind.RELOC, -4.1, False),
])  # fmt: skip
def test_an_edge_takes_over_what_was_adjusted_if_it_was_believed(kind: EdgeKind, off: float, is_taken: bool) -> None:
    m = hand_map([at(), at(x=1.0), at(x=2.0)])
    measured = Sim3.from_T(at(x=2.0 + 0.1 * off))
    m.edges = {(0, 2): Edge(0, 2, measured, np.array([1e-3] * 3 + [0.1] * 3 + [1e-3]), kind)}
    update_edges(m, np.array([0, 1]))
    assert m.edges[0, 2].S_a_b is measured, "one of its keyframes was not adjusted"
    update_edges(m, np.arange(3))
    np.testing.assert_allclose(m.edges[0, 2].S_a_b.t[0], 2.0 if is_taken else 2.0 + 0.1 * off)
