"""Optimises a map by its pose graph."""

from dataclasses import dataclass

import numpy as np

from vgslam.graph.robust import SwitchedOff, solve_robust
from vgslam.map.slam_map import SlamMap


@dataclass(frozen=True)
class MapSolution:
    """The outcome of optimising a map."""

    error: float
    """GTSAM's remaining error."""
    switched_off: list[SwitchedOff]
    """Loops and relocalizations that the graph contradicts."""


def optimize_map(slam_map: SlamMap, is_metric: bool = False) -> MapSolution:
    """Robust solve of every component's keyframes over their edges, the first keyframe of each held. Landmarks and
    frames follow their keyframes. Components without edges stay as they are; the edges of the map stay too, also those
    that are switched off. Raises GraphError."""
    error, switched_off = 0.0, []
    component = np.array([k.component_id for k in slam_map.keyframes], np.int64)
    for c in np.unique(component):
        members = set(np.flatnonzero(component == c).tolist())
        edges = [e for e in slam_map.edges.values() if e.id_a in members]
        if not edges:
            continue
        nodes = {k: slam_map.keyframes[k].S_world_keyframe for k in members}
        solution = solve_robust(nodes, edges, {min(members)}, is_metric)
        for k, S in solution.nodes.items():
            slam_map.set_pose(k, S)
        error += solution.error
        switched_off += solution.switched_off
    return MapSolution(error, switched_off)
