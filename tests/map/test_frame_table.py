"""The table of frames: what comes out of it, and what a frame costs in memory."""

import gc
import tracemalloc

import numpy as np
import pytest
from random_map import random_map
from synthetic import pose

from vgslam.map.frame_table import BLOCK_ROWS, FrameTable
from vgslam.map.slam_map import SlamMap
from vgslam.types import PoseEstimate, Status

N_FRAMES = 10_000


def estimate(i: int, seed: int = 0) -> PoseEstimate:
    """Every third frame is lost, every second has a covariance."""
    rng = np.random.default_rng([i, seed])
    if i % 3 == 2:
        return PoseEstimate(i, 0.1 * i, list(Status)[(0, 3, 4)[i % 9 // 3]])
    A = rng.normal(size=(6, 6)) + 4 * np.eye(6)
    T = pose(rng.normal(0, 40, 3), rng.normal(0, 5, 3))
    status = Status.TRACKED if i % 2 else Status.RELOCALIZED
    return PoseEstimate(i, 0.1 * i, status, i // 10, T, A @ A.T if i % 2 else None, 40 + i, float(rng.random()), i % 4)


def assert_same_estimate(a: PoseEstimate, b: PoseEstimate) -> None:
    """Bit for bit; the covariance to single precision."""
    for name in ("frame_id", "timestamp_s", "status", "ref_id", "n_inliers", "inlier_ratio", "component_id"):
        assert getattr(a, name) == getattr(b, name), name
        assert type(getattr(a, name)) is type(getattr(b, name)), name
    assert (a.T_ref_cam is None) == (b.T_ref_cam is None)
    if a.T_ref_cam is not None and b.T_ref_cam is not None:
        np.testing.assert_array_equal(a.T_ref_cam, b.T_ref_cam)
    assert (a.covariance is None) == (b.covariance is None)
    if a.covariance is not None and b.covariance is not None:
        assert b.covariance.dtype == np.float64
        np.testing.assert_allclose(a.covariance, b.covariance, rtol=1e-7)
        np.testing.assert_array_equal(b.covariance, b.covariance.T)
        assert np.linalg.eigvalsh(b.covariance).min() > 0


def test_a_frame_costs_less_than_300_bytes() -> None:
    """Measured over many frames of a map, each with a pose and a covariance of its own."""
    m = SlamMap()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for i in range(N_FRAMES):
        T, covariance = pose((0.0, 0.01 * i, 0.0), (0.1 * i, 0.0, 0.0)), np.diag(np.arange(1.0, 7.0)) * (1 + i)
        m.frames.append(PoseEstimate(i, i / 30.0, Status.TRACKED, i // 10, T, covariance, i, i / N_FRAMES, i % 2))
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(m.frames) == N_FRAMES
    assert used / N_FRAMES < 300


def test_what_goes_in_comes_out() -> None:
    estimates = [estimate(i) for i in range(2 * BLOCK_ROWS + 3)]
    table = FrameTable(estimates)
    assert len(table) == len(estimates)
    for a, b in zip(estimates, table, strict=True):
        assert_same_estimate(a, b)
    for i in (0, BLOCK_ROWS - 1, BLOCK_ROWS, -1, -BLOCK_ROWS, -len(table)):
        assert_same_estimate(estimates[i], table[i])
    assert [f.frame_id for f in table[-4:]] == [f.frame_id for f in estimates[-4:]]
    assert [f.frame_id for f in table[5:600:97]] == [f.frame_id for f in estimates[5:600:97]]


@pytest.mark.parametrize("i", [0, 7, BLOCK_ROWS, -1])
def test_an_estimate_is_replaced(i: int) -> None:
    estimates = [estimate(k) for k in range(BLOCK_ROWS + 9)]
    table = FrameTable(estimates)
    table[i] = estimates[i] = estimate(1001 if i % 2 else 1004, seed=1)
    for a, b in zip(estimates, table, strict=True):
        assert_same_estimate(a, b)


@pytest.mark.parametrize("i", [3, -4, BLOCK_ROWS])
def test_there_is_nothing_beyond_the_end(i: int) -> None:
    table = FrameTable([estimate(k) for k in range(3)])
    with pytest.raises(IndexError, match="of 3"):
        _ = table[i]
    with pytest.raises(IndexError, match="of 3"):
        table[i] = estimate(0)


def test_what_is_read_is_a_copy() -> None:
    table = FrameTable([estimate(1)])
    T, covariance = table[0].T_ref_cam, table[0].covariance
    assert T is not None
    assert covariance is not None
    T[0, 3] += 1.0
    covariance[0, 0] += 1.0
    assert_same_estimate(estimate(1), table[0])


def test_it_grows_while_it_is_read() -> None:
    """As the frames of a run do while something goes over them."""
    table = FrameTable([estimate(0)])
    seen = 0
    for f in table:
        assert f.frame_id == seen
        seen += 1
        if len(table) < BLOCK_ROWS + 2:
            table.append(estimate(len(table)))
    assert seen == BLOCK_ROWS + 2


@pytest.mark.parametrize("n", [0, 1, BLOCK_ROWS, BLOCK_ROWS + 1])
def test_columns_are_those_of_the_estimates(n: int) -> None:
    table = FrameTable(estimate(i) for i in range(n))
    assert table.column("frame_id").tolist() == list(range(n))
    T, has_pose = table.poses()
    covariance, has_covariance = table.covariances()
    assert (T.shape, covariance.shape) == ((n, 4, 4), (n, 6, 6))
    assert T.flags.c_contiguous
    assert covariance.flags.c_contiguous
    for i, f in enumerate(table):
        assert has_pose[i] == (f.T_ref_cam is not None)
        assert has_covariance[i] == (f.covariance is not None)
        np.testing.assert_array_equal(T[i], np.zeros((4, 4)) if f.T_ref_cam is None else f.T_ref_cam)
        np.testing.assert_array_equal(covariance[i], np.zeros((6, 6)) if f.covariance is None else f.covariance)


def test_the_frames_of_a_session_are_those_from_its_first_on() -> None:
    m = random_map(3)
    n = len(m.frames)
    m.begin_session("second", "2026-01-03T00:00:00")
    for i in range(n, n + 5):
        m.frames.append(PoseEstimate(i, 0.1 * i, Status.LOST))
    assert [f.frame_id for f in m.session_frames()] == list(range(n, n + 5))
    assert [f.frame_id for f in m.session_frames(0)] == list(range(n))
