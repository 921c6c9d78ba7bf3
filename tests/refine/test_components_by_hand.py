"""Which components are adjusted and when, and what of it is kept, from both sides of each limit."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hand_map import CAMERA, add_landmarks, at, grid, hand_map

from vgslam.map.slam_map import SlamMap
from vgslam.refine import refine_map as refine_module
from vgslam.refine import while_running as running_module
from vgslam.refine.adjust import CalibrationOutcome, RefineConfig, Watch
from vgslam.refine.apply import Aligned
from vgslam.refine.outcome import CalibrationChange, ComponentOutcome, RefineOutcome
from vgslam.refine.problem import gather
from vgslam.refine.refine_map import components, refine_map, solved, taken
from vgslam.refine.turning import Turning
from vgslam.refine.while_running import CalibrationWhileRunning

# -- components


def test_components_of_three_keyframes_are_adjusted_the_largest_first() -> None:
    m = hand_map([at()] * 12)
    for k in range(12):
        m.keyframes[k].component_id = 0 if k < 2 else 1 if k < 5 else 2 if k < 9 else 3
    assert [(c, len(ids)) for c, ids in components(m)] == [(2, 4), (1, 3), (3, 3)]


def test_a_keyframe_that_moved_far_or_turned_counts_as_moved() -> None:
    """A hundredth of a depth of 4 is 0.04, and half a degree."""
    m = hand_map([at(x=0.5 * k) for k in range(6)])
    add_landmarks(m, 0, grid(6, 6, 4.0), range(6))
    result = solved(m, np.arange(6), RefineConfig(is_calibration_fixed=True), Watch())
    assert result is not None
    T = m.T_world_keyframes(np.arange(6))
    T[1] = at(x=0.5, y=0.039)
    T[2] = at(x=1.0, y=0.041)
    T[3] = at(x=1.5, turn=(0.0, 0.0, 0.49))
    T[4] = at(x=2.0, turn=(0.0, 0.0, 0.51))
    placed = replace(result[1], problem=replace(result[1].problem, T_cam_world=np.linalg.inv(T)))
    done = replace(result[0], calibration=CalibrationOutcome(True, False, 0.01, 0.02))
    outcome = taken(m, 0, np.arange(6), RefineConfig(), (done, placed), is_checked=True)
    assert (outcome.is_kept, outcome.n_moved) == (True, 2)
    assert outcome.largest_move == pytest.approx(0.041 / 4.0)
    assert outcome.calibration == CalibrationChange(100.0, 100.0, 1.0, 0.0, 0.0)
    refuted = replace(done, calibration=replace(done.calibration, refuted_px=100.0))
    outcome = taken(m, 0, np.arange(6), RefineConfig(), (refuted, placed), is_checked=True)
    assert outcome.calibration == CalibrationChange(100.0, 100.0, 1.0, 0.0, 0.0, refuted_px=100.0)


@pytest.mark.parametrize(
    ("calibration", "k1", "is_kept", "is_unfit"),
    [
        (CalibrationOutcome(False, False, 0.01, 0.02, other_error=0.7), 0.0, True, True),
        (CalibrationOutcome(False, False, 0.01, 0.02, other_error=0.7), 0.0, False, True),
        (CalibrationOutcome(False, False, 0.01, 0.02, other_error=0.9), 0.0, True, False),
        (CalibrationOutcome(False, False, 0.01, 0.02, other_error=0.9), 0.0, False, False),
        (CalibrationOutcome(True, False, 0.01, 0.02, refuted_px=90.0), 0.0, True, False),  # the map has the other one
        (CalibrationOutcome(True, False, 0.01, 0.02, refuted_px=90.0), 0.0, False, True),
        (CalibrationOutcome(True, True, 0.01, 0.01), -0.061, False, True),  # three deviations of .02
        (CalibrationOutcome(True, True, 0.01, 0.01), 0.061, False, True),
        (CalibrationOutcome(True, True, 0.01, 0.01), 0.059, False, False),
        (CalibrationOutcome(True, False, 0.01, 0.01), 0.061, False, False),  # as it was given
        (CalibrationOutcome(True, True, 0.01, 0.01), 0.061, True, False),
    ],
)
def test_a_calibration_that_does_not_fit_is_told_unless_the_map_has_another(
    calibration: CalibrationOutcome, k1: float, is_kept: bool, is_unfit: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    m = hand_map([at(x=0.5 * k) for k in range(6)])
    add_landmarks(m, 0, grid(6, 6, 4.0), range(6))
    result = solved(m, np.arange(6), RefineConfig(is_calibration_fixed=True), Watch())
    assert result is not None
    monkeypatch.setattr(refine_module, "why_refused", lambda *_: "" if is_kept else "no")
    placed = replace(result[1], problem=replace(result[1].problem, k1=k1))
    outcome = taken(m, 0, np.arange(6), RefineConfig(), (replace(result[0], calibration=calibration), placed))
    assert (outcome.is_kept, outcome.is_calibration_unfit) == (is_kept, is_unfit)
    told = [line for line in RefineOutcome([outcome]).warnings() if "does not fit the images: another" in line]
    assert [("explains 6 keyframes" in line) for line in told] == [True] * is_unfit


class Mended:
    """Places that say whether their features were forgotten."""

    n_forgotten = 0

    def forget_features(self) -> None:
        self.n_forgotten += 1


@pytest.mark.parametrize(("k1", "is_mended", "n_solved", "n_forgotten"), [
    (0.0, True, 2, 0), (0.1, True, 2, 1), (0.0, False, 1, 0),
])  # fmt: skip
def test_a_map_with_strays_is_adjusted_once_more(
    k1: float, is_mended: bool, n_solved: int, n_forgotten: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    m = hand_map([at(x=0.5 * k) for k in range(10)])
    add_landmarks(m, 0, grid(6, 6, 4.0), range(10))
    asked, real = [], refine_module.solved

    def counted(*args: object) -> object:
        asked.append(1)
        done, placed = real(*args)
        return done, replace(placed, problem=replace(placed.problem, k1=k1))

    monkeypatch.setattr(refine_module, "solved", counted)
    monkeypatch.setattr(refine_module, "taken", lambda *_: ComponentOutcome(0, 10, True))
    monkeypatch.setattr(refine_module, "mend_strays", lambda *_: [3] if is_mended else [])
    places = Mended()
    refine_map(m, RefineConfig(is_calibration_fixed=True, rolling_shutter=False), places=places)
    assert (len(asked), places.n_forgotten) == (n_solved, n_forgotten)
    asked.clear()
    monkeypatch.setattr(refine_module, "taken", lambda *_: ComponentOutcome(0, 10, False, "no"))
    refine_map(m, RefineConfig(is_calibration_fixed=True, rolling_shutter=False), places=places)
    assert len(asked) == 1, "what was refused is not mended"


@pytest.mark.parametrize(("refused", "n_usual"), [("", 0), ("it is wrong", 1)])
def test_a_turn_that_is_refused_is_adjusted_as_usual(
    refused: str, n_usual: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    m = hand_map([at(x=0.5 * k) for k in range(10)])
    add_landmarks(m, 0, grid(6, 6, 4.0), range(10))
    result = solved(m, np.arange(10), RefineConfig(is_calibration_fixed=True), Watch())
    assert result is not None
    asked = []
    monkeypatch.setattr(refine_module, "turning", lambda *_: Turning(result, 0.02, refused))
    monkeypatch.setattr(refine_module, "solved", lambda *_: asked.append(1))
    [found] = refine_map(m, RefineConfig(), places=Mended()).components
    assert len(asked) == n_usual
    assert found.readout_s == (0.0 if refused else 0.02)


# -- while a recording runs


@pytest.mark.parametrize("component", [0, 1])
def test_a_calibration_is_looked_at_at_the_tenth_thirtieth_and_hundredth_keyframe(
    component: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    m = SlamMap()
    running = CalibrationWhileRunning(m, CAMERA, RefineConfig(), [])
    assert running.config.focal_px == 100.0
    assert CalibrationWhileRunning(m, CAMERA, RefineConfig(focal_px=90.0), []).config.focal_px == 90.0
    looked = []
    monkeypatch.setattr(running, "_adjusted", lambda: looked.append(len(m.keyframes) - 5))
    many = hand_map([at()] * 110)
    for k, keyframe in enumerate(many.keyframes):
        keyframe.component_id = component if k >= 5 else 1 - component  # five of another
        m.add_keyframe(keyframe, np.zeros(0, np.int64), np.zeros((0, 2)))
        running.at_keyframe(SimpleNamespace(frame_id=k), None, None)  # type: ignore[arg-type]
    assert looked == [10, 30, 100]


def test_keyframes_of_other_components_are_straightened_too(monkeypatch: pytest.MonkeyPatch) -> None:
    m = hand_map([at()] * 4)
    m.keyframes[0].component_id = 7
    running = CalibrationWhileRunning(SlamMap(), CAMERA, RefineConfig(), [])
    running.map = m
    placed = Aligned(replace(gather(m, np.arange(1, 4)), k1=0.25), np.ones(3))
    monkeypatch.setattr(running_module, "solved", lambda *_, **__: (None, placed))
    monkeypatch.setattr(running_module, "taken", lambda *_: ComponentOutcome(1, 3, True))
    asked = []
    monkeypatch.setattr(running_module, "take_along", lambda m, *about: asked.append(about))
    assert running._adjusted() == CAMERA
    [(ids, camera, k1)] = asked
    assert (ids.tolist(), camera, k1) == ([0], CAMERA, 0.25)
    monkeypatch.setattr(running_module, "taken", lambda *_: ComponentOutcome(1, 3, False))
    assert running._adjusted() is None
