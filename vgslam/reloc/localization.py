"""Where an image was taken, by the map: the pose and the evidence for it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgslam.frontend.features import Pixels
from vgslam.frontend.tracker import TrackResult
from vgslam.geometry import se3
from vgslam.types import Array, Ids

BIAS = -1.07
WEIGHTS = (0.46, 1.58, 3.02, 0.94, 0.33)
"""Weights of `Evidence.features`, as log odds; fitted by `tools/fit_trust.py` on 16 rendered worlds. On 16 other
worlds, including answers with far less support than is accepted in use, trust is off by 0.07 on average. A threshold of
0.5 rejects 3 of 145 right answers and 23 of 31 wrong ones."""


@dataclass(frozen=True)
class Evidence:
    """What supports a pose."""

    n_inliers: int
    """Landmarks found again where the pose predicts them."""
    ratio: float
    """Their share of all landmarks that were found."""
    share: float
    """Their share of the landmarks that the pose puts into the image."""
    n_cells: int
    """How many of 4 x 4 parts of the image hold two or more of them."""
    n_references: int
    """Keyframes whose answers agree."""

    def features(self) -> tuple[float, ...]:
        """The five numbers that trust is computed from."""
        return (
            float(np.log(max(self.n_inliers, 1) / 30.0)), self.ratio - 0.6, self.share - 0.2,
            self.n_cells / 16.0 - 0.5, float(np.log2(max(self.n_references, 1))),
        )  # fmt: skip

    @property
    def trust(self) -> float:
        """1 / (1 + exp(-BIAS - WEIGHTS . features)), in (0,1): the share of such answers that are right."""
        z = BIAS + float(np.dot(WEIGHTS, self.features()))
        return float(1.0 / (1.0 + np.exp(-np.clip(z, -50.0, 50.0))))


def cells(pixels: npt.NDArray, width: int, height: int) -> int:
    """How many of 4 x 4 parts of the image hold at least two of the pixels (N,2)."""
    col = np.clip(pixels[:, 0] * 4 / width, 0, 3).astype(int)
    row = np.clip(pixels[:, 1] * 4 / height, 0, 3).astype(int)
    return int((np.bincount(row * 4 + col, minlength=16) >= 2).sum())


NEAR_OF_DEPTH, NEAR_DEG = 0.3, 45.0
"""How far a camera may come (in depths of the scene) and turn within the few frames in which it is in doubt."""


@dataclass(frozen=True)
class Localization:
    """An answer: the pose, the evidence for it, and the landmarks seen in the image."""

    T_world_cam: Array
    covariance: Array
    """(6,6) of xi (rotation rad x3, translation in map units x3) in T_world_cam exp(xi)."""
    evidence: Evidence
    method: str
    """How the pose was found."""
    references: tuple[int, ...]
    """All keyframes that agree, best first."""
    keyframe_id: int
    """The reference that most of the landmarks were found from."""
    component_id: int
    ids: Ids
    """(n,): the landmarks."""
    pixels: Pixels
    """(n,2): where they are seen."""
    depth: float
    is_ambiguous: bool = False
    """Whether another place of the map fits nearly as well."""

    @property
    def trust(self) -> float:
        """Probability that the pose is right; 0 for an ambiguous one."""
        return 0.0 if self.is_ambiguous else self.evidence.trust

    @property
    def tracked(self) -> TrackResult:
        """The same, as of a frame that was followed to there."""
        n, ratio = len(self.ids), self.evidence.ratio
        return TrackResult(False, self.T_world_cam, self.covariance, self.ids, self.pixels, n, ratio, survived=1.0)

    def is_near(self, T_world_cam: Array, component_id: int) -> bool:
        """Whether a camera can have come here from a pose in a component within the few frames in which it is in
        doubt."""
        apart = float(np.linalg.norm(self.T_world_cam[:3, 3] - T_world_cam[:3, 3]))
        turned_deg = se3.angle_deg(T_world_cam[:3, :3].T @ self.T_world_cam[:3, :3])
        return self.component_id == component_id and apart < NEAR_OF_DEPTH * self.depth and turned_deg < NEAR_DEG
