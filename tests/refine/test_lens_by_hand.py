"""How a lens is judged from what adjustments say, worked out by hand: no map is adjusted here."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vgslam.geometry.camera import Camera
from vgslam.refine import lens as module
from vgslam.refine.adjust import UNKNOWN_REL_SIGMA
from vgslam.refine.lens import Lens, _judged, _settled, deviations, lens_of

CAMERA = Camera(500.0, 500.0, 319.5, 239.5, 640, 480)


@dataclass(frozen=True)
class Problem:
    """What of a problem is looked at: forty keyframes, four observations of which three are believed."""

    camera: Camera = CAMERA
    k1: float = 0.0
    keyframe_ids: np.ndarray = field(default_factory=lambda: np.arange(40))
    in_use: np.ndarray = field(default_factory=lambda: np.array([True, True, True, False]))

    def errors_px(self) -> np.ndarray:
        return np.array([0.0, 1.0, 3.0, 100.0])

    def is_active(self) -> np.ndarray:
        return np.array([True, True, True, False])


def found(rel_sigma: float, name: str = "a") -> Lens:
    return Lens(replace(CAMERA, fx=500.0 + len(name)), rel_sigma, 0.01, (0.05, 0.05), 0.5, True)


@pytest.mark.parametrize(
    ("first", "second", "n_tried", "chosen"),
    [
        ((found(0.09), 5.0), (found(0.05, "bb"), 9.0), 1, "a"),  # convinces
        ((found(0.11), 5.0), (found(0.05, "bb"), 9.0), 2, "bb"),
        ((found(0.11), 9.0), (found(0.05, "bb"), 5.0), 2, "a"),  # more fits it
        (None, (found(0.2, "bb"), 5.0), 2, "bb"),
        ((found(0.11), 5.0), None, 2, "a"),
        (None, None, 2, None),
    ],
)
def test_another_start_is_tried_where_the_first_does_not_convince(
    first: Any, second: Any, n_tried: int, chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[float] = []
    answers = iter([first, second])

    def judged(problem: Problem, before: Camera) -> Any:
        starts.append(problem.k1)
        return next(answers)

    monkeypatch.setattr(module, "gather", lambda m, members: Problem())
    monkeypatch.setattr(module, "_judged", judged)
    lens = lens_of(None, np.arange(8))  # type: ignore[arg-type]
    assert starts == [0.0, -0.2][:n_tried]
    assert (None if lens is None else lens.camera.fx) == (None if chosen is None else 500.0 + len(chosen))
    assert lens_of(None, np.arange(7)) is None  # type: ignore[arg-type]
    assert len(starts) == n_tried


def judge(
    monkeypatch: pytest.MonkeyPatch, halves: list[tuple[float, float]], best: Problem | None = None
) -> tuple[Lens, float] | None:
    """Judged with a deviation of 0.01, and halves whose focal lengths are so many e-folds longer, with deviations."""
    asked: list[tuple[int, int]] = []
    rows = iter(halves)

    def half(problem: Problem, begin: int, end: int) -> tuple[float, float]:
        asked.append((begin, end))
        log, sigma = next(rows)
        return float(np.log(500.0)) + log, sigma

    monkeypatch.setattr(module, "_settled", lambda problem: (best or Problem(), True))
    monkeypatch.setattr(module, "deviations", lambda problem: (0.01, 0.02))
    monkeypatch.setattr(module, "_half", half)
    lens = _judged(Problem(), CAMERA)  # type: ignore[arg-type]
    assert lens is None or asked == [(0, 20), (20, 40)]
    return lens


def test_a_lens_has_the_deviation_of_its_kind_too_and_counts_what_fits_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of 0, 1 and 3 px count 1, a half and a tenth."""
    judged = judge(monkeypatch, [(0.01, 0.03), (-0.01, 0.04)])
    assert judged is not None
    lens, fit = judged
    assert lens.rel_sigma == pytest.approx(np.hypot(0.01, 0.01))
    assert lens.halves == (0.03, 0.04)
    assert lens.k1_sigma == 0.02
    assert lens.contradiction == pytest.approx(0.02 / 0.05)
    assert fit == pytest.approx(1.6)


