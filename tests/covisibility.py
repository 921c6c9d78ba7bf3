"""Which pixels of one view are seen in another, from exact depth; and images warped from one view to another."""

import numpy as np
import numpy.typing as npt
import torch

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera

Array = npt.NDArray[np.float64]


def reproject(
    depth: torch.Tensor, T_world_a: Array, T_world_b: Array, camera: Camera
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the pixels of view a lie in view b of the same camera.

    depth (H,W) of a in metres along the optical axis; poses (4,4). Returns pixels (H,W,2) (u, v; integers are pixel
    centres) and depth in b (H,W), both float64 on the device of `depth`; pixels are NaN where depth is infinite or
    the point is not in front of b.
    """
    T = se3.inverse(T_world_b) @ T_world_a
    z = depth.double()
    v, u = torch.meshgrid(
        torch.arange(z.shape[0], device=z.device, dtype=z.dtype),
        torch.arange(z.shape[1], device=z.device, dtype=z.dtype), indexing="ij",
    )  # fmt: skip
    ray = torch.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, torch.ones_like(u)], -1)
    points = (ray * z[..., None]) @ torch.from_numpy(T[:3, :3].T.copy()).to(z) + torch.from_numpy(T[:3, 3]).to(z)
    z_b = points[..., 2]
    u_b, v_b = (f * points[..., k] / z_b + c for k, f, c in ((0, camera.fx, camera.cx), (1, camera.fy, camera.cy)))
    pixels = torch.stack([u_b, v_b], -1)
    bad = ~torch.isfinite(z) | (z_b <= 0)
    return pixels.masked_fill(bad[..., None], float("nan")), z_b


def sample_bilinear(image: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """image (H,W,C) at pixels (...,2), bilinear, with pixel centres at integers; outside the image: its edge."""
    height, width = image.shape[:2]
    span = torch.tensor([width - 1, height - 1], dtype=image.dtype, device=image.device)
    grid = torch.nan_to_num(pixels.to(image.dtype), nan=-1e6).reshape(1, 1, -1, 2) * 2 / span - 1
    out = torch.nn.functional.grid_sample(
        image.permute(2, 0, 1)[None], grid, mode="bilinear", padding_mode="border", align_corners=True
    )
    return out[0, :, 0].T.reshape(*pixels.shape[:-1], image.shape[2])


def covisible(
    depth_a: torch.Tensor, depth_b: torch.Tensor, T_world_a: Array, T_world_b: Array, camera: Camera,
    tolerance: float = 0.01,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Mask (H,W) of the pixels of a whose point is seen in b, and their pixels in b (H,W,2).

    A point counts as seen when its depth in b agrees with b's own within the share `tolerance`; b's inverse depth is
    interpolated, which is exact on planes.
    """
    pixels, z = reproject(depth_a, T_world_a, T_world_b, camera)
    height, width = depth_b.shape
    u, v = pixels[..., 0], pixels[..., 1]
    inside = (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    inverse = sample_bilinear((1.0 / depth_b.double())[..., None], pixels)[..., 0]
    return inside & ((inverse * z - 1).abs() < tolerance), pixels
