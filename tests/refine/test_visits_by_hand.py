"""Which keyframes look for each other's landmarks, and which are astray, from both sides of each limit."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hand_map import CAMERA, add_landmarks, at, grid, hand_map

from vgslam.frontend.features import FeatureConfig
from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap
from vgslam.multiview.pnp import PoseFit
from vgslam.refine import shared_landmarks as shared_module
from vgslam.refine import strays as strays_module
from vgslam.refine.problem import Problem, gather
from vgslam.refine.shared_landmarks import _Found, _plane_homography, _Search, partners, with_observations
from vgslam.refine.strays import _is_same, _move, mend_strays, supported
from vgslam.reloc.locate import Recovered
from vgslam.types import Array, Edge, EdgeKind

# -- partners

NOBODY = np.zeros(5, bool)


def visit(place: Array, shared: int = 0, n: int = 24) -> Problem:
    """Keyframe 0 in the origin, 4 in a place, the others far off; 0 and 4 see n landmarks each, 4 ahead, which another
    keyframe knows too; the first `shared` of keyframe 0 are seen by keyframe 4 as well."""
    m = hand_map([at(), at(x=50.0), at(x=90.0), at(x=130.0), place])
    first = add_landmarks(m, 0, grid(n // 4, 4, 4.0))
    m.observe(1, first, m.observed[0].pixels)
    T = place
    mine = grid(n // 4, 4, 4.0) @ T[:3, :3].T + T[:3, 3]
    second = add_landmarks(m, 4, mine)
    m.observe(2, second, m.observed[4].pixels)
    if shared:
        m.observe(4, first[:shared], m.observed[0].pixels[:shared])
    return gather(m, np.arange(5))


@pytest.mark.parametrize(("place", "are_partners"), [
    (at(x=1.59), True), (at(x=1.61), False),  # four tenths of a depth of 4 are 1.6
    (at(turn=(0.0, 31.5, 0.0)), True), (at(turn=(0.0, 32.0, 0.0)), False),  # a cosine of 0.85 is 31.8 degrees
])  # fmt: skip
def test_partners_are_near_and_look_the_same_way(place: Array, are_partners: bool) -> None:
    assert partners(visit(place), NOBODY) == ([(4, 0), (0, 4)] if are_partners else [])


@pytest.mark.parametrize(("shared", "are_partners"), [(12, True), (13, False), (24, False)])
def test_partners_share_at_most_half_of_what_one_sees(shared: int, are_partners: bool) -> None:
    """Keyframe 0 sees 24. Keyframe 4 sees what is shared beside 24 of its own, so that less than half of its are."""
    found = partners(visit(at(x=0.5), shared), NOBODY)
    assert ((0, 4) in found) == are_partners
    assert ((4, 0) in found) == (shared <= 24)


def test_a_keyframe_that_sees_twenty_may_be_looked_for() -> None:
    assert partners(visit(at(x=0.5), n=20), NOBODY) == [(4, 0), (0, 4)]
    assert partners(visit(at(x=0.5), n=16), NOBODY) == []


def test_neighbours_are_no_partners_and_the_nearest_of_the_others_is_taken() -> None:
    """Keyframes 3 and 4 may be looked for from 0; the one that is nearer and looks more alike is: a distance of 0.1 of
    the depth and a turn of 0.2 rad are worse than 0.25 of the depth."""
    for second, best in ((at(x=1.0), 4), (at(x=1.3), 3)):
        m = hand_map([at(), at(y=0.1), at(y=0.2), at(x=0.4, turn=(0.0, np.degrees(0.2), 0.0)), second])
        for k in range(5):
            T = m.keyframes[k].S_world_keyframe.pose
            add_landmarks(m, k, grid(6, 4, 4.0) @ T[:3, :3].T + T[:3, 3])
            m.observe((k + 1) % 5, np.arange(24 * k, 24 * k + 24), m.observed[k].pixels[-24:])
        found = {k: j for j, k in partners(gather(m, np.arange(5)), NOBODY)}
        assert found[0] == best
        assert all(abs(j - k) >= 3 for k, j in found.items())


# -- what is searched for and found


def test_an_observation_is_added_once_and_not_where_it_was_already() -> None:
    p = visit(at(x=0.5))
    n = len(p.cam)
    found = [_Found(4, np.array([0, 1]), np.ones((2, 2))), _Found(4, np.array([1, 30]), np.full((2, 2), 2.0)),
             _Found(3, np.array([0]), np.full((1, 2), 3.0))]  # fmt: skip
    after = with_observations(p, found)
    assert after.cam[n:].tolist() == [4, 4, 3]
    assert after.point[n:].tolist() == [0, 1, 0]
    assert after.pixels[n:].tolist() == [[1.0, 1.0], [1.0, 1.0], [3.0, 3.0]]
    assert after.in_use.all()
    assert with_observations(p, []) is p


def searching(place: Array, camera_of_image: Camera = CAMERA) -> _Search:
    gray = np.zeros((camera_of_image.height, camera_of_image.width), np.uint8)
    return _Search(visit(place, shared=4), lambda k: gray, FeatureConfig())


def test_only_landmarks_that_the_other_does_not_see_are_searched_for() -> None:
    search = searching(at(x=0.5))
    assert search.p.point[search._wanted(0, 4)].tolist() == list(range(4, 24))


def test_the_search_begins_where_a_wall_at_the_usual_depth_would_be() -> None:
    """Seen from 0.5 to the right, a wall 4 ahead moves by 12.5 px to the left."""
    p = visit(at(x=0.5))
    T_k_j = p.T_cam_world[4] @ np.linalg.inv(p.T_cam_world[0])
    H = _plane_homography(p, T_k_j, 4.0)
    found = H @ [120.0, 60.0, 1.0]
    np.testing.assert_allclose(found / found[2], [107.5, 60.0, 1.0])


def test_images_of_another_size_are_not_searched() -> None:
    for camera, is_searched in ((CAMERA, True), (CAMERA.resized(100, 80), False)):
        assert (searching(at(x=0.5), camera)._images(0, 4, np.eye(3)) is not None) == is_searched
    sizes = lambda k: np.zeros((160, 200) if k == 0 else (80, 100), np.uint8)  # noqa: E731
    mixed = _Search(visit(at(x=0.5), shared=4), sizes, FeatureConfig())
    assert mixed._images(0, 4, np.eye(3)) is None


def test_what_lies_at_the_border_or_beside_the_image_is_not_searched() -> None:
    search = searching(at(x=0.5))
    for inside, outside in ((8.1, 7.9), (190.9, 191.1)):
        assert search._inside(np.array([[inside, 80.0], [outside, 80.0]])).tolist() == [True, False]
    for inside, outside in ((8.1, 7.9), (150.9, 151.1)):
        assert search._inside(np.array([[90.0, inside], [90.0, outside]])).tolist() == [True, False]


def test_both_where_a_wall_and_where_the_landmark_would_be_lie_in_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen from 0.5 to the right a wall 4 ahead moves 12.5 px to the left, what is 40 ahead 1.25 px. Of two such
    landmarks one begins at 18 px from the border, where a wall would leave the image."""
    m = hand_map([at(), at(x=50.0), at(x=90.0), at(x=130.0), at(x=0.5)])
    far = CAMERA.rays(np.array([[18.0, 80.0], [90.0, 80.0]])) * 40.0
    ids = add_landmarks(m, 0, np.concatenate([grid(6, 5, 4.0, 0.3), far]))
    m.observe(1, ids, m.observed[0].pixels)
    p = gather(m, np.arange(5))
    asked = []

    def track_flow(a: Array, b: Array, at: Array, near: Array, *_: object) -> tuple[Array, Array]:
        asked.append((at, near))
        return near, np.ones(len(near), bool)

    monkeypatch.setattr(shared_module, "track_flow", track_flow)
    found = _Search(p, lambda k: np.zeros((160, 200), np.uint8), FeatureConfig()).find(0, 4)
    [(start, near)] = asked
    np.testing.assert_allclose([start[-1], near[-1]], [[77.5, 80.0], [88.75, 80.0]], atol=1e-3)
    assert len(start) == 31
    assert found is not None
    assert found.point.tolist() == [*range(30), 31]


