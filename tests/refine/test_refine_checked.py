"""Pieces of a map behind a thin link: those that images deny come apart and are mended, sound ones stay."""

from dataclasses import replace

import numpy as np
import pytest
from hand_map import add_landmarks, at, grid, hand_map, pixels_of
from refine_world import World
from two_laps import N_LAP, Lap, two_laps

from vgslam.frontend.features import FeatureConfig
from vgslam.frontend.mapper import MapperConfig
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import RefineConfig
from vgslam.refine.contradicted import contradicted_pieces, is_astray
from vgslam.refine.fresh_matches import FreshMatches, Votes
from vgslam.refine.held_by_fit import pieces_held
from vgslam.refine.outcome import ComponentOutcome, RefineOutcome
from vgslam.refine.problem import gather
from vgslam.refine.refine_checked import Mending, part_refused, refine_checked, told
from vgslam.refine.refine_map import refine_map
from vgslam.refine.thin_links import Links
from vgslam.reloc.loops import LoopConfig
from vgslam.reloc.places import Places
from vgslam.store.arrays import to_arrays

FIXED = RefineConfig(is_calibration_fixed=True, shares_landmarks=False)
ALL = np.arange(2 * N_LAP)
LAPS = [list(range(N_LAP)), list(range(N_LAP, 2 * N_LAP))]
ROTATED = Sim3.from_T(se3.exp(np.array([0.1, 0.3, 0.0, 0.0, 0.0, 0.0])))
SHIFTED = Sim3.from_T(se3.exp(np.array([0.0, 0.0, 0.0, 1.0, 0.6, 0.0])))
SCALED = Sim3(np.eye(3), np.array([0.3, 0.0, 0.0]), 0.6)


def laps_apart(move: Sim3) -> World:
    """Two laps that 15 landmarks join, of which the second was moved: the landmarks agree with that."""
    w = two_laps(Lap(drift=0.0))
    m = w.slam_map
    for k in LAPS[1]:
        m.set_pose(k, move @ m.keyframes[k].S_world_keyframe)
        seen = m.observed[k]
        joint = seen.ids[m.landmarks.host[seen.ids] < N_LAP]
        m.unobserve(k, joint)
        pixels = pixels_of(m, k, m.landmarks_world(joint))
        inside = ((pixels > 0) & (pixels < [319, 239])).all(1)
        m.observe(k, joint[inside], pixels[inside])
    for a, b in list(m.edges):
        S = m.keyframes[a].S_world_keyframe.inverse() @ m.keyframes[b].S_world_keyframe
        m.edges[a, b] = replace(m.edges[a, b], S_a_b=S)
    return w


def mending(m: SlamMap, are_loops_on: bool = True) -> Mending:
    return Mending(Places(m), FeatureConfig(), LoopConfig(is_on=are_loops_on), MapperConfig())


@pytest.mark.parametrize("move", [ROTATED, SHIFTED, SCALED])
def test_a_piece_behind_a_thin_link_comes_apart_where_images_deny_its_place(move: Sim3) -> None:
    m = laps_apart(move).slam_map
    pieces = contradicted_pieces(m, ALL, FreshMatches(m))
    assert [piece.tolist() for piece in pieces] == LAPS


def test_a_thin_link_that_images_confirm_stays_and_the_map_is_what_the_adjustment_made_to_the_last_bit() -> None:
    m, other = two_laps().slam_map, two_laps().slam_map
    assert N_LAP in Links.of(gather(m, ALL)).thin().tolist(), "there is something to ask"
    notes: list[str] = []
    refine_checked(m, FIXED, None, mending(m), notes)
    refine_map(other, FIXED, places=Places(other))
    assert notes == []
    checked, plain = to_arrays(m), to_arrays(other)
    assert all(np.array_equal(checked[name], plain[name]) for name in plain)
    lonely = two_laps().slam_map
    for k in LAPS[1]:
        seen = lonely.observed[k]
        lonely.unobserve(k, seen.ids[lonely.landmarks.host[seen.ids] < N_LAP])
    assert len(pieces_held(lonely, ALL, FreshMatches(lonely))) == 1, "no landmark is shared, but matches agree"


def test_a_piece_at_the_wrong_place_is_placed_anew_by_matches() -> None:
    w = laps_apart(SCALED)
    assert w.position_error() > 0.2
    notes: list[str] = []
    outcome = refine_checked(w.slam_map, FIXED, None, mending(w.slam_map), notes)
    assert w.position_error() < 0.03
    assert len({k.component_id for k in w.slam_map.keyframes}) == 1
    assert len(notes) == 1
    assert "placed anew" in notes[0]
    assert [c.n_keyframes for c in outcome.components] == [24]


