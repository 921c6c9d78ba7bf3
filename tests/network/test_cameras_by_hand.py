"""Cameras that a network predicts, and what is taken where it predicts none, worked out by hand."""

import numpy as np
import pytest
import torch

from vgslam.network.backbone import predicted_cameras

SIZE = (50, 100)
"""Rows and columns of the network's images."""


def encodings(*fields: tuple[float, float]) -> torch.Tensor:
    """Pose encodings with fields of view (down, across) in rad."""
    out = torch.zeros(len(fields), 9, dtype=torch.float64)
    out[:, 7:] = torch.tensor(fields)
    return out


def focal(*fields: tuple[float, float]) -> list[tuple[float, float]]:
    cameras, _ = predicted_cameras(encodings(*fields), SIZE)
    return [(round(c.fx, 6), round(c.fy, 6)) for c in cameras]


def test_a_field_of_view_of_90_degrees_across_is_half_the_width() -> None:
    """The centre of the first pixel is (0, 0): the middle of the image is at 49.5, 24.5."""
    (camera,), is_valid = predicted_cameras(encodings((2 * np.arctan(0.5), np.pi / 2)), SIZE)
    assert (camera.fx, camera.fy) == pytest.approx((50.0, 50.0))
    assert (camera.cx, camera.cy, camera.width, camera.height) == pytest.approx((49.5, 24.5, 100, 50))
    assert is_valid.tolist() == [True]


@pytest.mark.parametrize(
    ("down", "across", "is_usable"),
    [(0.11, 1.0, True), (0.09, 1.0, False), (2.79, 1.0, True), (2.81, 1.0, False), (1.0, 0.09, False),
     (1.0, 2.81, False)],
)  # fmt: skip
def test_fields_of_view_beyond_a_tenth_and_two_point_eight_are_not_used(
    down: float, across: float, is_usable: bool
) -> None:
    _, is_valid = predicted_cameras(encodings((down, across)), SIZE)
    assert is_valid.tolist() == [is_usable]


def test_where_one_is_not_usable_the_median_of_the_others_is_taken() -> None:
    """That of fields across of 1.0, 1.2 and 2.0; 5 and 6 are none."""
    found = focal((0.5, 1.0), (0.6, 1.2), (0.9, 2.0), (0.9, 5.0), (0.9, 6.0))
    assert found[3] == found[4] == found[1]
    assert found[1] == pytest.approx((50.0 / np.tan(0.6), 25.0 / np.tan(0.3)), abs=1e-5)


def test_where_none_is_usable_it_is_sixty_degrees_across_with_square_pixels() -> None:
    """1.05 rad across; half as much in its tangent down."""
    ((fx, fy),) = focal((5.0, 5.0))
    assert fx == pytest.approx(50.0 / np.tan(0.525), abs=1e-5)
    assert fy == pytest.approx(fx)
