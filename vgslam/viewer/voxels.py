"""A cloud that grows, with at most one point in a voxel and a bound on all of them."""

import numpy as np

from vgslam.types import Array, Ids

_OFFSET, _SPAN = 2**20, 2**21  # 21 bits an axis in one 63-bit key
_SHARE_OF_ROOM = 8


class VoxelFilter:
    """Chooses, among new points, those in voxels that hold none yet. voxel: edge length. Never more than max_points are
    accepted, and at one time no more than an eighth of what is left, evenly chosen: a long run grows thinner, but its
    end is shown too."""

    def __init__(self, voxel: float, max_points: int) -> None:
        if not voxel > 0:
            raise ValueError(f"voxel must be positive, got {voxel}")
        self.voxel, self._max_points = voxel, max_points
        self.n_accepted = 0
        self._taken = np.zeros(0, np.int64)

    def choose(self, points: Array) -> Ids:
        """Ascending indices of the points (N,3) that are new; they count as shown from now on."""
        room = self._max_points - self.n_accepted
        if room <= 0 or not len(points):
            return np.zeros(0, np.int64)
        cell = np.clip(np.floor(points / self.voxel), -_OFFSET, _OFFSET - 1).astype(np.int64) + _OFFSET
        keys, first = np.unique((cell[:, 0] * _SPAN + cell[:, 1]) * _SPAN + cell[:, 2], return_index=True)
        new = ~np.isin(keys, self._taken, assume_unique=True)
        keys, first = keys[new], first[new]
        step = max(1, -(-len(keys) // max(1, room // _SHARE_OF_ROOM)))
        keys, first = keys[::step], first[::step]
        self._taken = np.union1d(self._taken, keys)
        self.n_accepted += len(first)
        return np.sort(first)
