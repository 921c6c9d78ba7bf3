"""Where matched points of a window lie, how many there have to be, and who looks at the clock, worked out by hand."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vgslam.adapt import adapter, online, worker
from vgslam.adapt import windows as module
from vgslam.adapt.windows import PointMatches, Skip, Window, _on_epipolar_lines, make_window
from vgslam.geometry.camera import Camera
from vgslam.session.adaptation import AdaptOptions, _begun

CAMERA = Camera(400.0, 400.0, 319.5, 239.5, 640, 480)
NETWORK = SimpleNamespace(image_size=160, patch_size=8, keeps_area=False)


def window_of(
    n: int, monkeypatch: pytest.MonkeyPatch, motion_px: float = 8.0, parallax_px: float = 2.0
) -> Window | Skip:
    """A window of two images of 640 x 480, with n matches at (10, 20) of images half as large."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (480, 640, 3), np.uint8) for _ in range(2)]
    px = np.tile([10.0, 20.0], (n, 1))
    found = PointMatches(1, px, px, px + np.array([motion_px, 0.0]))
    monkeypatch.setattr(module, "_match", lambda grey: [found])
    monkeypatch.setattr(module, "parallax_px", lambda matches, K: parallax_px)
    return make_window(images, range(2), CAMERA, NETWORK)  # type: ignore[arg-type]


def test_points_go_from_small_images_to_the_networks_by_their_centres(monkeypatch: pytest.MonkeyPatch) -> None:
    """(10, 20) of 320 x 240 is (20.5, 40.5) of 640 x 480, and (4.75, 9.75) of 160 x 120, whose pixels are half as wide
    as those in which it was matched."""
    window = window_of(25, monkeypatch)
    assert isinstance(window, Window)
    [matches] = window.matches
    np.testing.assert_allclose(matches.first_px, np.tile([4.75, 9.75], (25, 1)))
    np.testing.assert_allclose(matches.other_px, np.tile([8.75, 9.75], (25, 1)))
    assert window.match_px == 0.5
    np.testing.assert_allclose(window.K[[0, 1], [0, 1]], [100.0, 100.0])


def test_twenty_five_matches_that_move_by_more_than_a_turn_make_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    assert window_of(24, monkeypatch) is Skip.UNMATCHED
    assert window_of(25, monkeypatch, 0.99) is Skip.STATIC
    assert window_of(25, monkeypatch, 1.01, 0.99) is Skip.ROTATION_ONLY
    assert isinstance(window_of(25, monkeypatch, 1.01, 1.01), Window)


@pytest.mark.parametrize(("n", "n_wrong", "is_kept"), [(15, 0, True), (14, 0, False), (60, 20, True), (60, 30, False)])
def test_fifteen_matches_of_which_six_tenths_obey_one_geometry_are_kept(n: int, n_wrong: int, is_kept: bool) -> None:
    """All go to the side, by how near they are."""
    rng = np.random.default_rng(1)
    p = rng.uniform([20, 20], [300, 220], (n, 2))
    q = p + np.stack([rng.uniform(3, 30, n), np.zeros(n)], axis=1)
    q[:n_wrong] = rng.uniform([20, 20], [300, 220], (n_wrong, 2))
    keep = _on_epipolar_lines(p, q)
    assert keep[n_wrong:].all() == is_kept
    assert keep.any() == is_kept


def test_only_what_learns_beside_the_frames_looks_at_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds: list[float] = []
    weights = SimpleNamespace(sha256="0", model_id="net")
    network: Any = SimpleNamespace(backbone=SimpleNamespace(model=None), weights=weights)

    def noted(model: object, *rest: Any) -> None:
        seconds.append(next(x.max_train_s for x in rest if hasattr(x, "max_train_s")))

    monkeypatch.setattr(adapter, "Adapter", noted)
    monkeypatch.setattr(worker, "BackgroundAdapter", noted)
    monkeypatch.setattr(online, "OnlineAdaptation", lambda *_: None)
    for mode in ("sync", "background"):
        _begun(network, mode, None, 0, AdaptOptions(max_seconds=9.0), Path())
    assert seconds == [float("inf"), 9.0]
