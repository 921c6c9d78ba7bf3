"""Which matches are asked, what they deny, and where a component comes apart, with matches put down by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hand_map import CAMERA, add_landmarks, at, grid, hand_map

from vgslam.errors import GraphError
from vgslam.map.slam_map import SlamMap
from vgslam.refine import refine_checked as checked
from vgslam.refine.adjust import RefineConfig
from vgslam.refine.contradicted import Denial, contradicted_pieces, denial, is_astray
from vgslam.refine.fresh_matches import FreshMatches, Votes
from vgslam.refine.held_by_fit import _is_confirmed, with_far_points
from vgslam.refine.outcome import RefineOutcome
from vgslam.refine.problem import gather

NONE = Votes(0, 0.5)
MEMBERS = np.arange(10, 20)
"""Keyframes; their places are 0 to 9."""


class Said(FreshMatches):
    """Answers by pairs and threes of keyframes; those that are not given have no matches."""

    def __init__(self, answers: dict[tuple[int, ...], Votes], usual: Votes = NONE) -> None:
        self.answers, self.usual = answers, usual
        self.asked: list[tuple[int, ...]] = []

    def in_two(self, a: int, b: int) -> Votes:
        self.asked.append((a, b))
        return self.answers.get((a, b), self.usual)

    def in_three(self, a: int, b: int, c: int) -> Votes:
        return self.answers.get((a, b, c), NONE)


def denied(found: Denial | None) -> tuple[list[int], list[int], float]:
    assert found is not None
    return found.before.tolist(), found.after.tolist(), pytest.approx(found.weight)


def test_neighbours_that_agree_are_all_that_is_asked() -> None:
    fresh = Said({(14, 15): Votes(40, 0.8)}, Votes(100, 0.1))
    assert denial(MEMBERS, 5, fresh) is None
    assert fresh.asked == [(14, 15)]
    for unsure in (Votes(40, 0.79), Votes(39, 0.9)):
        fresh = Said({(14, 15): unsure}, Votes(100, 0.1))
        assert denied(denial(MEMBERS, 5, fresh)) == ([2, 3, 4], [5, 6, 7], 80.0)
        assert len(fresh.asked) == 9


def test_those_further_away_are_asked_where_one_of_the_nearest_three_matches() -> None:
    fresh = Said({})
    assert denial(MEMBERS, 5, fresh) is None
    assert fresh.asked == [(14, 15), (13, 15), (14, 16)]
    third = Said({(14, 16): Votes(40, 0.1)})
    assert denied(denial(MEMBERS, 5, third)) == ([4], [6], 32.0)
    assert third.asked[3:] == [(12, 15), (13, 16), (14, 17), (12, 16), (13, 17), (12, 17)]
    assert denial(MEMBERS, 5, Said({(14, 16): Votes(39, 0.1)})) is None
    assert denial(MEMBERS, 5, Said({(12, 15): Votes(100, 0.1)})) is None


def test_the_median_denies_and_those_that_deny_are_named() -> None:
    said = {(14, 15): Votes(50, 0.1), (13, 15): Votes(100, 0.2), (14, 16): Votes(60, 0.9)}
    assert denied(denial(MEMBERS, 5, Said(said))) == ([3, 4], [5], 60.0)
    said[13, 15] = Votes(100, 0.3)
    assert denial(MEMBERS, 5, Said(said)) is None


@pytest.mark.parametrize(("n", "before", "after"), [(1, [0], [1, 2, 3]), (2, [0, 1], [2, 3, 4]), (9, [6, 7, 8], [9])])
def test_links_near_the_ends_have_fewer_around(n: int, before: list[int], after: list[int]) -> None:
    assert denied(denial(MEMBERS, n, Said({}, Votes(100, 0.0)))) == (before, after, 100.0)


def test_a_keyframe_is_judged_by_the_one_before_and_the_one_after() -> None:
    said = {(14, 15): Votes(50, 0.1), (15, 16): Votes(50, 0.1), (14, 16): Votes(50, 0.9)}
    fresh = Said(said, Votes(50, 0.5))
    assert is_astray(MEMBERS, 5, fresh)
    assert not is_astray(MEMBERS, 4, fresh)
    assert not is_astray(MEMBERS, 6, fresh)


def linked() -> SlamMap:
    """Keyframes 0 to 2 share 60 landmarks, 3 to 5 another 60; six are seen by all, which hold the two sides by 8."""
    m = hand_map([at(x=0.2 * k) for k in range(6)])
    add_landmarks(m, 0, grid(10, 6, 5.0), [1, 2])
    add_landmarks(m, 3, grid(10, 6, 5.0), [4, 5])
    add_landmarks(m, 0, grid(3, 2, 5.0), [1, 2, 3, 4, 5])
    return m


@pytest.mark.parametrize(("three", "n_for", "is_apart"), [
    ((1, 2, 3), 23, True), ((1, 2, 3), 25, False), ((2, 3, 4), 23, True), ((2, 3, 4), 25, False), ((0, 1, 2), 99, True),
])  # fmt: skip
def test_a_component_comes_apart_where_more_denies_the_cut_than_holds_it(
    three: tuple[int, ...], n_for: int, is_apart: bool
) -> None:
    """Runs of keyframes 0 1 | 2 | 3 | 4 5. Six landmarks in four runs count 1/3 for each pair: 2, and 8 for the four
    pairs across. 40 matches of which 36 deny are 32 against it: 8 + 24 would hold it. Features in three keyframes
    speak of the first and the last; those of one side say nothing of the cut."""
    said = {(2, 3): Votes(40, 0.1), three: Votes(n_for, 1.0)}
    pieces = contradicted_pieces(linked(), np.arange(6), Said(said))
    assert [p.tolist() for p in pieces] == ([[0, 1, 2], [3, 4, 5]] if is_apart else [[0, 1, 2, 3, 4, 5]])


def test_pieces_are_cut_one_after_the_other_and_the_largest_comes_first() -> None:
    m = hand_map([at(x=0.2 * k) for k in range(10)])
    for first, others in ((0, [1, 2]), (3, [4, 5, 6]), (7, [8, 9])):
        add_landmarks(m, first, grid(10, 6, 5.0), others)
    fresh = Said({}, Votes(50, 0.1))
    pieces = contradicted_pieces(m, np.arange(10), fresh)
    assert [p.tolist() for p in pieces] == [[3, 4, 5, 6], [0, 1, 2], [7, 8, 9]]
    assert len(contradicted_pieces(m, np.arange(10), Said({}))) == 1, "nobody denies it"


# -- what fits


@pytest.mark.parametrize(("three", "said", "is_so"), [
    ((13, 14, 15), Votes(10, 0.8), True), ((14, 15, 16), Votes(10, 0.8), True),
    ((13, 14, 15), Votes(10, 0.79), False), ((13, 14, 15), Votes(9, 0.88), False),
    ((12, 13, 14), Votes(99, 1.0), False), ((15, 16, 17), Votes(99, 1.0), False),
])  # fmt: skip
def test_a_link_is_confirmed_by_eight_features_in_three_images_across_it(
    three: tuple[int, ...], said: Votes, is_so: bool
) -> None:
    assert _is_confirmed(MEMBERS, 5, Said({three: said})) is is_so


@pytest.mark.parametrize(("n", "three"), [(1, (10, 11, 12)), (9, (17, 18, 19))])
def test_the_first_and_the_last_link_have_one_three(n: int, three: tuple[int, ...]) -> None:
    assert _is_confirmed(MEMBERS, n, Said({three: Votes(8, 1.0)}))
    assert not _is_confirmed(MEMBERS, n, Said({}))


def test_what_is_not_known_lies_far_away_where_its_first_keyframe_sees_it() -> None:
    """Three apart, the second turned by 90 degrees to the right: 10,000 times that is 30,000."""
    m = hand_map([at(), at(x=3.0, turn=(0, 90, 0)), at(x=3.0)])
    known = add_landmarks(m, 0, np.array([[0.0, 0.0, 5.0]]), [2])
    ids = m.landmarks.add(0, np.ones((2, 3)), np.ones(2), np.zeros((2, 3), np.uint8))
    m.landmarks.is_triangulated[ids] = False
    m.observe(0, ids[:1], np.array([[CAMERA.cx + 50.0, CAMERA.cy]]))
    m.observe(1, ids, np.array([[9.0, 9.0], [CAMERA.cx, CAMERA.cy]]))
    m.observe(2, ids[1:], np.array([[9.0, 9.0]]))
    p = gather(m, np.arange(3))
    p = replace(p, has_point=np.isin(p.landmark_ids, known))
    done = with_far_points(p)
    assert done.has_point.all()
    at_id = {int(k): n for n, k in enumerate(p.landmark_ids)}
    np.testing.assert_allclose(done.points[at_id[int(ids[0])]], [15_000.0, 0.0, 30_000.0], atol=1e-6)
    np.testing.assert_allclose(done.points[at_id[int(ids[1])]], [30_003.0, 0.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(done.points[at_id[int(known[0])]], p.points[at_id[int(known[0])]])


# -- how often


class Steps:
    """Counts the steps of `refine_checked`, with stand-ins for them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, n_parted: int, refuses: bool = False, stops: int = 99) -> None:
        self.done: list[str] = []
        self.n_parted, self.refuses, self.stops = n_parted, refuses, stops
        monkeypatch.setattr(checked, "refine_map", lambda *_: self._refine())
        monkeypatch.setattr(checked, "_part", lambda *_: self._part())
        monkeypatch.setattr(checked, "_join", lambda *_: self.done.append("join"))
        monkeypatch.setattr(checked, "part_refused", lambda *_: self.refuses)

    def _refine(self) -> RefineOutcome:
        self.done.append("refine")
        return RefineOutcome([], 1.0, 1.0, self.done.count("refine") > self.stops)

    def _part(self) -> list[np.ndarray]:
        self.done.append("part")
        return [np.array([0])] if self.done.count("part") <= self.n_parted else []

    def run(self) -> list[str]:
        m, notes = hand_map([at(), at()]), list[str]()
        mending = checked.Mending.__new__(checked.Mending)
        object.__setattr__(mending, "places", None)
        outcome = checked.refine_checked(m, RefineConfig(), None, mending, notes)
        assert outcome.cpu_s == self.done.count("refine")
        assert len(notes) == (self.done.count("part") > 0 and self.n_parted > 0)
        return self.done


