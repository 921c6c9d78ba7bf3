"""The colour of each pixel from what its ray met: texture x tint x light."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from vgslam.geometry.camera import Camera
from vgslam_train.worlds.lighting import Lighting, LightMap
from vgslam_train.worlds.projection import PlaneForms, QuadricForms
from vgslam_train.worlds.raycast import Hits
from vgslam_train.worlds.surfaces import Looks, Planes, Quadrics
from vgslam_train.worlds.terrain import Terrain
from vgslam_train.worlds.textures import TextureTable, sample

_MOSTLY = 0.9
_SOFTEST_COSINE = 0.12  # surfaces seen at a flatter angle than 7 degrees are not blurred any further


@dataclass(frozen=True)
class Sky:
    """What rays see that hit nothing: a texture over azimuth and elevation, `tiles` times all around."""

    material: int
    tiles: int = 3


@dataclass(frozen=True)
class Appearance:
    """Everything that shading needs of a scene, on one device. Colours have an unused fourth channel, which keeps them
    aligned."""

    looks: torch.Tensor
    """(S,3): material, emission, tiles_per_m."""
    tint: torch.Tensor
    """(S,4)."""
    plane_uv: torch.Tensor
    """(P,6)."""
    light: torch.Tensor
    """(P*G*G,4), with G nodes a side."""
    grid: int
    """G."""
    textures: TextureTable


def upload(
    planes: Planes, quadrics: Quadrics, looks: Looks, light_map: LightMap, textures: TextureTable
) -> Appearance:
    """Copy a scene's appearance to the device of `textures`."""
    device = textures.texels.device
    density = np.concatenate([planes.tiles_per_m, quadrics.tiles_per_m])[:, None]
    rows = np.concatenate([looks.material[:, None], looks.emission[:, None], density], 1)
    tint = np.concatenate([looks.tint, np.zeros((len(looks.tint), 1))], 1)
    light = np.concatenate([light_map.nodes.reshape(-1, 3), np.zeros((light_map.nodes.size // 3, 1), np.float32)], 1)

    def put(x: npt.NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(x, np.float32)).to(device)

    return Appearance(put(rows), put(tint), put(planes.uv.reshape(-1, 6)), put(light), light_map.grid, textures)


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
        u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
        ray_norm = np.sqrt(((u - camera.cx) / camera.fx) ** 2 + ((v - camera.cy) / camera.fy) ** 2 + 1.0)
        grid = np.stack([u, v, ray_norm]).reshape(3, -1).astype(np.float32)
        self._grid = torch.from_numpy(grid).to(appearance.light.device)

    def shade(
        self, hits: Hits, planes: PlaneForms, quadrics: QuadricForms, scene_quadrics: Quadrics
    ) -> torch.Tensor:
        """Colours (N,H,W,3) in 0..1 and above; black where no plane or quadric was met."""
        n_planes = planes.forms.shape[1]
        out = torch.zeros((*hits.surface.shape, 3), device=hits.surface.device)
        flat = out.view(-1, 3)
        surface = hits.surface.view(-1)
        is_plane = (surface >= 0) & (surface < n_planes)
        at = is_plane.nonzero()[:, 0]
        if len(at) > _MOSTLY * len(surface):  # cheaper to colour some pixels in vain than to pick the right ones
            px = self._pixels(hits, None)
            px = replace(px, surface=surface.clamp(0, n_planes - 1), w=px.w.clamp(min=1e-3))
            flat.copy_(self._planes(px, planes))
            out[hits.surface < 0] = 0.0
        else:
            flat.index_copy_(0, at, self._planes(self._pixels(hits, at), planes))
        at = ((surface >= n_planes) & (surface < len(self.appearance.looks))).nonzero()[:, 0]
        if len(at):
            flat.index_copy_(0, at, self._quadrics(self._pixels(hits, at), n_planes, quadrics, scene_quadrics))
        return out

    def shade_terrain(
        self, image: torch.Tensor, hits: Hits, T_world_cam: npt.NDArray[np.float64], terrain: Terrain
    ) -> None:  # fmt: skip
        """Colour the pixels of `image` (N,H,W,3) that show the terrain, in place."""
        at = (hits.surface.view(-1) == len(self.appearance.looks)).nonzero()[:, 0]
        way = _ways(self.camera, T_world_cam, image.device, at)
        w = hits.inverse_depth.reshape(-1).index_select(0, at)
        start = torch.from_numpy(T_world_cam[:, :3, 3].T.astype(np.float32)).to(image.device)
        points = start.index_select(1, at // hits.surface[0].numel()).add_(way / w)
        normals = terrain.normals(points)
        cosine = (way * normals).sum(0).div_((way * way).sum(0).sqrt_()).neg_()
        density = 1.0 / (terrain.paint.tile_m or 1.0)
        footprint = self._pixel * density / (w * cosine.clamp_(min=_SOFTEST_COSINE))
        material = torch.full_like(at, terrain.paint.material)
        albedo = sample(self.appearance.textures, material, points[0] * density, points[1] * density, footprint)
        light = self.lighting.unshadowed(points.T, normals.T)
        tint = torch.tensor(np.asarray(terrain.paint.tint, np.float32), device=image.device)
        image.view(-1, 3).index_copy_(0, at, light.mul_(tint).mul_(albedo[:, :3]))

    def shade_sky(
        self, image: torch.Tensor, hits: Hits, T_world_cam: npt.NDArray[np.float64], sky: Sky
    ) -> None:  # fmt: skip
        """Colour the pixels of `image` (N,H,W,3) that show nothing, in place."""
        at = (hits.surface.view(-1) < 0).nonzero()[:, 0]
        x, y, z = _ways(self.camera, T_world_cam, image.device, at)
        square = (x * x).addcmul_(y, y)
        level = square.clamp(min=1e-20).sqrt_()
        scale = sky.tiles / (2 * np.pi)
        footprint = scale / self.camera.fx / (level * square.addcmul_(z, z).rsqrt_()).clamp_(min=0.1)
        u, v = torch.atan2(y, x).mul_(scale), torch.atan2(z, level).mul_(-scale)
        material = torch.full_like(at, sky.material)
        image.view(-1, 3).index_copy_(0, at, sample(self.appearance.textures, material, u, v, footprint)[:, :3])

    def _pixels(self, hits: Hits, at: torch.Tensor | None) -> _Pixels:
        n, size = len(hits.surface), self._grid.shape[1]
        surface, w = hits.surface.view(-1), hits.inverse_depth.view(-1)
        if at is None:
            frame = torch.arange(n, device=w.device).repeat_interleave(size)
            u, v, ray_norm = self._grid.repeat(1, n)
            return _Pixels(frame, u, v, surface, w, ray_norm)
        frame = at // size
        u, v, ray_norm = self._grid.index_select(1, at - frame * size)
        return _Pixels(frame, u, v, surface.index_select(0, at), w.index_select(0, at), ray_norm)

    def _planes(self, px: _Pixels, planes: PlaneForms) -> torch.Tensor:
        n, p = planes.forms.shape[:2]
        rows = np.concatenate([planes.forms[:, :, :2].reshape(n, p, 6), planes.distance[..., None]], 2)
        per_frame = torch.from_numpy(rows.astype(np.float32)).to(px.u.device)
        fixed = torch.cat([self.appearance.plane_uv, self.appearance.looks[:p]], 1).expand(n, p, 9)
        table = torch.cat([per_frame, fixed], 2).view(n * p, 16).T.contiguous()
        f = table.index_select(1, px.frame * p + px.surface)  # one contiguous row per quantity: fast to compute with
        z = 1.0 / px.w
        s = (f[0] * px.u).addcmul_(f[1], px.v).add_(f[2]).mul_(z)
        t = (f[3] * px.u).addcmul_(f[4], px.v).add_(f[5]).mul_(z)
        u = (f[7] * s).addcmul_(f[8], t).add_(f[9])
        v = (f[10] * s).addcmul_(f[11], t).add_(f[12])
        footprint = self._pixel * f[15] / (px.w * (f[6] * px.w / px.ray_norm).clamp_(min=_SOFTEST_COSINE))
        albedo = sample(self.appearance.textures, f[13], u, v, footprint)
        light = self._light(px.surface, s, t).add_(f[14][:, None])
        return albedo.mul_(light).mul_(self.appearance.tint.index_select(0, px.surface))[:, :3]

    def _light(self, surface: torch.Tensor, s: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Bilinear lookup in the light map, (P,4)."""
        grid = self.appearance.grid
        x = ((s + 1) * (0.5 * (grid - 1))).clamp_(0, grid - 1.0001)
        y = ((t + 1) * (0.5 * (grid - 1))).clamp_(0, grid - 1.0001)
        x0, y0 = x.floor(), y.floor()
        fx, fy = x - x0, y - y0
        row = (surface.int() * grid).add_(y0.int()).mul_(grid).add_(x0.int())
        rows = torch.stack([row, row + 1, row + grid, row + grid + 1], 1)
        above = fx * fy
        weights = torch.stack([1 - fx - fy + above, fx - above, fy - above, above], 1)
        return torch.nn.functional.embedding_bag(rows, self.appearance.light, per_sample_weights=weights, mode="sum")

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
        footprint = self._pixel * look[:, 2] / (px.w * 0.6)
        albedo = sample(self.appearance.textures, look[:, 0], tile_u * look[:, 2], tile_v * look[:, 2], footprint)
        light = self.lighting.unshadowed(metric + row[:, 30:33], normal).add_(look[:, 1:2])
        return albedo.mul_(self.appearance.tint.index_select(0, px.surface))[:, :3] * light


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


def _ways(
    camera: Camera, T_world_cam: npt.NDArray[np.float64], device: torch.device, at: torch.Tensor
) -> torch.Tensor:
    """Rays (3,M) in the axes of the world, of length 1 along the optical axis, of the pixels `at` of N flat images."""
    forms = np.swapaxes(T_world_cam[:, :3, :3] @ np.linalg.inv(camera.K), 0, 1)
    line = np.ascontiguousarray(forms[..., :1] * np.arange(camera.width) + forms[..., 2:], np.float32)
    column = np.ascontiguousarray(forms[..., 1:2] * np.arange(camera.height), np.float32)
    way = torch.from_numpy(line).to(device)[:, :, None, :] + torch.from_numpy(column).to(device)[:, :, :, None]
    return way.view(3, -1).index_select(1, at)
