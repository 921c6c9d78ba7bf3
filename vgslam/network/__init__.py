"""The network: VGGT and its parts, sparse-mask attention, weights, preprocessing. It needs torch, and knows no SLAM."""
