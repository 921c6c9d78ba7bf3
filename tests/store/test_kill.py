"""kill -9 while saving, before each operation on files and at random moments: the map opens with the last complete
state."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
from random_map import add_random_keyframe, assert_same_map, random_map

from vgslam.map.slam_map import SlamMap
from vgslam.store.manifest import read_manifest
from vgslam.store.map_folder import MapFolder, check_map
from vgslam.store.open import load_map

N_OPERATIONS = 40
"""Operations on files before each of which a child dies: those of more than a whole save."""
N_RANDOM = 10
ON_FILES = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate")
"""Audit events."""


def grow(m: SlamMap, generation: int) -> None:
    """The step from one save to the next; replaces a picture too, so that old files have to go."""
    rng = np.random.default_rng(generation)
    m.keyframes[int(rng.integers(len(m.keyframes)))].depth = rng.random((12, 16), np.float32)
    add_random_keyframe(m, rng)


def die_before_operation(n: int) -> None:
    """Kills this process before its n-th operation on files from now on."""
    left = n

    def count(event: str, _: tuple[object, ...]) -> None:
        nonlocal left
        if event in ON_FILES:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def save_for_ever(path: Path, report: int, dies_before: int | None) -> None:
    """Loads, then grows and saves; writes one byte to `report` after each save. Dies before an operation of these."""
    folder = MapFolder(path)
    m = load_map(path)
    generation = read_manifest(path).generation
    if dies_before is not None:
        die_before_operation(dies_before)
    while True:
        generation += 1
        grow(m, generation)
        folder.save(m)
        os.write(report, b".")


def killed_child(path: Path, dies_before: int | None, after_s: float = 0.0) -> int:
    """Number of saves that a child reported before it died: before an operation, or `after_s` after its first save."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        try:
            save_for_ever(path, write_end, dies_before)
        finally:
            os._exit(1)
    os.close(write_end)
    n = 0
    if dies_before is None:
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
    generation, in_mid_save, n_saved = 1, 0, 0
    moments = random.Random(0)
    for i in range(N_OPERATIONS + N_RANDOM):
        is_random = i >= N_OPERATIONS
        n = killed_child(path, None if is_random else i + 1, moments.uniform(0.0, 0.06))
        found = read_manifest(path).generation
        assert generation + n <= found <= generation + n + 1  # renamed, but killed before it could say so
        n_saved += 0 if is_random else n
        in_mid_save += not is_random and check_map(path).n_leftovers > 0
        assert check_map(path).problems == []
        for g in range(generation + 1, found + 1):
            grow(expected, g)
        generation = found
        loaded = load_map(path)
        assert len(loaded.keyframes) == len(expected.keyframes) == generation + 2
        np.testing.assert_array_equal(loaded.trajectory().T_world_cam, expected.trajectory().T_world_cam)
    assert_same_map(load_map(path), expected)
    assert in_mid_save > N_OPERATIONS // 5
    assert n_saved > 0, "the operations are those of more than one save"
