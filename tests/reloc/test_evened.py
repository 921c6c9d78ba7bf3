"""Images with even contrast: the formula, pixel by pixel."""

import numpy as np
import pytest

from vgslam.reloc.locate import evened

RADIUS = 2


@pytest.mark.parametrize("contrast", [0.0, 1.0, 90.0])
def test_each_pixel_is_compared_with_its_window(contrast: float) -> None:
    rng = np.random.default_rng(0)
    gray = np.clip(120 + contrast * rng.normal(size=(20, 24)), 0, 255).astype(np.uint8)
    before = gray.copy()
    found = evened(gray, RADIUS)
    np.testing.assert_array_equal(gray, before)
    for v, u in ((RADIUS, RADIUS), (9, 11), (12, 20)):
        window = gray[v - RADIUS : v + RADIUS + 1, u - RADIUS : u + RADIUS + 1].astype(float)
        deviation = np.sqrt(max(window.var(), 1.0))
        expected = np.clip(128 + 40 * (gray[v, u] - window.mean()) / (deviation + 4), 0, 255)
        assert found[v, u] == pytest.approx(expected, abs=1.01)


def test_a_window_without_contrast_is_flat() -> None:
    assert (evened(np.full((30, 30), 77, np.uint8)) == 128).all()
