"""Geometry of a few views: two views, points, poses from points, bundle adjustment, depth. No map inside."""
