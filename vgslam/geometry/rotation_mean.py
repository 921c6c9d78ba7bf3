"""Mean of rotations, indifferent to the sign of quaternions, and the same without outliers."""

import numpy as np
import numpy.typing as npt

from vgslam.geometry import se3
from vgslam.geometry.se3 import Array


def mean_rotation(R: Array, weights: Array | None = None) -> Array:
    """Rotations (N,3,3), weights (N,) >= 0 -> the rotation (3,3) whose quaternion is the largest eigenvector of
    sum w q q^T (Markley et al., "Averaging quaternions", JGCD 2007, eq. 12). ValueError for none or no weight."""
    w = np.ones(len(R)) if weights is None else np.asarray(weights, np.float64)
    if not len(R) or not w.sum() > 0:
        raise ValueError("mean of no rotations")
    q = np.stack([se3.quaternion_from_rotation(r) for r in R])
    M = np.einsum("n,ni,nj->ij", w, q, q)
    return se3.rotation_from_quaternion(np.linalg.eigh(M)[1][:, -1])


def angles_to_deg(R: Array, reference: Array) -> Array:
    """Angles (N,) in degrees between rotations (N,3,3) and one (3,3)."""
    return np.array([se3.angle_deg(r @ reference.T) for r in R])


def robust_mean_rotation(R: Array, floor_deg: float = 5.0) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Mean (3,3) of rotations (N,3,3) and which of them (N,) it is made of. Rotations further from the one in the
    middle (the least sum of angles to the others) than floor_deg and than median + 2.5 robust deviations are left out;
    the rest is averaged. ValueError for none."""
    if not len(R):
        raise ValueError("mean of no rotations")
    pairwise = np.stack([angles_to_deg(R, r) for r in R])
    middle = int(pairwise.sum(axis=1).argmin())
    angle = pairwise[middle]
    median = float(np.median(angle))
    limit = max(floor_deg, median + 2.5 * 1.4826 * float(np.median(np.abs(angle - median))))
    used = angle <= limit
    return mean_rotation(R[used]), used
