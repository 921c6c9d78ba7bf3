"""The snapshot that tracking follows: what the map was, whatever becomes of the map, for any number of readers."""

import threading

import numpy as np
import pytest
from random_map import random_map
from waiting import HANG_S

from vgslam.frontend.local_map import LocalMap
from vgslam.map.slam_map import SlamMap
from vgslam.types import Sim3

N_SWAPS, N_READERS = 10_000, 3


def test_it_says_what_the_map_said_and_stays() -> None:
    m = random_map(6)
    ids = np.array([12, 3, 7, 29])
    wanted = m.landmarks_world(ids), m.landmarks.host[ids].copy(), m.landmarks.rel_sigma[ids].copy()
    T, C = np.eye(4), np.diag(np.arange(1.0, 7.0))
    relative, covariance = m.relative_to(4, T), m.covariance_relative_to(4, C)
    local = LocalMap(m, ids, 4)
    centres = m.centres(wanted[1]).copy()
    for k in range(6):
        m.set_pose(k, Sim3(np.eye(3), np.full(3, 9.0), 2.0))
    m.set_landmarks_world(ids, np.zeros((4, 3)))
    m.landmarks.rel_sigma[ids] = 0.9
    np.testing.assert_array_equal(local.landmarks_world(ids), wanted[0])
    np.testing.assert_array_equal(local.landmarks.host[ids], wanted[1])
    np.testing.assert_array_equal(local.landmarks.rel_sigma[ids], wanted[2])
    np.testing.assert_array_equal(local.centres(wanted[1]), centres)
    np.testing.assert_array_equal(local.relative_to(4, T), relative)
    np.testing.assert_array_equal(local.covariance_relative_to(4, C), covariance)
    assert len(local.keyframes) == 6


def test_what_it_lacks_is_an_error_and_never_another_landmark() -> None:
    local = LocalMap(random_map(6), np.array([3, 7]), 4)
    for ids in ([5], [8], [3, 0]):
        with pytest.raises(KeyError):
            local.landmarks_world(np.array(ids))
    with pytest.raises(KeyError):
        local.relative_to(3, np.eye(4))
    with pytest.raises(KeyError):
        LocalMap(SlamMap(), np.zeros(0, np.int64), -1).landmarks.host[np.array([0])]


def test_readers_see_one_state_of_the_map_through_ten_thousand_swaps() -> None:
    """The owner moves all landmarks and keyframes to the same number, and swaps; every snapshot shows one number."""
    m = random_map(4)
    ids = np.arange(len(m.landmarks))
    shared, is_over = [LocalMap(m, ids[:0], -1)], threading.Event()
    torn: list[str] = []
    n_seen = [0] * N_READERS

    def own() -> None:
        for n in range(N_SWAPS):
            for k in range(4):
                m.set_pose(k, Sim3(np.eye(3), np.full(3, float(n)), 1.0))
            m.landmarks.xyz_host[:] = 0.0
            m.landmarks.rel_sigma[:] = float(n)
            shared[0] = LocalMap(m, ids, 3)

    def read(reader: int) -> None:
        while not is_over.is_set():
            local = shared[0]
            if len(local.keyframes) == 4 and local._reference == 3:
                at, sigma = local.landmarks_world(ids), local.landmarks.rel_sigma[ids]
                here = local.relative_to(3, np.eye(4))[:3, 3]
                if len({*at.ravel().tolist(), *sigma.tolist(), *(-here).tolist()}) != 1:
                    torn.append(f"{at} {sigma} {here}")
                n_seen[reader] += 1

    readers = [threading.Thread(target=read, args=(i,)) for i in range(N_READERS)]
    for thread in readers:
        thread.start()
    own()
    is_over.set()
    for thread in readers:
        thread.join(HANG_S)
        assert not thread.is_alive()
    assert not torn
    assert sum(n_seen) > 0
