"""The colour of each pixel from what its ray met: texture x tint x light."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from vgslam.geometry.camera import Camera
from vgslam.training.lighting import Lighting, LightMap
from vgslam.training.projection import PlaneForms, QuadricForms
from vgslam.training.raycast import Hits
from vgslam.training.surfaces import Looks, Planes, Quadrics
from vgslam.training.terrain import Terrain
from vgslam.training.textures import TextureTable, sample

_SOFTEST_COSINE = 0.12  # surfaces seen at a flatter angle than 7 degrees are not blurred any further


@dataclass(frozen=True)
class Sky:
    """What rays see that meet nothing: a texture over azimuth and elevation, `tiles` times all around."""

    material: int
    tiles: int = 3


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

    def __init__(self, appearance: Appearance, lighting: Lighting, camera: Camera, supersample: int = 1) -> None:
        """camera: of the rays. supersample: rays per axis in a pixel of the final image, which sets what is too fine.

        Detail is drawn from 1.5 pixels (1.1 when the pixel is a mean over rays): what lies below half the sampling
        rate of the image looks the same from everywhere and does not flicker.
        """
        self.appearance, self.lighting, self.camera = appearance, lighting, camera
        self._pixel = max(1.5, 1.1 * supersample) / camera.fx  # footprint at 1 m

    def shade(
        self, hits: Hits, planes: PlaneForms, quadrics: QuadricForms, scene_quadrics: Quadrics
    ) -> torch.Tensor:
        """Colours (N,H,W,3) in 0..1 and above; black where no plane or quadric was met."""
        n_planes = planes.forms.shape[1]
        out = torch.zeros((*hits.surface.shape, 3), device=hits.surface.device)
        flat = out.view(-1, 3)
        surface = hits.surface.reshape(-1)
        is_plane = (surface >= 0) & (surface < n_planes)
        if float(is_plane.float().mean()) > 0.6:  # cheaper to colour some pixels in vain than to pick the right ones
            px = self._pixels(hits, None)
            px = replace(px, surface=surface.clamp(0, n_planes - 1), w=px.w.clamp(min=1e-3))
            flat.copy_(self._planes(px, planes))
            out[hits.surface < 0] = 0.0
        else:
            at = is_plane.nonzero()[:, 0]
            flat[at] = self._planes(self._pixels(hits, at), planes)
        at = ((surface >= n_planes) & (surface < len(self.appearance.looks))).nonzero()[:, 0]
        if len(at):
            flat[at] = self._quadrics(self._pixels(hits, at), n_planes, quadrics, scene_quadrics)
        return out

    def shade_terrain(
        self, image: torch.Tensor, ground: torch.Tensor, hits: Hits, T_world_cam: npt.NDArray[np.float64],
        terrain: Terrain,
    ) -> None:  # fmt: skip
        """Colour the pixels `ground` (N,H,W) of `image` in place."""
        px = self._pixels(hits, ground.reshape(-1).nonzero()[:, 0])
        T = torch.from_numpy(T_world_cam.astype(np.float32)).to(image.device)[px.frame]
        x, y = (px.u - self.camera.cx) / self.camera.fx, (px.v - self.camera.cy) / self.camera.fy
        ray = torch.stack([x, y, torch.ones_like(x)], 1)
        way = (T[:, :3, :3] @ ray[:, :, None])[:, :, 0]
        points = T[:, :3, 3] + way / px.w[:, None]
        normals = terrain.normals(points)
        cosine = -(way * normals).sum(1) / px.ray_norm
        density = 1.0 / (terrain.paint.tile_m or 1.0)
        footprint = self._pixel * density / (px.w * cosine.clamp(min=_SOFTEST_COSINE))
        material = torch.full_like(px.surface, terrain.paint.material)
        uv = points[:, :2] * density
        albedo = sample(self.appearance.textures, material, uv[:, 0], uv[:, 1], footprint)
        tint = torch.tensor(np.asarray(terrain.paint.tint, np.float32), device=image.device)
        image[ground] = albedo * tint * self.lighting.unshadowed(points, normals)

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
        n, p = planes.forms.shape[:2]
        rows = np.concatenate([planes.forms[:, :, :2].reshape(n, p, 6), planes.distance[..., None]], 2)
        per_frame = torch.from_numpy(rows.astype(np.float32)).to(px.u.device)
        fixed = torch.cat([self.appearance.plane_uv, self.appearance.looks[:p]], 1).expand(n, p, 12)
        table = torch.cat([per_frame, fixed], 2).view(n * p, 19).T.contiguous()
        f = table.index_select(1, px.frame * p + px.surface)  # one contiguous row per quantity: fast to compute with
        z = 1.0 / px.w
        s = (f[0] * px.u).addcmul_(f[1], px.v).add_(f[2]).mul_(z)
        t = (f[3] * px.u).addcmul_(f[4], px.v).add_(f[5]).mul_(z)
        u = (f[7] * s).addcmul_(f[8], t).add_(f[9])
        v = (f[10] * s).addcmul_(f[11], t).add_(f[12])
        footprint = self._pixel * f[18] / (px.w * (f[6] * px.w / px.ray_norm).clamp_(min=_SOFTEST_COSINE))
        albedo = sample(self.appearance.textures, f[13], u, v, footprint)
        return albedo * f[14:17].T * (self._light(px.surface, s, t) + f[17][:, None])

    def _light(self, surface: torch.Tensor, s: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Bilinear lookup in the light map."""
        grid = self.appearance.grid
        x = ((s + 1) * (0.5 * (grid - 1))).clamp_(0, grid - 1.0001)
        y = ((t + 1) * (0.5 * (grid - 1))).clamp_(0, grid - 1.0001)
        x0, y0 = x.floor(), y.floor()
        fx, fy = x - x0, y - y0
        row = (surface.int() * grid).add_(y0.int()).mul_(grid).add_(x0.int())
        rows = torch.stack([row, row + 1, row + grid, row + grid + 1], 1)
        above = fx * fy
        weights = torch.stack([1 - fx - fy + above, fx - above, fy - above, above], 1)
        bag = torch.nn.functional.embedding_bag(rows, self.appearance.light, per_sample_weights=weights, mode="sum")
        return bag[:, :3]

    def _quadrics(self, px: _Pixels, first: int, forms: QuadricForms, scene: Quadrics) -> torch.Tensor:
        rows = _quadric_rows(forms, scene, px.u.device)
        row = rows.index_select(0, px.frame * len(scene.center) + px.surface - first)
        pixel = torch.stack([px.u, px.v, torch.ones_like(px.u)], 1)
        unit = row[:, 9:12] + _apply(row[:, :9], pixel) / px.w[:, None]
        radial = unit * torch.cat([torch.ones_like(unit[:, :2]), 1.0 - row[:, 33:34]], 1)
        normal = torch.nn.functional.normalize(_apply(row[:, 12:21], radial), dim=1)
        metric = _apply(row[:, 21:30], unit)
        tile_u, tile_v = _cube_map(metric, normal)
        look = self.appearance.looks.index_select(0, px.surface)
        footprint = self._pixel * look[:, 5] / (px.w * 0.6)
        albedo = sample(self.appearance.textures, look[:, 0], tile_u * look[:, 5], tile_v * look[:, 5], footprint)
        light = self.lighting.unshadowed(metric + row[:, 30:33], normal)
        return albedo * look[:, 1:4] * (light + look[:, 4:5])


