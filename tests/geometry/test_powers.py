"""Powers of similarities, and many rotations at once."""

from dataclasses import dataclass

import numpy as np
import pytest

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.powers import powers, so3_exp_many
from vgslam.geometry.radial import radial_since, with_radial, without_radial
from vgslam.geometry.sim3 import Sim3


def one(S: Sim3, a: float) -> Sim3:
    R, t, s = powers(S, np.array([a]))
    return Sim3(R[0], t[0], float(s[0]))


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-3, 0.7, 3.0])
@pytest.mark.parametrize("scale", [1.0, 1.0 + 1e-9, 0.4, 2.5])
def test_powers_add_up_and_end_at_the_similarity(angle: float, scale: float) -> None:
    S = Sim3(se3.so3_exp(angle * np.array([0.6, -0.48, 0.64])), np.array([3.0, -1.0, 2.0]), scale)
    np.testing.assert_allclose(one(S, 0.0).matrix(), np.eye(4), atol=1e-12)
    np.testing.assert_allclose(one(S, 1.0).matrix(), S.matrix(), atol=1e-10)
    np.testing.assert_allclose((one(S, 0.3) @ one(S, 0.7)).matrix(), S.matrix(), atol=1e-10)
    half = one(S, 0.5)
    np.testing.assert_allclose((half @ half).matrix(), S.matrix(), atol=1e-10)


def test_rotations_are_those_of_one_at_a_time() -> None:
    w = np.random.default_rng(1).normal(size=(20, 3)) * np.logspace(-12, 0.4, 20)[:, None]
    np.testing.assert_allclose(so3_exp_many(w), [se3.so3_exp(v) for v in w], atol=1e-12)


@dataclass(frozen=True)
class Straightened(Camera):
    """The camera of a map that has taken radial distortion out of its images."""

    removed_k1: float = 0.0


def test_radial_distortion_is_taken_out_and_put_back() -> None:
    before = Camera(500.0, 510.0, 320.0, 240.0, 640, 480)
    now = Straightened(505.0, 505.0, 321.0, 239.0, 640, 480, removed_k1=-0.05)
    k1 = radial_since(now, before)
    assert k1 == -0.05
    assert radial_since(now, now) == 0.0
    pixels = np.random.default_rng(2).uniform([0, 0], [640, 480], (50, 2))
    bent = with_radial(now, k1, pixels)
    assert np.linalg.norm(bent - pixels, axis=1).max() > 2.0
    np.testing.assert_allclose(without_radial(now, k1, bent), pixels, atol=0.02)
