"""Where the 3-D view is first seen from: what is up, what is ahead, how large it is."""

from dataclasses import dataclass

import numpy as np

from vgslam.types import Array

CLEAR = 0.3  # length of the mean of the cameras' directions from which it says where up, or ahead, is
OF_CLOUD = 80.0  # percentile of the cloud's distances that is in view
GRID_HALF = 1.4  # half the side of the grid, in parts of the view's radius
GRID_SQUARES = 14  # about as many squares along a side


@dataclass(frozen=True)
class Viewpoint:
    """The coordinates of the view: x right, y ahead, z up."""

    R_view_scene: Array  # (3,3) rotation
    centre: Array  # (3,) in the scene: the view turns about it
    radius: float  # length in the scene that is 1 in the view, > 0
    floor: float  # height of the grid in the view

    def seen(self, points: Array) -> Array:
        """Points (...,3) of the scene in the coordinates of the view."""
        return (points - self.centre) @ self.R_view_scene.T / self.radius

    def grid(self) -> tuple[float, Array]:
        """Side of a square (1, 2 or 5 times a power of ten, in the scene's unit), and the lines (S,2,3) in the view."""
        step = nice_step(2 * GRID_HALF * self.radius / GRID_SQUARES)
        n = int(GRID_HALF * self.radius / step)
        ticks, reach = np.arange(-n, n + 1) * step / self.radius, n * step / self.radius
        along = [[(t, -reach, self.floor), (t, reach, self.floor)] for t in ticks]
        across = [[(-reach, t, self.floor), (reach, t, self.floor)] for t in ticks]
        return step, np.array(along + across)


def nice_step(length: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not above the length (> 0)."""
    power = 10.0 ** np.floor(np.log10(length) + 1e-9)
    return float(max(m for m in (1.0, 2.0, 5.0) if m * power <= length * (1 + 1e-9)) * power)


def viewpoint(T_scene_cam: Array, points: Array, is_upright: bool) -> Viewpoint:
    """The view of cameras (N,4,4), N > 0, and points (M,3). Up is z if the scene is upright, else what the cameras hold
    up on the whole, else that of the first; ahead is where they look on the whole, across up."""
    R, centres = T_scene_cam[:, :3, :3], T_scene_cam[:, :3, 3]
    up = np.array([0.0, 0.0, 1.0]) if is_upright else _direction(-R[:, :, 1])
    looks = R[:, :, 2] - (R[:, :, 2] @ up)[:, None] * up
    ahead = _direction(looks)
    ahead = ahead - (ahead @ up) * up
    if np.linalg.norm(ahead) < 1e-6:  # they look straight up or down
        ahead = np.cross(up, np.eye(3)[int(np.argmin(np.abs(up)))])
    ahead = ahead / np.linalg.norm(ahead)
    R_view_scene = np.stack([np.cross(ahead, up), ahead, up])
    lowest, highest = centres.min(axis=0), centres.max(axis=0)
    centre, radius = (lowest + highest) / 2, float(np.linalg.norm(highest - lowest)) / 2
    if len(points):
        middle = np.median(points, axis=0)
        centre = (centre + middle) / 2
        radius = max(
            float(np.linalg.norm(centres - centre, axis=1).max()),
            float(np.percentile(np.linalg.norm(points - centre, axis=1), OF_CLOUD)),
        )
    radius = radius if radius > 1e-12 else 1.0
    heights = (np.concatenate([centres, points]) - centre) @ up / radius
    return Viewpoint(R_view_scene, centre, radius, float(np.percentile(heights, 2)))


def _direction(vectors: Array) -> Array:
    """Unit vector along the mean of (N,3); along the first where they do not agree."""
    mean = vectors.mean(axis=0)
    chosen = mean if np.linalg.norm(mean) > CLEAR else vectors[0]
    length = float(np.linalg.norm(chosen))
    return chosen / length if length > 1e-9 else np.array([0.0, 0.0, 1.0])
