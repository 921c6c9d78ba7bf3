"""The path of a run in pieces, each of one status."""

from dataclasses import dataclass

import numpy as np

from vgslam.types import Array, Status, Trajectory


@dataclass(frozen=True)
class Strip:
    """A piece of the path: positions (n,3) in its component's world. LOST: a straight line between two poses."""

    component_id: int
    status: Status
    points: Array


def strips_by_status(trajectory: Trajectory) -> list[Strip]:
    """The path in time order. Pieces of different components are not joined; a single pose makes no strip."""
    n = len(trajectory)
    if n < 2:
        return []
    points, component = trajectory.T_world_cam[:, :3, 3], trajectory.component_ids
    is_joined = np.diff(component) == 0
    is_gap = np.diff(trajectory.frame_ids) > 1
    kind = np.where(is_joined, np.where(is_gap, 1, 0), -1)
    starts = np.flatnonzero(np.diff(kind, prepend=-2) != 0)
    ends = np.append(starts[1:], n - 1)
    return [
        Strip(int(component[a]), Status.LOST if kind[a] == 1 else Status.TRACKED, points[a : b + 1])
        for a, b in zip(starts.tolist(), ends.tolist())
        if kind[a] >= 0
    ]
