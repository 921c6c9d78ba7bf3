"""Metres and gravity of a map outlive what joins and moves its components."""

from dataclasses import dataclass

import numpy as np

from vgslam.geometry.rotation_mean import mean_rotation
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.map.world import World
from vgslam.types import Array, Ids

MOST_ANCHORS = 2000
SAME = 1e-9  # a move of less than this, relative, is rounding


@dataclass(frozen=True)
class Remembered:
    """Keyframes of a component where they were, in a known frame of reference: ids (n,); S_world_keyframe R, t, s."""

    world: World
    ids: Ids
    R: Array
    t: Array
    s: Array


def remember(slam_map: SlamMap) -> list[Remembered]:
    """Where the keyframes of metric or upright components are; those of larger components first."""
    found = []
    for component, world in slam_map.worlds.items():
        ids = np.array([k.id for k in slam_map.keyframes if k.component_id == component], np.int64)
        ids = ids[:: max(1, len(ids) // MOST_ANCHORS)]
        if len(ids):
            S = [slam_map.keyframes[k].S_world_keyframe for k in ids]
            R, t = np.stack([x.R for x in S]), np.stack([x.t for x in S])
            found.append(Remembered(world, ids, R, t, np.array([x.s for x in S])))
    return sorted(found, key=lambda a: (not a.world.is_metric, -len(a.ids)))


def restore(slam_map: SlamMap, anchors: list[Remembered]) -> None:
    """Brings each component that holds remembered keyframes back into their frame of reference. Of several frames of
    reference that were joined, that of a metric one with most keyframes stays."""
    worlds: dict[int, World] = {}
    for a in anchors:
        ids, counts = np.unique([slam_map.keyframes[k].component_id for k in a.ids], return_counts=True)
        component = int(ids[counts.argmax()])
        if component in worlds:
            continue
        back = _move_back(slam_map, a, component)
        if np.abs(back.matrix() - np.eye(4)).max() > SAME:
            move(slam_map, component, back)
        worlds[component] = a.world
    slam_map.worlds = worlds


def _move_back(slam_map: SlamMap, a: Remembered, component: int) -> Sim3:
    """The similarity from where the anchors are to where they were: mean rotation, median scale and translation."""
    mine = np.array([slam_map.keyframes[k].component_id == component for k in a.ids])
    now = [slam_map.keyframes[k].S_world_keyframe for k in a.ids[mine]]
    R_now, s_now = np.stack([S.R for S in now]), np.array([S.s for S in now])
    R = mean_rotation(a.R[mine] @ np.swapaxes(R_now, 1, 2))
    s = float(np.exp(np.median(np.log(a.s[mine] / s_now))))
    t = np.median(a.t[mine] - s * np.stack([S.t for S in now]) @ R.T, axis=0)
    return Sim3(R, t, s)


def move(slam_map: SlamMap, component: int, S_new_old: Sim3) -> None:
    """Moves all keyframes of a component, and with them its landmarks and frames. Edges are relative: they stay."""
    for keyframe in slam_map.keyframes:
        if keyframe.component_id == component:
            slam_map.set_pose(keyframe.id, S_new_old @ keyframe.S_world_keyframe)
