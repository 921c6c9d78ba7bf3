"""What was prepared ahead is used for the camera and the lens that it was made for, once."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hand_map import CAMERA

from vgslam.frontend import prepared as module
from vgslam.frontend.prepared import Preparation

BARREL, MORE = replace(CAMERA, removed_k1=-0.1), replace(CAMERA, removed_k1=-0.2)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One number for each image that is prepared."""
    counted: list[int] = []
    original = module._prepared

    def count(*args):
        counted.append(len(counted))
        return original(*args)

    monkeypatch.setattr(module, "_prepared", count)
    return counted


def image(value: int = 0) -> np.ndarray:
    out = np.random.default_rng(value).integers(0, 256, (CAMERA.height, CAMERA.width, 3), np.uint8)
    return cv2.GaussianBlur(out, (0, 0), 3)


def test_an_image_that_was_prepared_ahead_is_not_made_again_but_for_another_camera(made: list[int]) -> None:
    p, a, b = Preparation(), image(1), image(2)
    p.ahead(a, CAMERA)
    p.ahead(b, CAMERA)
    assert p.of(a, CAMERA).raw is a
    assert len(made) == 2
    other = replace(CAMERA, fx=120.0)
    assert p.of(b, other).thumbnail.camera != p.of(a, CAMERA).thumbnail.camera
    assert len(made) == 4, "what was taken is there no more, and what was made for another camera is not used"


def test_grey_is_that_of_red_green_and_blue() -> None:
    red = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    red[..., 0] = 255
    assert Preparation().of(red, CAMERA).gray[0, 0] == 76  # 0.299 of 255; of blue it is 0.114


def test_a_lens_is_straightened_by_its_own_distortion(made: list[int]) -> None:
    """What is ahead of a new lens was prepared with the one before, or none, and is made anew."""
    p, a = Preparation(), image(1)
    plain, bent, more = (p.of(a, c) for c in (CAMERA, BARREL, MORE))
    assert (plain.straightener, bent.straightener is None) == (None, False)
    assert [p.of(a, c).straightener.k1 for c in (BARREL, MORE)] == [-0.1, -0.2]  # type: ignore[union-attr]
    assert np.abs(plain.gray.astype(int) - bent.gray).max() > 10
    assert np.abs(more.gray.astype(int) - bent.gray).max() > 10
    p.of(a, BARREL)
    n = len(made)
    p.ahead(a, BARREL)
    assert np.array_equal(p.of(a, BARREL).gray, bent.gray)
    assert len(made) == n + 1
    p.ahead(a, MORE)  # with the lens of before
    assert np.array_equal(p.of(a, MORE).gray, more.gray)
    assert len(made) == n + 3
    p.ahead(a, CAMERA)
    assert p.of(a, CAMERA).straightener is None
    assert len(made) == n + 4
