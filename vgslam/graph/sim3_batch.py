"""Many similarities at once: what consistency tests need over thousands of pairs.

The tangent is (rotation rad, translation, log-scale), applied on the right (in the frame of the last index).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vgslam.geometry.sim3 import Sim3
from vgslam.types import Array


@dataclass(frozen=True)
class Sim3Batch:
    """N similarities p_a = s R p_b + t."""

    R: Array  # (N,3,3)
    t: Array  # (N,3)
    s: Array  # (N,)

    @staticmethod
    def of(items: Sequence[Sim3]) -> "Sim3Batch":
        R = np.array([S.R for S in items]).reshape(-1, 3, 3)
        return Sim3Batch(R, np.array([S.t for S in items]).reshape(-1, 3), np.array([S.s for S in items], np.float64))

    def __getitem__(self, index: np.ndarray | slice) -> "Sim3Batch":
        return Sim3Batch(self.R[index], self.t[index], self.s[index])

    def __matmul__(self, other: "Sim3Batch") -> "Sim3Batch":
        t = self.s[:, None] * np.matmul(self.R, other.t[:, :, None])[:, :, 0] + self.t
        return Sim3Batch(np.matmul(self.R, other.R), t, self.s * other.s)

    def inverse(self) -> "Sim3Batch":
        Rt = np.swapaxes(self.R, 1, 2)
        return Sim3Batch(Rt, -np.matmul(Rt, self.t[:, :, None])[:, :, 0] / self.s[:, None], 1 / self.s)

    def orthonormal(self) -> "Sim3Batch":
        """The same, with the rounding errors of the rotations taken out: they are orthonormal again."""
        u, _, vt = np.linalg.svd(self.R)
        return Sim3Batch(u @ vt, self.t, self.s)

    def adjoint(self) -> Array:
        """(N,7,7) with S exp(x) S^-1 = exp(Ad x): [[R, 0, 0], [[t]x R, s R, -t], [0, 0, 1]]."""
        A = np.zeros((len(self.s), 7, 7))
        A[:, :3, :3] = self.R
        A[:, 3:6, :3] = np.cross(self.t[:, None, :], np.swapaxes(self.R, 1, 2)).swapaxes(1, 2)
        A[:, 3:6, 3:6] = self.s[:, None, None] * self.R
        A[:, 3:6, 6] = -self.t
        A[:, 6, 6] = 1.0
        return A

    def tangent(self) -> Array:
        """(N,7): rotation vector, translation, log-scale; the logarithm to first order, exact in rotation and scale."""
        R = self.R
        w = np.stack([R[:, 2, 1] - R[:, 1, 2], R[:, 0, 2] - R[:, 2, 0], R[:, 1, 0] - R[:, 0, 1]], 1) / 2
        sine = np.linalg.norm(w, axis=1)
        angle = np.arctan2(sine, (np.trace(R, axis1=1, axis2=2) - 1) / 2)
        safe = np.maximum(sine, 1e-12)
        w = w * np.where(sine > 1e-9, angle / safe, 1.0)[:, None]
        w[(sine <= 1e-9) & (angle > 1.0), 0] = np.pi
        return np.concatenate([w, self.t / self.s[:, None], np.log(self.s)[:, None]], 1)


def moved(A: Array, covariance: Array) -> Array:
    """A C A^T (N,7,7)."""
    return np.asarray(np.matmul(np.matmul(A, covariance), np.swapaxes(A, 1, 2)))
