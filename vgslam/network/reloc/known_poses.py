"""Poses of the database frames as the network gets them: relative to the anchor, in units of their own spread."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vgslam.errors import ConfigError
from vgslam.geometry import torch_se3
from vgslam.network.pose_encoding import encode_pose

SCALE_FLOOR = 1e-6
"""Median distance from the anchor, in units of the world, below which the scale counts as unobservable."""


@dataclass(frozen=True)
class KnownPoses:
    """Poses of K database frames in each of B scenes; frame 0 is the anchor."""

    encoding: Tensor
    """(B,K,9) float64: pose encodings (see `pose_encoding`) of T_cam_anchor, translations in units of `scale`."""
    has_pose: Tensor
    """(B,K) bool: the frames whose poses the network is given."""
    scale: Tensor
    """(B,): world units per network unit."""
    is_scale_unobservable: Tensor
    """(B,) bool: where set, `scale` is 1, and only the rotation and direction of an answer mean anything."""

    def without(self, frames: Tensor) -> "KnownPoses":
        """The same, with the poses of `frames` (B,K) bool kept from the network."""
        return replace(self, has_pose=self.has_pose & ~frames)

    def to(self, device: torch.device) -> "KnownPoses":
        return KnownPoses(
            self.encoding.to(device), self.has_pose.to(device), self.scale.to(device),
            self.is_scale_unobservable.to(device),
        )  # fmt: skip


def relative_to_anchor(T_world_cam: Tensor) -> Tensor:
    """Poses T_world_cam (B,K,4,4) in any world -> T_cam_anchor (B,K,4,4) float64; the first is the identity."""
    T = T_world_cam.double()
    return torch_se3.inverse(T) @ T[:, :1]


def anchor_scale(T_cam_anchor: Tensor) -> tuple[Tensor, Tensor]:
    """Median distance (B,) of the cameras 1.. from the anchor, and where it is unobservable (B,): there it is 1."""
    b, k = T_cam_anchor.shape[:2]
    if k == 1:
        one = torch.ones(b, dtype=torch.float64, device=T_cam_anchor.device)
        return one, torch.ones_like(one, dtype=torch.bool)
    distance = T_cam_anchor[:, 1:, :3, 3].double().norm(dim=-1)
    scale = distance.quantile(0.5, dim=1)
    is_unobservable = ~(scale > SCALE_FLOOR)
    return torch.where(is_unobservable, torch.ones_like(scale), scale), is_unobservable


def known_poses(
    T_world_cam: Tensor, K: Tensor, image_size: tuple[int, int], max_translation: float = 8.0
) -> KnownPoses:
    """Poses T_world_cam (B,N,4,4) of the database and intrinsics K (B,N,3,3) in px of images of `image_size` (height,
    width), anchor first. The result does not depend on the gauge of the world: any similarity of it changes `scale`
    alone. ConfigError unless shapes fit and the poses are finite."""
    if T_world_cam.ndim != 4 or T_world_cam.shape[2:] != (4, 4) or K.shape != (*T_world_cam.shape[:2], 3, 3):
        raise ConfigError(
            f"known poses must be (scenes, frames, 4, 4) with as many intrinsics, got {tuple(T_world_cam.shape)} and "
            f"{tuple(K.shape)}"
        )
    if not bool(torch.isfinite(T_world_cam).all() & torch.isfinite(K).all()):
        raise ConfigError("known poses and intrinsics must be finite")
    T = relative_to_anchor(T_world_cam)
    scale, is_unobservable = anchor_scale(T)
    encoding = encode_pose(T, K.double(), image_size)
    t = (encoding[..., :3] / scale[:, None, None]).clamp(-max_translation, max_translation)
    encoding = torch.cat([t, encoding[..., 3:]], dim=-1)
    told = torch.ones(encoding.shape[:2], dtype=torch.bool, device=encoding.device)
    return KnownPoses(encoding, told, scale, is_unobservable)
