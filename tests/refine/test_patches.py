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


# -- by hand


def test_patches_lie_inside_up_to_the_middle_of_the_last_pixel() -> None:
    """Six pixels to each side, with the strip for the gradients: from 6 to 239 - 6 and 179 - 6."""
    at = np.array([[6.0, 90], [5.9, 90], [233, 90], [233.1, 90], [120, 6], [120, 5.9], [120, 173], [120, 173.1]])
    patches, inside = warped_patches(texture(), at, same_size(8))
    assert inside.tolist() == 4 * [True, False]
    image = texture()
    assert patches[0].reshape(13, 13).tolist() == image[84:97, 0:13].tolist()
    assert patches[6].reshape(13, 13).tolist() == image[167:180, 114:127].tolist()


def test_what_is_found_lies_inside_with_its_patch() -> None:
    """Five pixels to each side: from 5 to 239 - 5 and 179 - 5, whatever the strip around would show."""
    image = texture()
    for at in ([6.0, 90.0], [233.0, 90.0], [120.0, 6.0], [120.0, 173.0]):
        patches, _ = warped_patches(image, np.array([at]), same_size(1))
        inwards = np.sign(np.array([119.5, 89.5]) - at) * (np.abs(np.array([119.5, 89.5]) - at) > 50)
        for moved_px, is_inside in ((0.9, True), (1.6, False)):
            other = moved(image, shift(*(-moved_px * inwards)))
            assert find_patches(other, patches, np.array([at])).has_settled.tolist() == [is_inside], (at, moved_px)


def test_a_patch_on_a_slope_of_brightness_is_found_as_fast_as_another() -> None:
    """The slope is light, which is made equal: a shift along it says nothing."""
    fine = (texture().astype(np.float64) - 128.0) / 3.0
    slope = np.arange(240.0)[None, :] * 0.8 + 20.0
    at = grid()
    patches, _ = warped_patches(np.asarray(np.clip(slope + fine, 0, 255), np.uint8), at, same_size(len(at)))
    there = np.clip(slope + moved(texture(), shift(0.8, 0.6)).astype(np.float64) / 3.0 - 128.0 / 3.0, 0, 255)
    found = find_patches(np.asarray(there, np.uint8), patches, at)
    assert found.has_settled.mean() > 0.9
    assert np.median(np.abs(found.pixels - at - [0.8, 0.6])[found.has_settled], axis=0).max() < 0.1


def test_a_step_is_a_pixel_at_most_and_there_are_six() -> None:
    """So a patch is found up to about six pixels away, and has not settled beyond."""
    image = np.asarray(cv2.GaussianBlur(texture(), (0, 0), 5.0), np.uint8)
    at = np.array([[120.0, 90.0]])
    patches, _ = warped_patches(image, at, same_size(1))
    assert find_patches(moved(image, shift(3.0, 0.0)), patches, at).has_settled.all()
    far = find_patches(moved(image, shift(9.0, 0.0)), patches, at)
    assert not far.has_settled.any()
    assert np.abs(far.pixels - at).max() <= 6.0
