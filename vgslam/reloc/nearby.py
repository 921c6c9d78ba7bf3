"""Landmarks of nearby keyframes, looked for in a view whose pose is known: what the map shows from there."""

from dataclasses import replace

import numpy as np

from vgslam.frontend.features import FeatureConfig
from vgslam.frontend.tracker import View
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.locate import Locator, Recovered, Target
from vgslam.reloc.relocalizer_config import RelocalizerConfig
from vgslam.types import Array

STRICT_RATIO, AGAIN_REFOUND, BACK_REFOUND = 0.6, 15, 20
"""`LocateConfig.min_ratio` and `min_refound` of these searches, as wrong landmarks would bend the pose: for keyframes
nearby, and for old ones, which tie two parts of the map together."""
N_CONFIRMING = 3
"""Keyframes that are asked to confirm a pose: each costs as much as tracking a frame."""
MIN_FACING = 0.85
"""Least cosine between optical axes (32 degrees) of views that look the same way."""
MAX_APART = 0.4
"""Largest distance of such views, as a share of the median depth: beyond it, patches look too different."""


class NearbyLandmarks:
    """Finds landmarks of `slam_map` in views; pixels are followed as `features` says."""

    def __init__(self, slam_map: SlamMap, features: FeatureConfig, config: RelocalizerConfig) -> None:
        self.map, self.config = slam_map, config
        self._again, self._back = (
            Locator(slam_map, replace(config.locate, min_ratio=STRICT_RATIO, min_refound=n), features)
            for n in (AGAIN_REFOUND, BACK_REFOUND)
        )

    def look_again(self, view: View, camera: Camera, T_world_cam: Array, component_id: int) -> Recovered | None:
        """The landmarks of a nearby keyframe of the component that are found in a view whose pose is roughly known;
        None if no keyframe's are."""
        target = Target(view.gray, camera)
        for k in self._facing(T_world_cam, component_id)[:N_CONFIRMING]:
            found = self._again.confirm(k, target, se3.inverse(T_world_cam))
            if found is not None:
                return found
        return None

    def look_back(
        self, view: View, camera: Camera, T_world_cam: Array, component_id: int, before: int
    ) -> Recovered | None:
        """The landmarks of an old keyframe of the component (its id is below `before`) that a view shows, if they say
        the pose that is known; None if there are none, or they say another."""
        c = self.config
        target = Target(view.gray, camera)
        for k in self._old(T_world_cam, component_id, before)[: c.n_back]:
            found = self._back.confirm(k, target, se3.inverse(T_world_cam))
            if found is None:
                continue
            depth = float(np.median(se3.transform(se3.inverse(T_world_cam), self.map.landmarks_world(found.ids))[:, 2]))
            apart = float(np.linalg.norm(found.T_world_cam[:3, 3] - T_world_cam[:3, 3]))
            angle = se3.angle_deg(found.T_world_cam[:3, :3].T @ T_world_cam[:3, :3])
            if apart < c.back_agreement[1] * depth and angle < c.back_agreement[0]:
                return found
        return None

    def visits(self, T_world_cam: Array, component_id: int, gap: int) -> int:
        """How often the camera was there and looked the same way before: old keyframes whose ids are at least `gap`
        apart are of another visit."""
        ids = np.sort(self._old(T_world_cam, component_id, len(self.map.keyframes) - gap))
        return int(len(ids) > 0) + int((np.diff(ids) >= gap).sum())

    def _old(self, T_world_cam: Array, component_id: int, before: int) -> list[int]:
        """Keyframes of earlier visits (ids below `before`) that look the same way from a place nearby."""
        near = self._facing(T_world_cam, component_id, before)
        old = [k for k in near if self.map.is_revisit(k, T_world_cam[:3, 3])]
        return [k for k in old if self._looks_alike(k, T_world_cam)]

    def _looks_alike(self, k: int, T_world_cam: Array) -> bool:
        """Whether keyframe k looks the same way, from a place that is near for what it shows."""
        T = self.map.keyframes[k].S_world_keyframe.pose
        hosted = self.map.observed[k].ids
        if T[:3, 2] @ T_world_cam[:3, 2] < MIN_FACING or len(hosted) == 0:
            return False
        z = se3.transform(se3.inverse(T), self.map.landmarks_world(hosted))[:, 2]
        return float(np.linalg.norm(T[:3, 3] - T_world_cam[:3, 3])) < MAX_APART * max(float(np.median(z)), 1e-6)

    def _facing(self, T_world_cam: Array, component_id: int, before: int | None = None) -> list[int]:
        """The nearest keyframes of a component, those that look the same way first; ids below `before`."""
        mine = np.array([k.id for k in self.map.keyframes[:before] if k.component_id == component_id], np.int64)
        T = self.map.T_world_keyframes(mine)
        facing = T[:, :3, 2] @ T_world_cam[:3, 2]
        distance = np.linalg.norm(T[:, :3, 3] - T_world_cam[:3, 3], axis=1)
        nearest = np.argsort(distance)[: self.config.n_nearby]
        return [int(k) for k in mine[nearest[np.argsort(-facing[nearest], kind="stable")]]]
