"""What is thought of a camera that sees no measured depth, worked out by hand."""

import numpy as np
import pytest
from hand_map import add_landmarks, at, hand_map

from vgslam.frontend.guessed import lacks_depth, shared_with_earlier, stays, with_unknown_position
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Ids

CENTRE = np.array([1.0, 2.0, 0.0])
SEEN = np.array([[1.0, 2.0, 2.0], [1.0, 2.0, 4.0], [4.0, 6.0, 12.0]])
"""Points that are 2, 4 and 13 from CENTRE."""


def marked(n_measured: int = 0) -> tuple[SlamMap, Ids]:
    """Two keyframes, the first of which saw three landmarks; some have a measured depth."""
    m = hand_map([at(), at(x=1.0)])
    ids = add_landmarks(m, 0, SEEN, [1])
    m.landmarks.is_triangulated[ids[n_measured:]] = False
    return m, ids


def test_less_than_half_of_what_is_seen_is_too_little_depth() -> None:
    m, ids = marked(1)
    assert lacks_depth(m, ids)  # one of three
    assert not lacks_depth(m, ids[:2])  # one of two
    assert not lacks_depth(m, ids[:0])


def test_it_stays_within_a_tenth_of_the_median_distance_in_a_second() -> None:
    m, ids = marked()
    prior = stays(m, ids, CENTRE, 0.5)
    assert prior is not None
    assert prior.centre.tolist() == CENTRE.tolist()
    assert prior.sigma == pytest.approx(0.1 * 0.5 * 4.0)
    assert stays(m, ids, CENTRE, 0.0) is None
    assert stays(*marked(3), CENTRE, 0.5) is None


def test_its_position_is_a_tenth_of_the_median_distance_more_uncertain() -> None:
    m, ids = marked()
    before: Array = np.diag([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    np.testing.assert_allclose(
        with_unknown_position(m, ids, CENTRE, before), np.diag([1.0, 2.0, 3.0, 4.16, 5.16, 6.16])
    )
    assert before[3, 3] == 4.0


def test_what_an_earlier_keyframe_saw_first_is_shared() -> None:
    m, ids = marked()
    own = add_landmarks(m, 1, SEEN + 1.0)
    assert shared_with_earlier(m, 1).tolist() == ids.tolist()
    assert shared_with_earlier(m, 0).tolist() == []
    assert len(own) == 3
