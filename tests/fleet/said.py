"""Ties by hand, and the similarities that they say."""

import numpy as np

from vgslam.fleet.sights import Sight
from vgslam.fleet.ties import Tie
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3


def turned(degrees: float, x: float = 0.0, s: float = 1.0) -> Sim3:
    """Turned about y, and at x."""
    return Sim3(se3.so3_exp(np.array([0.0, np.radians(degrees), 0.0])), np.array([x, 0.0, 0.0]), s)


def said(S: Sim3, reach: float = 4.0, sigma: float = 0.01, a: int = 0) -> Tie:
    """A tie of keyframe a by which the middle of part b is at S; ten of them each show one place."""
    x = 10.0 * (a // 10)
    sight = Sight(np.array([x, 0.0, 0.0]), np.array([x, 0.0, 4.0]))
    return Tie(a, 0, 0, 0, Sim3.identity(), np.full(7, sigma), 0.8, S, reach, sight, sight)
