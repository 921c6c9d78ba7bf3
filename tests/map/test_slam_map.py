"""The map: what hangs on a keyframe follows it, turn, shift and scale."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from synthetic import CAMERA, pose

from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.map import slam_map as map_module
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.locate import depth_near
from vgslam.types import Array, Ids, Keyframe, PoseEstimate, Status

vectors = arrays(np.float64, 3, elements=st.floats(-5, 5))
similarities = st.builds(lambda w, t, s: Sim3(se3.so3_exp(w), t, s), vectors, vectors, st.floats(0.1, 10))
BLANK = np.zeros((4, 4, 3), np.uint8)
NONE = (np.zeros(0, np.int64), np.zeros((0, 2)))
TraceFunction = Callable[[FrameType, str, Any], Any]


def add_keyframe(m: SlamMap, S: Sim3, ids: Ids = NONE[0], pixels: Array = NONE[1], component_id: int = 0) -> int:
    k = len(m.keyframes)
    m.add_keyframe(Keyframe(k, 10 * k, 0.5 * k, BLANK, CAMERA, S, component_id), ids, pixels)
    return k


def add_landmarks(m: SlamMap, host: int, xyz: Array) -> Ids:
    return m.landmarks.add(host, xyz, np.full(len(xyz), 0.5), np.zeros((len(xyz), 3), np.uint8))


def tracked(frame_id: int, ref_id: int, T_ref_cam: Array | None, component_id: int = 0) -> PoseEstimate:
    status = Status.TRACKED if T_ref_cam is not None else Status.LOST
    return PoseEstimate(frame_id, 0.1 * frame_id, status, ref_id, T_ref_cam, component_id=component_id)


@given(similarities, similarities)
@settings(max_examples=50, deadline=None)
def test_frames_follow_their_keyframe(before: Sim3, after: Sim3) -> None:
    m = SlamMap()
    k = add_keyframe(m, before)
    T_world_cam = pose((5, -20, 3), (1.0, 2.0, -0.5))
    frame = tracked(3, k, m.relative_to(k, T_world_cam))
    np.testing.assert_allclose(m.pose_of(frame), T_world_cam, atol=1e-9)
    m.set_pose(k, after)
    moved = m.pose_of(frame)
    S = after @ before.inverse()
    assert moved is not None
    np.testing.assert_allclose(moved[:3, 3], S.apply(T_world_cam[None, :3, 3])[0], atol=1e-7)
    np.testing.assert_allclose(moved[:3, :3], S.R @ T_world_cam[:3, :3], atol=1e-9)


@given(similarities, similarities)
@settings(max_examples=50, deadline=None)
def test_landmarks_follow_their_host_alone(before: Sim3, after: Sim3) -> None:
    m = SlamMap()
    a, b = add_keyframe(m, before), add_keyframe(m, Sim3.identity())
    rng = np.random.default_rng(0)
    ids, others = add_landmarks(m, a, np.zeros((4, 3))), add_landmarks(m, b, rng.normal(size=(3, 3)))
    world = rng.normal(size=(4, 3))
    m.set_landmarks_world(ids, world)
    np.testing.assert_allclose(m.landmarks_world(ids), world, atol=1e-9)
    np.testing.assert_allclose(m.landmarks.xyz_host[ids], before.inverse().apply(world), atol=1e-7)
    elsewhere = m.landmarks_world(others)
    m.set_pose(a, after)
    np.testing.assert_allclose(m.landmarks_world(ids), (after @ before.inverse()).apply(world), atol=1e-7)
    np.testing.assert_array_equal(m.landmarks_world(others), elsewhere)


def test_pose_table_and_keyframes_agree() -> None:
    m = SlamMap()
    for i in range(70):  # beyond the first allocation
        add_keyframe(m, Sim3.from_T(pose((0, i, 0), (i, 0, 1)), 1.0 + i))
    m.set_pose(5, Sim3.from_T(pose((0, 90, 0), (7, 8, 9)), 3.0))
    T = m.T_world_keyframes(np.arange(70))
    for k, x in zip(m.keyframes, T):
        np.testing.assert_allclose(x, k.S_world_keyframe.pose, atol=1e-12)
    np.testing.assert_array_equal(m.centres(np.array([5, 6])), [[7, 8, 9], [6, 0, 1]])


def test_keyframe_ids_count_up() -> None:
    m = SlamMap()
    add_keyframe(m, Sim3.identity())
    with pytest.raises(ValueError, match="not the next"):
        m.add_keyframe(Keyframe(2, 0, 0.0, BLANK, CAMERA, Sim3.identity()), *NONE)
    assert len(m.keyframes) == 1


def test_observe_adds_only_what_is_new() -> None:
    m = SlamMap()
    k = add_keyframe(m, Sim3.identity(), np.array([4, 7]), np.array([[1.0, 2.0], [3.0, 4.0]]))
    m.observe(k, np.array([7, 9]), np.array([[50.0, 50.0], [5.0, 6.0]]))
    np.testing.assert_array_equal(m.observed[k].ids, [4, 7, 9])
    np.testing.assert_array_equal(m.observed[k].pixels, [[1, 2], [3, 4], [5, 6]])


def test_unobserve_removes_ids_with_their_pixels() -> None:
    m = SlamMap()
    k = add_keyframe(m, Sim3.identity(), np.array([4, 7, 9]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    other = add_keyframe(m, Sim3.identity(), np.array([4]), np.array([[8.0, 8.0]]))
    m.unobserve(k, np.array([4, 100]))
    np.testing.assert_array_equal(m.observed[k].ids, [7, 9])
    np.testing.assert_array_equal(m.observed[k].pixels, [[3, 4], [5, 6]])
    np.testing.assert_array_equal(m.observed[other].ids, [4])
    m.observe(k, np.array([4]), np.array([[9.0, 9.0]]))
    np.testing.assert_array_equal(m.observed[k].ids, [7, 9, 4])


def test_new_landmarks_are_guesses() -> None:
    m = SlamMap()
    add_keyframe(m, Sim3.identity())
    first = add_landmarks(m, 0, np.ones((100, 3)))
    second = add_landmarks(m, 0, np.zeros((2, 3)))
    np.testing.assert_array_equal(second, [100, 101])
    assert not m.landmarks.is_triangulated.any()
    m.landmarks.is_triangulated[first[3]] = True
    assert m.landmarks.is_triangulated.sum() == 1
    assert len(m.landmarks) == 102


def test_trajectory_is_of_the_frames_that_have_a_pose() -> None:
    m = SlamMap()
    k = add_keyframe(m, Sim3.from_T(pose((0, 0, 0), (1, 0, 0)), 2.0))
    m.frames.extend([tracked(0, k, np.eye(4)), tracked(1, -1, None), tracked(2, k, pose((0, 0, 0), (0, 0, 1)), 4)])
    found = m.trajectory()
    np.testing.assert_array_equal(found.frame_ids, [0, 2])
    np.testing.assert_array_equal(found.component_ids, [0, 4])
    np.testing.assert_allclose(found.timestamps_s, [0.0, 0.2])
    np.testing.assert_allclose(found.T_world_cam[:, :3, 3], [[1, 0, 0], [1, 0, 2]])  # the keyframe's unit is two
    assert m.pose_of(m.frames[1]) is None


def test_an_empty_map_has_an_empty_trajectory() -> None:
    m = SlamMap()
    assert len(m.trajectory()) == len(m.keyframe_trajectory()) == 0


def test_keyframe_trajectory() -> None:
    m = SlamMap()
    for i in range(3):
        add_keyframe(m, Sim3.from_T(pose((0, 10 * i, 0), (i, 0, 0)), 1.0 + i), component_id=i // 2)
    found = m.keyframe_trajectory()
    np.testing.assert_array_equal(found.frame_ids, [0, 10, 20])
    np.testing.assert_array_equal(found.component_ids, [0, 0, 1])
    np.testing.assert_allclose(found.T_world_cam[2], pose((0, 20, 0), (2, 0, 0)), atol=1e-12)


def at_every_line_of(write: Callable[[], None], read: Callable[[], None]) -> int:
    """Runs write, and read before each line of the map's code in it: what another thread can see. Returns the reads."""
    n_reads = 0

    def trace(frame: FrameType, event: str, _: object) -> TraceFunction | None:
        nonlocal n_reads
        if frame.f_code.co_filename != map_module.__file__:
            return None
        if event in ("line", "return"):
            sys.settrace(None)
            read()
            n_reads += 1
            sys.settrace(trace)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        write()
    finally:
        sys.settrace(before)
    return n_reads


