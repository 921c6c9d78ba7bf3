"""Decisions about places, with values worked out by hand: from both sides of each limit, away from the origin."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from synthetic import pose

from vgslam.frontend.features import FeatureConfig
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.reloc import verifiers
from vgslam.reloc.hypotheses import Hypothesis
from vgslam.reloc.localization import Evidence, Localization
from vgslam.reloc.loops import LoopConfig, LoopFinder, is_same
from vgslam.reloc.nearby import NearbyLandmarks
from vgslam.reloc.places import Places
from vgslam.reloc.relocalizer import Relocalizer
from vgslam.reloc.relocalizer_config import RelocalizerConfig
from vgslam.types import Camera, Edge, EdgeKind, Keyframe

CAMERA = Camera.from_fov(64, 48, 70.0)
EVIDENCE = Evidence(n_inliers=30, ratio=0.6, share=0.2, n_cells=8, n_references=1)


def at(x: float) -> np.ndarray:
    """T_world_cam of a camera that looks along z."""
    return pose((0, 0, 0), (x, 0, 0))


def one_keyframe(x: float, depth: float) -> SlamMap:
    """A keyframe at x that sees three points at this depth."""
    m = SlamMap()
    image = np.zeros((48, 64, 3), np.uint8)
    m.add_keyframe(Keyframe(0, 0, 0.0, image, CAMERA, Sim3.from_T(at(x))), np.zeros(0, np.int64), np.zeros((0, 2)))
    points = np.array([[0.0, 0, depth], [0.1, 0, depth], [-0.1, 0, depth]])
    m.observe(0, m.landmarks.add(0, points, np.full(3, 0.01), np.zeros((3, 3), np.uint8)), np.zeros((3, 2)))
    return m


@pytest.fixture
def relocalizer() -> Relocalizer:
    m = one_keyframe(5.0, 2.0)
    return Relocalizer(m, Places(m), FeatureConfig(), RelocalizerConfig())


@pytest.mark.parametrize(("x", "is_near"), [(11.1, True), (8.9, True), (11.3, False), (-10.0, False)])
def test_near_is_counted_from_where_the_camera_was(x: float, is_near: bool) -> None:
    """Depth 4: a camera at x = 10 can have come from 1.2 to either side."""
    nothing = np.zeros(0, np.int64), np.zeros((0, 2), np.float32)
    found = Localization(at(10.0), np.eye(6), EVIDENCE, "pnp", (0,), 0, 0, *nothing, depth=4.0)
    assert found.is_near(at(x), 0) == is_near


@pytest.mark.parametrize(("x", "looks_alike"), [(5.79, True), (4.21, True), (5.81, False), (-5.0, False)])
def test_views_look_alike_within_a_share_of_the_depth(x: float, looks_alike: bool) -> None:
    """Depth 2 and a keyframe at 5: .8 to either side. The camera has been far away since."""
    m = one_keyframe(5.0, 2.0)
    far = Keyframe(1, 1, 1.0, np.zeros((48, 64, 3), np.uint8), CAMERA, Sim3.from_T(at(100.0)))
    m.add_keyframe(far, np.zeros(0, np.int64), np.zeros((0, 2)))
    nearby = NearbyLandmarks(m, FeatureConfig(), RelocalizerConfig())
    assert nearby.old(at(x), 0, before=1).tolist() == ([0] if looks_alike else [])


def hypothesis(n: int, ratio: float, method: str = "pnp") -> Any:
    return Hypothesis(SimpleNamespace(ids=np.arange(n), ratio=ratio), method, 2.0)  # type: ignore[arg-type]


def test_the_answer_of_a_method_is_of_that_method(
    relocalizer: Relocalizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposed = [hypothesis(20, 0.5, "head"), hypothesis(30, 0.5, "solver"), hypothesis(40, 0.5, "head")]
    monkeypatch.setattr(relocalizer, "_query", lambda *_: None)
    monkeypatch.setattr(relocalizer, "references", lambda *_: [0])
    monkeypatch.setattr(relocalizer, "_by_network", lambda *_: proposed)
    monkeypatch.setattr(relocalizer, "_by_matches", lambda *_: ["matches"])
    monkeypatch.setattr(relocalizer.agreement, "best_place", lambda hypotheses, camera: hypotheses)
    view: Any = None
    assert relocalizer.by_method(view, CAMERA, "head") == [proposed[0], proposed[2]]
    assert relocalizer.by_method(view, CAMERA, "solver") == [proposed[1]]
    assert relocalizer.by_method(view, CAMERA, "pnp") == ["matches"]


def test_hypotheses_are_joined_best_first(relocalizer: Relocalizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """By landmarks times the share that was found: 27, 20, 19."""
    a, b, c = hypothesis(40, 0.5), hypothesis(30, 0.9), hypothesis(20, 0.95)
    joined: list[list[Any]] = []

    def joint(agreeing: list[Any], camera: Camera) -> Localization:
        joined.append(agreeing)
        nothing = np.zeros(0, np.int64), np.zeros((0, 2), np.float32)
        return Localization(at(0.0), np.eye(6), EVIDENCE, "pnp", (0,), 0, 0, *nothing, depth=4.0)

    monkeypatch.setattr(relocalizer.agreement, "_is_same_place", lambda *_: True)
    monkeypatch.setattr(relocalizer.agreement, "_joint", joint)
    assert relocalizer.agreement.best_place([c, a, b], CAMERA) is not None
    assert joined == [[b, a, c]]


@pytest.mark.parametrize(
    ("s", "other", "same"),
    [(2.0, 2.0, True), (2.0, 0.5, False), (2.0, 2.2, True), (2.0, 2.23, False), (0.5, 0.56, False)],
)
def test_placements_agree_in_scale(s: float, other: float, same: bool) -> None:
    """The log of 1.1 is .0953, that of 1.115 .1089, that of 1.12 .1133."""
    placed = (Sim3(np.eye(3), np.zeros(3), x) for x in (s, other))
    assert is_same(*placed, depth=1.0, agreement=(1.0, 0.1, 0.1)) == same


@pytest.mark.parametrize(("x", "sigma"), [(-0.4, 0.05), (-0.3, 0.1), (-0.5, 0.04)])
def test_the_deviation_of_a_meeting_is_half_of_what_its_sides_differ_by(x: float, sigma: float) -> None:
    """One side puts the second keyframe at .5; the other the first at x, which puts the second at -x from there: .4, .3
    and .5. Least is .01 of the depth of 4."""
    m = one_keyframe(0.0, 4.0)
    image = np.zeros((48, 64, 3), np.uint8)
    m.add_keyframe(Keyframe(1, 1, 1.0, image, CAMERA, Sim3.identity()), np.zeros(0, np.int64), np.zeros((0, 2)))
    verifier = verifiers.LandmarkVerifier(m, Places(m), FeatureConfig(), LoopConfig())
    forth, back = (SimpleNamespace(T_world_cam=at(t), ids=np.arange(3), ratio=0.9) for t in (0.5, x))
    met = verifier._meeting(0, 1, forth, back, (0.0, 0.0))  # type: ignore[arg-type]
    assert met is not None
    assert met.edge.sigmas[3:6] == pytest.approx([sigma] * 3)


def test_matches_may_be_off_by_a_few_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A keypoint is some .5 to 1 px off: matches within 2 px of their line are true ones, 5 px are none."""
    m = one_keyframe(0.0, 4.0)
    asked: list[float] = []

    def matches(a: object, b: object, config: object, limit_px: float) -> tuple[np.ndarray, np.ndarray]:
        asked.append(limit_px)
        return np.zeros((0, 2)), np.zeros((0, 2))

    monkeypatch.setattr(verifiers, "epipolar_matches", matches)
    monkeypatch.setattr(Places, "features", lambda *_: None)
    assert verifiers.LandmarkVerifier(m, Places(m), FeatureConfig(), LoopConfig()).verify(0, 0) is None
    assert 2.0 < asked[0] < 5.0


