"""An image that no keyframe alone finds: matches of all of them together, and the landmarks where these point."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rendered_walk import KnownMap
from synthetic import CAMERA, pose_error

from vgslam.frontend.locate import Locator
from vgslam.geometry import se3
from vgslam.localizer import Localizer
from vgslam.reloc.asked_proposer import Backoff
from vgslam.reloc.localization import Evidence
from vgslam.reloc.places import Places
from vgslam.reloc.relocalizer import Relocalizer
from vgslam.reloc.relocalizer_config import RelocalizerConfig
from vgslam.reloc.weak_poses import Matches, covisible, weak_poses

ASIDE = se3.from_rt(se3.so3_exp(np.array([0.0, np.radians(-72.0), 0.0])), np.zeros(3))
BEHIND = se3.from_rt(se3.so3_exp(np.array([0.0, np.pi, 0.0])), np.zeros(3))


@pytest.fixture
def mapped(known_map: KnownMap) -> KnownMap:
    """Four keyframes along the walk, no two of them neighbours of another pair."""
    for frame in (0, 8, 16, 24):
        known_map.add(frame)
    return known_map


def matches(mapped: KnownMap, frame: int, n_right: int, n_wrong: int) -> list[Matches]:
    """So many landmarks of every keyframe at their place in a frame, and so many anywhere."""
    rng = np.random.default_rng(3)
    out = []
    for k in range(len(mapped.map.keyframes)):
        ids, px_k = mapped.map.observed[k]
        seen, px = mapped.true_pixels(ids, frame)
        right = rng.permutation(len(seen))[:n_right]
        at = np.searchsorted(ids, seen[right])
        wrong = rng.permutation(len(ids))[:n_wrong]
        anywhere = rng.uniform([0, 0], [CAMERA.width, CAMERA.height], (n_wrong, 2))
        out.append(Matches(k, np.concatenate([px_k[at], px_k[wrong]]), np.concatenate([px[right], anywhere])))
    return out


def locator(mapped: KnownMap) -> Locator:
    return Locator(mapped.map, RelocalizerConfig().locate, mapped.tracker.config.features)


def test_five_right_matches_in_each_of_four_keyframes_make_a_pose_among_three_times_as_many_wrong_ones(mapped) -> None:
    found = weak_poses(locator(mapped), matches(mapped, 20, 5, 15), CAMERA)
    angle, distance = pose_error(se3.inverse(found[0].T_cam_world), mapped.walk.T_world_cam[20])
    assert angle < 1.0
    assert distance < 0.1
    assert found[0].n_features >= 18
    assert set(found[0].references) == {0, 1, 2, 3}


def test_wrong_matches_alone_make_no_pose(mapped) -> None:
    assert weak_poses(locator(mapped), matches(mapped, 20, 0, 15), CAMERA) == []


def test_a_feature_counts_once_however_many_keyframes_match_it(mapped) -> None:
    """Seven features, each seen from four keyframes: less than the eight that are asked for."""
    one = matches(mapped, 20, 7, 0)[0]
    assert weak_poses(locator(mapped), [one] * 4, CAMERA) == []
    eight = matches(mapped, 20, 8, 0)[0]
    assert [p.n_features for p in weak_poses(locator(mapped), [eight], CAMERA)] == [8]


def test_matches_of_other_components_are_not_mixed(known_map: KnownMap) -> None:
    for frame, component in ((0, 0), (8, 1), (16, 0), (24, 1)):
        known_map.add(frame, component)
    found = weak_poses(locator(known_map), matches(known_map, 20, 12, 4), CAMERA)
    assert {(p.component_id, frozenset(p.references)) for p in found} == {
        (0, frozenset({0, 2})), (1, frozenset({1, 3})),
    }  # fmt: skip


def test_covisible_are_those_whose_landmarks_are_in_the_image(mapped) -> None:
    T = se3.inverse(mapped.walk.T_world_cam[24])
    shown = covisible(mapped.map, T, 0, CAMERA)
    assert shown[0] == 3
    assert sorted(shown) == [0, 1, 2, 3]
    assert covisible(mapped.map, BEHIND @ T, 0, CAMERA) == []
    assert covisible(mapped.map, ASIDE @ T, 0, CAMERA) == []
    assert covisible(mapped.map, T, 1, CAMERA) == []


@pytest.mark.parametrize(
    ("n_references", "ratio", "is_strong"), [(3, 0.8, True), (2, 1.0, False), (3, 0.79, False), (4, 0.81, True)]
)
def test_strong_evidence_is_of_three_keyframes_that_hardly_disagree(n_references, ratio, is_strong) -> None:
    assert Evidence(50, ratio, 0.5, 8, n_references).is_strong == is_strong


@pytest.mark.parametrize(("share", "is_strong"), [(0.36, True), (0.34, False)])
def test_strong_evidence_is_trusted_more_than_others(share: float, is_strong: bool) -> None:
    """With 50 landmarks, .9 of them agreeing, in 8 cells and from 3 keyframes, the trust is .656 and .642."""
    evidence = Evidence(50, 0.9, share, 8, 3)
    assert evidence.is_strong == is_strong
    assert evidence.trust > 0.6


def relocalizer(mapped: KnownMap, **changes: Any) -> Relocalizer:
    config = replace(RelocalizerConfig(second_look=True), **changes)
    made = Relocalizer(mapped.map, Places(mapped.map), mapped.tracker.config.features, config)
    made.second_looks = Backoff()
    return made


def weakened(monkeypatch: pytest.MonkeyPatch) -> None:
    """No keyframe has enough matches for a pose of its own."""
    monkeypatch.setattr(Locator, "from_matches", lambda *_: None)


def test_the_second_look_finds_what_the_first_does_not(mapped, monkeypatch: pytest.MonkeyPatch) -> None:
    weakened(monkeypatch)
    view = mapped.tracker.view(99, 3.3, mapped.walk.images[20])
    monkeypatch.setattr("vgslam.reloc.relocalizer.GAP", 0)  # four keyframes are all neighbours
    monkeypatch.setattr("vgslam.reloc.relocalizer.spaced", lambda ids, n: list(dict.fromkeys(ids))[:n])
    assert relocalizer(mapped, second_look=False).locate(view, CAMERA) is None
    looking = relocalizer(mapped)
    found = looking.locate(view, CAMERA)
    assert looking.accepts(found)
    assert found is not None
    angle, distance = pose_error(found.T_world_cam, mapped.walk.T_world_cam[20])
    assert angle < 0.3
    assert distance < 0.05
    assert found.evidence.n_references >= 3


def test_an_answer_of_the_second_look_that_is_not_strong_is_none(mapped, monkeypatch: pytest.MonkeyPatch) -> None:
    weakened(monkeypatch)
    view = mapped.tracker.view(99, 3.3, mapped.walk.images[20])
    looking = relocalizer(mapped)  # neighbours count as one: there are never three
    assert not looking.accepts(looking.locate(view, CAMERA))


def test_a_run_takes_no_second_look(mapped, monkeypatch: pytest.MonkeyPatch) -> None:
    weakened(monkeypatch)
    looks: list[None] = []
    monkeypatch.setattr(Relocalizer, "_second_look", lambda *_: looks.append(None))
    config = RelocalizerConfig(second_look=True)
    looking = Relocalizer(mapped.map, Places(mapped.map), mapped.tracker.config.features, config)
    assert looking.locate(mapped.tracker.view(99, 3.3, mapped.walk.images[20]), CAMERA) is None
    assert looks == []
    localizer = Localizer(mapped.map, None, config)
    assert not localizer.accepts(localizer.locate(mapped.walk.images[20]))
    assert looks == [None]


def test_a_first_look_that_is_accepted_ends_the_search(mapped, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the second look was taken")

    monkeypatch.setattr(Relocalizer, "_second_look", never)
    looking = relocalizer(mapped)
    assert looking.accepts(looking.locate(mapped.tracker.view(99, 3.3, mapped.walk.images[10]), CAMERA))


def test_second_looks_in_vain_are_taken_less_and_less_often(mapped, monkeypatch: pytest.MonkeyPatch) -> None:
    weakened(monkeypatch)
    looks: list[int] = []
    looking = relocalizer(mapped)
    view = mapped.tracker.view(99, 3.3, mapped.walk.images[20])
    for i in range(12):
        monkeypatch.setattr(looking, "_second_look", lambda *_, i=i: looks.append(i))
        looking.locate(view, CAMERA)
    assert looks == [0, 2, 5, 10]


def test_backoff_without_a_limit_leaves_none_out() -> None:
    always = Backoff(0)
    for _ in range(3):
        assert always.is_due()
        always.ended(False)


def test_a_look_that_helped_is_followed_by_another_at_once() -> None:
    some = Backoff(8)
    for _ in range(4):
        some.ended(False)
    assert not some.is_due()
    some.ended(True)
    assert some.is_due()
