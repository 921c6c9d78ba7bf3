"""Poses of a query and K references by a network: one that is given the references' poses, or a plain one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from vgslam.errors import ConfigError
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.interfaces import Backbone
from vgslam.network.backbone import Float, UInt8
from vgslam.network.pose_encoding import decode_pose
from vgslam.network.reloc.files import base_identity, load_reloc
from vgslam.network.reloc.known_poses import known_poses
from vgslam.network.reloc.network import RelocNetwork
from vgslam.network.vggt import Head
from vgslam.network.vggt_backbone import VggtBackbone

_POSES = frozenset({Head.POSE})


@dataclass(frozen=True)
class LocalPoses:
    """A network's poses of K references and a query in the frame of the first reference, the anchor. They are
    finite."""

    T_local_refs: Float  # (K,4,4): T_local_cam in the frame of the anchor's camera and a unit of the network's own
    T_local_query: Float  # (4,4), likewise
    scale: float  # world units per network unit; NaN where not known


class QueryPoses(Protocol):
    """A network that looks at references and a query together. name: of the method, for tables."""

    name: str

    def predict(self, images: Sequence[UInt8], cameras: Sequence[Camera], T_world_refs: Float) -> LocalPoses | None:
        """Images (H,W,3) RGB of K >= 1 references, the anchor first, and the query, their cameras, and T_world_cam
        (K,4,4) of the references; None if the answer is not finite. ConfigError for numbers that do not fit."""
        ...


class PlainQueryPoses:
    """Implements `QueryPoses` with any backbone, which is given no poses: its unit is unknown."""

    name = "consensus"

    def __init__(self, backbone: Backbone[Any]) -> None:
        self.backbone = backbone

    def predict(self, images: Sequence[UInt8], cameras: Sequence[Camera], T_world_refs: Float) -> LocalPoses | None:
        _check(images, cameras, T_world_refs)
        prepared = self.backbone.prepare(images)
        tokens = self.backbone.encode(prepared, _POSES)
        scene = self.backbone.decode(tokens, prepared, _POSES, known_cameras=cameras)
        assert scene.T_cam_world is not None
        return _local(scene.T_cam_world, float("nan"))


class ToldQueryPoses:
    """Implements `QueryPoses` with a relocalization network, which is given the poses of the references."""

    name = "learned"

    def __init__(self, backbone: VggtBackbone, network: RelocNetwork) -> None:
        self.backbone, self.network = backbone, network

    def predict(self, images: Sequence[UInt8], cameras: Sequence[Camera], T_world_refs: Float) -> LocalPoses | None:
        _check(images, cameras, T_world_refs)
        prepared = self.backbone.prepare(images)
        K = np.stack([m.camera_to_network(c).K for m, c in zip(prepared.maps, cameras, strict=True)])[:-1]
        T, intrinsics = torch.from_numpy(T_world_refs)[None], torch.from_numpy(K)[None]
        known = known_poses(T, intrinsics, prepared.size, self.network.config.max_translation)
        device, dtype = self.backbone.device, self.network.adapter.query_token.dtype
        pixels = torch.from_numpy(prepared.images).to(device, dtype)[None]
        with torch.inference_mode():
            encoding = self.network(pixels, known.to(device))[-1]
        T_cam_local = decode_pose(encoding[0].double()).cpu().numpy()
        return _local(T_cam_local, float("nan") if bool(known.is_scale_unobservable) else float(known.scale))


def with_adapter(backbone: VggtBackbone, adapter: Path) -> ToldQueryPoses:
    """An adapter's relocalization network on a loaded backbone, whose weights it shares. WeightsError as
    `load_reloc`."""
    return ToldQueryPoses(backbone, load_reloc(backbone.model, adapter, base_identity(backbone.weights)).eval())


def _check(images: Sequence[UInt8], cameras: Sequence[Camera], T_world_refs: Float) -> None:
    n = len(images)
    if n < 2 or len(cameras) != n or T_world_refs.shape != (n - 1, 4, 4):
        raise ConfigError(
            f"a query beside references: got {n} images, {len(cameras)} cameras and poses {T_world_refs.shape}"
        )


def _local(T_cam_local: Float, scale: float) -> LocalPoses | None:
    """The result for poses (K+1,4,4), query last; None if they are not finite."""
    if not np.isfinite(T_cam_local).all():
        return None
    T = np.stack([se3.inverse(se3.from_rt(se3.orthonormalize(T[:3, :3]), T[:3, 3])) for T in T_cam_local])
    return LocalPoses(T[:-1], T[-1], scale)
