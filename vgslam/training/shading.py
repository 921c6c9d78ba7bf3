"""The colour of each pixel from what its ray met: texture x tint x light."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from vgslam.geometry.camera import Camera
from vgslam.training.lighting import Lighting, LightMap
from vgslam.training.projection import PlaneForms, QuadricForms
from vgslam.training.raycast import Hits
from vgslam.training.surfaces import Looks, Planes, Quadrics
from vgslam.training.textures import TextureTable, sample

_SOFTEST_COSINE = 0.12  # surfaces seen at a flatter angle than 7 degrees are not blurred any further


@dataclass(frozen=True)
class Sky:
    """What rays see that meet nothing: a texture over the directions, stretched over `tiles` per unit cube side."""

    material: int
    tiles: float = 0.5


@dataclass(frozen=True)
class Appearance:
    """Everything that shading needs of a scene, on one device.

    looks (S,6): material, tint, emission, tiles_per_m. plane_uv (P,6). light (P*G*G,4) with grid G nodes a side.
    """

    looks: torch.Tensor
    plane_uv: torch.Tensor
    light: torch.Tensor
    grid: int
    textures: TextureTable


def upload(
    planes: Planes, quadrics: Quadrics, looks: Looks, light_map: LightMap, textures: TextureTable
) -> Appearance:
    """Copy a scene's appearance to the device of `textures`."""
    device = textures.texels.device
    density = np.concatenate([planes.tiles_per_m, quadrics.tiles_per_m])[:, None]
    rows = np.concatenate([looks.material[:, None], looks.tint, looks.emission[:, None], density], 1)
    light = np.concatenate([light_map.nodes.reshape(-1, 3), np.zeros((light_map.nodes.size // 3, 1), np.float32)], 1)

    def put(x: npt.NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(x, np.float32)).to(device)

    return Appearance(put(rows), put(planes.uv.reshape(-1, 6)), put(light), light_map.grid, textures)


@dataclass(frozen=True)
class _Pixels:
    """All pixels of a batch, or some: frame, column, row, surface, inverse depth, length of the ray; each (P,)."""

    frame: torch.Tensor
    u: torch.Tensor
    v: torch.Tensor
    surface: torch.Tensor
    w: torch.Tensor
    ray_norm: torch.Tensor


class Shader:
    """Colours the hits of a batch of frames."""

    def __init__(self, appearance: Appearance, lighting: Lighting, camera: Camera) -> None:
        self.appearance, self.lighting, self.camera = appearance, lighting, camera

    def shade(self, hits: Hits, planes: PlaneForms, quadrics: QuadricForms, scene_quadrics: Quadrics,
              R_world_body: npt.NDArray[np.float64]) -> torch.Tensor:  # fmt: skip
        """Colours (N,H,W,3) in 0..1 and above; black where nothing was met. R_world_body (N,B,3,3)."""
        n_planes = planes.forms.shape[1]
        out = torch.zeros((*hits.surface.shape, 3), device=hits.surface.device)
        flat = out.view(-1, 3)
        surface = hits.surface.reshape(-1)
        is_plane = (surface >= 0) & (surface < n_planes)
        if bool(is_plane.all()):
            flat.copy_(self._planes(self._pixels(hits, None), planes))
            return out
        at = is_plane.nonzero()[:, 0]
        flat[at] = self._planes(self._pixels(hits, at), planes)
        at = (surface >= n_planes).nonzero()[:, 0]
        if len(at):
            flat[at] = self._quadrics(self._pixels(hits, at), n_planes, quadrics, scene_quadrics, R_world_body)
        return out

    def _pixels(self, hits: Hits, at: torch.Tensor | None) -> _Pixels:
        n, height, width = hits.surface.shape
        device = hits.surface.device
        v, u = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
        x, y = (u - self.camera.cx) / self.camera.fx, (v - self.camera.cy) / self.camera.fy
        ray_norm = (x * x + y * y + 1.0).sqrt()
        frame = torch.arange(n, device=device).repeat_interleave(height * width)
        values = [
            frame, u.float().reshape(-1).repeat(n), v.float().reshape(-1).repeat(n), hits.surface.reshape(-1),
            hits.inverse_depth.reshape(-1), ray_norm.float().reshape(-1).repeat(n),
        ]  # fmt: skip
        return _Pixels(*(x if at is None else x[at] for x in values))

    def _planes(self, px: _Pixels, planes: PlaneForms) -> torch.Tensor:
        device = px.u.device
        n, p = planes.forms.shape[:2]
        rows = np.concatenate([planes.forms[:, :, :2].reshape(n * p, 6), planes.distance.reshape(n * p, 1)], 1)
        form = torch.from_numpy(rows.astype(np.float32)).to(device).index_select(0, px.frame * p + px.surface)
        z = 1.0 / px.w
        s = (form[:, 0] * px.u + form[:, 1] * px.v + form[:, 2]) * z
        t = (form[:, 3] * px.u + form[:, 4] * px.v + form[:, 5]) * z
        uv = self.appearance.plane_uv.index_select(0, px.surface)
        cosine = form[:, 6] * px.w / px.ray_norm
        tile_u = uv[:, 0] * s + uv[:, 1] * t + uv[:, 2]
        tile_v = uv[:, 3] * s + uv[:, 4] * t + uv[:, 5]
        albedo = self._albedo(px, tile_u, tile_v, cosine)
        look = self.appearance.looks.index_select(0, px.surface)
        return albedo * look[:, 1:4] * (self._light(px.surface, s, t) + look[:, 4:5])

    def _albedo(self, px: _Pixels, u: torch.Tensor, v: torch.Tensor, cosine: torch.Tensor) -> torch.Tensor:
        look = self.appearance.looks
        footprint = look[:, 5].index_select(0, px.surface) / (
            px.w * self.camera.fx * cosine.clamp(min=_SOFTEST_COSINE)
        )
        material = look[:, 0].long().index_select(0, px.surface)
        return sample(self.appearance.textures, material, u, v, footprint)

    def _light(self, surface: torch.Tensor, s: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Bilinear lookup in the light map."""
        grid = self.appearance.grid
        x = ((s + 1) * (0.5 * (grid - 1))).clamp_(0, grid - 1.0001)
        y = ((t + 1) * (0.5 * (grid - 1))).clamp_(0, grid - 1.0001)
        x0, y0 = x.floor(), y.floor()
        fx, fy = x - x0, y - y0
        row = (surface * grid + y0.long()) * grid + x0.long()
        rows = torch.stack([row, row + 1, row + grid, row + grid + 1], 1)
        weights = torch.stack([(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy], 1)
        bag = torch.nn.functional.embedding_bag(rows, self.appearance.light, per_sample_weights=weights, mode="sum")
        return bag[:, :3]

    def _quadrics(self, px: _Pixels, first: int, forms: QuadricForms, scene: Quadrics,
                  R_world_body: npt.NDArray[np.float64]) -> torch.Tensor:  # fmt: skip
        device = px.u.device
        n, count = forms.origin.shape[:2]
        R = R_world_body[:, scene.body]
        to_metric = np.linalg.inv(scene.to_unit)
        normal_map = R @ np.swapaxes(scene.to_unit, -1, -2)
        center = np.broadcast_to(scene.center, forms.origin.shape)
        flags = np.broadcast_to(scene.is_cylinder[None, :, None], (n, count, 1)).astype(np.float64)
        parts = [forms.ray, forms.origin, normal_map, np.broadcast_to(to_metric, (n, count, 3, 3)), center, flags]
        rows = np.concatenate([x.reshape(n * count, -1) for x in parts], 1).astype(np.float32)
        row = torch.from_numpy(rows).to(device).index_select(0, px.frame * count + px.surface - first)
        pixel = torch.stack([px.u, px.v, torch.ones_like(px.u)], 1)
        ray = (row[:, :9].view(-1, 3, 3) @ pixel[:, :, None])[:, :, 0]
        unit = row[:, 9:12] + ray / px.w[:, None]
        radial = unit * torch.cat([torch.ones_like(unit[:, :2]), 1.0 - row[:, 33:34]], 1)
        normal = torch.nn.functional.normalize((row[:, 12:21].view(-1, 3, 3) @ radial[:, :, None])[:, :, 0], dim=1)
        metric = (row[:, 21:30].view(-1, 3, 3) @ unit[:, :, None])[:, :, 0]
        tangent = _cube_map(metric, radial)
        density = self.appearance.looks[:, 5].index_select(0, px.surface)
        albedo = self._albedo(px, tangent[0] * density, tangent[1] * density, torch.full_like(px.w, 0.6))
        look = self.appearance.looks.index_select(0, px.surface)
        light = self.lighting.unshadowed(metric + row[:, 30:33], normal)
        return albedo * look[:, 1:4] * (light + look[:, 4:5])


def _cube_map(point: torch.Tensor, normal: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two coordinates of each point (P,3): those across the axis to which its normal is closest."""
    axis = normal.abs().argmax(1)
    u = torch.where(axis == 0, point[:, 1], point[:, 0]) + 0.37 * axis
    v = torch.where(axis == 2, point[:, 1], point[:, 2])
    return u, -v


def sky_colour(
    sky: Sky, textures: TextureTable, camera: Camera, R_world_cam: torch.Tensor, missed: torch.Tensor
) -> torch.Tensor:
    """Colours (M,3) of the pixels where `missed` (N,H,W) is true. R_world_cam (N,3,3)."""
    frame, v, u = missed.nonzero(as_tuple=True)
    ray = torch.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, torch.ones_like(u)], 1).float()
    direction = (R_world_cam[frame] @ ray[:, :, None])[:, :, 0]
    across = direction.abs().amax(1, keepdim=True)
    x, y = _cube_map(direction / across, direction)
    material = torch.full_like(frame, sky.material)
    footprint = torch.full_like(x, sky.tiles / camera.fx)
    return sample(textures, material, x * sky.tiles, y * sky.tiles, footprint)