def test_whoever_reads_observations_while_they_change_gets_ids_with_their_pixels() -> None:
    m, rng, n = SlamMap(), np.random.default_rng(0), 60
    k = add_keyframe(m, Sim3.identity())
    ids = add_landmarks(m, k, rng.uniform(1, 5, (n, 3)))
    pixels = rng.uniform(0, 200, (n, 2))
    m.landmarks.is_triangulated[:] = np.arange(n) % 3 > 0
    m.observe(k, ids, pixels)

    def read() -> None:
        depth, _ = depth_near(m, k, pixels[:10])
        assert np.isfinite(depth).all()

    assert at_every_line_of(lambda: m.unobserve(k, ids[:20]), read) > 2
    assert at_every_line_of(lambda: m.observe(k, ids[:20], pixels[:20]), read) > 2


def test_observations_do_not_change_under_who_holds_them() -> None:
    m = SlamMap()
    ids, pixels = np.array([4, 7]), np.array([[1.0, 2.0], [3.0, 4.0]])
    k = add_keyframe(m, Sim3.identity(), ids, pixels)
    held = m.observed[k]
    pixels[:] = 0.0
    m.unobserve(k, np.array([4]))
    np.testing.assert_array_equal(held.ids, [4, 7])
    np.testing.assert_array_equal(held.pixels, [[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="read-only"):
        held.pixels[0] = 9.0
    with pytest.raises(ValueError, match="2 observed landmarks and 1 pixels"):
        add_keyframe(m, Sim3.identity(), ids, pixels[:1])


def test_a_map_that_begins_anew_keeps_its_frames_alone() -> None:
    m = SlamMap()
    ids = m.landmarks.add(add_keyframe(m, Sim3.identity()), np.ones((2, 3)), np.ones(2), np.zeros((2, 3), np.uint8))
    m.observe(0, ids, np.ones((2, 2)))
    m.frames.append(PoseEstimate(0, 0.0, Status.TRACKED, 0, np.eye(4)))
    m.begin_anew()
    assert (len(m.keyframes), len(m.observed), len(m.landmarks), len(m.edges), len(m.frames)) == (0, 0, 0, 0, 1)
    assert m.pictures.resident_bytes == 0
    S = Sim3(np.eye(3), np.array([1.0, 2.0, 3.0]), 2.0)
    assert add_keyframe(m, S) == 0
    assert m.centres(np.arange(1)).tolist() == [[1.0, 2.0, 3.0]]
