"""Components without one scale are parted: by hand, from both sides of the limit, and without losing what is seen."""

import numpy as np
import pytest
from synthetic import CAMERA, pose

from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.parting import MIN_HELD, held_pieces, part_components
from vgslam.types import Edge, EdgeKind, Ids, Keyframe, PoseEstimate, Status

BLOCK = 12


def chain(n: int, joint: int | None = None, held: int = 0) -> list[Ids]:
    """What n keyframes see: block b of 12 landmarks is seen by keyframes b, b + 1 and b + 2. Keyframe `joint` is the
    only one that both sides share: but for `held` landmarks, nothing is seen from both."""
    seen: list[list[int]] = [[] for _ in range(n)]
    for b in range(-2, n):
        for i in range(BLOCK):
            views = [b, b + 1] if joint is not None and b == joint - 1 and i >= held else [b, b + 1, b + 2]
            for k in views:
                if 0 <= k < n:
                    seen[k].append((b + 2) * BLOCK + i)
    return [np.array(ids, np.int64) for ids in seen]


@pytest.mark.parametrize("n", [2, 3, 9])
def test_a_chain_that_three_views_hold_is_one_piece(n: int) -> None:
    assert held_pieces(chain(n)) == [list(range(n))]


@pytest.mark.parametrize(("held", "pieces"), [(MIN_HELD, [[0, 1, 2, 3, 4, 5, 6, 7, 8]]),
                                              (MIN_HELD - 1, [[0, 1, 2, 3, 4], [5, 6, 7, 8]])])  # fmt: skip
def test_a_joint_holds_the_scale_with_enough_landmarks_seen_from_both_sides(held: int, pieces: list[list[int]]) -> None:
    assert held_pieces(chain(9, joint=4, held=held)) == pieces


def test_what_holds_may_come_later() -> None:
    """The way back sees what was seen on both sides of the joint."""
    seen = chain(9, joint=4)
    back = np.unique(np.concatenate([seen[1], seen[2], seen[6], seen[7]]))
    assert held_pieces([*seen, back]) == [list(range(10))]


def test_a_measured_similarity_holds_too() -> None:
    assert held_pieces(chain(9, joint=4), ties=[(7, 1)]) == [list(range(9))]
    assert held_pieces(chain(9, joint=4), ties=[(0, 3)]) == [[0, 1, 2, 3, 4], [5, 6, 7, 8]]


def test_a_keyframe_that_shares_landmarks_with_one_other_is_alone() -> None:
    seen = chain(6)
    seen[5] = np.setdiff1d(seen[4], seen[3])
    assert held_pieces(seen) == [[0, 1, 2, 3, 4], [5]]
    assert held_pieces([np.arange(3), np.arange(3), np.arange(3)]) == [[0], [1], [2]]


@pytest.mark.parametrize(("n", "pieces"), [(MIN_HELD, [[0, 1]]), (MIN_HELD - 1, [[0], [1]])])
def test_two_keyframes_begin_a_piece_with_as_many_shared_landmarks(n: int, pieces: list[list[int]]) -> None:
    assert held_pieces([np.arange(n), np.arange(n)]) == pieces


