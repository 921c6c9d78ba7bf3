"""One map from the maps of pieces: every frame once, where it truly is, and nothing wrong where a piece is missing."""

from itertools import pairwise

import numpy as np
import pytest
from fleet.piece_maps import ELSEWHERE, POINTS, STEP_S, piece, true_pose

from vgslam.errors import ConfigError
from vgslam.fleet.pieces import OVERLAP, Join, MappedPiece, cut, frames_among, join_of, numbers_by_time, placed
from vgslam.fleet.splice import splice
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.types import EdgeKind, Status

RANGES = [range(40), range(25, 65), range(50, 90)]
FRAMES = (Sim3.identity(), ELSEWHERE, Sim3(se3.so3_exp(np.array([0.0, -1.0, 0.2])), np.array([7.0, 0.0, 2.0]), 0.4))


def mapped(n: int, **more: object) -> MappedPiece:
    m = piece(FRAMES[n], RANGES[n], first_keyframe=n, **more)
    return MappedPiece(n, m, np.array(RANGES[n], np.int64))


def whole(pieces: list[MappedPiece]) -> tuple[SlamMap, list[Join], list[int]]:
    joins = [join_of(a, b, RANGES) for a, b in pairwise(pieces) if b.piece == a.piece + 1]
    m = SlamMap()
    m.begin_session("whole", "2026-01-01T00:00:00+00:00")
    source = splice(placed(pieces, joins, RANGES), STEP_S * np.arange(90), m)
    return m, joins, source


def test_three_pieces_become_one_map_and_all_is_where_it_is() -> None:
    m, joins, source = whole([mapped(n) for n in range(3)])
    assert all(j.seam is not None for j in joins)
    assert [f.frame_id for f in m.frames] == list(range(90))
    assert {f.status for f in m.frames} == {Status.TRACKED}
    assert {f.component_id for f in m.frames} == {0}
    for n, T in enumerate(m.trajectory().T_world_cam):
        np.testing.assert_allclose(T, true_pose(n), atol=1e-6)
    at = [k.frame_id for k in m.keyframes]
    assert at == sorted(set(at))
    assert source == sorted(source)
    for k in m.keyframes:
        np.testing.assert_allclose(k.S_world_keyframe.matrix(), Sim3.from_T(true_pose(k.frame_id)).matrix(), atol=1e-6)


def test_landmarks_lie_where_their_points_are_whoever_holds_them_now() -> None:
    m, _, _ = whole([mapped(n) for n in range(3)])
    X = m.landmarks_world(np.arange(len(m.landmarks)))
    nearest = np.array([np.linalg.norm(POINTS - x, axis=1).min() for x in X])
    assert nearest.max() < 1e-5
    assert m.landmarks.is_triangulated.all()
    for n, (ids, pixels) in enumerate(m.observed):
        k = m.keyframes[n]
        local = (X[ids] - k.S_world_keyframe.t) @ k.S_world_keyframe.R
        np.testing.assert_allclose(k.camera.project(local), pixels, atol=1e-4)
    seen = np.unique(np.concatenate([o.ids for o in m.observed]))
    assert len(seen) == len(m.landmarks), "none that nobody sees"
    for i in range(0, len(m.landmarks), 50):
        assert i in m.observed[int(m.landmarks.host[i])].ids, "its keyframe sees it"


def test_odometry_goes_on_across_seams() -> None:
    m, _, source = whole([mapped(n) for n in range(3)])
    for b in range(1, len(m.keyframes)):
        edge = m.edges[b - 1, b]
        step = m.keyframes[b - 1].S_world_keyframe.inverse() @ m.keyframes[b].S_world_keyframe
        assert edge.kind is EdgeKind.ODOMETRY
        np.testing.assert_allclose(edge.S_a_b.matrix(), step.matrix(), atol=1e-6)
    assert sum(source[i] != source[i - 1] for i in range(1, len(source))) == 2


def test_frames_of_a_piece_without_a_map_are_lost_and_the_others_stay_apart() -> None:
    m, joins, _ = whole([mapped(0), mapped(2)])
    assert joins == []
    statuses = [f.status for f in m.frames]
    assert statuses == [Status.TRACKED] * 40 + [Status.LOST] * 10 + [Status.TRACKED] * 40
    assert [m.frames[n].component_id for n in (39, 50)] == [0, 1]
    T = m.pose_of(m.frames[60])
    np.testing.assert_allclose(T, FRAMES[2].compose_pose(true_pose(60)), atol=1e-9)


def test_pieces_that_do_not_agree_stay_apart_with_every_frame_in_its_own() -> None:
    """The second map is bent: each frame is turned a little more than it should be."""
    bent = mapped(1)
    m = bent.slam_map
    for k in m.keyframes:
        turn = Sim3(se3.so3_exp(np.array([0.0, 0.02 * k.id**2, 0.0])), np.zeros(3))
        m.set_pose(k.id, k.S_world_keyframe @ turn)
    made, joins, _ = whole([mapped(0), bent])
    assert joins[0].seam is None
    assert "agree" in joins[0].reason
    components = [f.component_id for f in made.frames][:65]
    assert components == sorted(components)
    assert set(components) == {0, 1}
    assert components[joins[0].cut - 1 : joins[0].cut + 1] == [0, 1]


def test_a_frame_that_one_piece_has_lost_is_taken_from_the_other() -> None:
    """The second begins late: frames after the middle of what they have in common come from the first."""
    m, joins, _ = whole([mapped(0), mapped(1, lost=range(25, 35))])
    assert joins[0].seam is not None
    assert joins[0].seam.n_frames == 5
    assert joins[0].cut == 35
    for n in range(65):
        T = m.pose_of(m.frames[n])
        assert T is not None
        np.testing.assert_allclose(T, true_pose(n), atol=1e-6)


@pytest.mark.parametrize(("n", "pieces", "expected"), [(1000, None, 2), (200, None, 1), (30, None, 1), (2600, None, 5)])
def test_the_length_says_how_many_pieces(n: int, pieces: int | None, expected: int) -> None:
    assert len(cut(n, pieces)) == expected


def test_pieces_cover_all_frames_and_overlap() -> None:
    ranges = cut(203, 4)
    assert ranges[0].start == 0
    assert ranges[-1].stop == 203
    assert [a.stop - b.start for a, b in pairwise(ranges)] == [OVERLAP] * 3
    assert len(cut(160, 4)) == 4
    with pytest.raises(ConfigError, match=r"at most 3 piece\(s\) of 40 frames or more"):
        cut(159, 4)
    with pytest.raises(ConfigError, match="1 or more"):
        cut(500, 0)


def test_images_that_are_no_frames_have_no_number() -> None:
    times = [("a", 0.0), ("b", 0.5), ("c", 0.5), ("d", 0.2), ("e", 1.0), ("f", float("nan")), ("g", 2.0)]
    assert numbers_by_time(times) == {0.0: 0, 0.5: 1, 1.0: 4, 2.0: 6}
    read = [np.array([0, 1])]
    assert frames_among(read, [range(3, 7)], np.array([0, 1, 4, 6])).tolist() == [0, 1, 4, 6]
    assert frames_among(read, [], np.array([0, 1, 4, 6])).tolist() == [0, 1]
