"""What features that bear wide baselines, matched anew between keyframes, say of the keyframes' poses.

No adjustment has seen these matches, so they are evidence where its own landmarks are not.
"""

from dataclasses import dataclass

import numpy as np

from vgslam.frontend.features import Gray
from vgslam.frontend.image_mask import ImageMask
from vgslam.frontend.matching import ImageFeatures, MatcherConfig, describe, match
from vgslam.geometry import se3
from vgslam.map.paged_keyframe import gray_of
from vgslam.map.slam_map import SlamMap
from vgslam.multiview.triangulate import triangulate
from vgslam.reloc.epipolar_check import NEAR_PX, Matched, epipolar_agreement
from vgslam.reloc.locate import obey_epipolar
from vgslam.types import Ids

MATCHER = MatcherConfig()
MIN_ANGLE_DEG = 1.0
"""Least angle between two rays of a feature that may speak of lengths."""


@dataclass(frozen=True)
class Votes:
    """How many matches speak, and the share of them that agrees with the poses."""

    n: int
    share: float

    @property
    def weight(self) -> float:
        """Matches for the poses less those against."""
        return self.n * (2.0 * self.share - 1.0)


class FreshMatches:
    """Keyframes of `slam_map` matched in pairs and in threes; images are described and pairs matched once. mask: where
    images of its size carry no features."""

    def __init__(self, slam_map: SlamMap, mask: ImageMask | None = None) -> None:
        self.map, self.mask = slam_map, mask
        self._features: dict[int, ImageFeatures] = {}
        self._rows: dict[tuple[int, int], tuple[Ids, Ids]] = {}

    def in_two(self, a: int, b: int) -> Votes:
        """Matches of keyframes a and b that obey one epipolar geometry, and agree with that of the poses."""
        rows_a, rows_b = self._matched(a, b)
        A, B = self.map.keyframes[a], self.map.keyframes[b]
        matched = Matched(self._of(a).pixels[rows_a], self._of(b).pixels[rows_b], A.camera, B.camera)
        T_b_a = se3.inverse(B.S_world_keyframe.pose) @ A.S_world_keyframe.pose
        return Votes(len(rows_a), epipolar_agreement(matched, T_b_a))

    def in_three(self, a: int, b: int, c: int) -> Votes:
        """Features matched from keyframe a to b and from b to c that lie where the poses see one point. Unlike those of
        two, they speak of the lengths of both steps; those that hardly any parallax shows do not count."""
        (in_a, in_b), (again, in_c) = self._matched(a, b), self._matched(b, c)
        common, i, j = np.intersect1d(in_b, again, assume_unique=True, return_indices=True)
        if not len(common):
            return Votes(0, 0.5)
        ids = np.array([a, b, c])
        rows = (in_a[i], common, in_c[j])
        pixels = np.concatenate([self._of(k).pixels[r] for k, r in zip(ids.tolist(), rows, strict=True)])
        n = len(common)
        found = triangulate(
            self.map.keyframes[b].camera, self.map.T_world_keyframes(ids), np.repeat(np.arange(3), n),
            np.tile(np.arange(n), 3), pixels,
        )  # fmt: skip
        speaks = ~found.is_valid | (found.angle_deg > MIN_ANGLE_DEG)
        agrees = found.is_valid & (found.residual_px < NEAR_PX)
        return Votes(int(speaks.sum()), float(agrees[speaks].mean()) if speaks.any() else 0.5)

    def _matched(self, a: int, b: int) -> tuple[Ids, Ids]:
        """Features of a and of b, by their numbers, that match and obey one epipolar geometry."""
        if (a, b) not in self._rows:
            of_a, of_b = self._of(a), self._of(b)
            rows_a, rows_b = match(of_a, of_b, MATCHER)
            keep = obey_epipolar(of_a.pixels[rows_a], of_b.pixels[rows_b])
            self._rows[a, b] = rows_a[keep], rows_b[keep]
        return self._rows[a, b]

    def _of(self, k: int) -> ImageFeatures:
        if k not in self._features:
            self._features[k] = self._described(gray_of(self.map.keyframes[k]))
        return self._features[k]

    def _described(self, gray: Gray) -> ImageFeatures:
        found, mask = describe(gray, MATCHER), self.mask
        if mask is None or mask.is_empty or gray.shape != (mask.height, mask.width):
            return found
        return found.select(mask.allows(found.pixels))
