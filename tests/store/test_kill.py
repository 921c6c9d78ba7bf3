"""kill -9 while saving, at random moments: the map opens with the last complete state."""

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
from random_map import add_random_keyframe, assert_same_map, random_map

from vgslam.map.slam_map import SlamMap
from vgslam.store.check import check_map
from vgslam.store.manifest import read_manifest
from vgslam.store.map_folder import MapFolder
from vgslam.store.open import load_map

N_KILLS = 50


def grow(m: SlamMap, generation: int) -> None:
    """The step from one save to the next; replaces a picture too, so that old files have to go."""
    rng = np.random.default_rng(generation)
    m.keyframes[int(rng.integers(len(m.keyframes)))].depth = rng.random((12, 16), np.float32)
    add_random_keyframe(m, rng)


def save_for_ever(path: Path, report: int) -> None:
    """Loads, then grows and saves; writes one byte to `report` after each save."""
    folder = MapFolder(path)
    m = load_map(path)
    generation = read_manifest(path).generation
    while True:
        generation += 1
        grow(m, generation)
        folder.save(m)
        os.write(report, b".")


def killed_child(path: Path, after_s: float) -> int:
    """Number of saves that a child reported before it was killed, `after_s` after its first one."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        try:
            save_for_ever(path, write_end)
        finally:
            os._exit(1)
    os.close(write_end)
    n = len(os.read(read_end, 1))
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    while got := os.read(read_end, 4096):
        n += len(got)
    os.close(read_end)
    assert os.WIFSIGNALED(status), "the child ended by itself"
    return n


def test_the_map_opens_after_every_kill(tmp_path: Path) -> None:
    path = tmp_path / "m.vgslam"
    expected = random_map(3)
    with MapFolder(path) as folder:
        folder.save(expected)
    generation, in_mid_save = 1, 0
    moments = random.Random(0)
    for _ in range(N_KILLS):
        n = killed_child(path, moments.uniform(0.0, 0.06))
        found = read_manifest(path).generation
        assert generation + n <= found <= generation + n + 1  # renamed, but killed before it could say so
        in_mid_save += check_map(path).n_leftovers > 0
        assert check_map(path).problems == []
        for g in range(generation + 1, found + 1):
            grow(expected, g)
        generation = found
        loaded = load_map(path)
        assert len(loaded.keyframes) == len(expected.keyframes) == generation + 2
        np.testing.assert_array_equal(loaded.trajectory().T_world_cam, expected.trajectory().T_world_cam)
    assert_same_map(load_map(path), expected)
    assert in_mid_save > N_KILLS // 5
