"""What an estimated camera is called at the end, with figures worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.refine.outcome import CalibrationChange, ComponentOutcome, RefineOutcome
from vgslam.session.choose_camera import final_estimate, main_camera, recorded_camera
from vgslam.session.self_calibration import CalibrationEstimate
from vgslam.types import Camera, Keyframe

GUESS = Camera(500.0, 500.0, 319.5, 239.5, 640, 480)
FIRST = CalibrationEstimate.of(GUESS, 0.03, True)


def adjusted(fx: float, fx_sigma: float, is_kept: bool = True) -> RefineOutcome:
    change = CalibrationChange(500.0, fx, fx_sigma, 0.0, 0.0)
    return RefineOutcome([ComponentOutcome(0, 50, is_kept, calibration=change)])


def camera(fx: float) -> Camera:
    return replace(GUESS, fx=fx, fy=fx)


def test_the_adjustments_own_deviation_counts_and_that_of_the_kind_of_lens() -> None:
    found = final_estimate(FIRST, camera(510.0), adjusted(510.0, 5.1))
    assert found.camera.fx == 510.0
    assert found.focal_rel_sigma == pytest.approx(np.hypot(0.01, 0.01))  # 5.1 of 510, and 1 % of the lens
    assert found.is_reliable


@pytest.mark.parametrize("refined", [None, RefineOutcome(), adjusted(500.0, 0.0), adjusted(500.0, 2.0, is_kept=False)])
def test_without_an_adjustment_the_first_deviation_stays(refined: RefineOutcome | None) -> None:
    assert final_estimate(FIRST, GUESS, refined).focal_rel_sigma == pytest.approx(0.03)


def test_an_end_that_contradicts_the_beginning_is_not_sure() -> None:
    # deviations of 3 % and of sqrt(2) % are 3.3 % together: three of them are 10 %
    near, far = (final_estimate(FIRST, camera(500.0 * np.exp(x)), adjusted(500.0 * np.exp(x), 5.0 * np.exp(x)))
                 for x in (0.09, 0.11))  # fmt: skip
    assert near.is_reliable
    assert not far.is_reliable
    assert far.focal_rel_sigma == pytest.approx(np.hypot(np.hypot(0.01, 0.01), 0.055))


def test_what_the_first_frames_did_not_determine_is_never_sure() -> None:
    unsure = replace(FIRST, is_reliable=False)
    found = final_estimate(unsure, camera(500.0 * np.exp(0.04)), adjusted(500.0 * np.exp(0.04), 1.0))
    assert not found.is_reliable
    assert found.focal_rel_sigma > 0.02  # half of what it has moved


def test_a_wide_deviation_is_not_sure() -> None:
    assert not final_estimate(FIRST, camera(510.0), adjusted(510.0, 30.0)).is_reliable


def test_the_camera_of_the_largest_component() -> None:
    m = SlamMap()
    assert main_camera(m) is None
    for k, (component, fx) in enumerate([(0, 400.0), (1, 500.0), (1, 510.0), (2, 600.0)]):
        frame = np.zeros((480, 640, 3), np.uint8)
        m.add_keyframe(
            Keyframe(k, k, float(k), frame, camera(fx), Sim3.identity(), component), np.zeros(0), np.zeros((0, 2))
        )
    found = main_camera(m)
    assert found is not None
    assert found.fx == 510.0


BENT = replace(camera(510.0), removed_k1=-0.05)


class Frames:
    """A source's cameras: of its frames, and of its images as they were recorded."""

    def __init__(self, frames: Camera | None, recorded: Camera | None) -> None:
        self.camera, self.recorded_camera = frames, recorded


def found_k1(fx_sigma: float, k1_sigma: float) -> RefineOutcome:
    change = CalibrationChange(500.0, 510.0, fx_sigma, 0.0, k1_sigma)
    return RefineOutcome([ComponentOutcome(0, 50, True, calibration=change)])


