"""What a start is made of, and when there is none, step by step: tracks of which some have moved, or deny a turn."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hand_map import CAMERA
from synthetic import pose

from vgslam.frontend.initializer import STILL_PX, Initializer, InitializerConfig
from vgslam.frontend.sfm import WindowSfm
from vgslam.frontend.tracker import Tracker, TrackerConfig
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap


def initializer() -> Initializer:
    return Initializer(Tracker(CAMERA, SlamMap(), TrackerConfig()), WindowSfm(), InitializerConfig())


def view(n: int) -> Any:
    return SimpleNamespace(frame_id=n, timestamp_s=float(n))


class Tracks:
    """Corners of which so many are still followed, and so many have moved."""

    def __init__(self, n_alive: int, n_moved: int, name: str = "all") -> None:
        self.name, self._moved, self.newest = name, np.arange(n_alive) < n_moved, view(9)
        self.last = SimpleNamespace(index=np.arange(n_alive))

    def follow(self, *_: object) -> None: ...

    def window(self, camera: object) -> str:
        return "window"

    def has_moved(self, px: float) -> Any:
        assert px == STILL_PX
        return self._moved

    def of_moved(self, px: float) -> "Tracks":
        assert px == STILL_PX
        return Tracks(int(self._moved.sum()), int(self._moved.sum()), f"{self.name} that moved")


@pytest.mark.parametrize(
    ("n_alive", "n_moved", "starts"), [(100, 51, True), (100, 50, False), (101, 51, True), (9, 0, False)]
)
def test_a_start_is_made_of_what_has_moved_if_that_is_more_than_half(
    n_alive: int, n_moved: int, starts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the camera may stand still before something that moves."""
    made = initializer()
    made._tracks = Tracks(n_alive, n_moved)  # type: ignore[assignment]
    monkeypatch.setattr(made, "_keep", lambda v: None)
    monkeypatch.setattr(made, "_predict", lambda tracks: "geometry")
    monkeypatch.setattr(made, "_is_leaving", lambda tracks: False)
    monkeypatch.setattr(made, "_start", lambda tracks, prediction: (tracks.name, prediction))
    assert made.step(view(3)) == (("all that moved", "geometry") if starts else None)
    assert made.step(view(4), may_start=False) is None


@pytest.mark.parametrize(
    ("is_turn", "is_denied", "is_matched", "is_predicted", "becomes"),
    [
        (True, False, False, False, ("all that moved", None)),  # a turn, which nothing denies
        (True, False, True, True, ("filled in", "usual")),
        (True, False, True, False, ("all that moved", None)),
        (True, True, True, True, ("filled in", "of moved")),  # matches deny it: how little they moved does not matter
        (True, True, True, False, None),  # and do not say what it is: begun again
        (True, True, False, True, ("all that moved", "of moved")),  # what was followed denies it, and says what it is
        (True, True, False, False, None),
        (False, False, True, True, ("filled in", "usual")),
        (False, False, True, False, None),
        (False, False, False, False, None),
    ],
)
def test_what_becomes_of_a_first_view_that_leaves(
    is_turn: bool, is_denied: bool, is_matched: bool, is_predicted: bool, becomes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, begun = initializer(), list[int]()
    n = made._config.two_view.min_inliers
    matched = SimpleNamespace(last=SimpleNamespace(index=np.arange(n)), window=lambda camera: "window", name="matched")
    monkeypatch.setattr(made, "_matched", lambda tracks: matched if is_matched else None)
    monkeypatch.setattr(made, "_is_rotation", lambda tracks: is_turn)
    monkeypatch.setattr(made, "_is_denied", lambda tracks, other: is_denied)
    monkeypatch.setattr(made, "_sfm", SimpleNamespace(predict=lambda w: "usual" if is_predicted else None))
    monkeypatch.setattr(made, "_sfm_of_moved", SimpleNamespace(predict=lambda w: "of moved" if is_predicted else None))
    monkeypatch.setattr(made, "_filled_in", lambda tracks: SimpleNamespace(name="filled in"))
    monkeypatch.setattr(made, "_start", lambda tracks, prediction: (tracks.name, prediction))
    asked = list[tuple[str, bool]]()
    monkeypatch.setattr(made, "_advised", lambda tracks, is_leaving: asked.append((tracks.name, is_leaving)))
    monkeypatch.setattr(made, "_begin", lambda v: begun.append(v.frame_id))
    assert made._out_of_view(Tracks(100, 60)) == becomes  # type: ignore[arg-type]
    assert begun == ([] if becomes else [9])
    assert asked == ([] if becomes else [("matched" if is_matched else "all that moved", True)])


@pytest.mark.parametrize(("lacking", "becomes"), [(0, ("filled in", "usual")), (1, None)])
def test_matches_make_a_start_if_there_are_enough(lacking: int, becomes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = initializer()
    n = made._config.two_view.min_inliers - lacking
    matched = SimpleNamespace(last=SimpleNamespace(index=np.arange(n)), window=lambda camera: "window")
    monkeypatch.setattr(made, "_matched", lambda tracks: matched)
    monkeypatch.setattr(made, "_is_rotation", lambda tracks: False)
    monkeypatch.setattr(made, "_sfm", SimpleNamespace(predict=lambda w: "usual"))
    monkeypatch.setattr(made, "_filled_in", lambda tracks: SimpleNamespace(name="filled in"))
    monkeypatch.setattr(made, "_start", lambda tracks, prediction: (tracks.name, prediction))
    monkeypatch.setattr(made, "_advised", lambda tracks, is_leaving: None)
    monkeypatch.setattr(made, "_begin", lambda v: None)
    assert made._out_of_view(Tracks(100, 60)) == becomes  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("step", "n_corners", "is_denied"), [(0.0, 273, False), (0.0, 274, True), (0.05, 273, False), (0.8, 273, True)]
)
def test_where_views_do_not_match_a_turn_has_to_explain_what_was_followed(
    step: float, n_corners: int, is_denied: bool
) -> None:
    """These 41 corners moved least: a step of a tenth of their depth looks nearly like a turn. Of 274 they are too few,
    whatever they say."""
    rng = np.random.default_rng(1)
    camera = Camera.from_fov(640, 480, 65.0)
    a = rng.uniform((250, 150), (390, 330), (41, 2))
    X = camera.rays(a) * rng.uniform(7.0, 9.0, (41, 1))
    b = camera.project(se3.transform(pose((1, 12, 0), (step, 0, 0)), X))
    made = Initializer(Tracker(camera, SlamMap(), TrackerConfig()), WindowSfm(), InitializerConfig())
    last = SimpleNamespace(index=np.arange(41))
    followed: Any = SimpleNamespace(pairs=(a, b), last=last, corners=np.zeros((n_corners, 2)))
    assert made._is_rotation(followed)
    assert made._is_denied(followed, None) == is_denied
