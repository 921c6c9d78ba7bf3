"""A view whose corners are followed: when it is old, when it has left the image, and what of it stays."""

from itertools import pairwise

import numpy as np
import pytest
from synthetic import smooth_texture

from vgslam.frontend.followed_view import FollowedView, spread

TEXTURE = np.round(smooth_texture(500, seed=3, finest_px=4.0)).astype(np.uint8)
SMALL = TEXTURE[:240, :320]


def followed(n_still: int, n_moved: int, n_lost: int, n_frames: int = 1) -> FollowedView:
    """Corners of which some stay and others move by 10 px."""
    points = np.zeros((n_still + n_moved, 2), np.float32)
    at = points.copy()
    at[n_still:, 0] = 10.0
    return FollowedView(SMALL, points, at, n_frames, n_lost)


@pytest.mark.parametrize(("n_moved", "n_lost", "is_old"), [
    (40, 40, False), (40, 41, True), (10, 30, False), (10, 31, True),
])  # fmt: skip
def test_a_view_is_old_when_more_has_left_than_moves_however_much_stays(
    n_moved: int, n_lost: int, is_old: bool
) -> None:
    assert followed(100, n_moved, n_lost).is_old == is_old


def test_a_view_is_old_after_sixty_frames_and_with_fewer_than_fifty_corners() -> None:
    assert [followed(0, 60, 0, n).is_old for n in (60, 61)] == [False, True]
    assert [followed(20, n, 0).is_old for n in (30, 29)] == [False, True]


@pytest.mark.parametrize(("n_moved", "n_lost", "is_gone"), [
    (35, 65, False), (34, 66, True), (0, 29, False), (0, 30, True),
])  # fmt: skip
@pytest.mark.parametrize("n_still", [0, 200])
def test_a_view_is_gone_with_thirteen_twentieths_of_what_does_not_stay(
    n_still: int, n_moved: int, n_lost: int, is_gone: bool
) -> None:
    view = followed(n_still, n_moved, n_lost)
    assert (view.is_gone, view.n_still) == (is_gone, n_still)


def test_the_median_move_is_that_of_thirty_corners_that_moved() -> None:
    assert [followed(100, n, 0).median_move for n in (29, 30)] == [0.0, 10.0]


def test_corners_are_followed_and_those_that_leave_are_counted() -> None:
    """The image moves by 12 px to the left, in four steps; the last column of it stays where it is."""
    views = [TEXTURE[:240, 3 * i : 3 * i + 320].copy() for i in range(5)]
    for view in views:
        view[:, 240:] = SMALL[:, 240:]
    reference = FollowedView.of(views[0])
    n = len(reference.points)
    for before, now in pairwise(views):
        reference.follow(before, now)
    inner, stays = reference.points[:, 0] < 220, reference.points[:, 0] > 255
    np.testing.assert_allclose((reference.at - reference.points)[inner], [[-12.0, 0.0]] * inner.sum(), atol=0.5)
    assert reference.n_still >= stays.sum() > 10
    assert reference.n_lost == n - len(reference.points) > 0
    assert reference.n_frames == 4


def test_views_too_far_apart_for_flow_are_matched_by_what_they_look_like() -> None:
    """By 130 px to the left."""
    a, b = FollowedView.of(SMALL).matched(TEXTURE[:240, 130:450])
    off = np.linalg.norm(b - a - [-130.0, 0.0], axis=1)
    assert len(a) > 60
    assert np.mean(off < 1.0) > 0.9


def test_each_block_of_the_image_has_its_four_strongest_corners() -> None:
    strong = np.array([[1, 1], [5, 5], [39, 39], [45, 5], [9, 9], [8, 8], [7, 41]], np.float32)
    assert spread(strong).tolist() == [[1, 1], [5, 5], [39, 39], [45, 5], [9, 9], [7, 41]]
