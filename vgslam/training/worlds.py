"""Procedural worlds: made from a seed, rendered with exact depth.

World axes: x and y horizontal, z up, metres. Cameras follow OpenCV (x right, y down, z forward); the ray through
pixel (u, v) is ((u - cx) / fx, (v - cy) / fy, 1), with pixel (0, 0) the centre of the top-left pixel.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from vgslam.geometry.camera import Camera
from vgslam.training.lighting import Lighting, LightMap
from vgslam.training.projection import PlaneForms, QuadricForms, plane_forms, quadric_forms
from vgslam.training.raycast import Hits, cast
from vgslam.training.shading import Appearance, Shader, Sky, sky_colour, upload
from vgslam.training.surfaces import Looks, Planes, Quadrics
from vgslam.training.textures import TextureBank

Array = npt.NDArray[np.float64]

_PIXELS_PER_BATCH = {"cpu": 60_000, "cuda": 8_000_000}


@dataclass(frozen=True)
class Free:
    """Where a camera may be: a box low..high (3,) in metres, and the middle of interest (3,)."""

    low: Array
    high: Array
    focus: Array


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
    bank: TextureBank
    free: Free
    sky: Sky | None = None
    _appearances: dict[str, Appearance] = field(default_factory=dict, repr=False, compare=False)

    def appearance(self, device: torch.device) -> Appearance:
        """Textures and light on `device`; copied there at the first call."""
        key = str(device)
        if key not in self._appearances:
            textures = self.bank.table(device)
            self._appearances[key] = upload(self.planes, self.quadrics, self.looks, self.light_map, textures)
        return self._appearances[key]


@dataclass(frozen=True)
class RenderResult:
    """images (N,H,W,3) float32 in 0..1; depth (N,H,W) float32 in metres along the optical axis, inf for the sky."""

    images: torch.Tensor
    depth: torch.Tensor

    def images_uint8(self) -> torch.Tensor:
        return (self.images * 255.0 + 0.5).clamp(0, 255).to(torch.uint8)


def render(
    world: World, T_world_cam: Array, camera: Camera, supersample: int = 1, device: str | torch.device = "cpu"
) -> RenderResult:
    """Render N views, T_world_cam (N,4,4) float64 on the CPU; the result stays on `device`.

    supersample k: each pixel is the mean of k x k rays; depth is always that of the ray through the pixel centre.
    The lens distortion of `camera` is ignored: the views are those of an ideal pinhole.
    Raises ValueError when poses have another shape or supersample is below 1.
    """
    if T_world_cam.ndim != 3 or T_world_cam.shape[1:] != (4, 4):
        raise ValueError(f"T_world_cam must have shape (N,4,4), got {T_world_cam.shape}")
    if supersample < 1:
        raise ValueError(f"supersample must be at least 1, got {supersample}")
    device = torch.device(device)
    fine = camera.resized(camera.width * supersample, camera.height * supersample)
    batch = max(1, _PIXELS_PER_BATCH.get(device.type, 1_000_000) // (fine.width * fine.height))
    images, depths = [], []
    for start in range(0, len(T_world_cam), batch):
        T = T_world_cam[start : start + batch]
        image, depth = _render_batch(world, T, fine, device)
        if supersample > 1:
            image = _average(image, supersample)
            depth = _depth(_view(world, T, camera, device).hits)
        images.append(image.clamp_(0.0, 1.0))
        depths.append(depth)
    return RenderResult(torch.cat(images), torch.cat(depths))


@dataclass(frozen=True)
class _View:
    hits: Hits
    planes: PlaneForms
    quadrics: QuadricForms


def _view(world: World, T_world_cam: Array, camera: Camera, device: torch.device) -> _View:
    T_body_cam = T_world_cam[:, None]
    planes = plane_forms(world.planes, T_body_cam, camera)
    quadrics = quadric_forms(world.quadrics, T_body_cam, camera)
    size = (camera.height, camera.width)
    hits = cast(planes, world.planes.is_disc, quadrics, world.quadrics.is_cylinder, size, device)
    return _View(hits, planes, quadrics)


def _render_batch(
    world: World, T_world_cam: Array, camera: Camera, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    view = _view(world, T_world_cam, camera, device)
    appearance = world.appearance(device)
    R_world_body = np.broadcast_to(np.eye(3), (len(T_world_cam), 1, 3, 3))
    image = Shader(appearance, world.lighting, camera).shade(
        view.hits, view.planes, view.quadrics, world.quadrics, R_world_body
    )
    missed = view.hits.surface < 0
    if world.sky is not None and bool(missed.any()):
        R = torch.from_numpy(T_world_cam[:, :3, :3].astype(np.float32)).to(device)
        image[missed] = sky_colour(world.sky, appearance.textures, camera, R, missed)
    return image, _depth(view.hits)


def _depth(hits: Hits) -> torch.Tensor:
    return 1.0 / hits.inverse_depth


def _average(image: torch.Tensor, k: int) -> torch.Tensor:
    n, height, width, channels = image.shape
    return image.view(n, height // k, k, width // k, k, channels).mean(dim=(2, 4))


