"""What is tracked to find a camera, and what its figures mean, worked out by hand."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from vgslam.errors import InputError
from vgslam.refine.lens import Lens
from vgslam.session import self_calibration as module
from vgslam.session.self_calibration import CalibrationEstimate, estimate_camera
from vgslam.slam import SlamConfig
from vgslam.types import Camera, Frame, Ids

SQUARE = Camera(100.0, 100.0, 99.5, 99.5, 200, 200)
"""A field of view of 90 degrees."""


class Frames:
    """A source of n small frames, as often as it is read; counts those that were taken."""

    kind, name, camera, truth = "list", "list", None, None

    def __init__(self, n: int) -> None:
        self.n_frames, self.warnings, self.n_taken = n, [], 0

    def __iter__(self) -> Iterator[Frame]:
        for i in range(self.n_frames):
            self.n_taken += 1
            yield Frame(i, i / 30, np.zeros((150, 200, 3), np.uint8))


class Tracking:
    """Stands in for the system: every frame is a keyframe, of component 4 but for the first, of 7."""

    made: list["Tracking"]

    def __init__(self, camera: Camera, config: SlamConfig) -> None:
        self.camera, self.config = camera, config
        self.map = SimpleNamespace(keyframes=[])
        Tracking.made.append(self)

    def process(self, frame: Frame) -> None:
        self.map.keyframes.append(SimpleNamespace(component_id=4 if self.map.keyframes else 7))


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The keyframes that a lens was asked of, each time; it is the one that the frames were tracked with."""
    Tracking.made = []
    asked: list[list[int]] = []

    def lens_of(_: object, of: Ids) -> Lens:
        asked.append(of.tolist())
        return Lens(Tracking.made[-1].camera, 0.02, 0.01, (0.05, 0.05), 0.5, True)

    monkeypatch.setattr(module, "SlamSystem", Tracking)
    monkeypatch.setattr(module, "lens_of", lens_of)
    return asked


def test_the_first_frames_alone_are_tracked_and_the_largest_component_is_asked(members: list[list[int]]) -> None:
    source = Frames(100)
    assert estimate_camera(source, SlamConfig(), n_frames=6).is_reliable
    assert members == [[1, 2, 3, 4, 5]]
    assert source.n_taken <= 1 + 6 + 1


def test_each_frame_of_each_pass_is_told(members: list[list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The second pass is tracked with what the first has found: a camera that is no longer the same."""
    lenses = [replace(SQUARE, fx=fx, fy=fx) for fx in (80.0, 80.1)]

    def lens_of(_: object, __: Ids) -> Lens:
        return Lens(lenses.pop(0), 0.02, 0.01, (0.05, 0.05), 0.5, True)

    monkeypatch.setattr(module, "lens_of", lens_of)
    told: list[tuple[int, int]] = []
    estimate_camera(Frames(3), n_frames=2, tell=lambda *where: told.append(where))
    assert told == [(1, 0), (1, 1), (2, 0), (2, 1)]


def test_eighty_keyframes_are_enough(members: list[list[int]]) -> None:
    estimate_camera(Frames(100), SlamConfig(), n_frames=95)
    assert members == [list(range(1, 80))]


def test_the_camera_of_a_round_stays_while_it_is_tracked_with_and_no_depth_is_made(members: list[list[int]]) -> None:
    estimate_camera(Frames(3), SlamConfig())
    (only,) = Tracking.made
    assert not only.config.refine.while_running
    assert only.config.mapper.dense_every == 0


def test_a_source_without_a_frame_is_refused() -> None:
    with pytest.raises(InputError, match="no frame"):
        estimate_camera(Frames(0), SlamConfig())


def test_a_percent_of_the_focal_length_is_six_tenths_of_a_degree_at_90_degrees() -> None:
    """The field of view is 2 atan(h), h = w / 2f: its change with log f is 2 h / (1 + h^2) rad, 1 for h = 1."""
    found = CalibrationEstimate.of(SQUARE, 0.01)
    assert found.sigma_deg == pytest.approx(np.degrees(0.01))
    assert found.focal_rel_sigma == pytest.approx(0.01)
    wider = replace(SQUARE, fx=101.0, fy=101.0)
    assert SQUARE.fov_deg[0] - wider.fov_deg[0] == pytest.approx(found.sigma_deg, rel=0.01)


def test_one_half_that_determines_nothing_confirms_nothing(members: list[list[int]], monkeypatch) -> None:
    def lens_of(*_: object) -> Lens:
        return Lens(Tracking.made[-1].camera, 0.02, 0.01, (0.05, 0.25), 0.5, True)

    monkeypatch.setattr(module, "lens_of", lens_of)
    assert not estimate_camera(Frames(3), SlamConfig()).is_reliable


def test_where_nothing_makes_a_map_a_barrel_is_tried_last(members: list[list[int]], monkeypatch) -> None:
    monkeypatch.setattr(module, "lens_of", lambda *_: None)
    estimate = estimate_camera(Frames(3), SlamConfig())
    assert [(round(t.camera.fov_deg[0]), t.camera.removed_k1) for t in Tracking.made] == [
        (62, 0.0), (90, 0.0), (40, 0.0), (80, -0.25),
    ]  # fmt: skip
    assert not estimate.is_reliable
