"""Where an image was taken, by the map: the pose and the evidence for it."""

from dataclasses import dataclass

import numpy as np

from vgslam.frontend.features import Pixels
from vgslam.frontend.tracker import TrackResult
from vgslam.geometry import se3
from vgslam.reloc.evidence import Evidence
from vgslam.types import Array, Ids

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
