"""What never moves in the image: which cells could have stayed, and which are taken out, worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from hand_map import add_landmarks, at, hand_map

from vgslam.frontend import static_regions
from vgslam.frontend.followed_view import FollowedView
from vgslam.frontend.image_mask import ImageMask
from vgslam.frontend.static_regions import StaticRegions, _least_eigenvalue
from vgslam.frontend.static_watch import StaticWatch
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array

LENS = Camera(200.0, 200.0, 159.5, 119.5, 320, 240)


def matches(T_b_a: Array, n: int = 80, n_wrong: int = 0) -> tuple[Array, Array]:
    """Pixels (n,2) of points at many depths in two views, of which n_wrong are anywhere in the second."""
    rng = np.random.default_rng(0)
    a = rng.uniform([30, 30], [290, 210], (n, 2))
    b = LENS.project(se3.transform(T_b_a, LENS.rays(a) * rng.uniform(2, 12, n)[:, None]))
    b[:n_wrong] = rng.uniform([30, 30], [290, 210], (n_wrong, 2))
    return a, b


def flags(T_b_a: Array, n_wrong: int = 0) -> Array | None:
    """(30,40): whether cells should have moved."""
    found = StaticRegions(LENS)._should_move(*matches(T_b_a, n_wrong=n_wrong))
    return None if found is None else found.reshape(30, 40)


def test_a_camera_that_turns_moves_what_is_off_the_axis_of_the_turn() -> None:
    """By 3 degrees about the optical axis: 2 px at a radius of 38."""
    found = flags(at(turn=(0.0, 0.0, 3.0)))
    assert found is not None
    v, u = np.mgrid[:30, :40] * 8 + 3.5
    radius = np.hypot(u - 159.5, v - 119.5)
    assert not found[radius < 38.0].any()
    assert found[radius > 38.5].all()


def test_a_camera_that_goes_to_the_side_leaves_what_is_far_away() -> None:
    """Without a turn a point at infinity stays, wherever it is."""
    found = flags(at(x=-0.3))
    assert found is not None
    assert not found.any()


@pytest.mark.parametrize(("x", "turn_deg", "is_moved"), [
    (-0.3, 3.0, False),  # the turn takes the world to the right, and nearness back to the left: some depth stays
    (0.3, 3.0, True),  # both go to the right
    (0.3, -3.0, False),
])  # fmt: skip
def test_a_turn_and_a_way_that_cancel_let_points_stay(x: float, turn_deg: float, is_moved: bool) -> None:
    found = flags(at(x=x, turn=(0.0, turn_deg, 0.0)))
    assert found is not None
    inner = found[8:22, 8:32]
    assert inner.mean() > 0.98 if is_moved else inner.mean() < 0.02


def test_a_turn_and_a_way_cancel_in_whatever_direction() -> None:
    """The turn takes the world up and to the right, nearness takes it back."""
    found = flags(at(x=-0.3, y=0.3, turn=(3.0, 3.0, 0.0)))
    assert found is not None
    assert found[8:22, 8:32].mean() < 0.02


def test_what_should_cross_its_line_cannot_have_stayed() -> None:
    """The way leads to the side, the turn up and down."""
    found = flags(at(x=-0.3, turn=(3.0, 0.0, 0.0)))
    assert found is not None
    assert found[8:22, 8:32].all()


@pytest.mark.parametrize(("n_wrong", "is_explained"), [(24, True), (40, False)])
def test_six_tenths_of_the_corners_obey_one_epipolar_geometry(n_wrong: int, is_explained: bool) -> None:
    assert (flags(at(x=-0.3, y=0.1, turn=(0.0, 3.0, 0.0)), n_wrong) is not None) == is_explained


# -- when views are compared


class Compared(StaticRegions):
    """Notes at which frames it compares views, and at which it takes another first view; n_movers of 60 corners have
    moved by move_px in each. Of the image, `share` should have moved."""

    def __init__(self, n_movers: int, move_px: float, share: float = 1.0) -> None:
        super().__init__(LENS)
        self.at: list[int] = []
        self.begun: list[int] = []
        self._share = share
        watch = self

        class Shifted(FollowedView):
            @staticmethod
            def of(small: Array) -> FollowedView:
                watch.begun.append(watch._frame)
                return Shifted(small, np.zeros((60, 2), np.float32), np.zeros((60, 2), np.float32))

            def follow(self, last: Array, small: Array) -> None:
                self.n_frames += 1
                self.at = self.points.copy()
                self.at[:n_movers, 0] = move_px * self.n_frames

        self.view_class = Shifted

    def _compare(self, reference: FollowedView, small: Array) -> float:
        self.at.append(self._frame)
        return self._share

    def _see_going(self, last: Array, small: Array) -> bool:
        return False

    def run(self, n: int, monkeypatch: pytest.MonkeyPatch) -> "Compared":
        monkeypatch.setattr(static_regions, "FollowedView", self.view_class)
        for _ in range(n):
            self.see(np.zeros((240, 320), np.uint8))
        return self


@pytest.mark.parametrize(("n_movers", "move_px", "n_compared"), [
    (30, 6.1, 1), (29, 6.1, 0), (30, 5.9, 0), (60, 2.4, 0),
])  # fmt: skip
def test_views_are_compared_when_thirty_corners_have_moved_by_six_px(
    n_movers: int, move_px: float, n_compared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(Compared(n_movers, move_px).run(2, monkeypatch).at) == n_compared


@pytest.mark.parametrize(("has_found", "later"), [(False, [36, 61]), (True, [24, 37, 50, 63, 76])])
def test_after_eleven_comparisons_it_rests_for_twenty_four_frames_and_half_as_long_where_something_was_found(
    has_found: bool, later: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Compared(60, 9.0)
    watch.mask = np.ones((240, 320), bool) if has_found else None
    assert watch.run(80, monkeypatch).at == [*range(1, 12), *later]


@pytest.mark.parametrize(("share", "begun"), [(0.51, [0, 2, 4, 6]), (0.49, [0])])
def test_a_view_of_which_half_should_not_have_moved_yet_is_compared_again_with_more_motion(
    share: float, begun: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The corners move by 4 px a frame: views are apart at 8, then at 16."""
    watch = Compared(60, 4.0, share).run(8, monkeypatch)
    assert (watch.at, watch.begun) == ([2, 4, 6], begun)


