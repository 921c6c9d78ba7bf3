"""Rendered rooms, mapped by the program along a walk, and views of them from far beside it."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.types import Array, Frame, Image

if TYPE_CHECKING:
    from vgslam_train.worlds.sequences import Sequence, Shot
    from vgslam_train.worlds.world import World

N_FRAMES, RATE_HZ = 30, 6.0
"""Frames of a mapped walk, and frames a second: so short that it leaves many sides of a room to be asked from."""
N_FOREIGN_FRAMES = 45  # frames of a walk in a world that is not mapped
SMOOTH_PX = 2.0  # deviation of the blur that takes the texture of the poor worlds away, as in `bench survival`
ANGLES_DEG = (15.0, 30.0, 45.0, 60.0)
"""Limits of the kinds of views: angle at the point in the middle, to the nearest mapped frame that sees that point."""
NEAR_PATH_DEG = 40.0  # largest such angle in the poor worlds
SEEN_SHARE = 0.1  # a view sees a point if its depth there is so near to the point's, as a share
MOST_TRIES = 1200  # views of a world that are tried until every kind is full


@dataclass(frozen=True)
class HardWorld:
    """A world: what it is, and what is asked of it."""

    kind: str
    seed: int
    motion: str
    is_poor: bool = False  # whether its texture is taken away, in mapped and in asked images

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.seed}" + ("-poor" if self.is_poor else "")


WORLDS = (
    HardWorld("room", 900, "walk"), HardWorld("room", 901, "walk"), HardWorld("room", 908, "loop"),
    HardWorld("room", 906, "walk", True), HardWorld("corridor", 907, "walk", True),
)  # fmt: skip
FOREIGN_WORLDS = (
    HardWorld("room", 950, "walk"), HardWorld("room", 951, "walk"), HardWorld("corridor", 952, "walk", True),
    HardWorld("room", 953, "walk", True), HardWorld("room", 954, "loop"), HardWorld("clutter", 955, "walk"),
    HardWorld("corridor", 956, "walk"), HardWorld("room", 957, "walk", True),
)  # fmt: skip
"""Worlds of these kinds and others that no map shows."""


@dataclass(frozen=True)
class Asked:
    """A view of a world whose pose is asked for."""

    kind: str
    image: Image
    T_world_cam: Array
    angle_deg: float  # to the nearest mapped frame that sees the middle


def walk(which: HardWorld, n_frames: int = N_FRAMES) -> "Sequence":
    """The mapped film of a world."""
    from vgslam_train.worlds.sequences import film
    from vgslam_train.worlds.trajectories import trajectory

    world = _world(which)
    poses = trajectory(which.motion, n_frames, which.seed, world.free, RATE_HZ)
    seen = film(world, poses, Camera.from_fov(320, 240, 70.0), _shot())
    seen.images[:] = [_looked(which, x) for x in seen.images]
    return seen


def map_walk(seen: "Sequence", folder: Path) -> None:
    """Maps a film and saves the map."""
    from vgslam.slam import Slam
    from vgslam.store.map_folder import MapFolder

    slam = Slam(seen.camera)
    for i, image in enumerate(seen.images):
        slam.process(Frame(i, i / RATE_HZ, image))
    slam.finish()
    with MapFolder(folder) as saved:
        saved.save(slam.map)


def views(which: HardWorld, seen: "Sequence", wanted: dict[str, int]) -> list[Asked]:
    """Views of the world of every kind, at most as many as wanted: the camera goes around a point of a mapped frame."""
    from vgslam_train.worlds.sequences import film

    world, rng = _world(which), np.random.default_rng([which.seed, 5])
    left, out = dict(wanted), []
    small = Camera.from_fov(64, 48, 70.0)
    for _ in range(MOST_TRIES):
        if not any(left.values()):
            break
        i = int(rng.integers(len(seen)))
        T, middle = _around(seen, i, rng)
        if middle is None or not ((world.free.low < T[:3, 3]) & (T[:3, 3] < world.free.high)).all():
            continue
        glance = film(world, T[None], small, _shot()).depth[0]
        z = float(np.linalg.norm(middle - T[:3, 3]))
        if abs(glance[24, 32] - z) > SEEN_SHARE * z or glance.min() < 0.3:
            continue
        angle = _angle_deg(seen, middle, T)
        kind = _kind(angle, which.is_poor)
        if left.get(kind, 0) > 0:
            left[kind] -= 1
            image = film(world, T[None], seen.camera, _shot()).images[0]
            out.append(Asked(kind, _looked(which, image), T, angle))
    return out


def _kind(angle_deg: float, is_poor: bool) -> str:
    if is_poor:
        return "poor" if angle_deg < NEAR_PATH_DEG else ""
    for low, high in pairwise(ANGLES_DEG):
        if low <= angle_deg < high:
            return f"view {low:.0f}-{high:.0f}"
    return ""


def _around(seen: "Sequence", i: int, rng: np.random.Generator) -> tuple[Array, Array | None]:
    """A pose that looks at the middle of frame i from another side and distance, and that middle; None for the sky."""
    height, width = seen.depth.shape[1:]
    z = float(seen.depth[i, height // 2, width // 2])
    if not np.isfinite(z):
        return np.eye(4), None
    angle = np.radians(rng.uniform(-75.0, 75.0))
    turn = se3.from_rt(se3.so3_exp(np.array([np.radians(rng.uniform(-12.0, 12.0)), angle, 0.0])), np.zeros(3))
    to_middle = se3.from_rt(np.eye(3), np.array([0.0, 0.0, z]))
    back = se3.from_rt(
        se3.so3_exp(np.array([0.0, 0.0, np.radians(rng.uniform(-10.0, 10.0))])),
        np.array([0.0, 0.0, -z * rng.uniform(0.75, 1.3)]),
    )
    T = seen.T_world_cam[i]
    return T @ to_middle @ turn @ back, (T @ to_middle)[:3, 3]


def _angle_deg(seen: "Sequence", point: Array, T_world_cam: Array) -> float:
    """The angle at a point between a camera and the nearest mapped frame that sees the point; infinite if none does."""
    camera, best = seen.camera, np.inf
    mine = T_world_cam[:3, 3] - point
    for T, depth in zip(seen.T_world_cam, seen.depth, strict=True):
        local = se3.transform(se3.inverse(T), point[None])
        if local[0, 2] < 0.1:
            continue
        u, v = camera.project(local)[0].round().astype(int)
        if not (0 <= u < camera.width and 0 <= v < camera.height):
            continue
        if abs(depth[v, u] - local[0, 2]) > SEEN_SHARE * local[0, 2]:
            continue
        other = T[:3, 3] - point
        cos = mine @ other / (np.linalg.norm(mine) * np.linalg.norm(other))
        best = min(best, float(np.degrees(np.arccos(np.clip(cos, -1, 1)))))
    return best


def foreign(which: HardWorld) -> npt.NDArray[np.uint8]:
    """Images of a walk in a world that is not mapped."""
    return walk(which, N_FOREIGN_FRAMES).images


def _world(which: HardWorld) -> "World":
    from vgslam_train.worlds.scenes import generate

    return generate(which.kind, which.seed)


def _shot() -> "Shot":
    from vgslam_train.worlds.sequences import Shot

    return Shot(rate_hz=RATE_HZ, supersample=1, imaging=0.2)


def _looked(which: HardWorld, image: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), SMOOTH_PX), np.uint8) if which.is_poor else image