def test_a_piece_that_cannot_be_mended_is_no_part_of_the_others() -> None:
    m = laps_apart(SCALED).slam_map
    notes: list[str] = []
    refine_checked(m, FIXED, None, mending(m, are_loops_on=False), notes)
    assert [k.component_id for k in m.keyframes] == [0] * N_LAP + [1] * N_LAP
    assert all((a < N_LAP) == (b < N_LAP) for a, b in m.edges)
    assert notes == [
        "images deny where the map had some of its pieces: frames 12-23 have an origin and a scale of their own"
    ]


def lonely(k: int) -> SlamMap:
    """Two laps of which keyframe k shares no landmark with any other."""
    m = two_laps(Lap(drift=0.0)).slam_map
    mine = m.observed[k].ids[m.landmarks.host[m.observed[k].ids] == k]
    m.unobserve(k, np.setdiff1d(m.observed[k].ids, mine))
    for other in np.delete(ALL, k).tolist():
        m.unobserve(other, mine)
    return m


@pytest.mark.parametrize("move", [ROTATED, Sim3(np.eye(3), np.array([0.0, 0.0, 1.5]), 1.0)])
def test_a_single_keyframe_that_neither_neighbour_sees_there_comes_apart_alone(move: Sim3) -> None:
    m = lonely(5)
    assert len(contradicted_pieces(m, ALL, FreshMatches(m))) == 1, "nobody denies where it is"
    m.set_pose(5, move @ m.keyframes[5].S_world_keyframe)
    pieces = contradicted_pieces(m, ALL, FreshMatches(m))
    assert [piece.tolist() for piece in pieces] == [np.delete(ALL, 5).tolist(), [5]]


class Says(FreshMatches):
    """What pairs of three keyframes say of their poses: of 0 and 1, of 1 and 2, of 0 and 2."""

    def __init__(self, *said: Votes) -> None:
        self.said = dict(zip([(0, 1), (1, 2), (0, 2)], said, strict=True))

    def in_two(self, a: int, b: int) -> Votes:
        return self.said[a, b]


AGAINST_IT, FOR_IT, FEW = Votes(100, 0.1), Votes(100, 0.95), Votes(20, 0.1)


@pytest.mark.parametrize(
    ("said", "is_so"),
    [
        ((AGAINST_IT, AGAINST_IT, FOR_IT), True),
        ((FOR_IT, AGAINST_IT, FOR_IT), False),
        ((AGAINST_IT, FOR_IT, FOR_IT), False),
        ((AGAINST_IT, AGAINST_IT, AGAINST_IT), False),
        ((AGAINST_IT, AGAINST_IT, Votes(100, 0.7)), False),
        ((AGAINST_IT, AGAINST_IT, Votes(20, 1.0)), False),
        ((FEW, AGAINST_IT, FOR_IT), False),
        ((AGAINST_IT, FEW, FOR_IT), False),
    ],
)
def test_a_keyframe_is_astray_if_both_neighbours_deny_it_and_agree_with_each_other(
    said: tuple[Votes, ...], is_so: bool
) -> None:
    assert is_astray(np.arange(3), 1, Says(*said)) is is_so


def test_components_of_earlier_runs_are_not_taken_apart() -> None:
    m = laps_apart(SCALED).slam_map
    notes: list[str] = []
    refine_checked(m, FIXED, None, replace(mending(m), first_frame_id=1), notes)
    assert {k.component_id for k in m.keyframes} == {0}
    assert notes == []


def test_features_in_three_images_speak_of_lengths_and_those_in_two_do_not() -> None:
    m = two_laps(Lap(drift=0.0)).slam_map
    fresh = FreshMatches(m)
    assert fresh.in_three(3, 4, 5).share > 0.9
    a, S = m.keyframes[4].S_world_keyframe, m.keyframes[5].S_world_keyframe
    m.set_pose(5, Sim3(S.R, a.t + 2.5 * (S.t - a.t), S.s))
    assert fresh.in_two(4, 5).share > 0.9
    assert fresh.in_three(3, 4, 5).share < 0.5
    assert fresh.in_three(3, 4, 5).weight < 0.0


# -- by hand


def test_thin_links_and_what_holds_runs_together() -> None:
    """Keyframes 0, 1 and 2 share 60 landmarks, 3, 4 and 5 another 60; 6 are seen by all, 10 by 2 and 3 alone."""
    m = hand_map([at(x=0.2 * k) for k in range(6)])
    add_landmarks(m, 0, grid(10, 6, 5.0), [1, 2])
    add_landmarks(m, 3, grid(10, 6, 5.0), [4, 5])
    add_landmarks(m, 0, grid(3, 2, 5.0), [1, 2, 3, 4, 5])
    add_landmarks(m, 2, grid(5, 2, 5.0), [3])
    links = Links.of(gather(m, np.arange(6)))
    assert links.thin().tolist() == [3]  # 16 landmarks where 66 are usual
    assert links.thin(2).tolist() == [3, 4]
    assert links.runs().tolist() == [0, 0, 1, 2, 3, 3]  # nothing leads past 2 and past 3 but the six
    assert links.holding(np.array([0, 0, 0, 1, 1, 1])).tolist() == [[0.0, 6.0], [6.0, 0.0]]  # two views hold no scale
    three = links.holding(np.array([0, 0, 1, 2, 2, 2]))
    # the six are seen from three runs, half of each counts for a pair; of the sixty, run 0 has two views and run 1 one
    assert three.tolist() == [[0.0, 63.0, 3.0], [63.0, 0.0, 3.0], [3.0, 3.0, 0.0]]


