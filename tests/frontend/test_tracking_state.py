"""The phases of tracking: who follows whom, when, and what is on record of it."""

from dataclasses import replace

import numpy as np
import pytest

from vgslam.frontend.tracker import TrackResult
from vgslam.frontend.tracking_state import Phase, StateConfig, TrackingState

CONFIG = StateConfig(unsure_s=0.3, settle_s=1.0, patience_s=0.5)


def result(n_inliers: int, ratio: float) -> TrackResult:
    nothing = np.zeros((0, 2), np.float32)
    return TrackResult(False, np.eye(4), np.eye(6), np.zeros(0, np.int64), nothing, n_inliers, ratio, 1.0)


def tracking() -> TrackingState:
    states = TrackingState(CONFIG)
    states.began(8, 0.8, 0, 0.0)
    return states


def phases(states: TrackingState) -> list[str]:
    return [str(t.after) for t in states.transitions]


def test_a_loss_goes_through_unsure_and_back_through_relocalized() -> None:
    states = tracking()
    states.tracked(9, 0.9, 0)
    states.unsure(10, 1.0, 0)
    states.unsure(11, 1.1, 0)
    states.lost(14, 1.4)
    states.lost(15, 1.5)
    states.relocalized(20, 2.0, 0, 0.9)
    states.tracked(21, 2.1, 0)
    states.tracked(31, 3.1, 0)
    assert phases(states) == ["NEW_COMPONENT", "UNSURE", "LOST", "RELOCALIZED", "TRACKED"]
    assert [t.frame_id for t in states.transitions] == [8, 10, 14, 20, 31]
    assert states.lost_s == pytest.approx(2.0 - 0.9)
    assert states.transitions[3].trust == 0.9
    assert states.transitions[3].to_dict()["before"] == "LOST"


def test_unsure_lasts_as_long_as_it_may() -> None:
    states = tracking()
    assert states.may_stay_unsure(1.0)
    states.unsure(10, 1.0, 0)
    assert states.may_stay_unsure(1.29)
    assert not states.may_stay_unsure(1.31)
    states.lost(14, 1.4)
    assert not states.may_stay_unsure(1.4)


def test_acceptance_is_strict_while_a_relocalization_is_fresh() -> None:
    states = tracking()
    fair, good = result(25, 0.55), result(40, 0.7)
    assert states.is_sure(fair, 0.9)
    states.lost(9, 0.9)
    states.relocalized(10, 1.0, 0, 0.9)
    assert not states.is_sure(fair, 1.9)
    assert states.is_sure(good, 1.9)
    assert not states.may_stay_unsure(1.9), "what fails now is lost at once"
    assert states.is_sure(fair, 2.1)


@pytest.mark.parametrize(("n_inliers", "ratio"), [(19, 0.9), (100, 0.49)])
def test_few_or_disagreeing_landmarks_are_not_sure(n_inliers: int, ratio: float) -> None:
    assert not tracking().is_sure(result(n_inliers, ratio), 0.9)


def test_a_rotation_only_needs_more_agreement() -> None:
    weak, good = result(100, 0.57), result(100, 0.65)
    assert tracking().is_sure(weak, 0.9)
    assert not tracking().is_sure(replace(weak, rotation_only=True), 0.9)
    assert tracking().is_sure(replace(good, rotation_only=True), 0.9)


def test_patience_counts_frames_that_show_something() -> None:
    states = tracking()
    states.lost(10, 1.0)
    assert not states.is_patience_over(3), "sixty black frames are no patience"
    for i in range(4):
        states.shows_something(9.0 + 0.1 * i)
    assert not states.is_patience_over(3), "three tenths of a second are too short"
    states.shows_something(9.6)
    assert states.is_patience_over(3)
    assert not states.is_patience_over(5)


def test_a_new_component_counts_its_first_pose_as_the_end_of_the_loss() -> None:
    states = tracking()
    states.tracked(10, 1.0, 0)
    states.lost(11, 1.1)
    states.began(40, 4.0, 1, 3.0)
    assert states.phase is Phase.TRACKED
    assert states.lost_s == pytest.approx(2.0)
    states.lost(50, 5.0)
    states.relocalized(60, 6.0, 0, 0.8)
    assert states.lost_s == pytest.approx(2.0 + 2.0)