def test_a_landmark_holds_once_however_many_see_it() -> None:
    """Half as many as are needed, each seen by three of the piece."""
    seen = chain(3)
    assert held_pieces([*seen, np.intersect1d(seen[0], seen[2])[: MIN_HELD // 2]]) == [[0, 1, 2], [3]]


def test_the_largest_piece_comes_first_though_it_began_later() -> None:
    assert held_pieces(chain(9, joint=2)) == [[3, 4, 5, 6, 7, 8], [0, 1, 2]]


def mapped(seen: list[Ids]) -> SlamMap:
    """A map in which the keyframes stand side by side and see these landmarks, and each but the first has a frame."""
    m, rng = SlamMap(), np.random.default_rng(0)
    image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    first = {int(i): k for k in reversed(range(len(seen))) for i in seen[k]}
    places = rng.uniform((-1, -1, 3), (5, 1, 6), (1 + max(first), 3))
    number: dict[int, int] = {}
    for k, ids in enumerate(seen):
        S = Sim3.from_T(pose((0, 3.0 * k, 0), (0.5 * k, 0, 0)), 1.0 + 0.1 * k)
        m.add_keyframe(Keyframe(k, 2 * k, 2.0 * k, image, CAMERA, S), np.zeros(0, np.int64), np.zeros((0, 2)))
        new = [int(i) for i in ids if first[int(i)] == k]
        added = m.landmarks.add(k, S.inverse().apply(places[new]), np.full(len(new), 0.02), np.full((len(new), 3), k))
        m.landmarks.is_triangulated[added] = True
        number |= dict(zip(new, added.tolist(), strict=True))
        m.observe(k, np.array([number[int(i)] for i in ids]), rng.uniform(0, 200, (len(ids), 2)))
        for frame_id in (2 * k, 2 * k + 1):
            m.frames.append(PoseEstimate(frame_id, float(frame_id), Status.TRACKED, k, np.eye(4), component_id=0))
        for a in range(max(0, k - 2), k):
            m.edges[(a, k)] = Edge(a, k, Sim3.identity(), np.full(7, 0.1), EdgeKind.ODOMETRY)
    return m


@pytest.mark.parametrize(
    ("joint", "frames", "components"), [(4, "0-8, 10-16", [0] * 5 + [1] * 4), (2, "6-16, 0-4", [1] * 3 + [0] * 6)]
)
def test_a_map_is_parted_with_its_frames_and_edges_and_every_landmark_stays_where_it_is(
    joint: int, frames: str, components: list[int]
) -> None:
    """The larger piece keeps the number, whichever came first, and owns the landmarks that it sees."""
    m = mapped(chain(9, joint=joint))
    before = [(m.landmarks_world(m.observed[k].ids), m.observed[k].pixels) for k in range(9)]
    [note] = part_components(m)
    assert frames in note
    assert [k.component_id for k in m.keyframes] == components
    assert [f.component_id for f in m.frames] == np.repeat(components, 2).tolist()
    assert all(f.status is Status.TRACKED for f in m.frames)
    assert {(a <= joint) == (b <= joint) for a, b in m.edges} == {True}
    assert len(m.edges) == 15 - 3
    for k, (places, pixels) in enumerate(before):
        ids = m.observed[k].ids
        np.testing.assert_allclose(m.landmarks_world(ids), places, atol=1e-9)
        np.testing.assert_array_equal(m.observed[k].pixels, pixels)
        assert {m.keyframes[h].component_id for h in m.landmarks.host[ids]} == {m.keyframes[k].component_id}
    shared = np.intersect1d(m.observed[joint + 1].ids, m.observed[joint + 2].ids)
    assert len(shared) >= BLOCK, "copies are shared by those that shared the landmarks"


def test_what_one_keyframe_of_a_piece_alone_sees_has_no_depth_there() -> None:
    """Else the pieces would be joined again by the depths that they had together."""
    m = mapped(chain(9, joint=4))
    part_components(m)
    views = np.bincount(np.concatenate([seen.ids for seen in m.observed]), minlength=len(m.landmarks))
    is_seen = views > 0
    np.testing.assert_array_equal(m.landmarks.is_triangulated[is_seen], views[is_seen] >= 2)
    assert (m.landmarks.rel_sigma[views == 1] == 0.5).all()
    assert (m.landmarks.rel_sigma[views >= 2] == 0.02).all()
    assert (views == 1).sum() >= BLOCK


def test_a_keyframe_alone_takes_its_frames_along_into_lost() -> None:
    seen = chain(6)
    seen[5] = np.setdiff1d(seen[4], seen[3])
    m = mapped(seen)
    [note] = part_components(m)
    assert "lost: 10" in note
    assert [f.status for f in m.frames][9:] == [Status.TRACKED, Status.LOST, Status.LOST]
    assert m.frames[10].T_ref_cam is None
    assert [k.component_id for k in m.keyframes] == [0] * 5 + [1]


def test_what_holds_and_what_an_earlier_run_made_stays() -> None:
    m = mapped(chain(9))
    assert part_components(m) == []
    assert {k.component_id for k in m.keyframes} == {0}
    parted = mapped(chain(9, joint=4))
    n = len(parted.landmarks)
    assert part_components(parted, first_frame_id=1) == []
    assert len(parted.landmarks) == n
    assert part_components(parted, first_frame_id=0) != []


def test_a_copy_of_a_guessed_landmark_is_guessed() -> None:
    m = mapped(chain(9, joint=4))
    m.landmarks.is_triangulated[:] = False
    part_components(m)
    assert not m.landmarks.is_triangulated.any()


def test_three_keyframes_can_be_parted_and_two_cannot() -> None:
    seen = [*chain(2), np.arange(1000, 1020)]
    m = mapped(seen)
    assert part_components(m) != []
    assert [k.component_id for k in m.keyframes] == [0, 0, 1]
    assert part_components(mapped([seen[0], seen[2]])) == []


def test_a_piece_of_two_keeps_its_poses_and_each_piece_has_a_number_of_its_own() -> None:
    """Six keyframes, two and two that see nothing of one another; a loop to another component holds nothing."""
    m = mapped([ids + 1000 * part for part, n in enumerate((6, 2, 2, 1)) for ids in chain(n)])
    m.keyframes[10].component_id = 4
    m.edges[(0, 10)] = Edge(0, 10, Sim3.identity(), np.full(7, 0.1), EdgeKind.LOOP)
    [note] = part_components(m)
    assert [k.component_id for k in m.keyframes] == [0] * 6 + [5] * 2 + [6] * 2 + [4]
    assert all(f.status is Status.TRACKED for f in m.frames)
    assert "0-10, 12-14, 16-18 have" in note
    assert "lost" not in note
    assert (0, 10) in m.edges
