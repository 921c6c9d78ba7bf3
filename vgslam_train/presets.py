"""The networks that can be trained from scratch, by name."""

from vgslam.network.config import (
    VGGT_1B,
    VGGT_TINY,
    AggregatorConfig,
    CameraHeadConfig,
    DptConfig,
    EncoderConfig,
    MatchingConfig,
    VggtConfig,
)

VGGT_S = VggtConfig(
    image_size=64,
    patch_size=8,
    width=96,
    n_registers=1,
    encoder=EncoderConfig(depth=1, n_heads=3, grid=8),
    aggregator=AggregatorConfig(depth=2, n_heads=3, layer_scale=1.0),
    camera=CameraHeadConfig(depth=1, n_heads=3, n_iterations=3, layer_scale=1.0),
    depth=DptConfig(16, (16, 16, 24, 24), (0, 0, 1, 1), hidden=16),
    points=None,
    track=None,
    matching=MatchingConfig(),
    keeps_area=True,
)
"""The small network that is trained on procedural worlds: images of about 64x48 px."""

VGGT_M = VggtConfig(
    image_size=224,
    patch_size=8,
    width=192,
    n_registers=2,
    encoder=EncoderConfig(depth=2, n_heads=6, grid=24),
    aggregator=AggregatorConfig(depth=4, n_heads=6, layer_scale=1.0),
    camera=CameraHeadConfig(depth=1, n_heads=6, n_iterations=3, layer_scale=1.0),
    depth=DptConfig(48, (48, 48, 64, 64), (0, 1, 2, 3), hidden=32),
    points=None,
    track=None,
    matching=MatchingConfig(features=64, radius=14, hidden=128),
    keeps_area=True,
)
"""The larger network, trained on a GPU: images of about 224x168 px; 8 M parameters, so that its weights in half
precision are one file of at most 16 MiB."""

VGGT_S2 = VggtConfig(
    image_size=128,
    patch_size=8,
    width=192,
    n_registers=2,
    encoder=EncoderConfig(depth=2, n_heads=6, grid=24),
    aggregator=AggregatorConfig(depth=3, n_heads=6, layer_scale=1.0),
    camera=CameraHeadConfig(depth=1, n_heads=6, n_iterations=3, layer_scale=1.0),
    depth=DptConfig(48, (48, 48, 64, 64), (0, 1, 2, 2), hidden=32),
    points=None,
    track=None,
    matching=MatchingConfig(features=64, radius=8, hidden=128, coarse_radius=8),
    keeps_area=True,
    depth_precision=True,
)
"""The small network's successor: images of about 128x96 px, so shaped that training may start from vggt-m's weights.
Its cells are compared as far as those of vggt-m, and its patches twice as far."""

PRESETS = {"vggt-1b": VGGT_1B, "vggt-tiny": VGGT_TINY, "vggt-s": VGGT_S, "vggt-m": VGGT_M, "vggt-s2": VGGT_S2}
