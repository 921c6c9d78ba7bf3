"""The field of view from the demo, where nothing tells it, and from rounds that agree with one another or do not."""

from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from vgslam.refine.lens import Lens
from vgslam.session import self_calibration as module
from vgslam.session.self_calibration import START_FOV_DEG, CalibrationEstimate, estimate_camera
from vgslam.slam import SlamConfig
from vgslam.sources.open import open_source
from vgslam.types import Camera, Frame

GUESS = Camera.from_fov(160, 120, START_FOV_DEG)


class Listed:
    """A source without calibration from a list of frames."""

    kind, name, camera, truth = "list", "list", None, None

    def __init__(self, frames: list[Frame]) -> None:
        self._frames, self.n_frames, self.warnings = frames, len(frames), []

    def __iter__(self):
        return iter(self._frames)


NOISE = Listed(
    [Frame(i, i / 30, np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)) for i in range(12)]
)


def test_the_demo_without_its_calibration() -> None:
    demo = Path(str(resources.files("vgslam"))) / "assets" / "demo" / "demo.mp4"
    estimate = estimate_camera(open_source(demo), SlamConfig(), n_frames=100)
    assert abs(estimate.camera.fov_deg[0] - 75.0) < 2.0 * estimate.sigma_deg
    assert estimate.camera.fov_deg[0] == pytest.approx(75.0, abs=3.0)
    assert abs(estimate.camera.removed_k1) < 0.05


def test_frames_that_tell_nothing_give_a_guess_that_says_so() -> None:
    estimate = estimate_camera(NOISE, SlamConfig())
    assert not estimate.is_reliable
    assert estimate.camera == GUESS
    assert estimate.sigma_deg > 10.0


def lens(focal: float, k1: float = 0.0, sigma: float = 0.02, half: float = 0.05, has_settled: bool = True) -> Lens:
    """A lens of `focal` times the first guess."""
    camera = replace(GUESS, fx=GUESS.fx * focal, fy=GUESS.fy * focal, removed_k1=k1)
    return Lens(camera, sigma, 0.01, (half, half), 0.5, has_settled)


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch):
    """Runs an estimate in which one lens after the other is found; what the frames were tracked with."""

    def run(*found: Lens | None) -> tuple[CalibrationEstimate, list[Camera]]:
        answers: Iterator[Lens | None] = iter(found)
        tracked: list[Camera] = []
        original = module._tracked

        def track(frames, camera, config):
            tracked.append(camera)
            return original([], camera, config)

        monkeypatch.setattr(module, "_tracked", track)
        monkeypatch.setattr(module, "lens_of", lambda *_: next(answers))
        return estimate_camera(NOISE, SlamConfig()), tracked

    return run


def test_it_is_sure_when_a_round_finds_the_camera_that_it_was_tracked_with(rounds) -> None:
    estimate, tracked = rounds(lens(1.3), lens(1.25), lens(1.26))
    assert [c.fx / GUESS.fx for c in tracked] == pytest.approx([1.0, 1.3, 1.25])
    assert estimate.camera.fx == pytest.approx(1.26 * GUESS.fx)
    assert estimate.is_reliable
    assert estimate.focal_rel_sigma == pytest.approx(0.02)


def test_distortion_has_to_stay_too(rounds) -> None:
    # at the edge of the image, a field of 62 degrees, r^2 is 0.36: 0.1 of k1 moves it by 3.6 %, 0.05 by 1.8 %
    estimate, tracked = rounds(lens(1.0, -0.1), lens(1.0, -0.15))
    assert [c.removed_k1 for c in tracked] == [0.0, -0.1]
    assert estimate.camera.removed_k1 == -0.15
    assert estimate.is_reliable


def test_rounds_that_go_on_changing_are_not_sure(rounds) -> None:
    estimate, tracked = rounds(lens(1.1), lens(1.2), lens(1.1), lens(1.2))
    assert len(tracked) == 4
    assert not estimate.is_reliable
    assert estimate.focal_rel_sigma > 0.05


def test_a_map_that_is_lost_on_the_way_leaves_what_was_found_and_is_not_sure(rounds) -> None:
    estimate, _ = rounds(lens(1.2), None)
    assert estimate.camera.fx == pytest.approx(1.2 * GUESS.fx)
    assert not estimate.is_reliable


@pytest.mark.parametrize("doubtful", [lens(1.0, half=0.25), lens(1.0, sigma=0.06), lens(1.0, has_settled=False)])
def test_what_is_wide_or_not_confirmed_by_both_halves_is_not_sure(rounds, doubtful: Lens) -> None:
    assert not rounds(doubtful)[0].is_reliable
    assert rounds(lens(1.0))[0].is_reliable


def test_other_lenses_are_tried_where_the_first_makes_no_map(rounds) -> None:
    estimate, tracked = rounds(None, None, lens(1.7), lens(1.7))
    assert [round(c.fov_deg[0]) for c in tracked] == [62, 90, 40, round(lens(1.7).camera.fov_deg[0])]
    assert estimate.camera.fx == pytest.approx(1.7 * GUESS.fx)
    assert estimate.is_reliable


def test_a_camera_held_upright_has_the_same_lens() -> None:
    upright = Listed([Frame(f.id, f.timestamp_s, np.rot90(f.image).copy()) for f in NOISE])
    camera = estimate_camera(upright, SlamConfig()).camera
    assert (camera.width, camera.height) == (120, 160)
    assert camera.fx == camera.fy == pytest.approx(GUESS.fx)
    assert camera.fov_deg[1] == pytest.approx(START_FOV_DEG)
