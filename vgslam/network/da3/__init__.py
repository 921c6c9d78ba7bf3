"""Depth-Anything-3 (arXiv 2511.10647), any-view: poses and depth of any number of views, with given cameras or without.

Written from a description of the published network. What it has in common with VGGT comes from `vgslam.network`.
"""