def _quadric_rows(forms: QuadricForms, scene: Quadrics, device: torch.device) -> torch.Tensor:
    """A row per frame and quadric: ray form 9, origin 3, unit normal to body 9, unit to metres 9, center 3, flag 1."""
    n, count = forms.origin.shape[:2]

    def each(x: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        return np.broadcast_to(x, (n, *x.shape)).reshape(n * count, -1)

    parts = [
        forms.ray.reshape(n * count, 9), forms.origin.reshape(n * count, 3), each(np.swapaxes(scene.to_unit, 1, 2)),
        each(np.linalg.inv(scene.to_unit)), each(scene.center), each(scene.is_cylinder),
    ]  # fmt: skip
    return torch.from_numpy(np.concatenate(parts, 1).astype(np.float32)).to(device)


def _apply(matrix: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """Matrices (P,9), row by row, times vectors (P,3)."""
    return (matrix.view(-1, 3, 3) @ vector[:, :, None])[:, :, 0]


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
    azimuth = torch.atan2(direction[:, 1], direction[:, 0])
    level = torch.hypot(direction[:, 0], direction[:, 1])
    elevation = torch.atan2(direction[:, 2], level)
    material = torch.full_like(frame, sky.material)
    footprint = sky.tiles / (2 * np.pi * camera.fx) / (level / direction.norm(dim=1)).clamp(min=0.1)
    x, y = azimuth * (sky.tiles / (2 * np.pi)), -elevation * (sky.tiles / (2 * np.pi))
    return sample(textures, material, x, y, footprint)
