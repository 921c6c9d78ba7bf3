"""Small patches of one image found in another to a fraction of a pixel."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.frontend.features import Gray
from vgslam.refine.problem import Mask
from vgslam.types import Array

Patches = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
HALF_PX = 5
"""A patch reaches this far from its centre to each side."""
SIDE_PX = 2 * HALF_PX + 3
"""The side of a patch with the strip around it that its gradients need."""
MOST_STEPS, SMALL_STEP_PX = 6, 0.02
"""Most steps of the search; it ends before where the last one was that small."""
LARGEST_STEP_PX = 1.0
"""A step that would be longer is cut: so far off the gradients say little."""
LEAST_CONTRAST = 1e-3
"""Least standard deviation of grey values: a flat patch is divided by it."""
LEAST_NORMAL = 1e-3
"""Is added to the normal matrix of a patch, whose grey values have deviation 1."""


@dataclass(frozen=True)
class Found:
    """Where patches were found."""

    pixels: Array
    """(n,2)."""
    likeness: Floats
    """(n,): normalised cross-correlation of the patch and what is there, -1 to 1."""
    has_settled: Mask
    """(n,): whether the last step was small and the patch lies inside the image."""


def warped_patches(image: Gray, pixels: Array, A: Array) -> tuple[Patches, Mask]:
    """Grey values (n, SIDE_PX^2) around pixels (n,2) of an image, as they look where A (n,2,2) maps offsets, and which
    of them (n,) lie inside the image."""
    offsets = _grid(HALF_PX + 1) @ np.swapaxes(np.linalg.inv(A), 1, 2)
    at = (pixels[:, None] + offsets).astype(np.float32)
    size = np.array(image.shape[::-1], np.float32)
    inside = np.asarray(((at >= 0.0) & (at <= size - 1.0)).all((1, 2)))
    return _grey(image, at), inside


def find_patches(image: Gray, patches: Patches, start: Array) -> Found:
    """Patches (n, SIDE_PX^2) of `warped_patches` found in an image, from pixels (n,2) on. Lucas-Kanade with the
    gradients of the patch (inverse compositional for a shift: Baker and Matthews, IJCV 2004), mean and contrast of both
    made equal, so that light may change."""
    n = len(start)
    wide = patches.reshape(n, SIDE_PX, SIDE_PX).astype(np.float32)
    wanted, contrast = _evened(wide[:, 1:-1, 1:-1].reshape(n, -1))
    across = (wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2]).reshape(n, -1)
    down = (wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1]).reshape(n, -1)
    J = np.stack([across, down], axis=1) / (2.0 * contrast[:, None])
    J -= J.mean(2, keepdims=True)
    gain = np.linalg.inv(J @ np.swapaxes(J, 1, 2) + np.float32(LEAST_NORMAL) * np.eye(2, dtype=np.float32)) @ J
    at, offsets = start.astype(np.float32), _grid(HALF_PX).astype(np.float32)
    likeness, step = np.zeros(n, np.float32), np.full((n, 2), np.inf, np.float32)
    for _ in range(MOST_STEPS):
        moving = np.flatnonzero(np.abs(step).max(1) > SMALL_STEP_PX)
        if not len(moving):
            break
        seen, _ = _evened(_grey(image, at[moving, None] + offsets))
        likeness[moving] = (wanted[moving] * seen).mean(1)
        move = np.einsum("nim,nm->ni", gain[moving], wanted[moving] - seen)
        step[moving] = np.clip(move, -LARGEST_STEP_PX, LARGEST_STEP_PX)
        at[moving] += step[moving]
    size = np.array(image.shape[::-1])
    inside = ((at >= HALF_PX) & (at <= size - 1 - HALF_PX)).all(1)
    return Found(at.astype(np.float64), likeness, inside & (np.abs(step).max(1) < 5.0 * SMALL_STEP_PX))


def _grid(half: int) -> Array:
    """(m,2): offsets of the pixels of a patch, row by row."""
    side = np.arange(-half, half + 1, dtype=np.float64)
    return np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)


def _grey(image: Gray, at: Floats) -> Patches:
    """(n,m): grey values at pixels (n,m,2), between pixels linearly."""
    return np.asarray(cv2.remap(image, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _evened(patches: npt.NDArray) -> tuple[Floats, Floats]:
    """Patches (n,m) with mean 0 and deviation 1, and the deviations (n,1) that they had."""
    even = patches - patches.mean(1, keepdims=True, dtype=np.float32)
    contrast = np.sqrt(np.square(even).mean(1, keepdims=True)) + np.float32(LEAST_CONTRAST)
    return even / contrast, contrast
