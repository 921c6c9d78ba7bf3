"""The graph's word on the map."""

import numpy as np

from vgslam.backend.map import SlamMap
from vgslam.backend.pose_graph import optimize


def optimize_map(slam_map: SlamMap) -> float:
    """Optimise every component's keyframes over their edges, the first keyframe of each held; returns the error left.

    Landmarks and frames follow their keyframes. Components without edges stay as they are. Raises GraphError.
    """
    error = 0.0
    component = np.array([k.component_id for k in slam_map.keyframes], np.int64)
    for c in np.unique(component):
        members = set(np.flatnonzero(component == c).tolist())
        edges = [e for e in slam_map.edges.values() if e.id_a in members]
        if not edges:
            continue
        nodes = {k: slam_map.keyframes[k].S_world_keyframe for k in members}
        solved, left = optimize(nodes, edges, {min(members)})
        for k, S in solved.items():
            slam_map.set_pose(k, S)
        error += left
    return error
