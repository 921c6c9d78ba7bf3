"""Procedural worlds: made from a seed, rendered with exact depth.

World axes: x and y horizontal, z up, metres. Cameras follow OpenCV (x right, y down, z forward); the ray through
pixel (u, v) is ((u - cx) / fx, (v - cy) / fy, 1), with pixel (0, 0) the centre of the top-left pixel.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from vgslam.geometry.camera import Camera
from vgslam_train.worlds.lighting import Lighting, LightMap
from vgslam_train.worlds.marching import cast_terrain
from vgslam_train.worlds.motion import Motion
from vgslam_train.worlds.projection import PlaneForms, QuadricForms, plane_forms, quadric_forms
from vgslam_train.worlds.raycast import Hits, cast
from vgslam_train.worlds.shading import Appearance, Shader, Sky, upload
from vgslam_train.worlds.surfaces import Looks, Planes, Quadrics
from vgslam_train.worlds.terrain import Terrain
from vgslam_train.worlds.textures import TextureBank
from vgslam_train.worlds.trajectories import Region

Array = npt.NDArray[np.float64]

_PIXELS_PER_BATCH = {"cpu": 240_000, "cuda": 4_000_000}
_SHADED_AT_ONCE = {"cpu": 80_000}  # pixels whose quantities the cache holds; elsewhere the whole batch


@dataclass(frozen=True)
class World:
    """A scene. `kind` and `seed` reproduce it."""

    kind: str
    seed: int
    planes: Planes
    quadrics: Quadrics
    looks: Looks
    lighting: Lighting
    light_map: LightMap
    """The light on moving bodies is that of their first place."""
    bank: TextureBank
    free: Region
    sky: Sky | None = None
    motions: tuple[Motion, ...] = ()
    """Motions of the bodies 1, 2, ...; body 0 is at rest."""
    terrain: Terrain | None = None
    _appearances: dict[str, Appearance] = field(default_factory=dict, repr=False, compare=False)

    def appearance(self, device: torch.device) -> Appearance:
        """Textures and light on `device`; copied there at the first call."""
        key = str(device)
        if key not in self._appearances:
            textures = self.bank.table(device)
            self._appearances[key] = upload(self.planes, self.quadrics, self.looks, self.light_map, textures)
        return self._appearances[key]

    def T_body_cam(self, T_world_cam: Array, time_s: Array) -> Array:
        """Camera poses (N,B,4,4) in the coordinates of each body at times (N,)."""
        poses = [T_world_cam]
        for motion in self.motions:
            T_world_body = motion.T_world_body(time_s)
            R_inverse = np.swapaxes(T_world_body[:, :3, :3], 1, 2)
            T = T_world_cam.copy()
            T[:, :3, :3] = R_inverse @ T_world_cam[:, :3, :3]
            T[:, :3, 3] = ((T_world_cam[:, :3, 3] - T_world_body[:, :3, 3])[:, None] @ T_world_body[:, :3, :3])[:, 0]
            poses.append(T)
        return np.stack(poses, axis=1)


@dataclass(frozen=True)
class RenderResult:
    """N views of a world."""

    images: torch.Tensor  # (N,H,W,3) float32 in 0..1
    depth: torch.Tensor  # (N,H,W) float32 in metres along the optical axis, infinite for the sky

    def images_uint8(self) -> torch.Tensor:
        return (self.images * 255.0 + 0.5).clamp(0, 255).to(torch.uint8)


def render(
    world: World, T_world_cam: Array, camera: Camera, supersample: int = 1, device: str | torch.device = "cpu",
    time_s: Array | None = None,
) -> RenderResult:  # fmt: skip
    """Render N views, T_world_cam (N,4,4) float64 on the CPU; the result stays on `device`.

    supersample k: each pixel is the mean of k x k rays; depth is always that of the ray through the pixel centre.
    time_s (N,): when each view is taken, for worlds with moving objects; default 0.
    The lens distortion of `camera` is ignored: the views are those of an ideal pinhole.
    Raises ValueError when poses or times have another shape or supersample is below 1.
    """
    if T_world_cam.ndim != 3 or T_world_cam.shape[1:] != (4, 4):
        raise ValueError(f"T_world_cam must have shape (N,4,4), got {T_world_cam.shape}")
    time_s = np.zeros(len(T_world_cam)) if time_s is None else np.asarray(time_s, np.float64)
    if time_s.shape != (len(T_world_cam),):
        raise ValueError(f"time_s must have shape ({len(T_world_cam)},), got {time_s.shape}")
    if supersample < 1:
        raise ValueError(f"supersample must be at least 1, got {supersample}")
    device = torch.device(device)
    fine = camera.resized(camera.width * supersample, camera.height * supersample)
    batch = max(1, _PIXELS_PER_BATCH.get(device.type, 1_000_000) // (fine.width * fine.height))
    images, depths = [], []
    for start in range(0, len(T_world_cam), batch):
        T, time = T_world_cam[start : start + batch], time_s[start : start + batch]
        view = _view(world, T, time, fine, device)
        image = _colours(world, view, T, fine, supersample)
        if supersample > 1:
            image = _average(image, supersample)
            view = _view(world, T, time, camera, device)
        images.append(image.clamp_(0.0, 1.0))
        depths.append(1.0 / view.hits.inverse_depth)
    return RenderResult(torch.cat(images), torch.cat(depths))


@dataclass(frozen=True)
class _View:
    hits: Hits
    planes: PlaneForms
    quadrics: QuadricForms

    def part(self, frames: slice) -> "_View":
        hits = Hits(self.hits.inverse_depth[frames], self.hits.surface[frames])
        return _View(hits, self.planes.part(frames), self.quadrics.part(frames))


def _view(world: World, T_world_cam: Array, time_s: Array, camera: Camera, device: torch.device) -> _View:
    T_body_cam = world.T_body_cam(T_world_cam, time_s)
    planes = plane_forms(world.planes, T_body_cam, camera)
    quadrics = quadric_forms(world.quadrics, T_body_cam, camera)
    ground = None if world.terrain is None else cast_terrain(world.terrain, T_world_cam, camera, device)
    size = (camera.height, camera.width)
    hits = cast(planes, world.planes.is_disc, quadrics, world.quadrics.is_cylinder, size, device, ground)
    return _View(hits, planes, quadrics)


def _colours(world: World, view: _View, T_world_cam: Array, camera: Camera, supersample: int) -> torch.Tensor:
    device = view.hits.surface.device
    shader = Shader(world.appearance(device), world.lighting, camera, supersample)
    n = max(1, _SHADED_AT_ONCE.get(device.type, 1 << 30) // (camera.width * camera.height))
    parts = [slice(start, start + n) for start in range(0, len(T_world_cam), n)]
    return torch.cat([_shade(world, shader, view.part(frames), T_world_cam[frames]) for frames in parts])


def _shade(world: World, shader: Shader, view: _View, T_world_cam: Array) -> torch.Tensor:
    image = shader.shade(view.hits, view.planes, view.quadrics, world.quadrics)
    if world.terrain is not None:
        shader.shade_terrain(image, view.hits, T_world_cam, world.terrain)
    if world.sky is not None:
        shader.shade_sky(image, view.hits, T_world_cam, world.sky)
    return image


def _average(image: torch.Tensor, k: int) -> torch.Tensor:
    n, height, width, channels = image.shape
    return image.view(n, height // k, k, width // k, k, channels).mean(dim=(2, 4))