def test_a_way_on_which_little_should_have_moved_is_no_reason_to_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares add up to eleven comparisons' worth: a tenth of the image in each comes to 3 in thirty frames."""
    assert Compared(60, 9.0, 0.1).run(31, monkeypatch).at == list(range(1, 31))


def test_a_view_that_hardly_differs_is_given_up_after_sixty_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Compared(0, 0.0).run(130, monkeypatch).begun == [0, 61, 122]


@pytest.mark.parametrize(("n_still", "is_explained", "votes"), [
    (8, True, 2.5), (7, True, 0.0), (8, False, 0.0), (50, True, 0.0), (49, True, 2.5),
])  # fmt: skip
def test_what_stays_while_a_view_leaves_counts(n_still: int, is_explained: bool, votes: float) -> None:
    """The view had 100 corners; eight to 49 stay, and one motion has explained the rest."""
    regions, small = StaticRegions(LENS), np.zeros((240, 320), np.uint8)
    points = np.zeros((n_still, 2), np.float32)

    class Gone(FollowedView):
        def follow(self, last: Array, small: Array) -> None:
            pass

    regions._going, regions._is_explained = Gone(small, points, points, n_lost=100 - n_still), is_explained
    regions._see_going(small, small)
    assert regions._n == pytest.approx(np.full((30, 40), votes))
    assert type(regions._going) is FollowedView
    assert not regions._is_explained


@pytest.mark.parametrize(("size", "small"), [
    ((1240, 376), (503, 153)), ((480, 640), (240, 320)), ((160, 120), (160, 120)), ((2000, 20), (2000, 32)),
])  # fmt: skip
def test_images_of_any_shape_are_compared_with_as_many_pixels(size: tuple[int, int], small: tuple[int, int]) -> None:
    regions = StaticRegions(Camera.from_fov(*size, 60.0))
    assert (regions.camera.width, regions.camera.height) == pytest.approx(small, abs=1)


# -- which cells are taken


def judged(stay: list[tuple[int, int]], before: list[tuple[int, int]] = ()) -> set[tuple[int, int]]:  # type: ignore[assignment]
    """The cells that are taken where everything in `stay` stays and nothing else, both as strong as can be."""
    regions = StaticRegions(LENS)
    regions._n[:] = 10.0
    regions._self[..., 0] = regions._self[..., 2] = 10.0
    for row, col in stay:
        regions._both[row, col] = regions._self[row, col]
    for row, col in before:
        regions._cells[row, col] = True
    regions._judge()
    return {(int(r), int(c)) for r, c in np.argwhere(regions._cells)}


def test_four_cells_of_which_six_tenths_stay_with_their_neighbours_are_taken() -> None:
    """Means over 3 x 3 cells: in a block of 2 x 4 the four in the middle have six ninths, those of 2 x 3 are two."""
    block = [(r, c) for r in (10, 11) for c in (10, 11, 12, 13)]
    assert judged(block) == {(10, 11), (10, 12), (11, 11), (11, 12)}
    assert judged([x for x in block if x[1] < 13]) == set()


def test_a_cell_that_was_taken_stays_so_above_four_tenths() -> None:
    """The corners of a block have four ninths."""
    block = [(r, c) for r in (10, 11) for c in (10, 11, 12, 13)]
    assert judged(block, block) == set(block)
    assert judged(block, [*block, (9, 11)]) == set(block), "a third is too little"


