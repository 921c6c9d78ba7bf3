"""A query's pose in the world of its references: direct, by consensus (R10) and by motion averaging (R11, R12)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.multiview.late_fusion import average_motions, intersect_lines
from vgslam.multiview.reference_lift import direct_pose, lift


def random_pose(rng: np.random.Generator, spread: float = 2.0) -> np.ndarray:
    return se3.from_rt(se3.so3_exp(rng.normal(0, 1, 3)), rng.normal(0, spread, 3))


def random_similarity(rng: np.random.Generator) -> Sim3:
    return Sim3(se3.so3_exp(rng.normal(0, 1, 3)), rng.normal(0, 5, 3), float(np.exp(rng.normal(0, 1))))


def scene(rng: np.random.Generator, k: int, is_collinear: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """World poses of k references (k,4,4) and of the query (4,4)."""
    T = np.stack([random_pose(rng) for _ in range(k + 1)])
    if is_collinear:
        T[:, :3, 3] = np.outer(rng.uniform(-3, 3, k + 1), [0.6, 0, 0.8])
    return T[:-1], T[-1]


def moved(S: Sim3, T: np.ndarray) -> np.ndarray:
    return np.stack([S.compose_pose(x) for x in T])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 100_000), k=st.integers(2, 8), is_collinear=st.booleans())
def test_exact_local_poses_give_the_exact_world_pose(seed: int, k: int, is_collinear: bool) -> None:
    rng = np.random.default_rng(seed)
    refs, query = scene(rng, k, is_collinear)
    S_local_world = random_similarity(rng)
    found = lift(moved(S_local_world, refs), S_local_world.compose_pose(query), refs)
    np.testing.assert_allclose(found.T_world_query, query, atol=1e-9)
    assert found.scale * S_local_world.s == pytest.approx(1, rel=1e-9)
    assert found.dispersion < 1e-9
    assert found.used.all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_consensus_moves_with_the_world(seed: int) -> None:
    """Noisy local poses: any similarity of the world moves the answer, and the spread, with it."""
    rng = np.random.default_rng(seed)
    refs, query = scene(rng, 6)
    local = refs @ np.stack([se3.exp(rng.normal(0, 0.02, 6)) for _ in refs])
    S = random_similarity(rng)
    before, after = lift(local, query, refs), lift(local, query, moved(S, refs))
    np.testing.assert_allclose(after.T_world_query, S.compose_pose(before.T_world_query), atol=1e-6 * S.s)
    assert after.dispersion == pytest.approx(S.s * before.dispersion, rel=1e-5)


def test_one_reference_gives_the_rotation_alone() -> None:
    rng = np.random.default_rng(4)
    refs, query = scene(rng, 1)
    S = random_similarity(rng)
    found = lift(moved(S, refs), S.compose_pose(query), refs)
    assert found.is_scale_unobservable
    assert np.isnan(found.T_world_query[:3, 3]).all()
    np.testing.assert_allclose(found.T_world_query[:3, :3], query[:3, :3], atol=1e-12)


def test_references_in_one_place_give_no_scale() -> None:
    rng = np.random.default_rng(5)
    refs, query = scene(rng, 3)
    refs[:, :3, 3] = [100.0, 200.0, -50.0]
    assert lift(refs, query, refs).is_scale_unobservable


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_wrong_references_are_left_out_and_widen_the_spread(seed: int) -> None:
    """Two of eight references look elsewhere than their world pose says."""
    rng = np.random.default_rng(seed)
    refs, query = scene(rng, 8)
    local = refs @ np.stack([se3.exp(rng.normal(0, 0.003, 6)) for _ in refs])
    wrong = refs.copy()
    wrong[:2] = [random_pose(rng) for _ in range(2)]
    found = lift(local, query, wrong)
    turned = [se3.angle_deg(a[:3, :3].T @ b[:3, :3]) for a, b in zip(wrong[:2], refs[:2])]
    assert found.used[2:].all()
    assert all(not used for used, angle in zip(found.used, turned) if angle > 20)
    if min(turned) > 20:
        assert np.linalg.norm(found.T_world_query[:3, 3] - query[:3, 3]) < 0.15


def test_dispersion_grows_with_the_noise() -> None:
    rng = np.random.default_rng(7)
    refs, query = scene(rng, 8)
    spread = []
    for sigma in (0.001, 0.01, 0.1):
        local = refs @ np.stack([se3.exp(np.random.default_rng(k).normal(0, sigma, 6)) for k in range(8)])
        spread.append(lift(local, query, refs).dispersion)
    assert spread[0] < spread[1] < spread[2]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 100_000), s=st.sampled_from([0.1, 1.0, 3.7, 50.0]))
def test_direct_pose(seed: int, s: float) -> None:
    """The pose relative to the anchor, in units of s, gives the query back in any world."""
    rng = np.random.default_rng(seed)
    anchor, query = random_pose(rng), random_pose(rng)
    T_query_anchor = se3.inverse(query) @ anchor
    T_query_anchor[:3, 3] /= s
    np.testing.assert_allclose(direct_pose(T_query_anchor, s, anchor), query, atol=1e-9)


def test_twice_the_baseline_is_twice_the_offset() -> None:
    """Same answer of the network, scale doubled: the metric offset from the anchor doubles, the rotation stays."""
    rng = np.random.default_rng(2)
    T_query_anchor, anchor = random_pose(rng), random_pose(rng)
    one, two = (direct_pose(T_query_anchor, s, anchor) for s in (1.3, 2.6))
    np.testing.assert_allclose(two[:3, 3] - anchor[:3, 3], 2 * (one[:3, 3] - anchor[:3, 3]), atol=1e-12)
    np.testing.assert_allclose(two[:3, :3], one[:3, :3])


def pairs(refs: np.ndarray, query: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R_ref_query (K,3,3) and directions (K,3) in the references' axes."""
    relative = se3.inverse(refs) @ query
    return relative[:, :3, :3], relative[:, :3, 3]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 100_000), k=st.integers(3, 8))
