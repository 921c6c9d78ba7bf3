"""Poses of a query beside K references as a network says: one that is told the references' poses, or a plain one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from vgslam.errors import ConfigError
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.network.backbone import Backbone, Float, UInt8
from vgslam.network.pose_encoding import decode_pose
from vgslam.network.reloc.files import base_identity, load_reloc
from vgslam.network.reloc.known_poses import known_poses
from vgslam.network.reloc.network import RelocNetwork
from vgslam.network.vggt import Head
from vgslam.network.vggt_backbone import VggtBackbone

_POSES = frozenset({Head.POSE})


@dataclass(frozen=True)
class LocalPoses:
    """What a network says of K references and a query, seen from one anchor.

    anchor: index of the reference that was shown first; T_local_refs (K,4,4), in the order given, and T_local_query
    (4,4): poses T_local_cam in the frame of the anchor's camera and a unit of the network's own; scale: units of the
    world per unit of the network, NaN where that is not known. Everything but scale is finite.
    """

    anchor: int
    T_local_refs: Float
    T_local_query: Float
    scale: float


class QueryPoses(Protocol):
    """A network that looks at references and a query together. name: of the method, for tables."""

    name: str

    def predict(
        self, images: Sequence[UInt8], cameras: Sequence[Camera], T_world_refs: Float, n_anchors: int = 1
    ) -> list[LocalPoses]:
        """Images (H,W,3) RGB of K >= 1 references and, last, the query, their cameras, and T_world_cam (K,4,4) of the
        references -> one answer for each of the first n_anchors references as the anchor; those that are not finite
        are left out. ConfigError for numbers that do not fit."""
        ...


class PlainQueryPoses:
    """Implements `QueryPoses` with any backbone, which is told nothing: its unit is unknown."""

    name = "consensus"

    def __init__(self, backbone: Backbone[Any]) -> None:
        self.backbone = backbone

    def predict(
        self, images: Sequence[UInt8], cameras: Sequence[Camera], T_world_refs: Float, n_anchors: int = 1
    ) -> list[LocalPoses]:
        _check(images, cameras, T_world_refs)
        answers = []
        for order in _orders(len(T_world_refs), n_anchors):
            prepared = self.backbone.prepare([images[i] for i in order])
            tokens = self.backbone.encode(prepared, _POSES)
            scene = self.backbone.decode(tokens, prepared, _POSES, known_cameras=[cameras[i] for i in order])
            assert scene.T_cam_world is not None
            answers += _local(scene.T_cam_world, order, float("nan"))
        return answers


class ToldQueryPoses:
    """Implements `QueryPoses` with a relocalization network, which is told the poses of the references."""

    name = "learned"

    def __init__(self, backbone: VggtBackbone, network: RelocNetwork) -> None:
        self.backbone, self.network = backbone, network

    def predict(
        self, images: Sequence[UInt8], cameras: Sequence[Camera], T_world_refs: Float, n_anchors: int = 1
    ) -> list[LocalPoses]:
        """All anchors in one pass."""
        _check(images, cameras, T_world_refs)
        prepared, k = self.backbone.prepare(images), len(T_world_refs)
        orders = _orders(k, n_anchors)
        K = np.stack([m.camera_to_network(c).K for m, c in zip(prepared.maps, cameras, strict=True)])
        device, dtype = self.backbone.device, self.network.adapter.query_token.dtype
        pixels = torch.from_numpy(prepared.images).to(device, dtype)
        refs = np.array([order[:-1] for order in orders])
        T, intrinsics = torch.from_numpy(T_world_refs[refs]), torch.from_numpy(K[refs])
        known = known_poses(T, intrinsics, prepared.size, self.network.config.max_translation).to(device)
        with torch.inference_mode():
            encoding = self.network(pixels[torch.tensor(orders, device=device)], known)[-1]
        T_cam_local = decode_pose(encoding.double()).cpu().numpy()
        scale = torch.where(known.is_scale_unobservable, torch.nan, known.scale).cpu().numpy()
        return [a for T, order, s in zip(T_cam_local, orders, scale) for a in _local(T, order, float(s))]


def with_adapter(backbone: VggtBackbone, adapter: Path) -> ToldQueryPoses:
    """The relocalization network of an adapter's file on a loaded backbone, whose weights it shares. WeightsError as
    `load_reloc`."""
    return ToldQueryPoses(backbone, load_reloc(backbone.model, adapter, base_identity(backbone.weights)).eval())


def _check(images: Sequence[UInt8], cameras: Sequence[Camera], T_world_refs: Float) -> None:
    n = len(images)
    if n < 2 or len(cameras) != n or T_world_refs.shape != (n - 1, 4, 4):
        raise ConfigError(
            f"a query beside references: got {n} images, {len(cameras)} cameras and poses {T_world_refs.shape}"
        )


def _orders(k: int, n_anchors: int) -> list[list[int]]:
    """Orders of k references and the query, each with another of the first references in front."""
    return [[a, *(i for i in range(k) if i != a), k] for a in range(min(max(n_anchors, 1), k))]


def _local(T_cam_local: Float, order: list[int], scale: float) -> list[LocalPoses]:
    """Poses (K+1,4,4) of frames in `order` -> the answer, or none where they are not finite."""
    if not np.isfinite(T_cam_local).all():
        return []
    T = np.empty_like(T_cam_local, dtype=np.float64)
    for at, i in enumerate(order):
        R, t = se3.orthonormalize(T_cam_local[at, :3, :3]), T_cam_local[at, :3, 3]
        T[i] = se3.inverse(se3.from_rt(R, t))
    return [LocalPoses(order[0], T[:-1], T[-1], scale)]
