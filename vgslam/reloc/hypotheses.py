"""Hypotheses of a view's pose, and the place that they support best."""

from dataclasses import dataclass, replace

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.multiview.pnp import refine_pose
from vgslam.reloc.localization import Evidence, Localization, cells
from vgslam.reloc.locate import Locator, Recovered
from vgslam.reloc.relocalizer_config import RelocalizerConfig

MOST_PLACES = 3
"""Different places that the best hypotheses are joined for: the best one, and rivals."""


@dataclass(frozen=True)
class Hypothesis:
    """A pose at which landmarks of one keyframe were found again."""

    found: Recovered
    method: str
    """How it was come by."""
    depth: float
    """Median depth of the landmarks."""


class Agreement:
    """Joins hypotheses that say the same place; the landmarks are those of the locator's map."""

    def __init__(self, locator: Locator, config: RelocalizerConfig) -> None:
        self.map, self.locator, self.config = locator.map, locator, config

    def best_place(self, hypotheses: list[Hypothesis], camera: Camera) -> Localization | None:
        """The place with most trust, from all hypotheses that agree on it; None without any. A second place that fits
        nearly as well makes it ambiguous."""
        answers: list[Localization] = []
        left = sorted(hypotheses, key=lambda h: -len(h.found.ids) * h.found.ratio)
        while left and len(answers) < MOST_PLACES:
            is_same = [self._is_same_place(left[0], h) for h in left]
            same = [h for h, yes in zip(left, is_same, strict=True) if yes]
            left = [h for h, yes in zip(left, is_same, strict=True) if not yes]
            answers.append(self._joint(same, camera))
        if not answers:
            return None
        answers.sort(key=lambda a: -a.evidence.n_inliers)
        best = max(answers, key=lambda a: a.trust)
        has_rival = any(
            a is not best and a.evidence.n_inliers >= self.config.rival * best.evidence.n_inliers
            and a.trust >= self.config.rival * best.trust for a in answers
        )  # fmt: skip
        return replace(best, is_ambiguous=has_rival)

    def _is_same_place(self, a: Hypothesis, b: Hypothesis) -> bool:
        k = self.map.keyframes
        if k[a.found.keyframe_id].component_id != k[b.found.keyframe_id].component_id:
            return False
        degrees, share = self.config.agreement
        Ta, Tb = a.found.T_world_cam, b.found.T_world_cam
        apart = float(np.linalg.norm(Ta[:3, 3] - Tb[:3, 3]))
        return se3.angle_deg(Ta[:3, :3].T @ Tb[:3, :3]) < degrees and apart < share * min(a.depth, b.depth)

    def _joint(self, agreeing: list[Hypothesis], camera: Camera) -> Localization:
        """One pose from the landmarks of the best hypotheses together, or of the best alone if it has more of them."""
        first, found = agreeing[0], agreeing[0].found
        together = self._refined([h.found for h in agreeing[: self.config.n_joint]], camera)
        if together is not None and len(together.ids) > len(found.ids):
            found = together
        references = tuple(dict.fromkeys(h.found.keyframe_id for h in agreeing))
        evidence = Evidence(
            len(found.ids), found.ratio, found.share, cells(found.pixels, camera.width, camera.height), len(references)
        )
        return Localization(
            found.T_world_cam, found.covariance, evidence, first.method, references, found.keyframe_id,
            self.map.keyframes[found.keyframe_id].component_id, found.ids, found.pixels, first.depth,
        )  # fmt: skip

    def _refined(self, found: list[Recovered], camera: Camera) -> Recovered | None:
        """The pose from the landmarks of several answers; ratio and share are those of the first."""
        if len(found) < 2:
            return None
        ids, rows = np.unique(np.concatenate([f.ids for f in found]), return_index=True)
        pixels = np.concatenate([f.pixels for f in found])[rows]
        start = se3.inverse(found[0].T_world_cam)
        points = self.locator.pose_points(ids, pixels)
        fit = refine_pose(camera, start, points, self.config.locate.refound_sigma_px)
        keep = fit.inliers
        T = se3.inverse(fit.T_cam_world)
        return replace(found[0], T_world_cam=T, covariance=fit.covariance, ids=ids[keep], pixels=pixels[keep])
