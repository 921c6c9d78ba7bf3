"""The field of view from tracks of known points, from the demo, and where nothing tells it."""

from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from vgslam.geometry import se3
from vgslam.session.self_calibration import _solve, estimate_camera
from vgslam.slam import SlamConfig
from vgslam.sources.open import open_source
from vgslam.types import Camera, Frame

TRUE = Camera.from_fov(640, 480, 62.0)


class Listed:
    """A source without calibration from a list of frames."""

    kind, name, camera, truth = "list", "list", None, None

    def __init__(self, frames: list[Frame]) -> None:
        self._frames, self.n_frames, self.warnings = frames, len(frames), []

    def __iter__(self):
        return iter(self._frames)


def seen(noise_px: float, seed: int = 0):
    """Poses of an arc around scattered points, and every projection inside the image."""
    rng = np.random.default_rng(seed)
    points = rng.uniform([-2, -1.5, 3], [2, 1.5, 6], (150, 3))
    T = np.stack([se3.exp(np.array([0.02 * i, -0.04 * i, 0.03 * i, 0.2 * i, 0.05 * i, 0.1 * i])) for i in range(7)])
    frame, index, pixels = [], [], []
    for i, T_wc in enumerate(T):
        px = TRUE.project(se3.transform(se3.inverse(T_wc), points))
        inside = ((px > 0) & (px < [639, 479])).all(axis=1)
        frame.append(np.full(inside.sum(), i))
        index.append(np.flatnonzero(inside))
        pixels.append(px[inside] + rng.normal(0, noise_px, (inside.sum(), 2)))
    return T, points, np.concatenate(frame), np.concatenate(index), np.concatenate(pixels)


@pytest.mark.parametrize("wrong", [0.9, 1.0, 1.1])
def test_the_focal_length_of_known_tracks(wrong: float) -> None:
    T, points, frame, index, pixels = seen(0.3)
    guess = replace(TRUE, fx=TRUE.fx * wrong, fy=TRUE.fy * wrong)
    solved = _solve(guess, T, points, frame, index, pixels)
    assert solved is not None
    focal, sigma = solved
    assert focal == pytest.approx(TRUE.fx, rel=0.03)
    assert 0 < sigma < 0.05


def test_more_noise_is_less_certain() -> None:
    certain, uncertain = (_solve(TRUE, *seen(noise)) for noise in (0.2, 1.0))
    assert certain is not None
    assert uncertain is not None
    assert uncertain[1] > 2 * certain[1]


def test_the_demo_without_its_calibration() -> None:
    demo = Path(str(resources.files("vgslam"))) / "assets" / "demo" / "demo.mp4"
    estimate = estimate_camera(open_source(demo), SlamConfig(), n_frames=100)
    assert estimate.is_reliable
    assert abs(estimate.camera.fov_deg[0] - 75.0) < 2.0 * estimate.sigma_deg
    assert estimate.camera.fov_deg[0] == pytest.approx(75.0, abs=7.5)


def test_frames_that_tell_nothing_give_a_guess_that_says_so() -> None:
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    estimate = estimate_camera(Listed([Frame(i, i / 30, image) for i in range(12)]), SlamConfig())
    assert not estimate.is_reliable
