"""Short rendered sequences with exact truth, for tests and for training."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam_train.worlds.imaging import Imaging
from vgslam_train.worlds.scenes import generate
from vgslam_train.worlds.textures import TextureBank
from vgslam_train.worlds.trajectories import trajectory
from vgslam_train.worlds.world import World, render

Array = npt.NDArray[np.float64]

_SHUTTER_VIEWS = 5


@dataclass(frozen=True)
class Sequence:
    """N frames of one camera."""

    images: npt.NDArray[np.uint8]
    """(N,H,W,3) uint8."""
    depth: npt.NDArray[np.float32]
    """(N,H,W) float32 in metres along the optical axis; inf: sky."""
    T_world_cam: Array
    """(N,4,4) float64."""
    timestamps_s: Array
    """(N,)."""
    camera: Camera

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Shot:
    """How a sequence is taken."""

    rate_hz: float = 30.0
    """Frames per second."""
    supersample: int = 2
    """Rays per pixel and axis."""
    shutter: float = 0.0
    """Share of the time between frames for which the shutter is open (motion blur); 0: no blur."""
    imaging: float = 0.0
    """Strength of exposure changes, noise and other faults of the camera, 0..1."""
    moving: int = 0
    """Number of moving objects, if the world has them."""


def render_sequence(
    kind: str, motion: str, n_frames: int, seed: int, camera: Camera | None = None, shot: Shot | None = None,
    bank: TextureBank | None = None,
) -> Sequence:  # fmt: skip
    """Render a world (`kind`: room, corridor, street, clutter, hills) as seen by a camera in `motion`
    (walk, loop, rotate, static, orbit, drone, drive); the same for the same arguments.

    camera: default 320 x 240 with a field of view of 70 deg. "rotate" is a pure rotation with no translation at all.
    Raises ValueError for unknown names.
    """
    camera = camera or Camera.from_fov(320, 240, 70.0)
    shot = shot or Shot()
    world = generate(kind, seed, bank, moving=shot.moving)
    T_world_cam = trajectory(motion, n_frames, seed, world.free, shot.rate_hz)
    return film(world, T_world_cam, camera, shot)


def film(
    world: World, T_world_cam: Array, camera: Camera, shot: Shot, device: str | torch.device = "cpu"
) -> Sequence:  # fmt: skip
    """Frames of a world along given poses (N,4,4), rendered on `device`."""
    time_s = np.arange(len(T_world_cam)) / shot.rate_hz
    result = render(world, T_world_cam, camera, shot.supersample, device, time_s)
    images = result.images
    if shot.shutter > 0:
        images = _motion_blurred(world, T_world_cam, camera, shot, images)
    if shot.imaging > 0:
        faults = Imaging.draw(len(T_world_cam), shot.rate_hz, world.seed, shot.imaging)
        images = faults.apply(images, camera, world.seed)
    pixels = (images * 255.0 + 0.5).clamp(0, 255).to(torch.uint8)
    return Sequence(pixels.cpu().numpy(), result.depth.cpu().numpy(), T_world_cam, time_s, camera)


def _motion_blurred(
    world: World, T_world_cam: Array, camera: Camera, shot: Shot, images: torch.Tensor
) -> torch.Tensor:
    """Mean over views at constant velocity while the shutter is open; the pose is that in the middle."""
    n = len(T_world_cam)
    before, after = np.maximum(np.arange(n) - 1, 0), np.minimum(np.arange(n) + 1, n - 1)
    pairs = zip(T_world_cam[before], T_world_cam[after], strict=True)
    speed = np.stack([se3.log(se3.inverse(a) @ b) for a, b in pairs])
    speed /= np.maximum(after - before, 1)[:, None]
    total = images.clone()
    offsets = [o for o in np.linspace(-0.5, 0.5, _SHUTTER_VIEWS) * shot.shutter if abs(o) > 1e-9]
    for offset in offsets:
        moved = np.stack([T @ se3.exp(offset * v) for T, v in zip(T_world_cam, speed, strict=True)])
        time_s = (np.arange(n) + offset) / shot.rate_hz
        total += render(world, moved, camera, shot.supersample, images.device, time_s).images
    return total / (len(offsets) + 1)


def random_camera(width: int, height: int, seed: int, fov_deg: tuple[float, float] = (35.0, 110.0)) -> Camera:
    """A lens with a horizontal field of view drawn from a range, principal point within 2 % of the middle."""
    rng = np.random.default_rng([seed, 13])
    ideal = Camera.from_fov(width, height, float(np.exp(rng.uniform(*np.log(fov_deg)))))
    cx = ideal.cx + float(rng.uniform(-0.02, 0.02)) * width
    cy = ideal.cy + float(rng.uniform(-0.02, 0.02)) * height
    return Camera(ideal.fx, ideal.fy, cx, cy, width, height)