@pytest.mark.parametrize(("n", "n_agree", "is_believed"), [
    (34, 21, True), (34, 19, False), (35, 21, True), (36, 21, False), (20, 20, True), (19, 19, False),
])  # fmt: skip
def test_twenty_landmarks_and_six_tenths_of_those_found_agree_on_a_pose(
    n: int, n_agree: int, is_believed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refine_pose(camera: Camera, T: Array, points: object, sigma_px: float) -> PoseFit:
        asked.append(points)
        return PoseFit(T, np.arange(n) < n_agree, np.eye(6), 0.5)

    monkeypatch.setattr(shared_module, "refine_pose", refine_pose)
    search = searching(at(x=0.5))
    search.p = replace(search.p, T_cam_world=search.p.T_cam_world - np.eye(4, k=3) * 7.0)  # none is in the origin
    found = search._agreeing(0, 4, np.arange(n), np.zeros((n, 2)))
    assert (found is not None) == is_believed
    assert found is None or (found.cam, len(found.point)) == (4, n_agree)
    np.testing.assert_allclose(asked[0].direction, search.p.points[:n] - [7.0, 0.0, 0.0])
    np.testing.assert_array_equal(asked[0].rel_sigma, np.full(n, 0.03))


# -- strays


def test_support_is_what_three_keyframes_see_within_two_and_a_half_px() -> None:
    m = hand_map([at(), at(x=0.1), at(x=0.2), at(x=0.3)])
    add_landmarks(m, 0, grid(3, 1, 4.0), [1, 2])
    add_landmarks(m, 0, grid(2, 1, 5.0), [3])  # two that were misled together
    assert supported(m, np.arange(4)).tolist() == [3, 3, 3, 0]
    for off, n in ((2.4, 3), (2.6, 2)):
        ids, pixels = m.observed[2]
        m.unobserve(2, ids)
        moved = pixels.copy()
        moved[0, 1] = pixels[1, 1] + off
        m.observe(2, ids, moved)
        assert supported(m, np.arange(4)).tolist() == [n, n, n, 0]


class Elsewhere:
    """A search that finds what it is asked for, and notes it."""

    asked: list[int]
    sound: set[int]

    def __init__(self, m: SlamMap, places: object, sound: set[int]) -> None:
        Elsewhere.asked, Elsewhere.sound = [], sound

    def elsewhere(self, k: int) -> None:
        Elsewhere.asked.append(k)


@pytest.mark.parametrize(("support", "asked"), [
    ({7: 24}, [7]), ({7: 26}, []), ({7: 20, 12: 10, 17: 24}, [12, 7]), ({7: 20, 8: 10}, []), ({7: 20, 9: 10}, [9, 7]),
])  # fmt: skip
def test_the_weakest_twentieth_is_looked_at_where_support_is_a_quarter_of_the_usual(
    support: dict[int, int], asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of 40 keyframes; several in a row have drifted together."""
    found = np.full(40, 100)
    for k, n in support.items():
        found[k] = n
    monkeypatch.setattr(strays_module, "supported", lambda m, members: found)
    monkeypatch.setattr(strays_module, "_Search", Elsewhere)
    assert mend_strays(hand_map([at()] * 40), np.arange(40), None) == []
    assert Elsewhere.asked == asked
    assert Elsewhere.sound == set(range(40)) - set(asked)


def recovered(T_world_cam: Array, ids: Array) -> Recovered:
    return Recovered(T_world_cam, np.eye(6), ids, np.zeros((len(ids), 2), np.float32), 0, 1.0)


@pytest.mark.parametrize(("T", "is_same"), [
    (at(x=5.31), True), (at(x=5.33), False), (at(x=-5.0), False),
    (at(x=5.0, turn=(0.0, 2.9, 0.0)), True), (at(x=5.0, turn=(0.0, 3.1, 0.0)), False),
])  # fmt: skip
def test_two_poses_are_the_same_within_a_share_of_the_depth_and_three_degrees(T: Array, is_same: bool) -> None:
    """0.08 of a depth of 4 is 0.32."""
    m = hand_map([at(x=5.0)])
    ids = add_landmarks(m, 0, grid(3, 3, 4.0) + np.array([5.0, 0.0, 0.0]))
    assert _is_same(m, recovered(at(x=5.0), ids), T) == is_same


class Answering(strays_module._Search):
    """A search whose answers are given, for quick features and for better ones."""

    def __init__(self, m: SlamMap, alike: list[int], quick: list[Recovered], better: list[Recovered]) -> None:
        self.map, self.sound, self._said = m, set(range(40)) - {33}, {"quick": quick, "better": better}
        self.tried: list[list[int]] = []
        self.places = self  # type: ignore[assignment]
        self._alike = alike

    def like_keyframe(self, k: int, n: int) -> tuple[Array, None]:
        return np.array(self._alike), None

    def features(self, k: int) -> str:
        return "quick"

    def _described(self, k: int) -> str:
        return "better"

    def _answers(self, k: int, alike: list[int], features: Callable[[int], str]) -> list[Recovered]:
        self.tried.append(alike)
        return self._said[features(k)]


def test_a_stray_is_where_two_answers_agree_and_none_says_that_it_is_here() -> None:
    m = hand_map([at()] * 40)
    few, many = add_landmarks(m, 0, grid(3, 1, 4.0)), add_landmarks(m, 0, grid(3, 3, 4.0))
    here, there, other = recovered(at(), many), recovered(at(x=9.0), few), recovered(at(y=9.0), many)
    again = recovered(at(x=9.1), many)
    alike = [4, 6, 5, 33, 10, 12, 14, 16, 18]
    search = Answering(m, alike, [there, again, other], [])
    assert search.elsewhere(5) is again, "of two that agree the one with more landmarks"
    assert search.tried == [[10, 12, 14, 16, 18]], "not itself, its neighbours, or what is not sound"
    assert Answering(m, alike, [there, again, here], [there, again]).elsewhere(5) is None
    assert Answering(m, alike, [there, other], [there]).elsewhere(5) is None
    slow = Answering(m, alike, [there], [there, again])
    assert slow.elsewhere(5) is again
    assert len(slow.tried) == 2


def test_a_stray_that_moves_takes_its_steps_with_it_and_forgets_what_it_saw() -> None:
    m = hand_map([at(), at(x=1.0), at(x=2.0), at(x=3.0)])
    loop = m.edges[0, 1]
    m.edges[1, 3] = Edge(1, 3, loop.S_a_b, loop.sigmas, EdgeKind.LOOP)
    mine, others = add_landmarks(m, 1, grid(2, 1, 4.0)), add_landmarks(m, 0, grid(3, 1, 4.0), [1])
    _move(m, 1, Recovered(at(x=1.0, y=3.0), np.eye(6), others[:1], np.array([[5.0, 6.0]], np.float32), 0, 1.0))
    assert m.observed[1].ids.tolist() == others[:1].tolist()
    assert m.observed[1].pixels.tolist() == [[5.0, 6.0]]
    assert m.landmarks.is_triangulated[mine].tolist() == [False, False]
    assert m.landmarks.is_triangulated[others].all()
    np.testing.assert_allclose(m.edges[0, 1].S_a_b.t, [1.0, 3.0, 0.0])
    np.testing.assert_allclose(m.edges[1, 2].S_a_b.t, [1.0, -3.0, 0.0])
    np.testing.assert_allclose(m.edges[1, 3].S_a_b.t, [1.0, 0.0, 0.0])
