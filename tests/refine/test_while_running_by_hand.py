"""When the calibration is adjusted along the way, of which keyframes, and what goes on with the outcome."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hand_map import CAMERA, at

from vgslam.frontend.rotation_guess import Thumbnail
from vgslam.frontend.tracker import View
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.refine import while_running as module
from vgslam.refine.adjust import RefineConfig
from vgslam.refine.while_running import CalibrationWhileRunning
from vgslam.types import Keyframe

BETTER = replace(CAMERA, fx=110.0, fy=110.0)
IMAGE = np.full((CAMERA.height, CAMERA.width, 3), 50, np.uint8)
"""What keyframes hold; views that come are brighter."""


class World:
    """A map that grows, and an adjustment that gives the keyframes it is asked of another camera, if it is kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, config: RefineConfig | None = None) -> None:
        self.map, self.is_kept = SlamMap(), True
        self.asked: list[tuple[int, list[int]]] = []
        self.settings: list[tuple[RefineConfig, bool]] = []
        self.along: list[tuple[list[int], Camera, float]] = []
        self.cameras: list[Camera] = []
        monkeypatch.setattr(module, "solved", self._solved)
        monkeypatch.setattr(module, "taken", self._taken)
        monkeypatch.setattr(module, "take_along", lambda m, ids, c, k1: self.along.append((ids.tolist(), c, k1)))
        self.calibration = CalibrationWhileRunning(self.map, CAMERA, config or RefineConfig(), [self])

    def take_camera(self, camera: Camera) -> None:
        self.cameras.append(camera)

    def _solved(self, m: SlamMap, members: np.ndarray, config: RefineConfig, _: Any, for_calibration: bool) -> Any:
        self.asked.append((len(m.keyframes), members.tolist()))
        self.settings.append((config, for_calibration))
        return None, SimpleNamespace(problem=SimpleNamespace(k1=0.07))

    def _taken(self, m: SlamMap, component: int, members: np.ndarray, *_: Any) -> Any:
        for k in members.tolist() if self.is_kept else []:
            m.keyframes[k].camera = BETTER
        return SimpleNamespace(is_kept=self.is_kept)

    def keyframe(self, component: int = 0) -> View:
        """One more; the view that tracking goes on with."""
        k = len(self.map.keyframes)
        new = Keyframe(k, k, float(k), IMAGE, CAMERA, Sim3.from_T(at(x=float(k))), component)
        self.map.add_keyframe(new, np.zeros(0, np.int64), np.zeros((0, 2)))
        bright = np.full_like(IMAGE, 200)
        gray = np.asarray(cv2.cvtColor(bright, cv2.COLOR_RGB2GRAY), np.uint8)
        view = View(k, float(k), bright, gray, Thumbnail(gray, CAMERA))
        return self.calibration.at_keyframe(view, np.zeros(0, np.int64), np.zeros((0, 2), np.float32))[0]


def test_it_is_adjusted_at_the_tenth_the_thirtieth_and_the_hundredth_keyframe(monkeypatch: pytest.MonkeyPatch) -> None:
    w = World(monkeypatch)
    for _ in range(120):
        w.keyframe()
    assert [n for n, _ in w.asked] == [10, 30, 100]
    assert [is_for for _, is_for in w.settings] == [True] * 3
    assert w.cameras == [BETTER] * 3


def test_each_component_counts_its_own_keyframes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eleven of one, then ten of another: the tenth of each."""
    w = World(monkeypatch)
    for component in (0,) * 11 + (3,) * 12:
        w.keyframe(component)
    assert w.asked == [(10, list(range(10))), (21, list(range(11, 21)))]
    assert [(ids, k1) for ids, _, k1 in w.along] == [([], 0.07), (list(range(11)), 0.07)]
    assert all(camera == BETTER for _, camera, _ in w.along)


def test_tracking_goes_on_with_the_keyframes_straightened_image_and_the_new_camera(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    w = World(monkeypatch)
    for _ in range(5):
        w.keyframe(1)  # which keep the old camera
    views = [w.keyframe() for _ in range(11)]
    assert [v.gray[0, 0] for v in views] == [200] * 9 + [50, 200]
    assert views[9].thumbnail.camera == Thumbnail(views[9].gray, BETTER).camera
    assert views[9].thumbnail.camera != views[8].thumbnail.camera


def test_what_is_not_kept_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    w = World(monkeypatch)
    w.is_kept = False
    views = [w.keyframe() for _ in range(10)]
    assert len(w.asked) == 1
    assert (w.cameras, w.along) == ([], [])
    assert views[-1].gray[0, 0] == 200


@pytest.mark.parametrize(("given", "held"), [(None, 100.0), (93.0, 93.0)])
def test_adjustments_hold_to_the_focal_length_that_was_given(
    monkeypatch: pytest.MonkeyPatch, given: float | None, held: float
) -> None:
    w = World(monkeypatch, RefineConfig(focal_px=given))
    for _ in range(30):
        w.keyframe()
    assert [config.focal_px for config, _ in w.settings] == [held, held]


def test_a_calibration_that_is_fixed_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    w = World(monkeypatch, RefineConfig(is_calibration_fixed=True))
    for _ in range(30):
        w.keyframe()
    assert w.asked == []
