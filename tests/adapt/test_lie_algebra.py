"""The rigid motions of the losses and of the teacher, against PyPose."""

import numpy as np
import pypose
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from vgslam.adapt.losses import warp
from vgslam.geometry import se3, torch_se3
from vgslam.network.pose_encoding import quaternion_from_rotation, rotation_from_quaternion

tangents = arrays(np.float64, 6, elements=st.floats(-1.7, 1.7))


def theirs(xi: np.ndarray) -> pypose.LieTensor:
    """PyPose writes the translation first."""
    return pypose.se3(torch.from_numpy(np.concatenate([xi[3:], xi[:3]]))).Exp()


@settings(deadline=None)  # the first call loads
@given(tangents)
@example(np.array([5e-11, 0.0, 0.0, 0.0, 1.0, 0.0]))
@example(np.array([4.2230796e-08, 0.0, 0.0, 0.0, 1.5, 0.0]))
@example(np.array([0.0, 0.0, 4.2230796e-08, 1.0, 1.5, 0.0]))
@example(np.array([0.0499, 0.0, 0.0, 0.0, 0.0, 0.0]))
def test_exponential_logarithm_and_inverse(xi: np.ndarray) -> None:
    T = theirs(xi)
    matrix = T.matrix()
    # for the smallest angles half of angle x translation is rounded away in PyPose: up to 1.5e-8 of a length
    np.testing.assert_allclose(se3.exp(xi), matrix.numpy(), atol=5e-8)
    v, w = T.Log().tensor().split(3)
    np.testing.assert_allclose(se3.log(se3.exp(xi)), torch.cat([w, v]).numpy(), atol=5e-8)
    torch.testing.assert_close(torch_se3.inverse(matrix), T.Inv().matrix(), atol=1e-12, rtol=0)
    # for small arguments torch's matrix_exp is off by up to 2.6e-10 (at 0.05, where its series ends)
    torch.testing.assert_close(torch_se3.exp(torch.from_numpy(xi)), torch.from_numpy(se3.exp(xi)), atol=4e-10, rtol=0)


@settings(deadline=None)  # the first call loads
@given(tangents)
def test_quaternions_are_written_alike(xi: np.ndarray) -> None:
    """(x, y, z, w); q and -q are the same rotation."""
    rotation = theirs(xi).rotation()
    R, q = rotation.matrix(), quaternion_from_rotation(rotation.matrix())
    assert float((q * rotation.tensor()).sum().abs()) == pytest.approx(1.0, abs=1e-12)
    torch.testing.assert_close(rotation_from_quaternion(rotation.tensor()), R, atol=1e-12, rtol=0)


def test_the_warp_pulls_a_pose_along_the_algebra_to_the_truth() -> None:
    """A wavy image of a plane, seen again from the side; the pose is a PyPose parameter, moved by the gradient of
    the photometric error alone."""
    v, u = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    K = torch.tensor([[60.0, 0.0, 31.5], [0.0, 60.0, 23.5], [0.0, 0.0, 1.0]])

    def seen(T_cam_world: Tensor) -> tuple[Tensor, Tensor]:
        """Image (3,H,W) and depth (H,W) of the plane z = 3 of the world, painted with waves."""
        T = torch_se3.inverse(T_cam_world)
        rays = torch.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], torch.ones_like(u)], -1)
        way = rays @ T[:3, :3].mT
        z = (3.0 - T[2, 3]) / way[..., 2]
        x, y = (T[k, 3] + z * way[..., k] for k in (0, 1))
        return torch.stack([torch.sin(2 * x) * torch.cos(1.5 * y + k) for k in range(3)]), z

    target, depth = seen(torch.eye(4))
    truth = pypose.se3(torch.tensor([0.12, -0.05, 0.06, 0.02, -0.03, 0.04])).Exp()
    source, source_depth = seen(truth.matrix())
    pose = pypose.Parameter(pypose.identity_SE3())
    adam = torch.optim.Adam([pose], lr=0.01)
    for k in range(300):
        adam.param_groups[0]["lr"] = 0.01 * (1 - k / 300)
        warped = warp(source[None], source_depth[None], depth[None], pose.matrix()[None], K)
        inside = warped.valid[0]
        loss = (warped.image[0] - target).abs().mean(0)[inside].mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    wrong = (truth.Inv() @ pose.detach()).Log().tensor().norm()
    assert float(truth.Log().tensor().norm()) > 0.1
    assert float(wrong) < 0.01
