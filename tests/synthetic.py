"""Synthetic truth for tests: textured planes rendered exactly, and point scenes with known cameras.

World axes are those of the first camera (x right, y down, z forward); lengths are arbitrary units.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from vgslam.geometry import se3
from vgslam.types import Array, Camera, Float32, Frame, Ids, Image

CAMERA = Camera.from_fov(320, 240, 65.0)


def pose(rotation_deg: tuple[float, float, float] = (0, 0, 0), centre: tuple[float, float, float] = (0, 0, 0)) -> Array:
    """T_world_cam (4,4) from a rotation vector in degrees and the camera centre."""
    return se3.from_rt(se3.so3_exp(np.radians(rotation_deg)), np.array(centre, np.float64))


def pose_error(T_estimate: Array, T_truth: Array) -> tuple[float, float]:
    """Angle in degrees and distance between the camera centres of two T_world_cam."""
    return (
        se3.angle_deg(T_estimate[:3, :3].T @ T_truth[:3, :3]),
        float(np.linalg.norm(T_estimate[:3, 3] - T_truth[:3, 3])),
    )


@cache
def smooth_texture(size: int, seed: int, finest_px: float = 1.5) -> Image:
    """Grey random texture (size,size) with detail from finest_px to an eighth of its size. Read only."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size, size))
    sigma = finest_px
    while sigma < size / 8:
        small = max(16, round(size / max(1.0, sigma / 1.5)))
        layer = cv2.GaussianBlur(rng.normal(size=(small, small)), (0, 0), sigma * small / size)
        total += cv2.resize(layer / layer.std(), (size, size), interpolation=cv2.INTER_CUBIC)
        sigma *= 2.5
    return np.clip(128 + 45 * total / total.std(), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class TexturedPlane:
    """A square with a grey texture."""

    centre: Array  # (3,)
    right: Array  # (3,), of length 1
    down: Array  # (3,), of length 1
    half: float  # half its side
    texture: Image


def plane(centre: tuple[float, float, float], half: float, seed: int, yaw_deg: float = 0.0, size: int = 768,
          pitch_deg: float = 0.0) -> TexturedPlane:  # fmt: skip
    """A plane that faces the camera, turned about the vertical axis by yaw_deg and the horizontal one by pitch_deg."""
    R = se3.so3_exp(np.radians([0.0, yaw_deg, 0.0])) @ se3.so3_exp(np.radians([pitch_deg, 0.0, 0.0]))
    return TexturedPlane(np.array(centre, np.float64), R[:, 0], R[:, 1], half, smooth_texture(size, seed))


def render(planes: list[TexturedPlane], camera: Camera, T_world_cam: Array) -> tuple[Image, Float32]:
    """RGB image (H,W,3) and depth along the optical axis (H,W), 0 where nothing is seen: nearest plane wins."""
    grid = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1)
    rays = camera.rays(grid.reshape(-1, 2)) @ T_world_cam[:3, :3].T
    origin = T_world_cam[:3, 3]
    shape = (camera.height, camera.width)
    gray, depth = np.full(shape, 90.0, np.float32), np.full(shape, np.inf)
    for p in planes:
        normal = np.cross(p.right, p.down)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (normal @ (p.centre - origin)) / (rays @ normal)
            hit = origin + rays * z[:, None] - p.centre
        scale = len(p.texture) / (2 * p.half)
        u = ((hit @ p.right + p.half) * scale - 0.5).reshape(shape).astype(np.float32)
        v = ((hit @ p.down + p.half) * scale - 0.5).reshape(shape).astype(np.float32)
        z = z.reshape(shape)
        limit = len(p.texture) - 1
        seen = (z > 1e-3) & (z < depth) & (u >= 0) & (v >= 0) & (u <= limit) & (v <= limit)
        color = cv2.remap(p.texture.astype(np.float32), u, v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        gray[seen], depth[seen] = color[seen], z[seen]
    depth[~np.isfinite(depth)] = 0.0
    rounded = np.clip(np.round(gray), 0, 255).astype(np.uint8)
    return cv2.cvtColor(rounded, cv2.COLOR_GRAY2RGB), depth.astype(np.float32)


def room() -> list[TexturedPlane]:
    """A back wall, a slanted left wall, a floor-like slope and a panel in front: depths from 2.5 to 6."""
    return [
        plane((0, 0, 6), 6.0, seed=1, size=1536),
        plane((-3.2, 0, 4.5), 2.5, seed=2, yaw_deg=-50),
        plane((0.9, 0.4, 3.2), 0.7, seed=3, yaw_deg=15, size=384),
        plane((0, 2.2, 4.0), 2.5, seed=4, pitch_deg=-65),
    ]


def frames_of(images: list[Image], first_id: int = 0, rate_hz: float = 30.0) -> list[Frame]:
    """Images as consecutive frames."""
    return [Frame(first_id + i, (first_id + i) / rate_hz, image, CAMERA) for i, image in enumerate(images)]


@dataclass(frozen=True)
class PointScene:
    """L landmarks, N poses of one camera, and M observations."""

    camera: Camera
    points: Array  # (L,3)
    T_world_cam: Array  # (N,4,4)
    frame: Ids  # (M,)
    point: Ids  # (M,)
    pixels: Array  # (M,2)


def random_points(n: int, seed: int, near: float = 3.0, far: float = 8.0, camera: Camera = CAMERA) -> Array:
    """Points (n,3) seen all over the image of a camera at the origin, depth uniform in [near, far]."""
    rng = np.random.default_rng(seed)
    px = rng.uniform((12, 12), (camera.width - 13, camera.height - 13), (n, 2))
    return camera.rays(px) * rng.uniform(near, far, n)[:, None]


def observe(T_world_cam: Array, points: Array, noise_px: float = 0.0, seed: int = 0, camera: Camera = CAMERA,
            only_inside: bool = True) -> PointScene:  # fmt: skip
    """All observations of points by cameras, with isotropic noise; those outside the image left out."""
    rng = np.random.default_rng(seed)
    frames, ids, pixels = [], [], []
    for i, T in enumerate(T_world_cam):
        local = se3.transform(se3.inverse(T), points)
        ahead = np.flatnonzero(local[:, 2] > 0.05)
        px = camera.project(local[ahead])
        inside = ((px > 0) & (px < [camera.width - 1, camera.height - 1])).all(1) | (not only_inside)
        frames.append(np.full(int(inside.sum()), i))
        ids.append(ahead[inside])
        pixels.append(px[inside])
    px = np.concatenate(pixels)
    return PointScene(
        camera, points, T_world_cam, np.concatenate(frames), np.concatenate(ids),
        px + rng.normal(0, noise_px, px.shape) if noise_px else px,
    )  # fmt: skip
