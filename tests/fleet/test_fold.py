"""Trees of merges: the maps lie in one another as they truly do, and what is not believed stays apart."""

from pathlib import Path

import numpy as np
import pytest
from fleet.walks import FRAMES, Here, N, saved, tie, true_pose, walk

from vgslam.errors import MapError, VgslamError
from vgslam.fleet.calls import LocalCalls
from vgslam.fleet.fold import Branch, MapTies, next_pairs, trouble_of
from vgslam.fleet.meet import Known, known
from vgslam.fleet.merge_many import anchored, candidate_pairs, fold
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.reloc.map_index import EXHAUSTIVE, MapIndex
from vgslam.store.map_folder import check_map
from vgslam.store.open import load_map

AWAY = Sim3(se3.so3_exp(np.array([0.0, 1.0, 0.0])), np.array([5.0, 2.0, -3.0]), 2.0)


@pytest.fixture
def maps(tmp_path: Path) -> list[Path]:
    return [saved(walk(S), tmp_path / f"m{i}") for i, S in enumerate(FRAMES)]


def three(wrong: Sim3 | None = None) -> MapTies:
    """Ties of the first map with the second, and of the second with the third, which may be wrong."""
    return {(0, 1): [tie(k, k) for k in (1, 2, 3)], (1, 2): [tie(k, k, wrong) for k in (2, 3, 4)]}


def test_three_maps_become_one(maps: list[Path], tmp_path: Path) -> None:
    notes: dict[int, str] = {}
    [(path, members)] = fold(maps, three(), {(0, 1): 3.0, (1, 2): 3.0}, tmp_path / "out", Here(), notes)
    assert (path, members, notes) == (tmp_path / "out" / "merged-1.vgslam", [0, 1, 2], {})
    m = load_map(path)
    assert check_map(path).problems == []
    assert len(m.keyframes) == 3 * N
    assert {k.component_id for k in m.keyframes} == {m.keyframes[0].component_id}
    first = m.keyframes[0].S_world_keyframe
    for k in m.keyframes:
        there = first.inverse() @ k.S_world_keyframe
        np.testing.assert_allclose(there.matrix(), true_pose(k.id % N).matrix(), atol=0.02)
    assert len(m.sessions) == 3
    assert not (tmp_path / "out" / ".steps").exists()


def test_a_merge_whose_ties_do_not_hold_is_not_made(maps: list[Path], tmp_path: Path) -> None:
    """Each tie of the last two says another place."""
    ties = three()
    ties[1, 2] = [tie(k, k, Sim3(se3.so3_exp(np.array([0, 0.4 * k, 0])), np.array([3.0 * k, 0, 0]))) for k in (2, 3, 4)]
    notes: dict[int, str] = {}
    [(path, members)] = fold(maps, ties, {(0, 1): 3.0, (1, 2): 3.0}, tmp_path / "out", Here(), notes)
    assert members == [0, 1]
    assert set(notes) == {2}
    assert "ties hold" in notes[2]
    assert len(load_map(path).keyframes) == 2 * N


def test_a_map_that_cannot_be_read_stops_no_other_merge(maps: list[Path], tmp_path: Path) -> None:
    next(maps[2].glob("state-*")).unlink()
    notes: dict[int, str] = {}
    [(_, members)] = fold(maps, three(), {(0, 1): 3.0, (1, 2): 3.0}, tmp_path / "out", Here(), notes)
    assert members == [0, 1]
    assert "state-" in notes[2]


def test_a_map_that_a_merge_would_tear_is_seen() -> None:
    m = walk(Sim3.identity())
    assert trouble_of(m, [tie(0, 5).edge(0, 0)]) == ""
    m.set_pose(5, AWAY @ m.keyframes[5].S_world_keyframe)
    assert "ties hold" in trouble_of(m, [tie(0, 5).edge(0, 0)])
    assert "a step between two keyframes" in trouble_of(m, [tie(0, 4).edge(0, 0)])


def test_pairs_are_merged_side_by_side_the_heaviest_first() -> None:
    branches = [Branch(Path("x"), {n: 0}) for n in range(5)]
    weights = {(0, 1): 3.0, (1, 2): 5.0, (2, 3): 4.0, (3, 4): 1.0}
    assert next_pairs(branches, weights) == [(1, 2), (3, 4)]
    grown = [Branch(Path("x"), {0: 0}), Branch(Path("x"), {1: 0, 2: 6}), Branch(Path("x"), {3: 0, 4: 6})]
    assert next_pairs(grown, weights) == [(1, 2)], "4 weighs more than 3"
    assert next_pairs([Branch(Path("x"), {0: 0, 1: 6})], weights) == []


def coded(rng: np.random.Generator, places: list[int], n_bits: int = 300) -> np.ndarray:
    """Codes (n,256) of views of numbered places: 300 of 2048 bits differ from view to view."""
    out = []
    for place in places:
        bits = np.random.default_rng(place).integers(0, 2, 2048).astype(np.uint8)
        bits[rng.choice(2048, n_bits, replace=False)] ^= 1
        out.append(np.packbits(bits))
    return np.stack(out)


@pytest.mark.parametrize("n_others", [0, EXHAUSTIVE // 10])
def test_maps_that_look_alike_in_several_places_are_candidates(n_others: int) -> None:
    """Also where the index does not compare all: maps 0 and 1 share 5 places, 1 and 2 one, which is too few."""
    rng = np.random.default_rng(0)
    places = [list(range(10)), list(range(5, 15)), [14, *range(100, 109)]]
    about = {n: Known(coded(rng, p), np.arange(10), {0: 10}) for n, p in enumerate(places)}
    noise = rng.integers(0, 256, (n_others * 10 + 10, 256), dtype=np.uint8)
    about |= {3 + n: Known(noise[10 * n : 10 * n + 10], np.arange(10), {0: 10}) for n in range(n_others + 1)}
    assert candidate_pairs(about) == [(0, 1)]


def test_the_index_finds_each_code_itself() -> None:
    codes = coded(np.random.default_rng(0), [1, 2, 3])
    ids, likeness = MapIndex(codes, np.arange(3)).neighbours(5, 0, 3)
    assert ids[:, 0].tolist() == [0, 1, 2]
    np.testing.assert_allclose(likeness[:, 0], 1.0)
    assert (ids[:, 3:] == -1).all()
    assert (likeness[:, 3:] == 0).all()


def test_calls_in_other_processes_give_answers_and_errors(maps: list[Path], tmp_path: Path) -> None:
    answers = dict(LocalCalls(1).each(known, [(maps[0],), (tmp_path,)]))
    assert isinstance(answers[0], Known)
    assert isinstance(answers[1], VgslamError)
    assert isinstance(answers[1], MapError)


@pytest.mark.parametrize(("ks", "is_merged"), [((0, 0, 5, 5), True), ((1, 1, 2, 2), False)])
def test_two_maps_are_tied_by_two_places_and_not_by_one(ks: tuple[int, ...], is_merged: bool) -> None:
    """Between the first and the last keyframe lie 5, of which each sees 4; between the second and the third 1."""
    about = {n: Known(np.zeros((0, 256), np.uint8), np.zeros(0, np.int64), {0: N}) for n in (0, 1)}
    found = anchored(about, {(0, 1): [tie(k, k) for k in ks]})
    assert set(found.edges) == ({(0, 1)} if is_merged else set())
    assert found.weights == ({(0, 1): 4.0} if is_merged else {})
    assert [(d.a, d.b, d.keyframes_a, d.n_ties) for d in found.doubts] == ([] if is_merged else [(0, 1, (1, 2), 4)])