def test_the_camera_for_a_later_run_has_the_distortion_of_the_images() -> None:
    for source in (Frames(None, None), Frames(GUESS, GUESS)):
        found = recorded_camera(BENT, source, found_k1(0.0, 0.01), None)  # type: ignore[arg-type]
        assert found is not None
        assert (found.fx, found.distortion[0], found.removed_k1) == (pytest.approx(510.0), pytest.approx(-0.05), 0.0)


@pytest.mark.parametrize(("refined", "is_reliable", "is_given"), [
    (found_k1(1.0, 0.0), None, True),
    (found_k1(0.0, 0.0), None, False),
    (None, None, False),
    (adjusted(510.0, 1.0, is_kept=False), None, False),
    (None, True, True),
    (found_k1(1.0, 1.0), False, False),
])  # fmt: skip
def test_it_is_given_where_something_has_determined_it(
    refined: RefineOutcome | None, is_reliable: bool | None, is_given: bool
) -> None:
    """is_reliable: of a camera that was estimated; None for one that was given."""
    estimate = None if is_reliable is None else replace(FIRST, is_reliable=is_reliable)
    found = recorded_camera(BENT, Frames(GUESS, GUESS), refined, estimate)  # type: ignore[arg-type]
    assert (found is not None) is is_given


def test_a_focal_length_that_has_become_too_short_contradicts_as_one_that_is_too_long() -> None:
    found = final_estimate(FIRST, camera(500.0 * np.exp(-0.11)), adjusted(500.0 * np.exp(-0.11), 5.0 * np.exp(-0.11)))
    assert not found.is_reliable
    assert found.focal_rel_sigma == pytest.approx(np.hypot(np.hypot(0.01, 0.01), 0.055))


def test_the_first_component_that_was_kept_speaks_alone() -> None:
    parts = [adjusted(510.0, 5.1, is_kept=False), adjusted(510.0, 5.1), adjusted(510.0, 25.5)]
    refined = RefineOutcome([part.components[0] for part in parts])
    assert final_estimate(FIRST, camera(510.0), refined).focal_rel_sigma == pytest.approx(np.hypot(0.01, 0.01))


def test_a_recorded_distortion_stays_where_nothing_else_was_found() -> None:
    """The images' own calibration, with a lens, and the pinhole that they were straightened to: another scale. With a
    focal length 1.1 times as long the same radius in the image is smaller by that: k1 r^2 and k2 r^4 are the same."""
    lens = replace(camera(520.0), distortion=(-0.1, 0.02, 0.0, 0.0, 0.0))
    found = recorded_camera(camera(550.0), Frames(GUESS, lens), found_k1(1.0, 0.0), None)  # type: ignore[arg-type]
    assert found is not None
    assert (found.fx, found.fy) == pytest.approx((520.0 * 1.1, 520.0 * 1.1))
    assert found.distortion == pytest.approx((-0.1 * 1.1**2, 0.02 * 1.1**4, 0.0, 0.0, 0.0), abs=1e-6)
    same = recorded_camera(camera(550.0), Frames(GUESS, None), found_k1(1.0, 0.0), None)  # type: ignore[arg-type]
    assert same is not None
    assert same.fx == pytest.approx(550.0)


def test_a_contradiction_counts_though_both_are_thought_to_be_sure() -> None:
    """4 % apart, which is more than three times the 1.12 % and half of it is less than what makes it unsure."""
    narrow = CalibrationEstimate.of(GUESS, 0.005, True)
    found = final_estimate(narrow, camera(500.0 * np.exp(0.04)), adjusted(500.0 * np.exp(0.04), 1e-3))
    assert not found.is_reliable
    assert found.focal_rel_sigma == pytest.approx(np.hypot(0.01, 0.02), rel=1e-3)


def test_a_smaller_component_says_nothing_where_the_largest_determined_nothing() -> None:
    parts = [adjusted(500.0, 0.0), adjusted(510.0, 5.1)]
    refined = RefineOutcome([part.components[0] for part in parts])
    assert final_estimate(FIRST, GUESS, refined).focal_rel_sigma == pytest.approx(0.03)
    assert recorded_camera(BENT, Frames(GUESS, GUESS), refined, None) is None  # type: ignore[arg-type]
