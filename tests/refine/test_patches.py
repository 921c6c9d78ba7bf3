"""Patches found in smooth random images that are shifted, lit and stretched by known amounts."""

import cv2
import numpy as np

from vgslam.frontend.features import Gray
from vgslam.refine.patches import find_patches, warped_patches
from vgslam.types import Array

SIZE = (240, 180)


def texture(seed: int = 3) -> Gray:
    """An image (180,240) of blobs some pixels wide."""
    noise = np.random.default_rng(seed).normal(size=SIZE[::-1])
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return np.asarray(np.clip(128.0 + 40.0 * smooth / smooth.std(), 0, 255), np.uint8)


def moved(image: Gray, H: Array) -> Gray:
    """The image whose pixel H(u) looks as `image` does at u."""
    return np.asarray(cv2.warpAffine(image, H, SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT), np.uint8)


def shift(dx: float, dy: float) -> Array:
    return np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])


def grid() -> Array:
    u, v = np.meshgrid(np.arange(40.0, 201.0, 20.0), np.arange(40.0, 141.0, 20.0))
    return np.stack([u.ravel(), v.ravel()], axis=1)


def same_size(n: int) -> Array:
    return np.tile(np.eye(2), (n, 1, 1))


def test_a_shift_is_found_to_a_fraction_of_a_pixel_whatever_the_light() -> None:
    image, at = texture(), grid()
    other = cv2.convertScaleAbs(moved(image, shift(1.3, -0.7)), alpha=0.6, beta=50)
    patches, inside = warped_patches(image, at, same_size(len(at)))
    found = find_patches(np.asarray(other, np.uint8), patches, at)
    assert inside.all()
    assert found.has_settled.mean() > 0.9
    error = np.linalg.norm(found.pixels - at - [1.3, -0.7], axis=1)[found.has_settled]
    assert np.median(error) < 0.08
    assert np.percentile(error, 90) < 0.12
    assert (found.likeness[found.has_settled] > 0.95).all()


def test_another_image_is_not_like_the_patch() -> None:
    at = grid()
    patches, _ = warped_patches(texture(), at, same_size(len(at)))
    assert np.median(find_patches(texture(9), patches, at).likeness) < 0.5


def test_a_patch_is_warped_as_offsets_are() -> None:
    """Turned by 90 degrees and half as large again: without the warp nothing is found."""
    image, c = texture(), np.array([120.0, 90.0])
    A = np.array([[0.0, -1.5], [1.5, 0.0]])
    other = moved(image, np.column_stack([A, c - A @ c]))
    at = c + np.array([[-20.0, -10.0], [0.0, 0.0], [15.0, 20.0]])
    there = c + (at - c) @ A.T
    patches, _ = warped_patches(image, at, np.tile(A, (3, 1, 1)))
    found = find_patches(other, patches, there + np.array([0.8, -0.5]))
    assert np.abs(found.pixels - there).max() < 0.1
    assert (found.likeness > 0.9).all()
    plain, _ = warped_patches(image, at, same_size(3))
    assert (find_patches(other, plain, there).likeness < 0.8).all()


def test_what_lies_across_the_edge_is_told() -> None:
    image = texture()
    at = np.array([[3.0, 90.0], [120.0, 90.0], [120.0, 178.0]])
    patches, inside = warped_patches(image, at, same_size(3))
    assert inside.tolist() == [False, True, False]
    assert find_patches(image, patches, at).has_settled.tolist() == [False, True, False]


def test_a_flat_patch_is_found_nowhere() -> None:
    flat = np.full(SIZE[::-1], 90, np.uint8)
    at = grid()
    patches, _ = warped_patches(flat, at, same_size(len(at)))
    assert (find_patches(texture(), patches, at).likeness < 0.5).all()