def seen_wrongly(m: SlamMap, ids: np.ndarray, keyframes: range) -> None:
    """The keyframes see landmarks anywhere."""
    for k in keyframes:
        m.unobserve(k, ids)
        m.observe(k, ids, np.random.default_rng(k).uniform(0, 150, (len(ids), 2)))


def test_keyframes_that_nothing_that_fits_holds_come_apart() -> None:
    m = hand_map([at(x=0.2 * k) for k in range(6)])
    add_landmarks(m, 0, grid(5, 4, 5.0), [1, 2])
    add_landmarks(m, 3, grid(5, 4, 5.0), [4, 5])
    wide = add_landmarks(m, 0, grid(6, 4, 5.0), range(6))
    assert [p.tolist() for p in pieces_held(m, np.arange(6), FreshMatches(m))] == [[0, 1, 2, 3, 4, 5]]
    seen_wrongly(m, wide, range(3, 6))
    assert [p.tolist() for p in pieces_held(m, np.arange(6), FreshMatches(m))] == [[0, 1, 2], [3, 4, 5]]


def test_a_camera_that_turns_is_held_by_what_is_far_away() -> None:
    m = hand_map([at(turn=(0, 4 * k, 0)) for k in range(5)])
    ids = add_landmarks(m, 0, grid(6, 5, 1.0, 0.2), range(1, 5))
    m.landmarks.is_triangulated[ids] = False
    assert [p.tolist() for p in pieces_held(m, np.arange(5), FreshMatches(m))] == [[0, 1, 2, 3, 4]]
    seen_wrongly(m, ids, range(4, 5))
    assert [p.tolist() for p in pieces_held(m, np.arange(5), FreshMatches(m))] == [[0, 1, 2, 3], [4]]


def test_a_join_is_undone_where_the_adjustment_of_both_was_refused() -> None:
    for is_kept in (True, False):
        m = hand_map([at(x=0.2 * k) for k in range(8)])
        add_landmarks(m, 0, grid(5, 4, 5.0), range(8))
        outcome = RefineOutcome([ComponentOutcome(0, 8, is_kept)])
        parted = [np.array([5, 6]), np.array([7])]
        assert part_refused(m, outcome, parted, mending(m)) is not is_kept
        components = [0, 0, 0, 0, 0, 0, 0, 0] if is_kept else [0, 0, 0, 0, 0, 1, 1, 0]
        assert [k.component_id for k in m.keyframes] == components


def test_landmarks_of_little_parallax_hold_too() -> None:
    """0.46 degrees over all, which are 4 px: too little to be triangulated when adjusted, too near to be far."""
    m = hand_map([at(x=0.01 * k) for k in range(5)], Camera(500.0, 500.0, 319.5, 239.5, 640, 480))
    ids = add_landmarks(m, 0, grid(6, 5, 5.0, 0.3), range(1, 5))
    m.landmarks.is_triangulated[ids] = False
    assert [p.tolist() for p in pieces_held(m, np.arange(5), FreshMatches(m))] == [[0, 1, 2, 3, 4]]


def test_the_line_on_what_came_apart_names_its_frames_by_what_became_of_them() -> None:
    m = hand_map([at(x=0.2 * k) for k in range(9)])
    for k, component in enumerate([0, 0, 0, 0, 0, 1, 1, 2, 0]):
        m.keyframes[k].component_id = component
    assert told(m, []) == []
    assert told(m, [np.array([0, 1, 8]), np.array([5, 6]), np.array([7])]) == [
        "images deny where the map had some of its pieces: frames 0-10, 80 were placed anew by matches, frames 50-60 "
        "have an origin and a scale of their own, frames 70 are lost"
    ]


def test_of_two_adjustments_the_components_of_the_second_count() -> None:
    first = RefineOutcome([ComponentOutcome(0, 24, True, n_moved=3)], 2.0, 3.0)
    second = RefineOutcome([ComponentOutcome(0, 12, True, n_moved=1), ComponentOutcome(1, 12, True)], 1.0, 1.5, True)
    both = first.then(second)
    assert [(c.component_id, c.n_keyframes, c.n_moved) for c in both.components] == [(0, 12, 3), (1, 12, 0)]
    assert (both.cpu_s, both.wall_s, both.is_interrupted) == (3.0, 4.5, True)