@pytest.mark.parametrize(("apart", "contradicts"), [(0.099, False), (0.101, True)])
def test_halves_two_deviations_apart_contradict_and_half_the_difference_is_one(
    apart: float, contradicts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = judge(monkeypatch, [(apart / 2, 0.03), (-apart / 2, 0.04)])
    assert judged is not None
    total = np.hypot(0.01, 0.01)
    assert judged[0].rel_sigma == pytest.approx(np.hypot(total, apart / 2) if contradicts else total)


def test_a_half_may_contradict_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deviation of the whole is a percent, as lenses are not quite of this model: 0.03 / sqrt(2) percent is 2.1."""
    judged = judge(monkeypatch, [(0.03, 0.01), (0.03, 0.01)])
    assert judged is not None
    assert judged[0].contradiction == pytest.approx(0.03 / np.hypot(0.01, 0.01))


@pytest.mark.parametrize(
    ("fov", "k1", "is_lens"),
    [(16.0, 0.0, True), (14.0, 0.0, False), (149.0, 0.0, True), (151.0, 0.0, False), (60.0, 5.0, False)],
)
def test_fields_of_view_from_15_to_150_degrees_and_plausible_bends_are_answers(
    fov: float, k1: float, is_lens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = Problem(Camera.from_fov(640, 480, fov), k1)
    log = float(np.log(best.camera.fx / 500.0))
    assert (judge(monkeypatch, [(log, 0.1), (log, 0.1)], best) is not None) is is_lens


def test_the_distortion_that_is_left_is_part_of_the_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = judge(monkeypatch, [(0.0, 0.1), (0.0, 0.1)], Problem(k1=-0.1))
    assert judged is not None
    assert judged[0].camera.removed_k1 == pytest.approx(-0.1)


def turns(monkeypatch: pytest.MonkeyPatch, lenses: list[tuple[float, float]], is_free: bool = True) -> tuple[Any, Any]:
    """What is settled on where adjustments give focal lengths and k1 one after another; the problems adjusted."""
    asked: list[Problem] = []
    rows = iter(lenses)

    def adjust(problem: Problem, config: Any, watch: Any, for_calibration: bool) -> Any:
        asked.append(problem)
        assert (config.is_focal_estimated, config.focal_rel_sigma, for_calibration) == (True, UNKNOWN_REL_SIGMA, True)
        assert config.k1_sigma == 0.3
        fx, k1 = next(rows)
        after = replace(problem, camera=replace(CAMERA, fx=fx, fy=fx), k1=k1, in_use=np.zeros(4, bool))
        return SimpleNamespace(after=after, calibration=SimpleNamespace(is_focal_free=is_free))

    monkeypatch.setattr(module, "adjust", adjust)
    return _settled(Problem()), asked  # type: ignore[arg-type]


def test_it_settles_when_focal_length_and_k1_stay_to_three_thousandths(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 500: 600, then 601.7, which is 0.0028 more, while k1 changes by 0.01 first and then by 0.002."""
    settled, asked = turns(monkeypatch, [(600.0, 0.01), (601.7, 0.02), (601.7, 0.022), (700.0, 0.0)])
    assert settled is not None
    best, is_settled = settled
    assert (best.camera.fx, best.k1, is_settled) == (601.7, 0.022, True)
    assert len(asked) == 3
    assert all(problem.in_use.all() for problem in asked[1:]), "what did not fit the guess is asked again"


def test_six_turns_are_the_most_and_a_focal_length_that_is_held_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    settled, asked = turns(monkeypatch, [(500.0 + 50.0 * i, 0.0) for i in range(1, 9)])
    assert settled is not None
    assert (settled[0].camera.fx, settled[1], len(asked)) == (800.0, False, 6)
    assert turns(monkeypatch, [(510.0, 0.0)], is_free=False)[0] is None


def test_what_was_never_calibrated_bends_straight_lines_by_a_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Information of 99 about k1 beside that tenth: 1 / sqrt(99 + 100); of nothing about the focal length, what is
    not known."""
    information = np.diag([0.0, 99.0])
    monkeypatch.setattr(module, "determined", lambda problem: SimpleNamespace(information=information))
    focal, k1 = deviations(Problem())  # type: ignore[arg-type]
    assert focal == pytest.approx(UNKNOWN_REL_SIGMA)
    assert k1 == pytest.approx(199**-0.5)


def test_a_half_that_says_nothing_is_as_unknown_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "part", lambda problem, begin, end: problem)
    monkeypatch.setattr(module, "_settled", lambda problem: None)
    log, sigma = module._half(Problem(), 0, 20)  # type: ignore[arg-type]
    assert (log, sigma) == (pytest.approx(np.log(500.0)), UNKNOWN_REL_SIGMA)
