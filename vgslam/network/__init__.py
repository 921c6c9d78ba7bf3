"""The network: VGGT and its parts, sparse-mask attention, weights, preprocessing. Knows nothing of SLAM.

This package needs torch; import from its modules (`vgslam.network.vggt`, `.preprocess`, `.weights`, `.backbone`, ...).
"""
