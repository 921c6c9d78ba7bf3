"""A coloured cloud and lines in it, drawn by a pinhole camera without a display."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.geometry.camera import Camera
from vgslam.types import Array

Picture = npt.NDArray[np.uint8]
SHADE = 0.25  # how much darker the farthest points are than the nearest: it helps to tell depths apart


@dataclass(frozen=True)
class View:
    """A camera that looks at a scene."""

    camera: Camera
    T_cam_world: Array  # (4,4)

    @staticmethod
    def around(target: Array, distance: float, azimuth_deg: float, elevation_deg: float, camera: Camera) -> "View":
        """From `distance` away, z up: azimuth about z, elevation above the horizon, below 90 degrees."""
        a, e = np.deg2rad([azimuth_deg, elevation_deg])
        back = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
        right = np.cross(-back, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        R_cam_world = np.stack([right, np.cross(-back, right), -back])
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = R_cam_world, -R_cam_world @ (np.asarray(target) + distance * back)
        return View(camera, T)

    def project(self, points: Array) -> tuple[Array, Array]:
        """Pixels (N,2) and depths (N,) of points (N,3) in the world; pixels of what lies behind mean nothing."""
        local = points @ self.T_cam_world[:3, :3].T + self.T_cam_world[:3, 3]
        z = np.where(local[:, 2] > 1e-6, local[:, 2], np.nan)
        c = self.camera
        return np.stack([c.fx * local[:, 0] / z + c.cx, c.fy * local[:, 1] / z + c.cy], axis=1), local[:, 2]


def canvas(view: View, color: tuple[int, int, int]) -> Picture:
    """An empty picture (H,W,3), RGB."""
    return np.full((view.camera.height, view.camera.width, 3), color, np.uint8)


def draw_points(picture: Picture, view: View, points: Array, colors: Picture, size_m: float) -> None:
    """Squares as large as size_m is at each point's depth, near ones over far ones, into `picture`."""
    pixels, z = view.project(points)
    height, width = picture.shape[:2]
    with np.errstate(invalid="ignore"):
        is_seen = (z > 0.05) & (pixels >= 0).all(axis=1) & (pixels < [width, height]).all(axis=1)
    pixels, z, colors = pixels[is_seen], z[is_seen], colors[is_seen]
    if not len(z):
        return
    order = np.argsort(-z, kind="stable")
    shade = 1.0 - SHADE * (z - z.min()) / max(np.ptp(z), 1e-9)
    shaded = (colors * shade[:, None]).astype(np.uint8)[order]
    corner = np.floor(pixels[order]).astype(int)
    side = np.clip(np.ceil(view.camera.fx * size_m / z[order]), 1, 6).astype(int)
    _fill(picture, corner, side, shaded)


def _fill(picture: Picture, corner: npt.NDArray[np.intp], side: npt.NDArray[np.intp], colors: Picture) -> None:
    """Squares in their order: of those that cover a pixel the last one stays."""
    height, width = picture.shape[:2]
    rank = np.full(height * width, -1)
    for dy in range(side.max()):
        for dx in range(side.max()):
            chosen = np.flatnonzero((side > dx) & (side > dy))
            u, v = np.minimum(corner[chosen, 0] + dx, width - 1), np.minimum(corner[chosen, 1] + dy, height - 1)
            np.maximum.at(rank, v * width + u, chosen)
    is_covered = rank >= 0
    picture.reshape(-1, 3)[is_covered] = colors[rank[is_covered]]


def draw_line(picture: Picture, view: View, points: Array, color: tuple[int, int, int], width_px: int) -> None:
    """A line through points (N,3), over everything that is drawn already."""
    pixels, z = view.project(points)
    if len(points) > 1 and (z > 0.05).all():
        corners = np.rint(8 * pixels).astype(np.int32)[:, None]
        cv2.polylines(picture, [corners], False, color, width_px, cv2.LINE_AA, shift=3)


def draw_camera(picture: Picture, view: View, T_world_cam: Array, size_m: float, color: tuple[int, int, int]) -> None:
    """The pyramid of a camera (4 by 3), size_m wide."""
    corners = size_m * np.array([[-0.5, -0.375, 0.6], [0.5, -0.375, 0.6], [0.5, 0.375, 0.6], [-0.5, 0.375, 0.6]])
    world = corners @ T_world_cam[:3, :3].T + T_world_cam[:3, 3]
    draw_line(picture, view, np.concatenate([world, world[:1]]), color, 2)
    for corner in world:
        draw_line(picture, view, np.stack([T_world_cam[:3, 3], corner]), color, 2)