def finder(monkeypatch: pytest.MonkeyPatch, met_at: set[int]) -> LoopFinder:
    """Meetings at these keyframes, all of which agree; two in a row confirm one another."""
    keyframes = [SimpleNamespace(component_id=0)] * 40
    made = LoopFinder(SimpleNamespace(keyframes=keyframes), None, None, LoopConfig(n_agreeing=2))  # type: ignore[arg-type]
    edges = {k: SimpleNamespace(edge=Edge(0, k, Sim3.identity(), np.ones(7), EdgeKind.LOOP, 1.0)) for k in met_at}
    monkeypatch.setattr(made, "_candidates", lambda *_: [])
    monkeypatch.setattr(made, "_best", lambda k, _: edges.get(k))
    monkeypatch.setattr(made, "agree", lambda *_: True)
    monkeypatch.setattr(made, "is_known", lambda *_: False)
    return made


@pytest.mark.parametrize(
    ("met_at", "looked_at", "is_confirmed"),
    [
        ({10, 14}, (10, 14), True),
        ({10, 15}, (10, 15), False),  # too far apart to be in a row
        ({10, 13}, (10, 12, 13), True),  # nothing for two keyframes is forgiven
        ({10, 14}, (10, 13, 14), False),  # nothing for three is not
    ],
)
def test_meetings_in_a_row_confirm_one_another(
    monkeypatch: pytest.MonkeyPatch, met_at: set[int], looked_at: tuple[int, ...], is_confirmed: bool
) -> None:
    found = finder(monkeypatch, met_at)
    *before, last = looked_at
    assert all(found.find(k) == [] for k in before)
    confirmed = [met.edge.id_b for met in found.find(last)]
    assert confirmed == (sorted(met_at) if is_confirmed else [])


