"""Many rotations at once, and the powers of a similarity: the motion that leads to it at constant speed."""

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.se3 import Array
from vgslam.geometry.sim3 import Sim3

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
"""Quadrature on [-1, 1]: exact to rounding for the smooth integrands below, up to half a turn."""


def so3_exp_many(w: Array) -> Array:
    """Rotation vectors (...,3) in rad -> rotations (...,3,3), as `se3.so3_exp`."""
    angle = np.linalg.norm(w, axis=-1)[..., None, None]
    W = se3.skew(w)
    first, second = np.sinc(angle / np.pi), 0.5 * np.sinc(0.5 * angle / np.pi) ** 2
    return np.eye(3) + first * W + second * np.matmul(W, W)


def powers(S: Sim3, exponents: Array) -> tuple[Array, Array, Array]:
    """S^a = exp(a log S) for exponents a (n,): R (n,3,3), t (n,3), s (n,). a = 0 is the identity, a = 1 is S. The
    translation of exp(a (w, v, l)) is a V(a w, a l) v with V(w, l) the integral of exp(l x) exp(x [w]) over x from 0 to
    1 (Strasdat, "Local accuracy and global consistency", PhD thesis 2012, section 2.3)."""
    a = np.asarray(exponents, np.float64)
    w, log_s = se3.so3_log(S.R), float(np.log(S.s))
    v = np.linalg.solve(_integral(w[None], np.array([log_s]))[0], S.t)
    t = a[:, None] * (_integral(a[:, None] * w, a * log_s) @ v)
    return so3_exp_many(a[:, None] * w), t, np.exp(a * log_s)


def _integral(w: Array, log_s: Array) -> Array:
    """V (n,3,3) of rotation vectors (n,3) and logarithms of scale (n,)."""
    x = 0.5 * (_NODES + 1.0)
    weight = 0.5 * _WEIGHTS * np.exp(x * log_s[:, None])
    return np.einsum("nq,nqij->nij", weight, so3_exp_many(x[:, None] * w[:, None, :]))
