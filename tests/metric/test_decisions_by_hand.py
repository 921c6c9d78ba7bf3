"""What is believed of scale and gravity, from both sides of each limit, with values worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hand_map import CAMERA, add_landmarks, at, hand_map

from vgslam.errors import InputError
from vgslam.map.slam_map import SlamMap
from vgslam.metric.depth import _path_around, _scale, keyframe_ratios
from vgslam.metric.gravity import from_accelerations, turned_to_z, upright
from vgslam.metric.lengths import scale_of_frames, scale_of_points
from vgslam.metric.measured import Scale, SessionView
from vgslam.metric.spec import FramesLength, Pixel, PointsLength
from vgslam.metric.tags import TagSighting, tag_edges
from vgslam.sources.depth_images import DepthOf
from vgslam.types import Array


def turning(n: int) -> Array:
    """Level cameras (n,3,3) that look all round; their y axes are (0, 1, 0), which is down."""
    return np.stack([at(turn=(0.0, 360.0 * i / n, 0.0))[:3, :3] for i in range(n)])


@pytest.mark.parametrize(("n", "sigma_deg"), [(4, 3.4816), (12, 2.0307), (48, 2.0307)])
def test_twelve_views_count_as_independent_and_no_more(n: int, sigma_deg: float) -> None:
    """Each direction is level in half of the n views, to 5 degrees, and held by a habit: n / 2 / 5^2 + 1 / 20^2."""
    found = upright(turning(n))
    np.testing.assert_allclose(found.up_world, [0.0, -1.0, 0.0], atol=1e-9)
    assert found.sigma_deg == pytest.approx(sigma_deg, rel=1e-3)


def test_three_accelerations_are_enough_and_agree_to_a_degree_at_best() -> None:
    R = np.tile(np.eye(3), (3, 1, 1))
    held = np.tile([0.0, -9.8, 0.0], (3, 1))
    assert from_accelerations(R, held).sigma_deg == pytest.approx(1.0)
    held[0] = 0.0  # one that was not measured
    with pytest.raises(InputError, match="2 keyframes have an acceleration"):
        from_accelerations(R, held)


def test_what_is_up_already_stays_and_what_is_upside_down_is_turned_over() -> None:
    np.testing.assert_array_equal(turned_to_z(np.array([0.0, 0.0, 2.0])), np.eye(3))
    np.testing.assert_array_equal(turned_to_z(np.array([0.0, 0.0, -2.0])) @ [0.0, 0.0, -1.0], [0.0, 0.0, 1.0])


# -- lengths between frames


def two_frames(apart: Array, variances: Array, turn: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> SessionView:
    """Frames 0 and 10, with the same variances (6,) in the axes of their cameras."""
    m = hand_map([at(turn=turn), at(*apart, turn=turn)])
    for n in range(2):
        m.frames[n] = replace(m.frames[n], covariance=np.diag(variances))
    return SessionView(m)


def test_a_length_must_be_three_deviations_long() -> None:
    """0.01 of variance at both ends make a deviation of 0.1414, three of which are 0.424."""
    variances = np.array([0.0, 0.0, 0.0, 0.01, 0.01, 0.01])
    _, scale = scale_of_frames(two_frames(np.array([0.43, 0.0, 0.0]), variances), FramesLength(0, 10, 0.86))
    assert scale.metres_per_unit == pytest.approx(2.0)
    assert scale.rel_sigma == pytest.approx(np.hypot(0.1414214 / 0.43, 0.01), rel=1e-6)
    with pytest.raises(InputError, match="too near"):
        scale_of_frames(two_frames(np.array([0.42, 0.0, 0.0]), variances), FramesLength(0, 10, 0.86))


def test_the_variance_along_the_length_counts_in_the_axes_of_the_camera() -> None:
    """A camera turned by 90 degrees about y looks along x: what lies along x is its own z, and -z its own x."""
    variances = np.array([9.0, 9.0, 9.0, 0.0, 0.0, 0.02])
    looks_along = two_frames(np.array([1.0, 0.0, 0.0]), variances, (0.0, 90.0, 0.0))
    assert scale_of_frames(looks_along, FramesLength(0, 10, 1.0))[1].rel_sigma == pytest.approx(np.hypot(0.2, 0.01))
    aside = two_frames(np.array([0.0, 0.0, 1.0]), variances, (0.0, 90.0, 0.0))
    assert scale_of_frames(aside, FramesLength(0, 10, 1.0))[1].rel_sigma == pytest.approx(0.01), "as a tape measures"
    turned = two_frames(np.array([1.0, 0.0, 0.0]), np.array([0, 0, 0, 0.02, 0, 0.0]), (0.0, 0.0, 30.0))
    # its x axis lies 30 degrees off: cos^2 of the variance of each end
    assert scale_of_frames(turned, FramesLength(0, 10, 1.0))[1].rel_sigma == pytest.approx(np.hypot(0.03**0.5, 0.01))
    both = two_frames(np.array([1.0, 0.0, 0.0]), np.array([0, 0, 0, 0.02, 0, 0.02]), (0.0, 30.0, 0.0))
    assert scale_of_frames(both, FramesLength(0, 10, 1.0))[1].rel_sigma == pytest.approx(np.hypot(0.2, 0.01))


def test_a_covariance_is_turned_into_the_camera_and_not_out_of_it() -> None:
    """A turn that takes x to y, y to z and z to x: the z axis of the camera lies along x of the world."""
    turn = (120.0 / np.sqrt(3.0), 120.0 / np.sqrt(3.0), 120.0 / np.sqrt(3.0))
    view = two_frames(np.array([1.0, 0.0, 0.0]), np.array([0, 0, 0, 0.0, 0.0, 0.02]), turn)
    assert scale_of_frames(view, FramesLength(0, 10, 1.0))[1].rel_sigma == pytest.approx(np.hypot(0.2, 0.01))


# -- lengths between points


def marked(far_px: float = 0.0, host: int = 0, rel_sigma: float = 0.01) -> SessionView:
    """Six keyframes in one place; landmarks 2 before them, at the middle, and 50 px right of it and far_px further,
    seen by keyframe `host` alone."""
    m = hand_map([at()] * 6)
    add_landmarks(m, 0, np.array([[0.0, 0.0, 2.0]]))
    add_landmarks(m, host, np.array([[1.0 + 0.02 * far_px, 0.0, 2.0]]), rel_sigma=rel_sigma)
    return SessionView(m)


def length_of(view: SessionView) -> Scale:
    """What 2 m between the pixels of the two landmarks of `marked` say."""
    return scale_of_points(view, PointsLength(Pixel(0, 99.5, 79.5), Pixel(0, 149.5, 79.5), 2.0))[1]


def test_a_landmark_is_meant_within_3_px_or_a_hundredth_of_the_width() -> None:
    assert length_of(marked(2.9)).metres_per_unit == pytest.approx(2.0 / 1.058)
    with pytest.raises(InputError, match="no sure map point within 3 px"):
        length_of(marked(3.1))
    wide = replace(CAMERA, width=800, cx=399.5)
    m = hand_map([at()], wide)
    add_landmarks(m, 0, np.array([[0.0, 0.0, 2.0], [1.0, 0.0, 2.0]]))
    for off, is_found in ((7.9, True), (8.1, False)):
        ask = PointsLength(Pixel(0, 399.5, 79.5), Pixel(0, 449.5 + off, 79.5), 2.0)
        if is_found:
            assert scale_of_points(SessionView(m), ask)[1].metres_per_unit == pytest.approx(2.0)
        else:
            with pytest.raises(InputError, match="within 8 px"):
                scale_of_points(SessionView(m), ask)


def test_landmarks_of_two_keyframes_before_and_after_may_be_meant() -> None:
    assert length_of(marked(host=2)).metres_per_unit == pytest.approx(2.0)
    with pytest.raises(InputError, match="no sure map point"):
        length_of(marked(host=3))


def test_a_landmark_whose_depth_is_a_guess_carries_no_length() -> None:
    assert length_of(marked(rel_sigma=0.099)).metres_per_unit == pytest.approx(2.0)
    with pytest.raises(InputError, match="no sure map point"):
        length_of(marked(rel_sigma=0.101))
    guessed = marked()
    guessed.slam_map.landmarks.is_triangulated[1] = False
    with pytest.raises(InputError, match="no sure map point"):
        length_of(guessed)


def test_the_deviation_of_both_ends_lies_along_their_rays() -> None:
    """The length lies along x. The ray to the first end, (0, 0, 2), has nothing of that, the other one 1 of 1: 0.02 of
    its depth are 0.02 of the length. With both ends half a unit aside, each has half of it."""
    assert length_of(marked(rel_sigma=0.02)).rel_sigma == pytest.approx(np.hypot(0.02, 0.01))
    m = hand_map([at()])
    add_landmarks(m, 0, np.array([[-0.5, 0.0, 2.0], [0.5, 0.0, 2.0]]), rel_sigma=0.04)
    ask = PointsLength(Pixel(0, 74.5, 79.5), Pixel(0, 124.5, 79.5), 1.0)
    assert scale_of_points(SessionView(m), ask)[1].rel_sigma == pytest.approx(np.hypot(0.02 * 2**0.5, 0.01))


# -- many measurements


def test_the_median_of_a_few_measurements_costs_nothing_and_that_of_many_a_quarter() -> None:
    """Logarithms 0 and 0.2 lie 0.1 off their middle: 0.14826 of one, over the root of two. Of three the median is worth
    2 / pi of a mean."""
    two = Scale.of(np.exp([0.0, 0.2]), "x", floor=0.0)
    assert two.rel_sigma == pytest.approx(0.14826 / 2**0.5)
    three = Scale.of(np.exp([0.0, 0.1, 0.2]), "x", floor=0.0)
    assert three.rel_sigma == pytest.approx(0.14826 * (np.pi / 2 / 3) ** 0.5)
    assert Scale.of(np.exp([0.0, 0.2]), "x", np.array([0.3, 0.3]), 0.04).rel_sigma == pytest.approx(
        np.hypot(0.3 / 2**0.5, 0.04)
    )


class Registered(DepthOf):
    """Depth images in the pixels of CAMERA."""

    def __init__(self) -> None:
        super().__init__([], 1000.0, None, CAMERA)


def ratios(image: Array, rel_sigma: float = 0.01) -> Array:
    """Metres per unit at a landmark 2 units before a keyframe, in the middle of pixel (100, 80)."""
    m = hand_map([at()])
    add_landmarks(m, 0, np.array([[0.01, 0.01, 2.0]]), rel_sigma=rel_sigma)
    return keyframe_ratios(SessionView(m), m.keyframes[0], image.astype(np.float32), Registered())


def test_depth_counts_where_all_is_measured_around_a_sure_landmark() -> None:
    image = np.full((160, 200), 5.0)
    np.testing.assert_allclose(ratios(image), [2.5])
    np.testing.assert_allclose(ratios(image, 0.099), [2.5])
    assert len(ratios(image, 0.101)) == 0
    for value, n in ((5.14, 1), (5.16, 0), (4.86, 1), (4.84, 0), (0.0, 0)):  # 3 % of 5 is 0.15
        image[79, 101] = value
        assert len(ratios(image)) == n, value


def depth_scale(ids: list[int], said: list[float]) -> Scale:
    """What ratios at keyframes of a path with steps of 1 say."""
    m = hand_map([at(x=float(k)) for k in range(11)])
    return _scale(SessionView(m), 0, list(zip(ids, said, strict=True)))


def test_a_measurement_counts_for_the_path_around_it() -> None:
    """At 0, 2 and 10 of a path of 10: borders at 1 and 6, and a tenth of the path shared by all for standing still."""
    view = SessionView(hand_map([at(x=float(k)) for k in range(11)]))
    np.testing.assert_allclose(_path_around(view, 0, np.array([0, 2, 10])), [0.1 + 1 / 30, 0.5 + 1 / 30, 0.4 + 1 / 30])


def test_the_drift_between_halves_is_in_the_deviation() -> None:
    """Two keyframes of 1 and two of e^0.08: each half agrees with itself, and the halves differ by 0.08, of which the
    middle is off by half. The spread about the middle is 0.04, and 0.01 is common to all."""
    found = depth_scale([0, 1, 9, 10], [1.0, 1.0, float(np.exp(0.08)), float(np.exp(0.08))])
    one = 1.4826 * 0.04
    assert found.rel_sigma == pytest.approx(np.sqrt(np.pi / 2 * one**2 / 4 + 0.01**2 + 0.04**2), rel=1e-6)
    assert found.notes == ("the scale of the map drifts by 8 % between its halves",)
    same = depth_scale([0, 1, 9, 10], [2.0, 2.0, 2.0, 2.0])
    assert (same.rel_sigma, same.notes) == (pytest.approx(0.01), ())
    assert depth_scale([0, 1, 9], [1.0, 1.0, 1.1]).notes == (), "three are too few to tell a drift"


# -- markers


def sighted(T_world_cam: list[Array], edge: float = 1.0, width: float = 1.0) -> tuple[SessionView, list[TagSighting]]:
    """A marker of `width` x `edge` 4 units ahead, seen by each camera."""
    m: SlamMap = hand_map(T_world_cam)
    corners = np.array([[-0.5 * width, -0.5 * edge, 4.0], [0.5 * width, -0.5 * edge, 4.0],
                        [0.5 * width, 0.5 * edge, 4.0], [-0.5 * width, 0.5 * edge, 4.0]])  # fmt: skip
    ids = add_landmarks(m, 0, corners, range(len(T_world_cam)))
    assert len(ids) == 4
    return SessionView(m), [TagSighting(1, k, m.observed[k.id].pixels) for k in m.keyframes]


def test_a_marker_may_be_uneven_by_15_percent_and_is_seen_from_two_directions() -> None:
    """Edges of 1 and w differ by w - 1, and their mean is (1 + w) / 2."""
    apart = [at(), at(x=0.5)]
    for width, is_square in ((1.16, True), (1.17, False)):
        edges = tag_edges(*sighted(apart, width=width))
        assert (edges is not None) == is_square
    for x, is_enough in ((0.15, True), (0.13, False)):  # 4 tan 2 degrees are 0.1397
        assert (tag_edges(*sighted([at(), at(x=x)])) is not None) == is_enough


def test_a_marker_that_is_seen_twice_in_an_image_does_not_count_there() -> None:
    view, seen = sighted([at(), at(x=0.5)])
    assert tag_edges(view, [*seen, seen[1]]) is None