def test_where_the_map_is_right_one_meeting_is_enough_and_rests_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    found = finder(monkeypatch, set(range(1, 40)))
    monkeypatch.setattr(found, "is_known", lambda *_: True)
    monkeypatch.setattr(found, "_is_tied", lambda *_: False)
    monkeypatch.setattr(found, "_is_straight_on", lambda *_: False)
    monkeypatch.setattr(found, "_depth", lambda *_: 1.0)
    looked_at = [k for k in range(1, 30) if found.may_find(k) and found.find(k)]
    assert looked_at == [1, 3, 6, 11, 20, 29], "1, 2, 4, 8 and 8 keyframes are passed over"


def test_a_tied_stretch_is_looked_at_again_after_a_rest_or_where_it_is_not_tied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed: list[int] = []
    found = finder(monkeypatch, {3, 35})
    found.places = SimpleNamespace(pass_over=passed.append)  # type: ignore[assignment]
    monkeypatch.setattr(found, "is_known", lambda *_: True)
    monkeypatch.setattr(found, "_is_straight_on", lambda *_: False)
    monkeypatch.setattr(found, "_depth", lambda *_: 1.0)
    monkeypatch.setattr(found, "_is_tied", lambda k: 3 < k < 39)
    looked_at = [k for k in range(40) if found.may_find(k) and (found.find(k), True)]
    assert looked_at == [0, 1, 2, 3, *range(15, 36), 39]
    assert passed == [*range(4, 15), *range(36, 39)], "what is looked at has to be found later"


@pytest.mark.parametrize(("n_old", "x", "is_tied"), [(20, 5.0, True), (19, 5.0, False), (20, 60.0, False)])
def test_twenty_landmarks_of_an_earlier_visit_tie_a_keyframe(n_old: int, x: float, is_tied: bool) -> None:
    """Keyframe 0 at 5 and 16 keyframes out to 80; the last is back at x. 75 out, and 75 or 20 back: the path from
    keyframe 0 is over four times the distance where it is back, and less than twice where it is not."""
    m = one_keyframe(5.0, 2.0)
    m.observe(0, m.landmarks.add(0, np.ones((17, 3)), np.full(17, 0.01), np.zeros((17, 3), np.uint8)), np.ones((17, 2)))
    for k in range(1, 18):
        ids = np.arange(n_old) if k == 17 else np.zeros(0, np.int64)
        S = Sim3.from_T(at(80.0 if k < 17 else x))
        image = np.zeros((48, 64, 3), np.uint8)
        m.add_keyframe(Keyframe(k, k, 0.1 * k, image, CAMERA, S), ids, np.zeros((len(ids), 2)))
    assert LoopFinder(m, None, None, LoopConfig())._is_tied(17) == is_tied  # type: ignore[arg-type]
    assert not LoopFinder(m, None, None, LoopConfig(min_gap=18))._is_tied(17)  # type: ignore[arg-type]
