"""Landmarks of nearby keyframes, looked for in a view whose pose is known: what the map shows from there."""

from dataclasses import replace

import numpy as np

from vgslam.frontend.features import FeatureConfig
from vgslam.frontend.tracker import View
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.locate import Locator, Recovered, Target
from vgslam.reloc.reach import median_depths
from vgslam.reloc.relocalizer_config import RelocalizerConfig
from vgslam.types import Array, Ids

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
        for k in self._facing(T_world_cam, component_id)[:N_CONFIRMING].tolist():
            found = self._again.confirm(k, target, se3.inverse(T_world_cam))
            if found is not None:
                return found
        return None

    def look_back(self, view: View, camera: Camera, T_world_cam: Array, old: Ids) -> Recovered | None:
        """The landmarks of one of the keyframes `old`, of earlier visits, that a view shows, if they say the pose that
        is known; None if there are none, or they say another."""
        c = self.config
        target = Target(view.gray, camera)
        for k in old[: c.n_back].tolist():
            found = self._back.confirm(k, target, se3.inverse(T_world_cam))
            if found is None:
                continue
            depth = float(np.median(se3.transform(se3.inverse(T_world_cam), self.map.landmarks_world(found.ids))[:, 2]))
            apart = float(np.linalg.norm(found.T_world_cam[:3, 3] - T_world_cam[:3, 3]))
            angle = se3.angle_deg(found.T_world_cam[:3, :3].T @ T_world_cam[:3, :3])
            if apart < c.back_agreement[1] * depth and angle < c.back_agreement[0]:
                return found
        return None

    def old(self, T_world_cam: Array, component_id: int, before: int) -> Ids:
        """Keyframes of earlier visits (ids below `before`) that look the same way from a place nearby: near for what
        they show."""
        m, near = self.map, self._facing(T_world_cam, component_id, before)
        T = m.T_world_keyframes(near)
        near = near[T[:, :3, 2] @ T_world_cam[:3, 2] >= MIN_FACING]
        near = near[m.are_revisits(near, T_world_cam[:3, 3])]
        if not len(near):
            return near
        apart = np.linalg.norm(m.centres(near) - T_world_cam[:3, 3], axis=1)
        return near[apart < MAX_APART * median_depths(m, near)]

    def _facing(self, T_world_cam: Array, component_id: int, before: int | None = None) -> Ids:
        """The nearest keyframes of a component, those that look the same way first; ids below `before`."""
        mine = np.array([k.id for k in self.map.keyframes[:before] if k.component_id == component_id], np.int64)
        distance = np.linalg.norm(self.map.centres(mine) - T_world_cam[:3, 3], axis=1)
        mine = mine[np.argsort(distance)[: self.config.n_nearby]]
        facing = self.map.T_world_keyframes(mine)[:, :3, 2] @ T_world_cam[:3, 2]
        return mine[np.argsort(-facing, kind="stable")]


def visits(old: Ids, gap: int) -> int:
    """How often the camera was at a place before: `NearbyLandmarks.old` keyframes whose ids are at least `gap` apart
    are of another visit."""
    return int(len(old) > 0) + int((np.diff(np.sort(old)) >= gap).sum())
