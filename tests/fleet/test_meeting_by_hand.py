"""Which maps are looked at, and where they meet, from both sides of each limit."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fleet.said import said, turned
from fleet.walks import Here, saved, walk
from hand_map import add_landmarks, at, hand_map

from vgslam.errors import MapError
from vgslam.fleet import meet as meet_module
from vgslam.fleet.meet import Known, _Middles, _rows, _tie, meet
from vgslam.fleet.merge_many import anchored, candidate_pairs, merge_many
from vgslam.geometry.sim3 import Sim3
from vgslam.reloc.loops import Meeting
from vgslam.types import Array, Edge, EdgeKind

# -- which maps are looked at


def view_of(code: Array, n_bits: int, seed: int) -> Array:
    """A code of which so many of 2048 bits differ."""
    bits = np.unpackbits(code)
    bits[np.random.default_rng(seed).choice(2048, n_bits, replace=False)] ^= 1
    return np.packbits(bits)


@pytest.mark.parametrize(("n_bits", "n_alike", "are_candidates"), [(865, 2, True), (876, 2, False), (0, 1, False)])
def test_two_views_alike_by_0_15_make_a_pair(n_bits: int, n_alike: int, are_candidates: bool) -> None:
    """1 - 2 d / 2048 is 0.15 at 870 bits."""
    codes = np.random.default_rng(0).integers(0, 256, (4, 256), dtype=np.uint8)
    other = np.stack([view_of(codes[i], n_bits, i) if i < n_alike else ~codes[i] for i in range(4)])
    about = {0: Known(codes, np.arange(4), {0: 4}), 5: Known(other, np.arange(4), {0: 4})}
    assert candidate_pairs(about) == ([(0, 5)] if are_candidates else [])


def test_a_map_has_ten_partners_unless_the_other_has_fewer() -> None:
    """Map 0 looks like each of 13 others, and they have nobody else. Of 13 that all look alike each has ten."""
    codes = np.random.default_rng(1).integers(0, 256, (2, 256), dtype=np.uint8)
    alone = [np.random.default_rng(10 + n).integers(0, 256, (2, 256), dtype=np.uint8) for n in range(14)]
    star = {n: Known(np.concatenate([alone[n]]), np.arange(2), {0: 2}) for n in range(1, 14)}
    star[0] = Known(np.concatenate(alone[1:14]), np.arange(26), {0: 26})
    assert candidate_pairs(dict(sorted(star.items()))) == [(0, n) for n in range(1, 14)]
    crowd = {n: Known(codes, np.arange(2), {0: 2}) for n in range(13)}
    pairs = candidate_pairs(crowd)
    counts = np.bincount(np.ravel(pairs), minlength=13)
    assert len(pairs) < 13 * 12 / 2
    assert counts.min() >= 10


def test_what_becomes_of_maps_that_cannot_be_read_or_that_share_nothing(tmp_path: Path) -> None:
    maps = [saved(walk(Sim3.identity()), tmp_path / "good"), tmp_path / "none"]
    found = merge_many(maps, tmp_path / "out", Here())
    assert (found.groups, found.apart, set(found.notes)) == ([], [0, 1], {1})
    with pytest.raises(MapError, match="none of 1 maps"):
        merge_many(maps[1:], tmp_path / "out", Here())


def test_ties_of_bonds_that_are_used_join_maps() -> None:
    about = {n: Known(np.zeros((1, 256), np.uint8), np.arange(1), {0: 9, 1: 3}) for n in (0, 4)}
    some = [replace(said(turned(0, 0.01 * i), a=i), part_a=1, part_b=0) for i in (0, 1, 10, 11)]
    ties = {(0, 4): some}
    found = anchored(about, ties)
    assert found.parts == [(0, 0), (0, 1), (4, 0), (4, 1)]
    assert found.anchors.groups == [[1, 2]]
    assert [t.a for t in found.edges[0, 4]] == [0, 1, 10, 11]
    assert found.weights == {(0, 4): 4.0}
    one = anchored(about, {(0, 4): some[:2]})
    assert (one.edges, len(one.doubts)) == ({}, 1), "one place alone is no bridge"


# -- two maps that meet


class Alike:
    """Places in which keyframes of the second map look like some of the first."""

    def __init__(self, likeness: dict[int, float], n_a: int) -> None:
        self._likeness, self._n_a = likeness, n_a

    def catch_up(self) -> None:
        pass

    def like_keyframe(self, k: int, n: int) -> tuple[Array, Array]:
        mine = np.arange(self._n_a, self._n_a + 2)
        if k not in self._likeness:
            return mine, np.ones(2)
        return np.array([0, *mine]), np.array([self._likeness[k], 1.0, 1.0])


def test_rows_lie_round_keyframes_that_look_alike_the_most_alike_first() -> None:
    m = hand_map([at()] * 40)
    assert _rows(m, Alike({}, 10), 10) == []
    one = _rows(m, Alike({25: 0.3, 27: 0.2, 35: 0.1}, 10), 10)
    assert one == [range(21, 30), range(31, 40)], "27 lies in the row of 25"
    many = hand_map([at()] * 210)
    likeness = {10 + 20 * i: 0.1 + 0.01 * i for i in range(10)}
    found = _rows(many, Alike(likeness, 10), 10)
    assert [r.start + 4 for r in found] == [10 + 20 * i for i in range(2, 10)], "eight rows, the weakest two not"
    assert _rows(m, Alike({11: 0.3}, 10), 10) == [range(10, 16)], "none of the first map"


def test_a_tie_says_where_the_middle_of_one_map_lies_in_the_other() -> None:
    """Map a has keyframes at 0 and 2, with a middle at 1; map b at 10 and 12. Keyframe 1 of a sees the first of b one
    unit ahead of it: at z = 1, its middle one further to the right."""
    m = hand_map([at(), at(x=2.0), at(x=10.0), at(x=12.0)])
    for k in (2, 3):
        m.keyframes[k].component_id = 1
    add_landmarks(m, 1, np.array([[2.0, 0.0, 5.0]] * 2))
    edge = Edge(1, 2, Sim3.from_T(at(z=1.0)), np.full(7, 0.1), EdgeKind.LOOP, 0.7)
    for depth, reach in ((0.5, 2.0**0.5), (3.0, 3.0)):
        found = _tie(m, _Middles(m), meeting(edge, depth), 2, 1)
        assert (found.a, found.b, found.part_a, found.part_b) == (1, 0, 0, 0)
        np.testing.assert_allclose(found.S_middle.t, [2.0, 0.0, 1.0], atol=1e-12)
        np.testing.assert_allclose([found.sight_a.eye, found.sight_a.seen], [[1.0, 0.0, 0.0], [1.0, 0.0, 5.0]])
        np.testing.assert_allclose([found.sight_b.eye, found.sight_b.seen], [[-1.0, 0.0, 0.0], [-1.0, 0.0, 4.0]])
        assert found.reach == pytest.approx(reach)


def meeting(edge: Edge, depth: float) -> Meeting:
    class Seen:
        """A meeting of two keyframes."""

    found = Seen()
    found.edge, found.depth = edge, depth  # type: ignore[attr-defined]
    found.found = SimpleNamespace(ids=np.array([0, 1]))  # type: ignore[attr-defined]
    return found  # type: ignore[return-value]


def test_meetings_between_the_two_maps_alone_are_ties(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [saved(walk(Sim3.identity()), tmp_path / f"m{i}") for i in range(2)]
    asked: list[int] = []
    edges = {7: (1, 7), 9: (8, 9)}

    class Finder:
        def __init__(self, *_: object) -> None:
            pass

        def forget(self) -> None:
            asked.append(-1)

        def find(self, k: int, other_components: bool) -> list[Meeting]:
            asked.append(k)
            a_b = edges.get(k)
            if a_b is None:
                return []
            return [meeting(Edge(*a_b, Sim3.identity(), np.full(7, 0.1), EdgeKind.LOOP), 1.0)]

    monkeypatch.setattr(meet_module, "LoopFinder", Finder)
    monkeypatch.setattr(meet_module, "open_verifier", lambda *_: None)
    monkeypatch.setattr(meet_module, "_rows", lambda m, places, n_a: [range(6, 8), range(9, 10)])
    found = meet(*paths)
    assert asked == [-1, 6, 7, -1, 9]
    assert [(t.a, t.b, t.part_a, t.part_b) for t in found] == [(1, 1, 0, 0)]


def test_a_map_is_known_by_forty_eight_keyframes_spread_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    m = hand_map([at()] * 100)
    for k in range(30):
        m.keyframes[k].component_id = 1
    m.place_codes.codes.extend(np.arange(100, dtype=np.uint8)[:, None].repeat(256, axis=1))
    monkeypatch.setattr(meet_module, "load_map", lambda path: m)
    monkeypatch.setattr(meet_module, "Places", lambda m: Alike({}, 0))
    found = meet_module.known(tmp_path)
    assert (len(found.keyframes), found.keyframes[0], found.keyframes[-1]) == (48, 0, 99)
    assert found.codes[:, 0].tolist() == found.keyframes.tolist()
    assert found.sizes == {0: 70, 1: 30}
