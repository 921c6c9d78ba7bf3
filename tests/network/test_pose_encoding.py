"""Pose encodings: inverse of each other, conventions by hand-made numbers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from vgslam.geometry.camera import Camera
from vgslam.network.pose_encoding import (
    decode_intrinsics,
    decode_pose,
    encode_pose,
    quaternion_from_rotation,
    rotation_from_quaternion,
    to_pixel_centres,
)
from vgslam_train.data.truth import unproject


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 10))
def test_quaternions_agree_with_scipy_at_any_length(seed: int, scale: float) -> None:
    rotation = Rotation.random(20, random_state=seed)
    q = torch.from_numpy(rotation.as_quat())
    torch.testing.assert_close(rotation_from_quaternion(scale * q), torch.from_numpy(rotation.as_matrix()))
    found = quaternion_from_rotation(torch.from_numpy(rotation.as_matrix()))
    torch.testing.assert_close(found, torch.from_numpy(rotation.as_quat(canonical=True)))


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, -1, 0)])
def test_half_turns(axis) -> None:
    R = torch.from_numpy(Rotation.from_rotvec(math.pi * np.array(axis) / np.linalg.norm(axis)).as_matrix())
    torch.testing.assert_close(rotation_from_quaternion(quaternion_from_rotation(R)), R)


def test_round_trip() -> None:
    generator = torch.Generator().manual_seed(1)
    encoding = torch.randn(5, 3, 9, generator=generator, dtype=torch.float64)
    encoding[..., 7:] = encoding[..., 7:].abs().clamp(0.3, 2.5)
    T, K = decode_pose(encoding), decode_intrinsics(encoding, (392, 518))
    again = encode_pose(T, K, (392, 518))
    torch.testing.assert_close(decode_pose(again), T)
    torch.testing.assert_close(again[..., 7:], encoding[..., 7:])
    assert (again[..., 6] >= 0).all()


def test_conventions_by_hand() -> None:
    """A quarter turn about z, and a field of view of 90 degrees across 518 px."""
    s = math.sqrt(0.5)
    encoding = torch.tensor([1.0, 2, 3, 0, 0, s, s, math.pi / 2, math.pi / 2], dtype=torch.float64)
    T = decode_pose(encoding)
    expected = torch.tensor([[0.0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(T, expected)
    K = decode_intrinsics(encoding, (392, 518))
    torch.testing.assert_close(
        K, torch.tensor([[259.0, 0, 259], [0, 196, 196], [0, 0, 1]], dtype=torch.float64)
    )


def test_zero_field_of_view_stays_finite() -> None:
    K = decode_intrinsics(torch.zeros(9), (392, 518))
    assert torch.isfinite(K).all()


def test_unprojection_inverts_projection() -> None:
    generator = torch.Generator().manual_seed(2)
    encoding = torch.randn(2, 9, generator=generator, dtype=torch.float64)
    encoding[:, 7:] = 1.1
    T, K = decode_pose(encoding), decode_intrinsics(encoding, (6, 8))
    depth = torch.rand(2, 6, 8, generator=generator, dtype=torch.float64) + 1
    points = unproject(depth, T, K)
    cam = torch.einsum("nij,nhwj->nhwi", T[:, :3, :3], points) + T[:, None, None, :3, 3]
    pixels = torch.einsum("nij,nhwj->nhwi", K, cam / cam[..., 2:])
    v, u = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
    torch.testing.assert_close(pixels[..., 0], u.double().expand(2, -1, -1))
    torch.testing.assert_close(pixels[..., 1], v.double().expand(2, -1, -1))
    torch.testing.assert_close(cam[..., 2], depth)


def test_half_a_pixel_between_the_conventions() -> None:
    """The centre of the image is W/2 for the network and (W-1)/2 where pixel (0,0) is the centre of the first pixel."""
    encoding = torch.tensor([0.0, 0, 0, 0, 0, 0, 1, 1.0, 1.2], dtype=torch.float64)
    K = to_pixel_centres(decode_intrinsics(encoding, (392, 518)))
    camera = Camera.from_fov(518, 392, math.degrees(1.2))
    assert (K[0, 2].item(), K[1, 2].item()) == (camera.cx, camera.cy) == (258.5, 195.5)
    assert K[0, 0].item() == pytest.approx(camera.fx)
