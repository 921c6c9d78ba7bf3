"""Two maps in one: each stays what it was, beside the other."""

from pathlib import Path

import numpy as np
import pytest
from random_map import assert_same, assert_same_map, assert_same_sim3, random_map

from vgslam.map.slam_map import SlamMap
from vgslam.store.map_folder import MapFolder
from vgslam.store.merge import put_beside
from vgslam.store.open import load_map


def saved(m: SlamMap, path: Path) -> SlamMap:
    with MapFolder(path) as folder:
        folder.save(m)
    return load_map(path)


@pytest.mark.parametrize("is_on_disk", [False, True])
def test_both_maps_are_there_unchanged(tmp_path: Path, is_on_disk: bool) -> None:
    merged, b = random_map(6, seed=1), random_map(5, seed=2)
    if is_on_disk:
        merged, b = saved(merged, tmp_path / "a"), saved(b, tmp_path / "b")
    put_beside(merged, b)
    a, b_before = random_map(6, seed=1), random_map(5, seed=2)
    assert_same_map(b, b_before)
    merged = saved(merged, tmp_path / "c")
    assert [s.name for s in merged.sessions] == ["walk 1", "walk 2"]
    assert len(merged.keyframes) == 11
    assert_same(merged.trajectory(0).T_world_cam, a.trajectory().T_world_cam)
    assert_same(merged.trajectory(1).T_world_cam, b_before.trajectory().T_world_cam)
    assert_same(merged.keyframe_trajectory(1).T_world_cam, b_before.keyframe_trajectory().T_world_cam)
    n = len(a.landmarks)
    assert_same(merged.landmarks_world(np.arange(n)), a.landmarks_world(np.arange(n)))
    of_b = np.arange(len(b_before.landmarks))
    assert_same(merged.landmarks_world(of_b + n), b_before.landmarks_world(of_b))
    for k in b_before.keyframes:
        mine = merged.keyframes[k.id + 6]
        assert_same(mine.image, k.image)
        assert_same(mine.depth, k.depth)
        assert_same(merged.observed[mine.id].ids, b_before.observed[k.id].ids + n)
        assert mine.component_id == k.component_id + 2  # the first map has components 0 and 1
    for (i, j), edge in b_before.edges.items():
        found = merged.edges[i + 6, j + 6]
        assert (found.id_a, found.id_b) == (i + 6, j + 6)
        assert_same_sim3(found.S_a_b, edge.S_a_b)
    assert len(merged.edges) == len(a.edges) + len(b_before.edges)
    assert [f.frame_id for f in merged.frames] == list(range(22))
    assert {f.component_id for f in merged.frames[12:] if f.T_ref_cam is not None} == {2, 3}


def test_merging_with_an_empty_map(tmp_path: Path) -> None:
    merged = SlamMap()
    put_beside(merged, random_map(3))
    assert_same_map(merged, random_map(3))
    put_beside(merged, SlamMap())
    assert_same_map(merged, random_map(3))
