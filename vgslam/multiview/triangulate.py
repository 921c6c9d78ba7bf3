"""Landmarks from tracks and known poses, and the tests that say whether they can be trusted."""

from dataclasses import dataclass

import numpy as np

from vgslam.geometry.camera import MIN_DEPTH, Camera
from vgslam.types import Array, Ids


@dataclass(frozen=True)
class Triangulation:
    """L points and how well they are determined."""

    points: Array  # (L,3) in the world
    angle_deg: Array  # (L,): largest angle between two rays
    residual_px: Array  # (L,): largest residual
    is_valid: np.ndarray  # (L,): whether a point is finite and in front of every camera


def triangulate(camera: Camera, T_world_cam: Array, frame: Ids, point: Ids, pixels: Array) -> Triangulation:
    """Midpoint-style least squares over all rays of a point: minimise the sum of squared distances to the rays,
    weighted by 1/depth^2 in a second pass so that it approaches the angular error. T_world_cam (N,4,4); observation m
    sees point[m] in frame[m] at pixels[m]; points are 0..L-1."""
    n = int(point.max()) + 1 if len(point) else 0
    d = np.matmul(T_world_cam[frame, :3, :3], camera.rays(pixels)[:, :, None])[:, :, 0]
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    c = T_world_cam[frame, :3, 3]
    P = np.eye(3) - d[:, :, None] * d[:, None, :]
    weight = np.ones(len(frame))
    X: Array = np.zeros((n, 3))
    for _ in range(2):
        A, b = np.zeros((n, 3, 3)), np.zeros((n, 3))
        Pc = np.matmul(P, c[:, :, None])[:, :, 0]
        for i in range(3):
            b[:, i] = np.bincount(point, weight * Pc[:, i], n)
            for j in range(3):
                A[:, i, j] = np.bincount(point, weight * P[:, i, j], n)
        # parallel rays leave the direction along them open: a trace of the matrix keeps it solvable
        A[:, np.arange(3), np.arange(3)] += 1e-9 * np.trace(A, axis1=1, axis2=2)[:, None] + 1e-30
        X = np.linalg.solve(A, b[:, :, None])[:, :, 0].astype(np.float64)
        weight = 1.0 / np.clip(((X[point] - c) ** 2).sum(1), 1e-9, 1e12)
    return Triangulation(X, _largest_angle_deg(X, c, point), *_check(camera, T_world_cam, frame, point, pixels, X))


def _largest_angle_deg(X: Array, centres: Array, point: Ids) -> Array:
    """Angle between each point's first ray and its others, the largest (L,)."""
    n = len(X)
    ray = centres - X[point]
    ray /= np.maximum(np.linalg.norm(ray, axis=1, keepdims=True), 1e-12)
    first = np.zeros(n, np.int64)
    first[point[::-1]] = np.arange(len(point))[::-1]
    cosine = np.clip((ray * ray[first[point]]).sum(1), -1.0, 1.0)
    smallest = np.ones(n)
    np.minimum.at(smallest, point, cosine)
    return np.degrees(np.arccos(smallest))


def _check(
    camera: Camera, T_world_cam: Array, frame: Ids, point: Ids, pixels: Array, X: Array
) -> tuple[Array, np.ndarray]:
    R, t = T_world_cam[frame, :3, :3], T_world_cam[frame, :3, 3]
    Xc = np.matmul((X[point] - t)[:, None, :], R)[:, 0]
    in_front = (Xc[:, 2] > MIN_DEPTH) & np.isfinite(Xc).all(1)
    error = np.full(len(frame), np.inf)
    error[in_front] = np.linalg.norm(camera.project(Xc[in_front]) - pixels[in_front], axis=1)
    worst = np.zeros(len(X))
    np.maximum.at(worst, point, error)
    return worst, np.isfinite(worst)
