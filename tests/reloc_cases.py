"""Small networks, images and poses that the tests of relocalization share."""

from dataclasses import replace

import numpy as np
import torch

from vgslam.geometry import se3
from vgslam.network.config import AggregatorConfig, CameraHeadConfig, EncoderConfig, MatchingConfig, VggtConfig
from vgslam.network.initialise import scatter
from vgslam.network.reloc.known_poses import KnownPoses, known_poses
from vgslam.network.reloc.network import RelocNetwork
from vgslam.network.vggt import Vggt, build

HEIGHT, WIDTH = 32, 40
TINY = VggtConfig(
    image_size=40, patch_size=8, width=64, n_registers=1,
    encoder=EncoderConfig(depth=1, n_heads=4, grid=5),
    aggregator=AggregatorConfig(depth=2, n_heads=4, layer_scale=1.0),
    camera=CameraHeadConfig(depth=1, n_heads=4, n_iterations=2, layer_scale=1.0),
    depth=None, points=None, track=None,
)  # fmt: skip
MATCHING = replace(TINY, matching=MatchingConfig(features=8, radius=2, hidden=16))


def base_network(config: VggtConfig = TINY) -> Vggt:
    model = build(config, 0)
    scatter(model, 1)
    return model.double()


def trained(network: RelocNetwork, seed: int = 3) -> RelocNetwork:
    """As if trained: no parameter of the adapter is zero."""
    scatter(network.adapter, seed)
    return network


def frames(n: int, seed: int = 0) -> torch.Tensor:
    """(1,n,3,H,W) smooth random images."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 5, 6, generator=generator, dtype=torch.float64)
    return torch.nn.functional.interpolate(coarse, (HEIGHT, WIDTH), mode="bilinear")[None]


def poses(n: int, seed: int = 0) -> torch.Tensor:
    """T_world_cam (1,n,4,4)."""
    rng = np.random.default_rng(seed)
    T = [se3.from_rt(se3.so3_exp(rng.normal(0, 0.4, 3)), rng.normal(0, 1.5, 3)) for _ in range(n)]
    return torch.from_numpy(np.stack(T))[None]


def intrinsics(n: int) -> torch.Tensor:
    K = torch.tensor([[30.0, 0, 19.5], [0, 31.0, 15.5], [0, 0, 1]], dtype=torch.float64)
    return K.expand(1, n, 3, 3)


def told(n_database: int, seed: int = 0) -> KnownPoses:
    return known_poses(poses(n_database, seed), intrinsics(n_database), (HEIGHT, WIDTH))
