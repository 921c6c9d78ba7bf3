"""How many keyframes in a row have to agree on a loop, and on joining two components."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hand_map import at, hand_map

from vgslam.reloc import verifiers
from vgslam.reloc.loops import FAR_SHARED, NEAR_GAPS, ROW_GAP, LoopConfig, LoopFinder
from vgslam.reloc.verifiers import LandmarkVerifier


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


@pytest.mark.parametrize(
    ("apart", "n_shared", "is_much"),
    [(NEAR_GAPS * 3 - 1, 10, False), (NEAR_GAPS * 3 - 1, 11, True), (NEAR_GAPS * 3, 11, False),
     (NEAR_GAPS * 3, 10 * FAR_SHARED, False), (NEAR_GAPS * 3, 10 * FAR_SHARED + 1, True)],
)  # fmt: skip
def test_keyframes_that_share_more_than_ten_landmarks_tell_nothing_new(
    apart: int, n_shared: int, is_much: bool
) -> None:
    m = hand_map([at(x=float(k)) for k in range(apart + 1)])
    ids = m.landmarks.add(0, np.tile([0.0, 0.0, 4.0], (200, 1)), np.ones(200), np.zeros((200, 3), np.uint8))
    m.observe(0, ids[:100], np.zeros((100, 2)))
    m.observe(apart, ids[100 - n_shared : 190], np.zeros((90 + n_shared, 2)))
    finder = LoopFinder(m, None, None, LoopConfig(min_gap=3))  # type: ignore[arg-type]
    assert finder._shares_much(0, apart) == is_much


def test_the_scale_of_a_loop_is_said_by_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keyframe b sees the landmarks of a .1 deeper than its own, and a those of b .3 nearer: .2 in the middle, with a
    deviation of 1.48 times .1."""
    m = hand_map([at(), at(x=1.0)])
    places = SimpleNamespace(features=lambda k: None, gray=lambda k: np.zeros((160, 200), np.uint8))
    verifier = LandmarkVerifier(m, places, None, LoopConfig())  # type: ignore[arg-type]
    px = np.zeros((25, 2))
    monkeypatch.setattr(verifiers, "epipolar_matches", lambda *_: (px, px))
    monkeypatch.setattr(verifiers, "cells", lambda *_: 16)
    found = SimpleNamespace(pixels=px)
    monkeypatch.setattr(verifier, "_locator", SimpleNamespace(locate=lambda *_: found))
    monkeypatch.setattr(verifier, "_target", lambda b: None)
    monkeypatch.setattr(verifier, "_log_ratio", lambda found, k: np.array([0.1] if k == 1 else [-0.3]))
    monkeypatch.setattr(verifier, "_meeting", lambda a, b, forth, back, scale: scale)
    assert verifier.verify(0, 1) == pytest.approx((0.2, 1.4826 * 0.1), rel=1e-3)
