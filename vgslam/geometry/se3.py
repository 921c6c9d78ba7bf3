"""Rigid motions as 4x4 float64 matrices, `T_a_b` taking coordinates in b to a.

Exponential and logarithm follow Sola et al., "A micro Lie theory" (arXiv 1812.01537), eqs. 132-144 and 172-175;
a tangent vector is (rotation rad x3, translation x3).
"""

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
ORTHONORMAL = 1e-6
"""Largest difference of a rotation's R R^T from the identity."""

_I3, _I4 = np.eye(3), np.eye(4)


def skew(v: Array) -> Array:
    """(..., 3) -> (..., 3, 3) with skew(v) @ w = v x w."""
    out = np.zeros((*np.shape(v)[:-1], 3, 3))
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    out[..., 0, 1], out[..., 0, 2], out[..., 1, 2] = -z, y, -x
    out[..., 1, 0], out[..., 2, 0], out[..., 2, 1] = z, -y, x
    return out


def _length(v: Array) -> float:
    """The length of (3,): numpy's own norm takes three times as long."""
    return math.sqrt(float(v @ v))


def so3_exp(w: Array) -> Array:
    """Rotation vector (3,) in rad -> rotation matrix (3,3)."""
    w = np.asarray(w, np.float64)
    theta, W = _length(w), skew(w)
    if theta < 1e-8:
        return _I3 + W + 0.5 * W @ W
    return _I3 + np.sin(theta) / theta * W + (1 - np.cos(theta)) / theta**2 * (W @ W)


def so3_log(R: Array) -> Array:
    """Rotation matrix (3,3) -> rotation vector (3,) in rad, angle in [0, pi]."""
    q = quaternion_from_rotation(R)
    v, w = q[:3], q[3]
    n = float(np.linalg.norm(v))
    if n < 1e-10:
        return 2.0 * v / w
    return 2.0 * np.arctan2(n, w) / n * v


def _left_jacobian(w: Array) -> Array:
    theta, W = _length(w), skew(w)
    if theta < 1e-6:
        return _I3 + 0.5 * W + W @ W / 6.0
    return _I3 + (1 - np.cos(theta)) / theta**2 * W + (theta - np.sin(theta)) / theta**3 * (W @ W)


def exp(xi: Array) -> Array:
    """Tangent (6,) = (rotation, translation) -> T (4,4)."""
    T = _I4.copy()
    T[:3, :3] = so3_exp(xi[:3])
    T[:3, 3] = _left_jacobian(np.asarray(xi[:3], np.float64)) @ xi[3:]
    return T


def log(T: Array) -> Array:
    """T (4,4) -> tangent (6,) = (rotation, translation)."""
    w = so3_log(T[:3, :3])
    return np.concatenate([w, np.linalg.solve(_left_jacobian(w), T[:3, 3])])


def inverse(T: Array) -> Array:
    """(..., 4, 4) -> inverse, using the structure of a rigid motion."""
    out = np.zeros_like(T)
    Rt = np.swapaxes(T[..., :3, :3], -1, -2)
    out[..., :3, :3] = Rt
    out[..., :3, 3] = -(Rt @ T[..., :3, 3:])[..., 0]
    out[..., 3, 3] = 1.0
    return out


def from_rt(R: Array, t: Array) -> Array:
    """R (3,3), t (3,) -> T (4,4)."""
    T = _I4.copy()
    T[:3, :3] = R
    T[:3, 3] = np.reshape(t, 3)
    return T


def transform(T: Array, points: Array) -> Array:
    """T_a_b (4,4) and points (N,3) in b -> points (N,3) in a."""
    return points @ T[:3, :3].T + T[:3, 3]


def determinant(R: Array) -> float:
    """The determinant of (3,3), by numbers of Python: numpy takes ten times as long for so small a matrix."""
    (a, b, c), (d, e, f), (g, h, i) = R.tolist()
    return float(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))


def is_rotation(R: Array) -> bool:
    """Whether (3,3) is a rotation matrix: its rows orthonormal to ORTHONORMAL, and right-handed."""
    x, y, z = R.tolist()
    products = ((x, x, 1.0), (y, y, 1.0), (z, z, 1.0), (x, y, 0.0), (x, z, 0.0), (y, z, 0.0))
    if any(abs(a[0] * b[0] + a[1] * b[1] + a[2] * b[2] - one) > ORTHONORMAL for a, b, one in products):
        return False
    return determinant(R) > 0


def orthonormalize(R: Array) -> Array:
    """Nearest rotation matrix in the Frobenius norm (polar factor)."""
    U, _, Vt = np.linalg.svd(R)
    nearest = U @ Vt
    if determinant(nearest) > 0:
        return nearest
    return U @ np.diag([1.0, 1.0, -1.0]) @ Vt


def angle_deg(R: Array) -> float:
    """Angle of a rotation matrix (3,3) in degrees, accurate near zero."""
    return float(np.degrees(np.linalg.norm(so3_log(R))))


def quaternion_from_rotation(R: Array) -> Array:
    """Rotation (3,3) -> unit quaternion (x, y, z, w) with w >= 0 (Bar-Itzhack's eigenvector method)."""
    m = R
    Q = np.array([
        [m[0, 0] - m[1, 1] - m[2, 2], 0, 0, 0],
        [m[1, 0] + m[0, 1], m[1, 1] - m[0, 0] - m[2, 2], 0, 0],
        [m[2, 0] + m[0, 2], m[2, 1] + m[1, 2], m[2, 2] - m[0, 0] - m[1, 1], 0],
        [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
    ])
    q = np.linalg.eigh(Q / 3.0, UPLO="L")[1][:, -1]
    return -q if q[3] < 0 else q


def rotation_from_quaternion(q: Array) -> Array:
    """Quaternion (x, y, z, w), any non-zero norm -> rotation (3,3). Raises ValueError for a zero quaternion."""
    n = float(np.linalg.norm(q))
    if not n > 1e-12:
        raise ValueError("quaternion has zero norm")
    x, y, z, w = np.asarray(q, np.float64) / n
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])
