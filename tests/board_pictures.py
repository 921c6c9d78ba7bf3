"""Pictures of boards by a known camera: each pixel is what its ray meets on the board's plane."""

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.types import Array, Camera

Gray = npt.NDArray[np.uint8]
SAMPLES = 2
"""Rays along each side of a pixel."""


def checkerboard(columns: int, rows: int, px: int = 40) -> tuple[Gray, float, Array]:
    """Texture of columns x rows inner corners, its px for a square, and the texture's px (2,) of the first corner."""
    cells = np.indices((rows + 1, columns + 1)).sum(axis=0) % 2
    cells = np.pad(cells, 1, constant_values=1)
    return np.kron(255 * cells, np.ones((px, px))).astype(np.uint8), px, np.array([2.0 * px, 2.0 * px]) - 0.5


def april_grid(columns: int, rows: int, gap: float = 0.3, px: int = 60, border: int = 1) -> tuple[Gray, float, Array]:
    """Texture of a grid as Kalibr prints it: rows go up, black squares between the tags' corners."""
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    g, pitch = round(px * gap), px + round(px * gap)
    height, width = rows * pitch + g, columns * pitch + g
    texture = np.full((height, width), 255, np.uint8)
    for row in range(rows + 1):
        for column in range(columns + 1):
            y, x = height - row * pitch - g, column * pitch
            texture[y : y + g, x : x + g] = 0
    for number in range(columns * rows):
        row, column = divmod(number, columns)
        y, x = height - (row + 1) * pitch, g + column * pitch
        texture[y : y + px, x : x + px] = cv2.aruco.generateImageMarker(dictionary, number, px, borderBits=border)
    return np.pad(texture, 2 * g, constant_values=255), px, np.zeros(2)


def charuco(columns: int, rows: int, px: int = 50) -> tuple[Gray, float, Array]:
    """Texture of columns x rows squares with markers of 5x5 cells."""
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_5X5_100)
    board = cv2.aruco.CharucoBoard((columns, rows), 1.0, 0.75, dictionary)
    return np.asarray(board.generateImage((columns * px, rows * px)), np.uint8), px, np.zeros(2)


def picture(texture: Gray, camera: Camera, rotation: Array, centre_px: Array, distance: float) -> Gray:
    """The board (1 unit = the texture's width) turned by the rotation vector (3,) about its middle, which is seen at
    centre_px (2,) at a distance in units."""
    height, width = camera.height, camera.width
    rays = _all_rays(camera)
    R = cv2.Rodrigues(np.asarray(rotation, np.float64))[0]
    middle = _rays(camera, np.asarray(centre_px, np.float64).reshape(1, 2))[0]
    t = distance * middle / middle[2]
    depth = (R[:, 2] @ t) / (rays @ R[:, 2])  # R[:, 2] . (depth * ray - t) = 0
    on_board = (depth[:, None] * rays - t) @ R[:, :2]
    tex = on_board * texture.shape[1] + (np.array(texture.shape[::-1]) - 1) / 2
    tex[~((depth > 0) & (depth < 1e3))] = -1e4
    shape = (height * SAMPLES, width * SAMPLES, 2)
    where = tex.astype(np.float32).reshape(shape)
    seen = cv2.remap(texture, where[..., 0], where[..., 1], cv2.INTER_LINEAR, borderValue=120)
    return cv2.resize(seen, (width, height), interpolation=cv2.INTER_AREA)


@cache
def _all_rays(camera: Camera) -> Array:
    """Those of all samples of all pixels, row by row."""
    fine = (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
    u = (np.arange(camera.width)[:, None] + fine).ravel()
    v = (np.arange(camera.height)[:, None] + fine).ravel()
    return _rays(camera, np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2))


def _rays(camera: Camera, pixels: Array) -> Array:
    """Rays (N,3), z = 1, of pixels of the distorted camera."""
    k = np.array(camera.distortion, np.float64)
    points = pixels.reshape(-1, 1, 2)
    if camera.is_fisheye:
        flat = cv2.fisheye.undistortPoints(points, camera.K, k)
    else:
        criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 40, 1e-10)
        flat = cv2.undistortPointsIter(points, camera.K, k, None, None, criteria) if hasattr(
            cv2, "undistortPointsIter") else cv2.undistortPoints(points, camera.K, k)  # fmt: skip
    return np.column_stack([flat.reshape(-1, 2), np.ones(len(pixels))])


def tilted(n: int, camera: Camera, distance: float, seed: int = 0) -> list[tuple[Array, Array, float]]:
    """Rotation, centre and distance of n boards: turned by up to 40 degrees in every direction, all over the image."""
    rng = np.random.default_rng(seed)
    out = []
    for i in range(n):
        angle, tilt = 2.4 * i, np.radians(rng.uniform(15, 40))
        rotation = tilt * np.array([np.cos(angle), np.sin(angle), 0.0])
        u = camera.width * (0.5 + 0.22 * (i % 3 - 1)) + rng.uniform(-8, 8)
        v = camera.height * (0.5 + 0.2 * (i // 3 % 3 - 1)) + rng.uniform(-8, 8)
        out.append((rotation, np.array([u, v]), distance * rng.uniform(0.9, 1.3)))
    return out