ROUND = ["join", "refine", "part"]


@pytest.mark.parametrize(("n_parted", "steps"), [(0, []), (1, ROUND), (2, 2 * ROUND), (9, 2 * ROUND)])
def test_what_came_apart_is_placed_anew_twice_at_most(
    monkeypatch: pytest.MonkeyPatch, n_parted: int, steps: list[str]
) -> None:
    assert Steps(monkeypatch, n_parted).run() == ["refine", "part", *steps]


def test_after_a_join_that_was_undone_all_is_adjusted_once_more_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Steps(monkeypatch, 9, refuses=True).run() == ["refine", "part", "join", "refine", "refine"]


@pytest.mark.parametrize(("stops", "steps"), [(0, ["refine"]), (1, ["refine", "part", "join", "refine"])])
def test_an_interruption_ends_it(monkeypatch: pytest.MonkeyPatch, stops: int, steps: list[str]) -> None:
    assert Steps(monkeypatch, 9, stops=stops).run() == steps


def test_a_graph_that_cannot_be_solved_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Places:
        n_forgotten = 0

        def forget_features(self) -> None:
            self.n_forgotten += 1

    def fails(*_: object) -> None:
        raise GraphError("is odd")

    places, notes = Places(), list[str]()
    monkeypatch.setattr(checked, "join_components", lambda *_: None)
    monkeypatch.setattr("vgslam.reloc.closing.optimize_map", fails)
    mending = checked.Mending(places, None, checked.LoopConfig(), None)  # type: ignore[arg-type]
    checked._join(hand_map([at()]), mending, notes)
    assert notes == ["the graph was not optimised, poses are those of the adjustment: is odd"]
    assert places.n_forgotten == 1
