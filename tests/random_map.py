"""A small map full of random numbers, and the comparison of two maps bit by bit."""

import numpy as np
from synthetic import CAMERA, pose

from vgslam.geometry import se3
from vgslam.map.pictures import Pictures
from vgslam.map.slam_map import SlamMap
from vgslam.types import Edge, EdgeKind, Keyframe, PoseEstimate, Sim3, Status

SMALL = CAMERA.resized(32, 24)


def random_sim3(rng: np.random.Generator) -> Sim3:
    return Sim3(se3.so3_exp(rng.normal(size=3)), rng.normal(size=3), float(np.exp(rng.normal())))


def add_random_keyframe(m: SlamMap, rng: np.random.Generator, component: int = 0) -> None:
    """One keyframe, its landmarks, an edge and two frames more."""
    k, frame_id = len(m.keyframes), len(m.frames)
    image = rng.integers(0, 256, (24, 32, 3), np.uint8)
    m.add_keyframe(
        Keyframe(k, frame_id, 0.1 * frame_id, image, SMALL, random_sim3(rng), component),
        np.zeros(0, np.int64), np.zeros((0, 2)),
    )  # fmt: skip
    ids = m.landmarks.add(k, rng.normal(size=(5, 3)), rng.random(5), rng.integers(0, 256, (5, 3), np.uint8))
    m.landmarks.is_triangulated[ids[:3]] = True
    m.observe(k, ids, rng.uniform(0, 24, (5, 2)))
    if k % 2 == 0:
        keyframe = m.keyframes[k]
        keyframe.depth = rng.random((12, 16), np.float32)
        keyframe.confidence = rng.random((12, 16), np.float32)
        keyframe.depth_camera = SMALL.resized(16, 12)
    if k and m.keyframes[k - 1].component_id == component:
        m.observe(k, m.observed[k - 1].ids[:2], rng.uniform(0, 24, (2, 2)))
        kind = list(EdgeKind)[k % 3]
        m.edges[k - 1, k] = Edge(k - 1, k, random_sim3(rng), rng.random(7) + 0.1, kind, float(rng.random()))
    T = pose(rng.normal(size=3), rng.normal(size=3))
    m.frames.append(PoseEstimate(
        frame_id, 0.1 * frame_id, Status.TRACKED, k, T, rng.random((6, 6)), int(rng.integers(99)), 0.5, component
    ))  # fmt: skip
    m.frames.append(PoseEstimate(frame_id + 1, 0.1 * frame_id + 0.05, Status.LOST))


def random_map(n_keyframes: int, seed: int = 0, pictures: Pictures | None = None) -> SlamMap:
    rng = np.random.default_rng(seed)
    m = SlamMap(pictures)
    m.begin_session(f"walk {seed}", "2026-01-02T03:04:05")
    for k in range(n_keyframes):
        add_random_keyframe(m, rng, component=int(k >= n_keyframes - 2 and n_keyframes > 4))
    return m


def with_place_codes(m: SlamMap, seed: int = 0) -> SlamMap:
    """The same map, with codes of all its keyframes but the last."""
    rng = np.random.default_rng(seed)
    m.place_codes.vocabulary = np.arange(8, dtype=np.uint8)
    m.place_codes.codes.extend(rng.integers(0, 256, (len(m.keyframes) - 1, 256)))
    return m


def assert_same_map(a: SlamMap, b: SlamMap) -> None:
    """Equal to the last bit."""
    assert a.sessions == b.sessions
    assert len(a.keyframes) == len(b.keyframes)
    for x, y in zip(a.keyframes, b.keyframes):
        for name in ("id", "frame_id", "timestamp_s", "camera", "component_id", "depth_camera"):
            assert getattr(x, name) == getattr(y, name), name
        for name in ("image", "depth", "confidence"):
            assert_same(getattr(x, name), getattr(y, name))
        assert_same_sim3(x.S_world_keyframe, y.S_world_keyframe)
        assert_same(a.observed[x.id].ids, b.observed[x.id].ids)
        assert_same(a.observed[x.id].pixels, b.observed[x.id].pixels)
    for name in ("host", "xyz_host", "rel_sigma", "is_triangulated", "color"):
        assert_same(getattr(a.landmarks, name), getattr(b.landmarks, name))
    every = np.arange(len(a.landmarks))
    assert_same(a.landmarks_world(every), b.landmarks_world(every))
    assert list(a.edges) == list(b.edges)
    for e, f in zip(a.edges.values(), b.edges.values()):
        assert (e.id_a, e.id_b, e.kind, e.inlier_ratio) == (f.id_a, f.id_b, f.kind, f.inlier_ratio)
        assert_same_sim3(e.S_a_b, f.S_a_b)
        assert_same(e.sigmas, f.sigmas)
    assert_same(a.place_codes.vocabulary, b.place_codes.vocabulary)
    assert_same(a.place_codes.codes.view, b.place_codes.codes.view)
    assert len(a.frames) == len(b.frames)
    for f, g in zip(a.frames, b.frames):
        for name in ("frame_id", "timestamp_s", "status", "ref_id", "n_inliers", "inlier_ratio", "component_id"):
            assert getattr(f, name) == getattr(g, name), name
        assert_same(f.T_ref_cam, g.T_ref_cam)
        assert_same(f.covariance, g.covariance)
        assert_same(a.pose_of(f), b.pose_of(g))


def assert_same_sim3(a: Sim3, b: Sim3) -> None:
    assert_same(a.R, b.R)
    assert_same(a.t, b.t)
    assert a.s == b.s


def assert_same(a: np.ndarray | None, b: np.ndarray | None) -> None:
    assert (a is None) == (b is None)
    if a is not None and b is not None:
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
