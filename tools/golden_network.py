"""Writes the golden numbers of the network's own small model: tests/network/golden_network.npz.

    python tools/golden_network.py [OUT.npz]

Weights and images come from seeds and everything is float64, so the numbers do not depend on the machine. Run it only
when the network is meant to compute something else than before; the parity kit decides what is right.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from vgslam.network.config import (
    AggregatorConfig,
    CameraHeadConfig,
    DptConfig,
    EncoderConfig,
    TrackHeadConfig,
    VggtConfig,
)
from vgslam.network.initialise import scatter
from vgslam.network.vggt import PUBLISHED_HEADS, Vggt, build

DEFAULT_OUT = Path(__file__).parents[1] / "tests" / "network" / "golden_network.npz"


def golden_config() -> VggtConfig:
    """Small, with every path, and unlike the published sizes wherever that is possible."""
    channels, layers = (8, 12, 16, 20), (0, 1, 2, 3)
    dense = DptConfig(16, channels, layers, hidden=12)
    return VggtConfig(
        image_size=56, patch_size=8, width=32, n_registers=3,
        encoder=EncoderConfig(depth=2, n_heads=4, grid=5),
        aggregator=AggregatorConfig(depth=4, n_heads=2, rope_base=70.0),
        camera=CameraHeadConfig(depth=2, n_heads=4, n_iterations=3),
        depth=dense, points=dense,
        track=TrackHeadConfig(
            8, channels, layers, n_iterations=3, corr_levels=2, corr_radius=2, hidden=24, n_heads=3, depth=2,
            n_virtual=5,
        ),
    )  # fmt: skip


def golden_model() -> Vggt:
    model = build(golden_config(), seed=0)
    scatter(model, seed=7)
    return model.double()


def golden_inputs() -> tuple[torch.Tensor, torch.Tensor]:
    """Images (1,3,3,40,56) and query points (1,4,2)."""
    stream = np.random.RandomState(11)
    queries = stream.rand(1, 4, 2) * [50.0, 35.0] + 2.0
    return torch.from_numpy(stream.rand(1, 3, 3, 40, 56)), torch.from_numpy(queries)


def golden_outputs() -> dict[str, np.ndarray]:
    images, queries = golden_inputs()
    with torch.no_grad():
        out = golden_model()(images, PUBLISHED_HEADS, queries)
    dense = {
        "depth": out.depth, "depth_confidence": out.depth_confidence, "points": out.points,
        "points_confidence": out.points_confidence,
    }  # fmt: skip
    tracks = {"tracks": torch.stack(out.tracks.positions), "visibility": out.tracks.visibility,
              "track_confidence": out.tracks.confidence}  # fmt: skip
    arrays = {"pose_encodings": torch.stack(out.pose_encodings)} | tracks
    arrays |= {name: value[:, :, ::3, ::3] for name, value in dense.items()}
    return {name: value.numpy() for name, value in arrays.items()}


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_OUT
    np.savez_compressed(path, **golden_outputs())
    print(f"{path}: {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
