"""How many keyframes in a row have to agree on a loop, and on joining two components."""

from types import SimpleNamespace
from typing import Any

import pytest
from hand_map import at, hand_map

from vgslam.reloc.loops import ROW_GAP, LoopConfig, LoopFinder


def found_at(
    keyframes: list[int], joins: bool, agrees: bool, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[int, list[int]]]:
    """At which of the keyframes something is confirmed, and by which, if each meets keyframe 0."""
    m = hand_map([at(x=float(k)) for k in range(60)])
    m.keyframes[0].component_id = 7 if joins else 0
    finder = LoopFinder(m, SimpleNamespace(pass_over=lambda k: None), None, LoopConfig())  # type: ignore[arg-type]

    def meeting(k: int, other_components: bool = False) -> Any:
        return SimpleNamespace(edge=SimpleNamespace(id_a=0, id_b=k))

    monkeypatch.setattr(finder, "meeting", meeting)
    monkeypatch.setattr(finder, "is_known", lambda x: False)
    monkeypatch.setattr(finder, "agree", lambda a, b: agrees)
    out = [(k, [x.edge.id_b for x in finder.find(k)]) for k in keyframes]
    return [(k, ids) for k, ids in out if ids]


@pytest.mark.parametrize(
    ("joins", "agrees", "found"),
    [
        (False, True, [(41, [40, 41]), (42, [41, 42])]),
        (True, True, [(42, [40, 41, 42])]),
        (False, False, []),
        (True, False, []),
    ],
)
def test_two_in_a_row_make_a_loop_and_three_join_components(
    joins: bool, agrees: bool, found: list[tuple[int, list[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found_at([40, 41, 42], joins, agrees, monkeypatch) == found


@pytest.mark.parametrize(("gap", "is_found"), [(ROW_GAP, True), (ROW_GAP + 1, False)])
def test_in_a_row_is_not_far_apart(gap: int, is_found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bool(found_at([30, 30 + gap], False, True, monkeypatch)) == is_found
