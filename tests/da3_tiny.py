"""Depth Anything 3 with few weights: what the published networks do, in a moment."""

from vgslam.network.da3.config import Da3Config
from vgslam.network.dpt import DptConfig

DA3_TINY = Da3Config(name="da3-tiny", width=48, n_heads=4, grid=8, dense=DptConfig(16, (8, 12, 16, 24), (5, 7, 9, 11)))
