"""Wide-baseline matches between two images: SIFT with ratio and mutual tests, for when optical flow cannot follow."""

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.config import ABOVE_ZERO
from vgslam.types import Array

QUICK_AREA_PX = 100_000
"""Pixels of the image that is described quickly: about 370 x 270, where corners still tell places apart."""
SIFT_CONTRAST = 0.02
"""Least contrast of a SIFT feature: half of OpenCV's default, so that dim rooms have some."""
PYRAMID_STEP, PYRAMID_LEVELS = 2.0**0.5, 5
"""Scale from level to level of the quick description, and levels: a factor of four from the first to the last."""
QUICK_PATCH_PX, QUICK_EDGE_PX = 31, 10
"""Patch that orients a quick corner (that of the paper), and the strip without corners along the edge."""
QUICK_CONTRAST = 7
"""Least step of a quick corner, in grey values: a third of OpenCV's default, so that dim rooms have some."""
SIFT_BLUR_PX = 1.6
"""Blur of the first level of SIFT's pyramid (Lowe, IJCV 2004); OpenCV's `size` is twice a feature's."""
HALF_BLUR_PX = SIFT_BLUR_PX * 2.0 ** (1 / 3) / 2
"""Blur of a quick corner's first level, in px of an image of half the size: there SIFT takes a quarter of the
samples, at the same blur."""
SIFT_LAYERS = 3
"""Layers of an octave of SIFT's pyramid."""


@dataclass(frozen=True)
class MatcherConfig:
    """SIFT features and the ratio test."""

    n_features: Annotated[int, ABOVE_ZERO] = 1200
    """SIFT features per image."""
    ratio: float = 0.8
    """A match's distance must be below this times the second best (Lowe's ratio test)."""


@dataclass(frozen=True)
class ImageFeatures:
    """Keypoints (N,2) px and RootSIFT descriptors (N,128) float32."""

    pixels: Array
    descriptors: npt.NDArray[np.float32]

    def select(self, rows: npt.NDArray) -> "ImageFeatures":
        """The features at `rows` (boolean mask or indices)."""
        return ImageFeatures(self.pixels[rows], self.descriptors[rows])


@dataclass(frozen=True)
class PlainFeatures:
    """Keypoints (N,2) px and SIFT descriptors (N,128) uint8, as they are computed: a quarter of the size of
    `ImageFeatures`, which can be made of them at any time."""

    pixels: Array
    descriptors: npt.NDArray[np.uint8]

    def rooted(self) -> ImageFeatures:
        """The features with RootSIFT descriptors."""
        return ImageFeatures(self.pixels, _root(self.descriptors.astype(np.float32)))


def describe(gray: npt.NDArray[np.uint8], config: MatcherConfig) -> ImageFeatures:
    """SIFT keypoints and RootSIFT descriptors (Arandjelovic and Zisserman, CVPR 2012) of a grey image."""
    sift = cv2.SIFT.create(nfeatures=config.n_features, contrastThreshold=SIFT_CONTRAST, enable_precise_upscale=True)
    keypoints, descriptors = sift.detectAndCompute(gray, None)
    if descriptors is None or len(keypoints) == 0:
        return ImageFeatures(np.zeros((0, 2)), np.zeros((0, 128), np.float32))
    return ImageFeatures(np.array([k.pt for k in keypoints], np.float64), _root(descriptors))


def describe_quick(gray: npt.NDArray[np.uint8], n_features: int = 500) -> ImageFeatures:
    """Oriented corners on a pyramid (the detector of ORB, Rublee et al., ICCV 2011) of a reduced image, with RootSIFT
    descriptors: a third of the time of `describe`, for every keyframe. Pixels are those of the full image."""
    return plain_features(gray, n_features).rooted()


def plain_features(gray: npt.NDArray[np.uint8], n_features: int = 500) -> PlainFeatures:
    """The features of `describe_quick`, with plain descriptors."""
    scale = min(1.0, float(np.sqrt(QUICK_AREA_PX / gray.size)))
    size = (round(gray.shape[1] * scale), round(gray.shape[0] * scale))
    small = cv2.resize(gray, size, interpolation=cv2.INTER_AREA) if scale < 1 else gray
    orb = cv2.ORB.create(
        nfeatures=n_features, scaleFactor=PYRAMID_STEP, nlevels=PYRAMID_LEVELS, edgeThreshold=QUICK_EDGE_PX,
        patchSize=QUICK_PATCH_PX, fastThreshold=QUICK_CONTRAST,
    )  # fmt: skip
    keypoints = orb.detect(small, None)
    half = cv2.resize(small, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    for k in keypoints:
        # the octave and layer of SIFT's pyramid with this level's blur: that of level 0 times 2^(octave + layer / 3)
        thirds = round(SIFT_LAYERS * k.octave * float(np.log2(PYRAMID_STEP)))
        k.pt = ((k.pt[0] + 0.5) / 2 - 0.5, (k.pt[1] + 0.5) / 2 - 0.5)
        k.size = 2.0 * HALF_BLUR_PX * 2.0 ** (thirds / SIFT_LAYERS)
        k.octave = thirds // SIFT_LAYERS | (thirds % SIFT_LAYERS) << 8
    keypoints, descriptors = cv2.SIFT.create(sigma=HALF_BLUR_PX).compute(half, keypoints)
    if descriptors is None or len(keypoints) == 0:
        return PlainFeatures(np.zeros((0, 2)), np.zeros((0, 128), np.uint8))
    at = np.array([k.pt for k in keypoints], np.float64) * 2.0 + 0.5
    pixels = (at + 0.5) / np.divide(size, gray.shape[::-1]) - 0.5
    return PlainFeatures(pixels, descriptors.astype(np.uint8))  # whole numbers, though OpenCV gives them as float32


def _root(descriptors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.sqrt(descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1e-6)).astype(np.float32)


def match(a: ImageFeatures, b: ImageFeatures, config: MatcherConfig) -> tuple[npt.NDArray, npt.NDArray]:
    """Indices into a and b of mutual nearest neighbours that pass the ratio test."""
    if len(a.pixels) < 2 or len(b.pixels) < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    similarity = a.descriptors @ b.descriptors.T
    best_b = similarity.argmax(axis=1)
    best_a = similarity.argmax(axis=0)
    rows = np.arange(len(best_b))
    top = similarity[rows, best_b]
    similarity[rows, best_b] = -np.inf  # what is largest without the best is the second best
    runner_up = similarity.max(axis=1)
    distance, second = np.sqrt(np.maximum(2 - 2 * top, 0)), np.sqrt(np.maximum(2 - 2 * runner_up, 1e-9))
    good = (best_a[best_b] == rows) & (distance < config.ratio * second)
    # the same keypoint position can carry two orientations: keep one match a place
    _, first = np.unique(a.pixels[rows[good]].round(1), axis=0, return_index=True)
    index = rows[good][np.sort(first)]
    _, first = np.unique(b.pixels[best_b[index]].round(1), axis=0, return_index=True)
    index = index[np.sort(first)]
    return index, best_b[index]
