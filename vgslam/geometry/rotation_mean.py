"""Mean of rotations, and the same without outliers."""

import numpy as np
import numpy.typing as npt

from vgslam.geometry import se3
from vgslam.geometry.se3 import Array


def mean_rotation(R: Array) -> Array:
    """Rotations (N,3,3) -> the rotation (3,3) of least squared distance to them: the chordal L2 mean (Hartley et al.,
    IJCV 2013, 5.3). ValueError for none."""
    if not len(R):
        raise ValueError("mean of no rotations")
    return se3.orthonormalize(R.sum(0))


def angles_deg(R: Array) -> Array:
    """Angles (N,) in degrees of rotations (N,3,3), accurate near zero (from both the sine and the cosine)."""
    axis = np.stack([R[:, 2, 1] - R[:, 1, 2], R[:, 0, 2] - R[:, 2, 0], R[:, 1, 0] - R[:, 0, 1]], axis=1)
    return np.degrees(np.arctan2(np.linalg.norm(axis, axis=1), np.trace(R, axis1=1, axis2=2) - 1.0))


def robust_mean_rotation(R: Array, floor_deg: float = 5.0) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Mean (3,3) of rotations (N,3,3) and which of them (N,) it is made of. Rotations further from the one in the
    middle (the least sum of angles to the others) than floor_deg and than median + 2.5 robust deviations are left out;
    the rest is averaged. ValueError for none."""
    if not len(R):
        raise ValueError("mean of no rotations")
    pairwise = np.stack([angles_deg(R @ r.T) for r in R])
    middle = int(pairwise.sum(axis=1).argmin())
    angle = pairwise[middle]
    median = float(np.median(angle))
    limit = max(floor_deg, median + 2.5 * 1.4826 * float(np.median(np.abs(angle - median))))
    used = angle <= limit
    return mean_rotation(R[used]), used