def test_edges_have_no_corner_that_stays() -> None:
    """Stripes at 45 degrees in both views: gradients all point one way."""
    v, u = np.mgrid[:240, :320]
    stripes = (128 + 100 * np.sin((u + v) / 3.0)).astype(np.uint8)
    regions = StaticRegions(LENS)
    regions._should_move = lambda a, b: np.ones(1200, bool)  # type: ignore[method-assign]
    points = np.zeros((60, 2), np.float32)
    regions._compare(FollowedView(stripes, points, points + np.float32(9.0)), stripes)
    both = regions._both[5:25, 5:35]
    assert (np.abs(_least_eigenvalue(both)) < 0.02 * (both[..., 0] + both[..., 2])).all()
    assert (both[..., 0] > 0.1).all()
    np.testing.assert_allclose(both, regions._self[5:25, 5:35], rtol=1e-5)


def test_the_smaller_eigenvalue_of_a_tensor() -> None:
    """(2, 1, 2) has 1 and 3."""
    assert float(_least_eigenvalue(np.array([2.0, 1.0, 2.0], np.float32))) == pytest.approx(1.0)


# -- what becomes of the map


class Found:
    """Regions whose mask is given."""

    mask: Array | None = None

    def see(self, gray: Array) -> bool:
        return True


def watched(m: SlamMap, given: Array | None = None, **options: bool) -> tuple[StaticWatch, Found, ImageMask, list[str]]:
    mask, notes = ImageMask(200, 160, given), []
    tracker = SimpleNamespace(camera=LENS, mask=mask)
    watch = StaticWatch(tracker, m, notes, 100, **options)  # type: ignore[arg-type]
    watch._regions = found = Found()  # type: ignore[assignment]
    return watch, found, mask, notes


def view(frame_id: int = 130) -> SimpleNamespace:
    return SimpleNamespace(gray=np.zeros((160, 200), np.uint8), frame_id=frame_id)


def rows(n: int, n_columns: int = 200) -> Array:
    """The last n rows of the image, in so many columns."""
    out = np.zeros((160, 200), bool)
    out[160 - n :, :n_columns] = True
    return out


def with_keyframes() -> SlamMap:
    """Two keyframes; each has a landmark at the top and one at the bottom of the image."""
    m = hand_map([at(), at()])
    for k in range(2):
        add_landmarks(m, k, np.array([[0.0, -2.0, 4.0], [0.0, 2.8, 4.0]]), rel_sigma=0.01)
    return m


@pytest.mark.parametrize("is_localizing", [False, True])
def test_the_map_forgets_what_it_saw_in_this_run_unless_it_is_finished(is_localizing: bool) -> None:
    old = with_keyframes()
    watch, found, mask, notes = watched(old, is_localizing=is_localizing)
    newer = with_keyframes()
    for keyframe in newer.keyframes[:1]:
        keyframe.id = 2
        old.add_keyframe(keyframe, np.zeros(0, np.int64), np.zeros((0, 2)))
    ids = add_landmarks(old, 2, np.array([[0.0, -2.0, 4.0], [0.0, 2.8, 4.0]]))
    found.mask = rows(16)
    watch.see(view())
    assert mask.static is not None
    assert [len(seen.ids) for seen in old.observed] == [2, 2, 2 if is_localizing else 1]
    assert old.landmarks.is_triangulated[ids].tolist() == [True, is_localizing]
    assert old.landmarks.rel_sigma[ids].tolist() == [0.01, 0.01 if is_localizing else 0.5]
    assert "10 % of the image never moves" in notes[0]
    assert "by frame 30" in notes[0]


def test_while_others_change_the_map_it_is_left_alone() -> None:
    m = SlamMap()
    watch, found, _, _ = watched(m)
    for keyframe in with_keyframes().keyframes:
        m.add_keyframe(keyframe, np.zeros(0, np.int64), np.zeros((0, 2)))
    add_landmarks(m, 1, np.array([[0.0, -2.0, 4.0], [0.0, 2.8, 4.0]]))
    found.mask = rows(16)
    watch.see(view(), may_change_map=False)
    assert len(m.observed[1].ids) == 2
    watch.forget()
    assert len(m.observed[1].ids) == 1


def test_a_mask_that_wavers_by_two_thousandths_is_not_taken() -> None:
    """The image has 32,000 pixels: 64 of them."""
    for n_more, is_taken in ((63, False), (65, True)):
        watch, found, mask, _ = watched(SlamMap())
        found.mask = rows(16)
        watch.see(view())
        more = rows(16)
        more[0, :n_more] = True
        found.mask = more
        watch.see(view())
        assert mask.static is not None
        assert (mask.static.sum() == more.sum()) == is_taken


def test_what_was_given_is_not_found_again() -> None:
    watch, found, mask, notes = watched(SlamMap(), rows(16))
    found.mask = rows(16)
    watch.see(view())
    assert (mask.static, notes) == (None, [])
    found.mask = rows(20)
    watch.see(view())
    assert mask.static is not None
    assert mask.static.sum() == 4 * 200
    assert watch.most_share == pytest.approx(0.025)


def test_the_largest_mask_is_the_one_that_is_told() -> None:
    watch, found, _, notes = watched(SlamMap())
    for n, most in ((16, 0.1), (8, 0.1), (32, 0.2)):
        found.mask = rows(n)
        watch.see(view())
        assert watch.most_share == pytest.approx(most)
    assert len(notes) == 1
    assert "20 %" in notes[0]