def test_motion_averaging_is_exact_on_spread_references(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    refs, query = scene(rng, k)
    R, d = pairs(refs, query)
    found = average_motions(refs, R, d * rng.uniform(0.1, 10, (k, 1)))
    if found.T_world_query is None:  # nearly in one line by chance
        assert found.condition > 300
    else:
        np.testing.assert_allclose(found.T_world_query, query, atol=1e-7)
        assert found.dispersion < 1e-7


def test_motion_averaging_refuses_a_line_where_consensus_answers() -> None:
    """Forward driving: directions with 1 deg of noise do not intersect usefully; the lift stays within centimetres."""
    rng = np.random.default_rng(3)
    refs = np.stack([se3.from_rt(np.eye(3), np.array([0, 0, z])) for z in (0.0, 0.5, 1.0, 1.5)])
    query = se3.from_rt(np.eye(3), np.array([0, 0, 3.0]))
    R, d = pairs(refs, query)
    noisy = np.stack([se3.so3_exp(np.radians(rng.normal(0, 1, 3))) @ x for x in d])
    found = average_motions(refs, R, noisy)
    assert found.T_world_query is None
    assert found.condition > 300
    np.testing.assert_allclose(found.R_world_query, np.eye(3), atol=1e-12)
    local = refs.copy()
    local[:, :3, 3] += rng.normal(0, 0.01, (4, 3))
    assert np.linalg.norm(lift(local, query, refs).T_world_query[:3, 3] - query[:3, 3]) < 0.1


def test_one_reference_or_parallel_lines_give_no_centre() -> None:
    refs = np.stack([np.eye(4)])
    found = average_motions(refs, np.eye(3)[None], np.array([[1.0, 0, 0]]))
    assert found.T_world_query is None
    _, condition = intersect_lines(np.array([[0.0, 0, 0], [0, 1, 0]]), np.array([[1.0, 0, 0], [2, 0, 0]]))
    assert condition == float("inf")


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_motion_averaging_moves_with_the_world(seed: int) -> None:
    rng = np.random.default_rng(seed)
    refs, query = scene(rng, 5)
    R, d = pairs(refs, query)
    d = d + rng.normal(0, 0.01, d.shape)
    S = random_similarity(rng)
    before, after = average_motions(refs, R, d), average_motions(moved(S, refs), R, d)
    assert (before.T_world_query is None) == (after.T_world_query is None)
    if before.T_world_query is not None and after.T_world_query is not None:
        np.testing.assert_allclose(after.T_world_query, S.compose_pose(before.T_world_query), atol=1e-7 * S.s)


def test_bad_input_is_refused() -> None:
    T = np.tile(np.eye(4), (2, 1, 1))
    with pytest.raises(ValueError, match="references"):
        lift(T[:0], T[0], T[:0])
    with pytest.raises(ValueError, match="local and"):
        lift(T[:1], T[0], T)
    with pytest.raises(ValueError, match="finite"):
        lift(T * np.nan, T[0], T)
    with pytest.raises(ValueError, match="needs references"):
        average_motions(T[:0], T[:0, :3, :3], np.zeros((0, 3)))
    with pytest.raises(ValueError, match="positive length"):
        average_motions(T, T[:, :3, :3], np.zeros((2, 3)))
