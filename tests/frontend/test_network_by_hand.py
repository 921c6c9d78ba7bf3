"""What is believed of a network's depth, from both sides of each limit."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hand_map import CAMERA, add_landmarks, at, grid, hand_map

from vgslam.frontend import dense_depth
from vgslam.frontend.measured_depth import depth_scale
from vgslam.frontend.network_start import AskTimes, DepthTrial, _held_out, try_depth, verified_start
from vgslam.frontend.provisional_starts import Provisional, ProvisionalStarts
from vgslam.geometry import se3
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, MadeBy, WindowInput, WindowPrediction

# -- depth that is measured at landmarks


@pytest.mark.parametrize(("n", "is_known"), [(40, True), (39, False)])
def test_forty_landmarks_and_a_tenth_are_the_least(n: int, is_known: bool) -> None:
    found = depth_scale(np.full(n, 3.0), np.ones(n), np.arange(n))
    assert (found is not None) == is_known
    assert found is None or (found.scale, found.rel_sigma) == (pytest.approx(3.0), 0.1)


@pytest.mark.parametrize(("log", "is_known"), [(0.2, True), (0.205, False)])
def test_a_scatter_of_three_tenths_is_the_most(log: float, is_known: bool) -> None:
    """Held-out ratios are +-log off: 1.48 times the median."""
    logs = np.zeros(60)
    logs[1::4], logs[3::4] = log, -log
    assert (depth_scale(np.exp(logs), np.ones(60), np.arange(60)) is not None) == is_known


# -- a start from a network's depth


def test_depth_is_measured_where_there_are_four_px_of_parallax() -> None:
    """A camera that goes 0.2 to the right: a point at depth z moves by 20 / z px to the left."""
    T = at(x=-0.2)
    depth = np.array([4.9, 5.1, 2.0])
    X = np.stack([np.zeros(3), np.zeros(3), depth], axis=1)
    true = X.copy()
    true[2, 2] = 4.0  # twice as far as was predicted: half of the parallax
    seen = CAMERA.project(se3.transform(T, true))
    seen[1] += [0.0, 3.0]
    found = _held_out(CAMERA, T, X, seen)
    np.testing.assert_allclose(found.log_ratio, [0.0, np.log(2.0)], atol=1e-9)
    np.testing.assert_allclose(found.errors_px, [0.0, 3.0, 5.0], atol=1e-9)
    np.testing.assert_allclose(found.across_px, [0.0, 3.0, 0.0], atol=1e-9)
    beside = _held_out(CAMERA, T, X, seen + np.array([[0.0, 1.5], [0.0, 0.0], [7.0, -2.0]]))
    np.testing.assert_allclose(beside.across_px, [1.5, 3.0, 2.0], atol=1e-9)
    behind = _held_out(CAMERA, at(z=-3.0), X, seen)
    assert np.isinf(behind.errors_px).tolist() == [False, False, True]


@pytest.mark.parametrize(("n", "sigma"), [(15, 0.148), (14, np.inf)])
def test_fifteen_tracks_measure_the_scatter(n: int, sigma: float) -> None:
    """Half lie 0.1 above the middle of 5.0, and half below."""
    logs = 5.0 + np.where(np.arange(n) % 2 == 0, 0.1, -0.1)
    logs[-1] = 5.0
    trial = DepthTrial(np.eye(4), np.zeros(n), np.zeros(n), logs)
    assert trial.rel_sigma == pytest.approx(sigma)


def window(n: int = 80, noise: float = 0.0) -> tuple[WindowPrediction, WindowInput]:
    """The true depth of a scene, and tracks of a view to its side."""
    rng = np.random.default_rng(0)
    depth = np.exp(rng.uniform(0, np.log(4.0), (40, 50))).astype(np.float32)
    px = rng.uniform([10, 10], [190, 150], (n, 2))
    v, u = CAMERA.cell_at(px, (40, 50))
    X = CAMERA.rays(px) * (depth[v, u] * np.exp(noise * rng.normal(size=n)))[:, None]
    seen = CAMERA.project(se3.transform(at(x=-0.4), X))
    image = np.zeros((160, 200, 3), np.uint8)
    tracks = WindowInput(
        np.array([0, 5]), [image, image], CAMERA, np.repeat([0, 1], n), np.tile(np.arange(n), 2),
        np.concatenate([px, seen]),
    )  # fmt: skip
    both = np.stack([depth, depth])
    prediction = WindowPrediction(
        np.array([0, 5]), np.stack([np.eye(4), at(x=0.4)]), [CAMERA.resized(50, 40)] * 2, both, np.ones_like(both),
        made_by=MadeBy.NETWORK,
    )  # fmt: skip
    return prediction, tracks


@pytest.mark.parametrize(("n", "is_begun"), [(40, True), (39, False)])
def test_forty_tracks_begin_a_map_to_a_tenth_at_best(n: int, is_begun: bool) -> None:
    found = verified_start(*window(n))
    assert (found is not None) == is_begun
    assert found is None or np.unique(found.landmark_rel_sigma).tolist() == [0.1]


def test_the_second_view_is_found_where_the_network_has_no_idea_of_it() -> None:
    """It says that the camera has turned round: tracking begins where it was, too."""
    prediction, tracks = window()
    turned = np.stack([np.eye(4), at(turn=(0.0, 170.0, 0.0))])
    found = verified_start(replace(prediction, T_window_cam=turned), tracks)
    assert found is not None
    np.testing.assert_allclose(found.T_window_cam[1], at(x=0.4), atol=1e-3)


def test_half_of_the_tracks_is_held_out() -> None:
    """What the pose was not fitted to is off: every second track, from the second on."""
    _, tracks = window()
    px, seen = tracks.track_px[:80], tracks.track_px[80:].copy()
    z = 0.4 * 100.0 / (px - seen)[:, 0]  # of a parallax of 40 / z
    seen[1::2, 1] += 9.0
    trial = try_depth(CAMERA, px, seen, z, at(x=0.4))
    assert len(trial.errors_px) == 40
    assert np.median(trial.errors_px) == pytest.approx(9.0, abs=0.1)


def test_a_question_waits_half_a_second_and_as_long_again() -> None:
    times = AskTimes()
    assert not times.is_due(5.0)
    times.see(10.0)
    times.see(10.2)
    assert (times.is_due(10.49), times.is_due(10.51)) == (False, True)
    assert times.is_due(10.1, is_leaving=True)
    times.asked(10.2)
    assert not times.is_due(10.3, is_leaving=True), "it was asked once"
    assert (times.is_due(10.69), times.is_due(10.71)) == (False, True), "half a second at least"
    times.asked(11.0)
    assert (times.is_due(11.99), times.is_due(12.01)) == (False, True), "it has waited for a second"
    times.asked(15.0)
    assert (times.is_due(16.99), times.is_due(17.01)) == (False, True), "two seconds at most"


# -- what becomes of it in the map


class Mapper:
    """A mapper whose structure from motion finds nothing, or what it is told to at windows that begin at `at`."""

    def __init__(self, m: SlamMap, at_keyframe: int | None = None) -> None:
        self.map, self.config, self.camera = m, SimpleNamespace(guess_rel_sigma=0.5), CAMERA
        self.settled: list[tuple[list[int], list[int]]] = []
        self.tried: list[int] = []
        self.at = at_keyframe
        self.sfm = self

    def tracks_of(self, ids: Array) -> Array:
        return ids

    def predict(self, ids: Array) -> str | None:
        self.tried.append(int(ids[0]))
        return "found" if self.at is not None and ids[0] >= self.at else None

    def settle(self, ids: Array, mine: Array) -> None:
        self.settled.append((ids.tolist(), mine.tolist()))


def provisional(m: SlamMap, at_keyframe: int | None = None) -> tuple[ProvisionalStarts, Mapper]:
    mapper = Mapper(m, at_keyframe)
    found = ProvisionalStarts(m, mapper, [])  # type: ignore[arg-type]
    found._take = lambda ids, prediction: None  # type: ignore[method-assign]
    return found, mapper


def guessing(n: int) -> SlamMap:
    """Keyframes whose landmarks are guesses of the first."""
    m = hand_map([at(x=0.1 * k) for k in range(n)])
    ids = add_landmarks(m, 0, grid(3, 3, 4.0), range(n))
    m.landmarks.is_triangulated[ids] = False
    return m


def test_a_start_is_solved_again_where_two_of_its_last_keyframes_determine_it() -> None:
    m = guessing(9)
    found, mapper = provisional(m, at_keyframe=5)
    found.starts = [Provisional(0, 0, 0)]
    found.at_keyframe(8)
    assert mapper.tried == [3, 4, 5], "of six keyframes, from the earliest on"
    assert mapper.settled == [([5, 6, 7, 8], list(range(9)))]
    assert (found.starts[0].is_open, found.starts[0].solved_at) == (False, 80)
    assert found.finish() == []
    found.at_keyframe(8)
    assert len(mapper.settled) == 1, "once"


@pytest.mark.parametrize(("n", "n_measured", "is_solved"), [(6, 5, True), (6, 4, False), (5, 9, False)])
def test_or_where_six_keyframes_have_triangulated_half_of_what_they_share(
    n: int, n_measured: int, is_solved: bool
) -> None:
    m = guessing(n)
    m.landmarks.is_triangulated[:n_measured] = True
    found, mapper = provisional(m)
    found.starts = [Provisional(0, 0, 0)]
    found.at_keyframe(n - 1)
    assert mapper.tried == list(range(max(0, n - 6), n - 1))
    assert (mapper.settled != []) == is_solved
    assert (found.finish() == []) == is_solved


def test_only_an_open_start_of_the_same_component_is_solved_and_told_of() -> None:
    m = guessing(8)
    for start in (Provisional(1, 0, 0), Provisional(0, 0, 0, is_open=False)):
        found, mapper = provisional(m, at_keyframe=0)
        found.starts = [start]
        found.at_keyframe(7)
        assert mapper.tried == []
    m.keyframes[3].component_id = 5
    found, _ = provisional(m)
    found.starts = [Provisional(0, 3, 0), Provisional(0, 0, 0, solved_at=9), Provisional(5, 3, 0)]
    lines = found.finish()
    assert len(lines) == 1, "one was joined to another, one was solved"
    assert lines[0].startswith("component 5:")


def test_what_the_motion_says_replaces_what_the_network_said() -> None:
    """The component keeps the place of its first keyframe and its scale: known landmarks are half as far in the new
    solution as they were, so that its unit is doubled."""
    m = hand_map([at(x=1.0), at(x=2.0)])
    ids = add_landmarks(m, 0, np.array([[1.0, 0, 4.0], [2.0, 0, 4.0], [1.0, 1.0, 6.0], [1.0, 0, 9.0]]), [1], 0.2)
    mapper = SimpleNamespace(config=SimpleNamespace(guess_rel_sigma=0.5))
    points = np.array([[0.0, 0, 2.0], [0.5, 0, 2.0], [0.0, 0.5, 3.0]])
    found = WindowPrediction(
        np.array([0, 10]), np.stack([np.eye(4), at(x=0.25, turn=(0.0, 10.0, 0.0))]), [CAMERA] * 2,
        np.zeros((2, 1, 1), np.float32), np.zeros((2, 1, 1), np.float32), landmark_ids=ids[:3], landmarks=points,
        landmark_rel_sigma=np.array([0.01, 0.02, 0.03]),
    )  # fmt: skip
    ProvisionalStarts(m, mapper, [])._take(np.array([0, 1]), found)  # type: ignore[arg-type]
    np.testing.assert_allclose(m.keyframes[0].S_world_keyframe.pose, at(x=1.0), atol=1e-12)
    np.testing.assert_allclose(m.keyframes[1].S_world_keyframe.pose, at(x=1.5, turn=(0.0, 10.0, 0.0)), atol=1e-12)
    np.testing.assert_allclose(m.landmarks_world(ids[:3]), 2.0 * points + np.array([1.0, 0.0, 0.0]), atol=1e-12)
    assert m.landmarks.is_triangulated.tolist() == [True, True, True, False]
    assert m.landmarks.rel_sigma.tolist() == [0.01, 0.02, 0.03, 0.5]


def test_only_a_networks_start_is_provisional() -> None:
    prediction, _ = window()
    start = SimpleNamespace(prediction=prediction, first=SimpleNamespace(frame_id=7))
    found, _ = provisional(guessing(2))
    found.began(start, 3, 1)  # type: ignore[arg-type]
    start.prediction = replace(prediction, made_by=MadeBy.TRACKS)
    found.began(start, 3, 1)  # type: ignore[arg-type]
    start.prediction = None
    found.began(start, 3, 1)  # type: ignore[arg-type]
    assert found.starts == [Provisional(3, 1, 7)]


def test_dense_depth_is_asked_for_four_keyframes_of_one_component(monkeypatch: pytest.MonkeyPatch) -> None:
    m = hand_map([at(x=0.1 * k) for k in range(9)])
    for k in (2, 3):
        m.keyframes[k].component_id = 1
    asked: list[list[int]] = []
    monkeypatch.setattr(dense_depth, "add_to_window", lambda mapper, guide, ids: asked.append(ids.tolist()))
    dense_depth.add_dense_depth(SimpleNamespace(map=m), None)  # type: ignore[arg-type]
    assert asked == [[0, 1], [4, 5, 6, 7], [8]]


def test_dense_depth_is_scaled_by_what_each_keyframe_has_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keyframe 0 of unit 2 sees 50 measured landmarks at 4, keyframe 1 of unit 1 has 30: too few. The network says 1
    everywhere, and guesses are not asked."""
    m = hand_map([at(), at(x=0.1)], scales=[2.0, 1.0])
    mine = add_landmarks(m, 0, grid(10, 5, 4.0))
    others = add_landmarks(m, 1, grid(6, 5, 4.0))
    guessed = add_landmarks(m, 0, grid(10, 9, 9.0), [1])
    m.landmarks.is_triangulated[guessed] = False
    depth = np.ones((2, 4, 5), np.float32)
    prediction = WindowPrediction(np.array([0, 10]), np.stack([np.eye(4)] * 2), [CAMERA] * 2, depth, depth)
    counted: list[object] = []
    guide = SimpleNamespace(
        notes=[], desk=SimpleNamespace(believe=counted.append), predict_now=lambda reason, about, seen: prediction
    )
    n = np.concatenate([np.full(len(m.observed[k].ids), k) for k in range(2)])
    ids = np.concatenate([m.observed[k].ids for k in range(2)])
    px = np.concatenate([m.observed[k].pixels for k in range(2)])
    tracker = SimpleNamespace(mask=None)
    mapper = SimpleNamespace(map=m, camera=CAMERA, observations=lambda window: (n, ids, px), tracker=tracker)
    kept = []
    monkeypatch.setattr(
        dense_depth, "keep_depth", lambda k, depth, sure, camera, mask: kept.append((k.id, depth.mean(), sure.mean()))
    )
    dense_depth.add_to_window(mapper, guide, np.array([0, 1]))  # type: ignore[arg-type]
    assert (len(mine), len(others)) == (50, 30)
    assert kept == [(0, pytest.approx(2.0), pytest.approx(2 / 3))], "sure to a tenth, at best"
    assert len(counted) == 1
