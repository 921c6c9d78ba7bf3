"""Two maps in one: each stays what it was, beside the other."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hand_map import add_landmarks, at, hand_map
from random_map import assert_same, assert_same_map, assert_same_sim3, random_map

from vgslam.map.slam_map import Session, SlamMap
from vgslam.map.world import World
from vgslam.store.map_folder import MapFolder
from vgslam.store.merge import put_beside, shared_session
from vgslam.store.open import load_map
from vgslam.types import PoseEstimate, Status


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


def test_numbers_of_the_second_map_go_on_behind_those_of_the_first() -> None:
    """Frames 0 and 10 of a metric map beside those of another, a lost frame among them."""
    m, other = (hand_map([at(), at(x=1.0)]) for _ in range(2))
    other.worlds[0] = World(is_metric=True)
    other.frames.append(PoseEstimate(15, 1.5, Status.LOST))
    add_landmarks(other, 1, [[0.0, 0.0, 4.0]], [0])
    guessed = add_landmarks(other, 0, [[0.0, 1.0, 4.0]])
    other.landmarks.is_triangulated[guessed] = False
    other.image_names[15] = "b.png"
    other.sessions = [Session("b", "today", 0)]
    add_landmarks(m, 0, [[0.0, 0.0, 5.0]])
    put_beside(m, other)
    assert [(m.world_of(c).is_metric) for c in (0, 1)] == [False, True]
    assert [f.frame_id for f in m.frames] == [0, 10, 11, 21, 26]
    assert [f.ref_id for f in m.frames] == [0, 1, 2, 3, -1]
    assert [f.component_id for f in m.frames] == [0, 0, 1, 1, 0]
    assert m.landmarks.host.tolist() == [0, 3, 2]
    assert m.landmarks.is_triangulated.tolist() == [True, True, False]
    assert [o.ids.tolist() for o in m.observed] == [[0], [], [1, 2], [1]]
    assert m.image_names[26] == "b.png"
    assert m.sessions[0].first_frame_id == 11
    assert (m.edges[2, 3].id_a, m.edges[2, 3].id_b) == (2, 3)


def ran(began: str, inliers: Sequence[int], name: str = "walk") -> SlamMap:
    """A map with one session, whose frames had so many inliers."""
    m = SlamMap()
    m.sessions = [Session(name, began, 0)]
    for i, n in enumerate(inliers):
        m.frames.append(PoseEstimate(i, 0.1 * i, Status.LOST, n_inliers=n))
    return m


@pytest.mark.parametrize(("other", "is_shared"), [
    (ran("today", [5, 6, 7]), True), (ran("today", [5, 6]), True),  # the map was saved before it ended
    (ran("today", [5, 6, 8]), False), (ran("now", [5, 6, 7]), False), (ran("today", [5, 6, 7], "run"), False),
    (ran("today", []), False),
])  # fmt: skip
def test_a_run_that_is_in_both_maps_is_known_by_name_time_and_frames(other: SlamMap, is_shared: bool) -> None:
    m = ran("today", [5, 6, 7])
    for a, b in ((m, other), (other, m)):
        assert shared_session(a, b) == ("'walk' of today" if is_shared else None)


def test_codes_of_places_are_taken_where_those_of_the_first_are_complete() -> None:
    vocabulary = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for n_mine, kind, n_codes in ((2, vocabulary, 4), (1, vocabulary, 1), (2, vocabulary + 1, 2), (0, vocabulary, 0)):
        m, other = (hand_map([at(), at(x=1.0)]) for _ in range(2))
        for each, n, words in ((m, n_mine, vocabulary), (other, 2, kind)):
            each.place_codes.vocabulary = words
            each.place_codes.codes.extend(np.zeros((n, *each.place_codes.codes.view.shape[1:]), np.uint8))
        put_beside(m, other)
        assert len(m.place_codes.codes) == n_codes
