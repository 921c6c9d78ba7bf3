import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgslam.errors import EvaluationError
from vgslam.evaluation.association import NO_POSE, component_of_frames, default_max_difference_s, match_times
from vgslam.evaluation.coverage import gaps_on_frames, measure_coverage
from vgslam.types import Trajectory


def trajectory(times, components=None):
    n = len(times)
    components = np.zeros(n, np.int64) if components is None else components
    return Trajectory(np.asarray(times, float), np.tile(np.eye(4), (n, 1, 1)), np.arange(n), components)


def test_gaps_losses_and_coverage_are_counted_on_the_frames():
    t = 0.1 * np.arange(100)
    posed = np.ones(100, bool)
    posed[:4] = False  # not yet initialised: a gap, no loss
    posed[20:30] = False
    posed[50:52] = False
    posed[95:] = False
    c = measure_coverage(trajectory(t[posed]), trajectory(t), 0.02, frame_timestamps_s=t)
    assert (c.n_frames, c.n_poses, c.n_scored) == (100, 79, 79)
    assert c.coverage == pytest.approx(0.79)
    assert c.longest_gap_frames == 10
    assert c.longest_gap_s == pytest.approx(1.1)
    assert c.n_losses == 3
    assert c.gaps_from_frames


def test_frames_without_reference_do_not_count():
    t = 0.1 * np.arange(100)
    c = measure_coverage(trajectory(t[:90]), trajectory(t[20:]), 0.02, frame_timestamps_s=t)
    assert c.n_frames == 80
    assert c.coverage == pytest.approx(70 / 80)


def test_frames_in_the_holes_of_the_reference_do_not_count():
    t = 0.1 * np.arange(100)
    c = measure_coverage(trajectory(t), trajectory(np.delete(t, np.arange(30, 50))), 0.02, frame_timestamps_s=t)
    assert (c.n_frames, c.n_scored, c.n_unmatched) == (80, 80, 0)


def test_frames_between_the_poses_of_a_slower_reference_count():
    t = 0.1 * np.arange(100)
    c = measure_coverage(trajectory(t), trajectory(t[::4]), 0.02, frame_timestamps_s=t)
    assert (c.n_frames, c.n_scored, c.n_unmatched) == (97, 25, 72)
    assert "72 of 97 frames" in c.notes(0.02)[0]


def test_poses_that_are_no_frames_of_the_input_do_not_cover():
    t = 0.1 * np.arange(100)
    c = measure_coverage(trajectory(0.05 * np.arange(200)), trajectory(t), 0.02, frame_timestamps_s=t[::4])
    assert (c.n_frames, c.n_scored, c.coverage) == (25, 25, 1.0)
    with pytest.raises(EvaluationError, match="holds 200 poses, but the input only 50"):
        measure_coverage(trajectory(0.05 * np.arange(200)), trajectory(t), 0.02, n_frames=50)


def test_gaps_are_inferred_without_the_frames():
    t = np.delete(0.1 * np.arange(100), np.arange(40, 47))
    c = measure_coverage(trajectory(t), trajectory(0.1 * np.arange(100)), 0.02, n_frames=100)
    assert c.longest_gap_frames == 7
    assert c.longest_gap_s == pytest.approx(0.8)
    assert c.n_losses == 1
    assert c.coverage == pytest.approx(0.93)
    assert not c.gaps_from_frames
    assert measure_coverage(trajectory(t), trajectory(t), 0.02).coverage is None


def test_coverage_of_the_largest_component():
    t = 0.1 * np.arange(10)
    c = measure_coverage(trajectory(t, np.repeat([3, 1], [6, 4])), trajectory(t), 0.02, n_frames=20)
    assert (c.coverage, c.coverage_largest, c.n_components) == (0.5, 0.3, 2)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_longest_gap_and_losses_match_a_plain_count(posed):
    t = np.arange(len(posed), dtype=float)
    text = "".join("x" if p else "." for p in posed)
    frames, _, losses = gaps_on_frames(np.array(posed), t)
    assert frames == max(len(run) for run in text.split("x"))
    assert losses == text.count("x.")


def test_a_reference_at_another_rate_is_associated():
    fast, slow = np.arange(0, 10, 0.01), np.arange(0.003, 10, 0.1)
    ids_slow, ids_fast = match_times(slow, fast, 0.005)
    assert len(ids_slow) == len(slow)
    assert (np.abs(slow[ids_slow] - fast[ids_fast]) <= 0.005).all()
    reverse = match_times(fast, slow, 0.005)
    assert (reverse[0] == ids_fast).all()
    assert (reverse[1] == ids_slow).all()


def test_each_pose_is_used_once_by_the_closest():
    ids_a, ids_b = match_times(np.array([0.9, 1.02, 5.0]), np.array([1.0, 4.98, 7.0, 8.0]), 0.2)
    assert ids_a.tolist() == [1, 2]
    assert ids_b.tolist() == [0, 1]


@given(st.lists(st.integers(0, 300), min_size=1, max_size=30, unique=True),
       st.lists(st.integers(0, 300), min_size=1, max_size=30, unique=True), st.floats(0.0, 5.0))  # fmt: skip
def test_association_is_one_to_one_ordered_and_within_tolerance(a, b, tolerance):
    a, b = np.sort(a).astype(float), np.sort(b).astype(float)
    ids_a, ids_b = match_times(a, b, tolerance)
    assert (np.abs(a[ids_a] - b[ids_b]) <= tolerance).all()
    assert (np.diff(ids_a) > 0).all()
    assert (np.diff(ids_b) > 0).all()


def test_default_tolerance():
    assert default_max_difference_s(np.arange(5) / 100, np.arange(5) / 240) == pytest.approx(0.005)
    assert default_max_difference_s(np.arange(5) / 10, np.arange(5) / 100) == 0.02
    assert default_max_difference_s(np.array([1.0]), np.array([1.0])) == 0.02


def test_poses_are_found_again_after_rounding_in_a_file():
    t = 1305031102.0 + np.sort(np.random.default_rng(0).uniform(0, 10, 200))
    t = t[np.concatenate([[True], np.diff(t) > 0.004])]
    posed = np.arange(len(t)) % 3 != 0
    assert ((component_of_frames(t, trajectory(np.round(t[posed], 4))) != NO_POSE) == posed).all()
