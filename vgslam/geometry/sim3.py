"""Similarity transforms: S_a_b takes points in b to a as p_a = s * R @ p_b + t."""

from dataclasses import dataclass
from math import isfinite

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.se3 import Array


@dataclass(frozen=True)
class Sim3:
    """Similarity S_a_b with p_a = s R p_b + t. Raises ValueError for non-finite values, a non-orthonormal R or s <=
    0."""

    R: Array
    """(3,3) rotation."""
    t: Array
    """(3,) in units of a."""
    s: float = 1.0
    """Units of a per unit of b, > 0."""

    def __post_init__(self) -> None:
        R, t = np.asarray(self.R, np.float64), np.asarray(self.t, np.float64).reshape(3)
        if R.shape != (3, 3) or not all(map(isfinite, [*R.ravel().tolist(), *t.tolist()])):
            raise ValueError("Sim3: R and t must be finite, R of shape (3,3)")
        if not (isfinite(self.s) and self.s > 0):
            raise ValueError(f"Sim3: scale s must be positive and finite, got {self.s}")
        if not se3.is_rotation(R):
            raise ValueError("Sim3: R is not a rotation matrix")
        object.__setattr__(self, "R", R)
        object.__setattr__(self, "t", t)
        object.__setattr__(self, "s", float(self.s))

    @staticmethod
    def identity() -> "Sim3":
        return Sim3(np.eye(3), np.zeros(3), 1.0)

    @staticmethod
    def from_T(T: Array, s: float = 1.0) -> "Sim3":
        """Rigid T_a_b (4,4) with scale s (units of a per unit of b)."""
        return Sim3(se3.orthonormalize(T[:3, :3]), T[:3, 3], s)

    def __matmul__(self, other: "Sim3") -> "Sim3":
        return Sim3(
            se3.orthonormalize(self.R @ other.R), self.s * (self.R @ other.t) + self.t, self.s * other.s
        )

    def inverse(self) -> "Sim3":
        return Sim3(self.R.T, -(self.R.T @ self.t) / self.s, 1.0 / self.s)

    def apply(self, points: Array) -> Array:
        """Points (N,3) in b -> (N,3) in a."""
        return self.s * (points @ self.R.T) + self.t

    def compose_pose(self, T_b_c: Array) -> Array:
        """Rigid pose T_b_c (4,4), translation in units of b -> T_a_c (4,4) with translation in units of a."""
        return se3.from_rt(self.R @ T_b_c[:3, :3], self.s * (self.R @ T_b_c[:3, 3]) + self.t)

    def compose_poses(self, T_b_c: Array) -> Array:
        """`compose_pose` of poses (N,4,4)."""
        out = T_b_c.copy()
        out[:, :3, :3] = self.R @ T_b_c[:, :3, :3]
        out[:, :3, 3] = self.apply(T_b_c[:, :3, 3])
        return out

    @property
    def pose(self) -> Array:
        """T_a_b (4,4): rotation and position without the scale (the camera pose of a keyframe node)."""
        return se3.from_rt(self.R, self.t)

    def matrix(self) -> Array:
        """The 4x4 matrix [[s R, t], [0, 1]]."""
        M = np.eye(4)
        M[:3, :3] = self.s * self.R
        M[:3, 3] = self.t
        return M
