"""When a difference of two clocks is looked for and believed: errors worked out by hand, and both sides of limits."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from evaluation.test_clock import poses

from vgslam.evaluation.clock import Mask, _Pair, clock_difference
from vgslam.geometry import se3
from vgslam.types import Array, Trajectory


def at(points: list[tuple[float, float, float]], turns_deg: list[float] | None = None) -> Array:
    """Poses at points, turned about z."""
    T = np.tile(np.eye(4), (len(points), 1, 1))
    T[:, :3, 3] = points
    if turns_deg is not None:
        T[:, :3, :3] = [se3.so3_exp(np.array([0.0, 0.0, np.radians(d)])) for d in turns_deg]
    return T


def pair(T_est: Array, T_ref: Array) -> _Pair:
    """Both at the same times, a second apart."""
    times = np.arange(len(T_est), dtype=np.float64)
    return _Pair(times, T_est, Trajectory(times, T_ref), 2.0)


def test_rotations_that_are_ten_degrees_off_to_either_side_are_ten_degrees_off() -> None:
    p = pair(at([(0, 0, 0)] * 4, [10, -10, 10, -10]), at([(0, 0, 0)] * 4))
    assert p.rotations_deg(0.0, np.ones(4, bool)) == pytest.approx(10.0)


def test_a_mirror_image_is_no_similarity() -> None:
    """Moments of 18, 8 and 2 along the axes, 28 together; the last is mirrored: left are 28 - (18 + 8 - 2)^2 / 28."""
    points = [(3, 0, 0), (-3, 0, 0), (0, 2, 0), (0, -2, 0), (0, 0, 1), (0, 0, -1)]
    mirrored = [(x, y, -z) for x, y, z in points]
    p = pair(at(mirrored), at(points))
    assert p.positions_m(0.0, np.ones(6, bool)) == pytest.approx(((28 - 24**2 / 28) / 6) ** 0.5)
    assert pair(at(points), at(points)).positions_m(0.0, np.ones(6, bool)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("interval", "hole", "is_known"), [(0.1, 0.24, True), (0.1, 0.26, False), (1.0, 1.4, True), (1.0, 1.6, False)]
)
def test_a_hole_is_a_quarter_of_a_second_or_one_and_a_half_intervals(
    interval: float, hole: float, is_known: bool
) -> None:
    times = np.concatenate([interval * np.arange(10), 9 * interval + hole + interval * np.arange(10)])
    reference = Trajectory(times, np.tile(np.eye(4), (20, 1, 1)))
    middle = 9 * interval + hole / 2
    estimate = Trajectory(np.array([middle - 0.001, middle]), np.tile(np.eye(4), (2, 1, 1)))
    assert _Pair.of(estimate, reference).known(0.0).tolist() == [is_known, is_known]


@pytest.mark.parametrize(("offset", "is_enough"), [(2.95, True), (3.35, False)])
def test_seven_tenths_of_the_poses_need_a_reference(offset: float, is_enough: bool) -> None:
    times = 0.1 * np.arange(100) + 0.05
    reference = Trajectory(0.1 * np.arange(102), np.tile(np.eye(4), (102, 1, 1)))
    p = _Pair.of(Trajectory(times, np.tile(np.eye(4), (100, 1, 1))), reference)
    assert bool(np.isfinite(p.among_enough(lambda d, known: 1.0, offset))) is is_enough


@dataclass(frozen=True)
class Judged(_Pair):
    """A pair with errors (metres, degrees) that are given, without a difference and with it."""

    now: tuple[float, float] = (0.0, 0.0)
    then: tuple[float, float] = (0.0, 0.0)
    asked: list[int] = field(default_factory=list)

    def positions_m(self, offset_s: float, known: Mask) -> float:
        self.asked.append(int(known.sum()))
        return (self.then if offset_s else self.now)[0]

    def rotations_deg(self, offset_s: float, known: Mask) -> float:
        self.asked.append(int(known.sum()))
        return (self.then if offset_s else self.now)[1]


def judged(now: tuple[float, float], then: tuple[float, float]) -> Judged:
    """Ten seconds along a line of 10 m; a difference of 1.5 s leaves the poses at 1 to 8 m, whose spread is 2.29 m."""
    times = np.arange(11, dtype=np.float64)
    T = at([(float(t), 0, 0) for t in times])
    return Judged(times, T, Trajectory(times, T), 2.0, now, then)


@pytest.mark.parametrize(
    ("now", "then", "is_named"),
    [
        ((1.0, 4.0), (1.0, 1.9), True),
        ((1.0, 4.0), (1.0, 2.1), False),  # more than half is left
        ((1.0, 0.51), (1.0, 0.1), True),
        ((1.0, 0.49), (1.0, 0.1), False),  # too little to ask about
        ((1.0, 4.0), (1.04, 1.0), True),
        ((1.0, 4.0), (1.06, 1.0), False),  # the positions get worse
    ],
)
def test_half_of_the_error_of_rotations_is_left_and_positions_are_no_worse(
    now: tuple[float, float], then: tuple[float, float], is_named: bool
) -> None:
    p = judged(now, then)
    found = p.judged(1.5, by_rotations=True)
    assert (found is not None) is is_named
    if found is not None:
        assert (found.error_m, found.error_before_m) == (then[0], now[0])
        assert (found.error_deg, found.error_before_deg) == (then[1], now[1])


@pytest.mark.parametrize(
    ("now", "then", "is_named"),
    [
        ((0.024, 1.0), (0.01, 1.0), True),
        ((0.022, 1.0), (0.01, 1.0), False),  # a hundredth of the extent is too little to ask about
        ((1.0, 1.0), (0.4, 1.06), False),
    ],
)
def test_positions_likewise(now: tuple[float, float], then: tuple[float, float], is_named: bool) -> None:
    assert (judged(now, then).judged(1.5, by_rotations=False) is not None) is is_named


def test_what_has_a_reference_on_both_clocks_is_compared() -> None:
    """The first of eleven poses has none before it; a second and a half later the last two have none after them."""
    p = judged((1.0, 4.0), (1.0, 1.0))
    assert p.judged(1.5, by_rotations=True) is not None
    assert set(p.asked) == {8}


def walk(times: Array, offset_s: float = 0.0) -> Trajectory:
    """The walk of the other tests, on a clock that is behind."""
    return Trajectory(times - offset_s, poses(times))


@pytest.mark.parametrize(("n", "is_found"), [(10, True), (9, False)])
def test_ten_poses_are_the_fewest(n: int, is_found: bool) -> None:
    times = 1.1 * np.arange(n)
    found = clock_difference(walk(times, 0.4), walk(np.arange(-300, 1600) / 100.0))
    assert (found is not None) is is_found


def test_of_a_long_recording_two_seconds_are_the_farthest() -> None:
    times = np.arange(200) / 10.0
    reference = walk(np.arange(-600, 2600) / 100.0)
    found = clock_difference(walk(times, 1.9), reference)
    assert found is not None
    assert found.offset_s == pytest.approx(1.9, abs=0.002)
    far = clock_difference(walk(times, 2.6), reference)
    assert far is None or abs(far.offset_s) < 2.0


def test_a_difference_is_found_to_a_hundredth_of_the_step() -> None:
    """Poses 20 times a second: steps of 0.05, 0.005 and 0.0005 s."""
    found = clock_difference(walk(np.arange(200) / 20.0, 0.4321), walk(np.arange(-60, 260) / 20.0))
    assert found is not None
    assert found.offset_s == pytest.approx(0.4321, abs=0.001)
