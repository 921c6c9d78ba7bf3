"""Loops in rendered rooms whose geometry is known: closed where they are, refused where they are not."""

import functools
from dataclasses import replace

import cv2
import numpy as np
import pytest
from waiting import until

from vgslam import beside
from vgslam.frontend.features import FeatureConfig
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.map_graph import MapGraph
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.closing import LoopCloser, PlaceJoiner
from vgslam.reloc.late_joins import join_components
from vgslam.reloc.loops import LoopConfig
from vgslam.reloc.places import Places
from vgslam.types import Edge, EdgeKind, Keyframe, PoseEstimate, Status
from vgslam_train.worlds.scenes import generate
from vgslam_train.worlds.trajectories import trajectory
from vgslam_train.worlds.world import render

CAMERA = Camera.from_fov(320, 240, 70.0)
CONFIG = LoopConfig(min_gap=5)
N = 6


@functools.cache
def room(seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Poses (16,4,4), images and depth of a walk: N places, four views elsewhere, and the N places again from a little
    aside."""
    world = generate("room", seed)
    there = trajectory("walk", N, seed, world.free, 3.0)
    turn = np.tile(np.eye(4), (4, 1, 1))
    turn[:, :3, :3] = [se3.so3_exp(np.array([0, np.radians(a), 0])) for a in (90, 130, 180, 220)]
    elsewhere = there[-1] @ turn
    rng = np.random.default_rng(seed)
    again = np.stack([T @ se3.exp(rng.normal(0, 0.03, 6)) for T in there])
    poses = np.concatenate([there, elsewhere, again])
    film = render(world, poses, CAMERA, supersample=1)
    return poses, film.images_uint8().numpy(), film.depth.numpy()


def make_map(chosen: list[int], S_world: list[Sim3], components: list[int], seed: int = 3) -> SlamMap:
    """A map of rendered views, each with landmarks of its own at their exact depth; S_world: where the map believes the
    views are."""
    _, images, depth = room(seed)
    m = SlamMap()
    for k, (i, S, c) in enumerate(zip(chosen, S_world, components, strict=True)):
        m.add_keyframe(Keyframe(k, k, 0.1 * k, images[i], CAMERA, S, c), np.zeros(0, np.int64), np.zeros((0, 2)))
        gray = cv2.cvtColor(images[i], cv2.COLOR_RGB2GRAY)
        px = cv2.goodFeaturesToTrack(gray, 300, 0.01, 7)[:, 0].astype(np.float64)
        u, v = px.round().astype(int).T
        z = depth[i][v, u].astype(np.float64)
        ok = np.isfinite(z)
        ids = m.landmarks.add(k, CAMERA.rays(px[ok]) * z[ok, None], np.full(ok.sum(), 0.01), images[i][v, u][ok])
        m.landmarks.is_triangulated[ids] = True
        m.observe(k, ids, px[ok])
        m.frames.append(PoseEstimate(k, 0.1 * k, Status.TRACKED, k, np.eye(4), component_id=c))
        if k and components[k - 1] == c:
            sigmas = np.array([0.01] * 3 + [0.05] * 3 + [0.05])
            m.edges[k - 1, k] = Edge(k - 1, k, S_world[k - 1].inverse() @ S, sigmas, EdgeKind.ODOMETRY)
    return m


def drifted(n: int, scale_per_step: float, turn_deg: float) -> list[Sim3]:
    """The true poses, as odometry would give them that grows and turns a little at each step."""
    poses = room()[0]
    S, out = Sim3.from_T(poses[0]), [Sim3.from_T(poses[0])]
    for i in range(1, n):
        step = se3.inverse(poses[i - 1]) @ poses[i]
        wrong = Sim3(step[:3, :3] @ se3.so3_exp(np.radians([0, turn_deg, 0])), step[:3, 3], scale_per_step)
        S = S @ wrong
        out.append(S)
    return out


def closer_of(m: SlamMap, config: LoopConfig = CONFIG) -> LoopCloser:
    return LoopCloser(m, Places(m), FeatureConfig(), config)


def error_m(m: SlamMap, k: int, i: int) -> float:
    """Distance of keyframe k from the true place of view i."""
    return float(np.linalg.norm(m.keyframes[k].S_world_keyframe.t - room()[0][i][:3, 3]))


def test_a_loop_takes_out_drift_of_place_and_scale() -> None:
    n = 2 * N + 4
    m = make_map(list(range(n)), drifted(n, 1.02, 0.4), [0] * n)
    before = error_m(m, n - 1, n - 1)
    scale_before = m.keyframes[n - 1].S_world_keyframe.s
    closer = closer_of(m)
    closed = [c for c in (closer.at_keyframe(k) for k in range(n)) if c is not None]
    assert closed
    poses = room()[0]
    for (a, b), edge in m.edges.items():
        if edge.kind is EdgeKind.LOOP:
            truth = se3.inverse(poses[a]) @ poses[b]
            assert se3.angle_deg(truth[:3, :3].T @ edge.S_a_b.R) < 2.0, "only real revisits"
            assert np.linalg.norm(truth[:3, 3] - edge.S_a_b.t * m.keyframes[a].S_world_keyframe.s) < 0.1
    assert error_m(m, n - 1, n - 1) < 0.4 * before
    assert abs(np.log(m.keyframes[n - 1].S_world_keyframe.s)) < 0.4 * abs(np.log(scale_before))
    assert not closer.refused


@pytest.mark.parametrize("n_cores", [1, 2])
@pytest.mark.parametrize("in_background", [False, True])
def test_the_search_beside_closes_what_is_closed_at_once_one_keyframe_later(
    in_background: bool, n_cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that is not waited for is given time at each keyframe here, so that it looks at all of them."""
    n = 2 * N + 4
    maps = [make_map(list(range(n)), drifted(n, 1.02, 0.4), [0] * n) for _ in range(2)]
    at_once, beside_it = (closer_of(m, replace(CONFIG, in_background=in_background)) for m in maps)
    monkeypatch.setattr(beside, "_n_cores", n_cores)
    for k in range(n):
        at_once.at_keyframe(k)
        beside_it.close(beside_it.search.take())
        assert beside_it.closed == at_once.closed[: len(beside_it.closed)]
        beside_it.begin(k)
        if in_background:
            until(lambda: not beside_it.search.is_busy)
    beside_it.finish()
    assert at_once.closed
    assert [(c.id_a, c.id_b) for c in beside_it.closed] == [(c.id_a, c.id_b) for c in at_once.closed]
    assert error_m(maps[1], n - 1, n - 1) == pytest.approx(error_m(maps[0], n - 1, n - 1), abs=1e-9)


def test_a_loop_that_says_what_the_map_says_moves_nothing_and_waits_for_the_next_solve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n = 2 * N + 4
    m = make_map(list(range(n)), drifted(n, 1.0, 0.0), [0] * n)
    before = m.T_world_keyframes(np.arange(n)).copy()
    closer = closer_of(m)
    monkeypatch.setattr(MapGraph, "take_in", lambda _: pytest.fail("solved"))
    closed = [c for c in (closer.at_keyframe(k) for k in range(n)) if c is not None]
    assert closed
    assert all(c.shift == 0.0 and m.edges[c.id_a, c.id_b].kind is EdgeKind.LOOP for c in closed)
    assert np.array_equal(m.T_world_keyframes(np.arange(n)), before)
    a, b = closed[-1].id_a, closed[-1].id_b
    assert np.isin(m.observed[b].ids, m.observed[a].ids).sum() >= 20, "and what it has found is seen from both sides"


def test_off_means_off() -> None:
    n = 2 * N + 4
    m = make_map(list(range(n)), drifted(n, 1.02, 0.4), [0] * n)
    before = m.T_world_keyframes(np.arange(n)).copy()
    assert all(closer_of(m, LoopConfig(is_on=False)).at_keyframe(k) is None for k in range(n))
    closer = closer_of(m, LoopConfig(is_on=False))
    closer.begin(n - 1)
    assert not closer.search.is_under_way
    assert np.array_equal(m.T_world_keyframes(np.arange(n)), before)


def test_neighbours_in_time_are_no_loop() -> None:
    poses = room()[0]
    m = make_map(list(range(N)), [Sim3.from_T(T) for T in poses[:N]], [0] * N)
    closer = closer_of(m, LoopConfig(min_gap=N))
    assert all(closer.at_keyframe(k) is None for k in range(N))


def test_an_identical_room_far_away_is_not_taken_for_the_first() -> None:
    """Two rooms with the same furniture and walls, 30 m apart, with a corridor's worth of path between them."""
    poses = room()[0]
    away = se3.from_rt(np.eye(3), np.array([30.0, 0.0, 0.0]))
    chosen = list(range(2 * N + 4))
    S = [Sim3.from_T(T) for T in poses[: N + 4]] + [Sim3.from_T(away @ T) for T in poses[N + 4 :]]
    m = make_map(chosen, S, [0] * len(chosen))
    closer = closer_of(m)
    for k in chosen:
        closer.at_keyframe(k)
    loops = [pair for pair, e in m.edges.items() if e.kind is EdgeKind.LOOP]
    assert all((a < N + 4) == (b < N + 4) for a, b in loops), "each within one of the rooms"


@pytest.mark.parametrize(("n_again", "is_told"), [(N - 2, False), (N, True)])
def test_many_loops_in_a_row_that_no_drift_explains_are_told_of(n_again: int, is_told: bool) -> None:
    """The room is seen again where the map is sure, within a hundredth of the path, that it is elsewhere."""
    poses = room()[0]
    aside = se3.from_rt(np.eye(3), np.array([1.5, 0.0, 0.0]))
    n = N + 4 + n_again
    S = [Sim3.from_T(T) for T in poses[: N + 4]] + [Sim3.from_T(aside @ T) for T in poses[N + 4 : n]]
    config = replace(CONFIG, min_gap=7, n_agreeing=1, max_correction=0.01)
    closer = closer_of(make_map(list(range(n)), S, [0] * n), config)
    assert all(closer.at_keyframe(k) is None for k in range(N + 4, n))
    assert len(closer.notes) == int(is_told)
    if is_told:
        assert closer.notes[0].startswith(f"{n_again} loops were not closed, the first between frames ")
        assert "no drift explains" in closer.notes[0]


def test_a_place_that_is_there_twice_is_ambiguous() -> None:
    """The map holds the room twice, as two components that nothing ties; a third visit must not choose one."""
    poses = room()[0]
    S = [Sim3.from_T(T) for T in poses[:N]]
    far = se3.from_rt(np.eye(3), np.array([50.0, 0.0, 0.0]))
    m = make_map(
        [*range(N), *range(N), *range(N + 4, 2 * N + 4)],
        [*S, *[Sim3.from_T(far @ x.pose) for x in S], *[Sim3.from_T(T) for T in poses[N + 4 :]]],
        [0] * N + [1] * N + [2] * N,
    )
    closer = closer_of(m, LoopConfig(min_gap=5, n_verified=4))
    assert all(closer.at_keyframe(k) is None for k in range(2 * N, 3 * N))


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_components_are_joined_with_the_right_scale(scale: float) -> None:
    """The second visit is a component of its own: other origin, other unit."""
    poses = room()[0]
    S_old_young = Sim3(se3.so3_exp(np.array([0.2, -0.4, 0.1])), np.array([3.0, 1.0, -2.0]), scale)
    young = [S_old_young.inverse() @ Sim3.from_T(T) for T in poses[N + 4 :]]
    # the young component's unit is its keyframes' own: scale 1 there
    m = make_map(
        [*range(N), *range(N + 4, 2 * N + 4)],
        [*[Sim3.from_T(T) for T in poses[:N]], *[Sim3(S.R, S.t, S.s) for S in young]],
        [0] * N + [1] * N,
    )
    assert PlaceJoiner(FeatureConfig(), CONFIG).join(m) == 1
    assert {k.component_id for k in m.keyframes} == {0}
    assert {f.component_id for f in m.frames} == {0}
    for k in range(N, 2 * N):
        assert error_m(m, k, k + 4) < 0.05
        assert abs(np.log(m.keyframes[k].S_world_keyframe.s)) < 0.05


def test_components_without_a_common_place_stay_apart() -> None:
    poses = room()[0]
    m = make_map(
        [*range(N), *range(N, N + 4)], [Sim3.from_T(T) for T in poses[: N + 4]], [0] * N + [1] * 4
    )
    before = m.T_world_keyframes(np.arange(N + 4)).copy()
    assert PlaceJoiner(FeatureConfig(), CONFIG).join(m) == 0
    assert {k.component_id for k in m.keyframes} == {0, 1}
    assert np.array_equal(m.T_world_keyframes(np.arange(N + 4)), before)


@pytest.mark.parametrize("scale_per_step", [1.0, 1.02])
def test_where_lengths_are_known_loops_turn_and_move_but_never_scale(scale_per_step: float) -> None:
    n = 2 * N + 4
    m = make_map(list(range(n)), drifted(n, scale_per_step, 0.4), [0] * n)
    before, scales = error_m(m, n - 1, n - 1), [k.S_world_keyframe.s for k in m.keyframes]
    closer = closer_of(m, replace(CONFIG, is_metric=True))
    closed = [c for c in (closer.at_keyframe(k) for k in range(n)) if c is not None]
    assert [k.S_world_keyframe.s for k in m.keyframes] == scales
    assert bool(closed) == (scale_per_step == 1.0), "a map with other scales is not metric"
    if closed:
        assert error_m(m, n - 1, n - 1) < 0.4 * before


def scattered(n_visits: int) -> SlamMap:
    """The places as one component, and a second one of another scale that comes back to n_visits of them, far apart
    along its way."""
    elsewhere = [N, N + 1, N + 2, N + 3]
    way = [i for visit in range(n_visits) for i in (N + 4 + 2 * visit, *elsewhere)]
    aside = Sim3(se3.so3_exp(np.array([0.1, 0.4, 0.0])), np.array([5.0, 0.0, 1.0]), 2.0)
    S = [Sim3.from_T(T) for T in room()[0]]
    return make_map([*range(N), *way], [*S[:N], *(aside @ S[i] for i in way)], [0] * N + [1] * len(way))


def test_visits_that_do_not_follow_one_another_join_components_at_the_end() -> None:
    m = scattered(3)
    closer = closer_of(m)
    on_the_way = [closer.at_keyframe(k, other_components=True) for k in range(N, len(m.keyframes))]
    assert on_the_way == [None] * len(on_the_way), "they would have to follow one another"
    assert join_components(m, FeatureConfig(), CONFIG, []) == 1
    assert {k.component_id for k in m.keyframes} == {0}
    for visit in range(3):
        assert error_m(m, N + 5 * visit, N + 4 + 2 * visit) < 0.1
        assert abs(np.log(m.keyframes[N + 5 * visit].S_world_keyframe.s)) < 0.05


@pytest.mark.parametrize("config", [replace(CONFIG, n_joining=N + 1), replace(CONFIG, is_on=False)])
def test_too_few_that_agree_or_no_search_join_nothing(config: LoopConfig) -> None:
    m = scattered(2)
    before = m.T_world_keyframes(np.arange(len(m.keyframes))).copy()
    assert join_components(m, FeatureConfig(), config, []) == 0
    assert np.array_equal(m.T_world_keyframes(np.arange(len(m.keyframes))), before)
