"""What a round of adaptation must not do, from both sides of each limit, with figures worked out by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vgslam.adapt import safeguards as module
from vgslam.adapt.safeguards import Limits, Measures, epipolar_error_px, objections, pose_change, scale_drift
from vgslam.adapt.served import Guess
from vgslam.adapt.windows import PointMatches
from vgslam.geometry import se3

LIMITS = Limits()


def answer(depth: float = 2.0, angle_deg: float = 0.0, x: float = 1.0) -> Guess:
    """Two frames: an even depth, the second camera turned about y, and moved by x."""
    T = torch.eye(4).repeat(2, 1, 1)
    T[1, :3, :3] = torch.from_numpy(se3.so3_exp(np.radians([0.0, angle_deg, 0.0]))).float()
    T[1, 0, 3] = x
    return Guess(torch.full((2, 3, 4), depth), T)


def measured(photometric: float = 0.2, epipolar_px: float = 0.5, *answers: Guess) -> Measures:
    return Measures(photometric, epipolar_px, answers or (answer(),) * 3)


SERVED = measured()
BETTER = replace(SERVED, photometric=0.19)


def refused(after: Measures, limits: Limits = LIMITS, start: Measures = SERVED) -> str:
    return "; ".join(objections(start, SERVED, after, limits))


def test_a_round_that_is_better_in_all_is_committed() -> None:
    assert refused(BETTER) == ""


@pytest.mark.parametrize("photometric", [0.2, 0.2001, 0.4, float("nan"), float("inf")])
def test_a_photometric_error_that_does_not_fall_is_an_objection(photometric: float) -> None:
    said = refused(replace(SERVED, photometric=photometric))
    assert said.startswith("photometric loss 0.2 -> ")
    assert ";" not in said


def test_a_tolerance_lets_errors_rise_so_far_and_no_farther() -> None:
    """5 % of 0.2 and of 0.5."""
    limits = replace(LIMITS, tolerance=0.05)
    assert refused(replace(SERVED, photometric=0.2099), limits) == ""
    assert "photometric" in refused(replace(SERVED, photometric=0.2101), limits)
    assert refused(replace(BETTER, epipolar_px=0.5249), limits) == ""
    assert "epipolar" in refused(replace(BETTER, epipolar_px=0.5251), limits)


@pytest.mark.parametrize(("epipolar_px", "is_refused"), [(0.4, False), (0.5, False), (0.501, True), (np.nan, True)])
def test_the_epipolar_error_may_stay_but_not_rise(epipolar_px: float, is_refused: bool) -> None:
    said = refused(replace(BETTER, epipolar_px=epipolar_px))
    assert said.startswith("epipolar error 0.500 -> ") == is_refused
    assert (said == "") != is_refused


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_scale_may_drift_by_the_limit_at_most_both_ways(sign: float) -> None:
    """Depths times e^0.049, e^0.051 and e^1: the limit is 0.05, and 1 is 20 times as much."""
    for log_ratio, is_refused in ((0.049, False), (0.051, True), (1.0, True)):
        said = refused(measured(0.19, 0.5, *(answer(2.0 * np.exp(sign * log_ratio)),) * 3))
        assert ("scale drift" in said) == is_refused, log_ratio


def test_scale_drifts_from_the_network_as_it_was_given_not_from_the_last_commit() -> None:
    """Four commits of 0.03 each would be 0.12."""
    start = measured(0.3, 0.6, *(answer(2.0 * np.exp(-0.12)),) * 3)
    assert refused(BETTER, start=start) == "scale drift 0.120"


def test_one_window_of_three_with_another_depth_is_no_drift() -> None:
    after = measured(0.19, 0.5, answer(), answer(3.0), answer())
    assert scale_drift(SERVED, after) == 0.0
    assert scale_drift(SERVED, measured(0.1, 0.1, answer(3.0), answer(3.0), answer())) == pytest.approx(np.log(1.5))


def test_served_rotations_may_turn_by_less_than_the_limit() -> None:
    for angle_deg, is_refused in ((4.9, False), (5.1, True)):
        after = measured(0.19, 0.5, *(answer(angle_deg=angle_deg),) * 3)
        assert pose_change(SERVED, after)[0] == pytest.approx(angle_deg, abs=0.01)
        assert ("rotations" in refused(after)) == is_refused


def test_served_translations_may_move_by_less_than_the_limit() -> None:
    """0.29 and 0.31 of a length of 1; then of one of 2, to which 0.31 is 16 %."""
    for shift, is_refused in ((0.29, False), (0.31, True)):
        after = measured(0.19, 0.5, *(answer(x=1 + shift),) * 3)
        assert pose_change(SERVED, after)[1] == pytest.approx(shift, abs=1e-6)
        assert ("translations" in refused(after)) == is_refused
    far = measured(0.2, 0.5, *(answer(x=2.0),) * 3)
    assert pose_change(far, measured(0.2, 0.5, *(answer(x=2.31),) * 3))[1] == pytest.approx(0.155, abs=1e-6)


def test_pose_change_is_a_mean_over_windows() -> None:
    after = measured(0.19, 0.5, answer(angle_deg=6.0), answer(), answer())
    assert pose_change(SERVED, after)[0] == pytest.approx(2.0, abs=0.01)


def test_the_distance_from_an_epipolar_line() -> None:
    """A camera that moves along x sees points move along rows: d px beside the row are d / sqrt(2) px by Sampson."""
    K = torch.tensor([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])
    T = torch.eye(4).repeat(2, 1, 1)
    T[1, 0, 3] = -0.2
    first = np.array([[10.0, 20], [60, 30], [40, 70]])
    other = first + np.array([[-5.0, 1.0], [-3, 2.0], [-9, -4.0]])
    matches = PointMatches(1, first, first, other)
    assert epipolar_error_px(matches, T, K) == pytest.approx(2 / np.sqrt(2), rel=1e-6)
    assert epipolar_error_px(matches, torch.eye(4).repeat(2, 1, 1), K) == float("inf")


def test_an_epipolar_error_counts_two_pixels_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two windows, with pairs of 0.5 and 9 px, and of 1 px: (0.5 + 2) / 2 = 1.25 and 1, in the mean 1.125."""
    windows = [SimpleNamespace(images=None, K=None, matches=m) for m in (["half", "far"], ["one"])]
    errors = {"half": 0.5, "far": 9.0, "one": 1.0}
    monkeypatch.setattr(module, "guess", lambda model, window: answer())
    monkeypatch.setattr(module, "unmasked_photometric", lambda *_: 0.25)
    monkeypatch.setattr(module, "epipolar_error_px", lambda m, T, K: errors[m])
    found = module.measure(None, [module.Probe(w, None) for w in windows], None)  # type: ignore[arg-type]
    assert found.epipolar_px == pytest.approx(1.125)
    assert found.photometric == 0.25
    assert len(found.guesses) == 2
