"""Where rays first meet a height field."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from vgslam.geometry.camera import Camera
from vgslam_train.worlds.terrain import Terrain

Array = npt.NDArray[np.float64]

_RAYS_AT_ONCE = {"cpu": 40_000}  # what the cache holds; elsewhere all
_STEPS_A_LOOK = 4
_LOOKS = 40  # most rays need a few of them; those that graze the ground, all
_MET_M = 1e-3
_EXACT_M = 1e-6
_FARTHEST_M = 60.0


def cast_terrain(terrain: Terrain, T_world_cam: Array, camera: Camera, device: torch.device) -> torch.Tensor:
    """Inverse depth (N,H,W) float32 where the rays of N views, T_world_cam (N,4,4), first meet the terrain; 0 where
    they do not.

    Steps as long as slope and curvature of the surface allow never pass it (sphere tracing, Hart 1996); Newton's
    method then makes the depth exact. The camera must be above the terrain.
    """
    rays = _Rays.of(terrain, T_world_cam, camera, device)
    z = rays.march(rays.above(terrain.highest))
    inverse = torch.zeros_like(z)
    for chosen in (z < _FARTHEST_M).nonzero()[:, 0].split(_RAYS_AT_ONCE.get(device.type, len(z))):
        inverse.scatter_(0, chosen, rays.at(chosen).inverse_depth(z.index_select(0, chosen)))
    return inverse.view(len(T_world_cam), camera.height, camera.width)


@dataclass(frozen=True)
class _Rays:
    """Height over the terrain as a function of depth z, for P rays."""

    table: torch.Tensor
    """(2K+4,P): change of the phase of each of K waves per unit of z, phases at z = 0, and the rows named below."""
    amplitude: torch.Tensor
    """(K,)."""

    @property
    def origin_z(self) -> torch.Tensor:
        """Height at z = 0."""
        return self.table[-4]

    @property
    def rise(self) -> torch.Tensor:
        """Its change per unit of z."""
        return self.table[-3]

    @property
    def steep(self) -> torch.Tensor:
        """A bound on the loss of height over the terrain per unit of z."""
        return self.table[-2]

    @property
    def bend(self) -> torch.Tensor:
        """Twice a bound on the second derivative of the height over the terrain by z."""
        return self.table[-1]

    @staticmethod
    def of(terrain: Terrain, T_world_cam: Array, camera: Camera, device: torch.device) -> "_Rays":
        """The rays of all pixels, row by row."""
        n, waves = len(T_world_cam), len(terrain.wave)
        ray = T_world_cam[:, :3, :3] @ np.linalg.inv(camera.K)
        forms = np.concatenate([terrain.wave @ ray[:, :2], ray], 1)
        line = _put((forms[..., :1] * np.arange(camera.width) + forms[..., 2:]).swapaxes(0, 1), device)
        column = _put((forms[..., 1:2] * np.arange(camera.height)).swapaxes(0, 1), device)
        linear = line[:, :, None, :] + column[:, :, :, None]
        origin = T_world_cam[:, :3, 3]
        phase = np.remainder(origin[:, :2] @ terrain.wave.T + terrain.phase, 2 * np.pi)
        table = torch.empty((2 * waves + 4, n, camera.height, camera.width), device=device)
        table[:waves] = linear[:waves]
        table[waves:-3] = _put(np.concatenate([phase, origin[:, 2:]], 1).T, device)[:, :, None, None]
        x, y, table[-3] = linear[waves:]
        torch.sub(torch.hypot(x, y).mul_(terrain.steepest), table[-3], out=table[-2]).clamp_(min=1e-6)
        amplitude = _put(terrain.amplitude, device)
        torch.sum((linear[:waves] ** 2).mul_(2.0 * amplitude[:, None, None, None]), 0, out=table[-1])
        return _Rays(table.view(2 * waves + 4, -1), amplitude)

    def at(self, chosen: torch.Tensor) -> "_Rays":
        """The rays with the given indices."""
        return _Rays(self.table.index_select(1, chosen), self.amplitude)

    def gap(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Height over the terrain at depth z (P,), and its derivative by z."""
        waves = len(self.amplitude)
        advance = self.table[:waves]
        phase = torch.addcmul(self.table[waves : 2 * waves], advance, z)
        slope = self.rise - self.amplitude @ torch.cos(phase).mul_(advance)
        height = torch.addcmul(self.origin_z, self.rise, z)
        return height.sub_(self.amplitude @ phase.sin_()), slope

    def above(self, highest: float) -> torch.Tensor:
        """Depth at which each ray comes down to the height that nothing exceeds; beyond all for one that never does."""
        down = (self.origin_z - highest).clamp_(min=0.0).div_((-self.rise).clamp_(min=1e-9))
        return down.clamp_(max=2 * _FARTHEST_M)

    def march(self, z: torch.Tensor) -> torch.Tensor:
        """Go from depth z (P,) to the terrain, or too far, without ever passing the surface. z is overwritten."""
        left = (z < _FARTHEST_M).nonzero()[:, 0]
        for _ in range(_LOOKS):
            parts = left.split(_RAYS_AT_ONCE.get(z.device.type, max(len(left), 1)))
            left = torch.cat([self._advance(z, part) for part in parts])
            if len(left) == 0:
                break
        return z

    def _advance(self, z: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Some steps of some rays, in place; those that have not yet arrived."""
        rays, at = self.at(chosen), z.index_select(0, chosen)
        for _ in range(_STEPS_A_LOOK):
            gap, slope = rays.gap(at)
            at = rays._step(at, gap, slope)
        z.scatter_(0, chosen, at)
        return chosen.index_select(0, ((gap > _MET_M) & (at < _FARTHEST_M)).nonzero()[:, 0])

    def _step(self, z: torch.Tensor, gap: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        """A step that cannot pass the surface: gap / steep, or h with gap + slope h - bend h² / 4 = 0 if longer."""
        root = (slope * slope).addcmul_(self.bend, gap).clamp_(min=1e-12).sqrt_()
        shorter = root.mul_(1.0 + 1e-6).sub_(slope).mul_(0.5)
        return torch.addcdiv(z, gap, torch.minimum(shorter, self.steep, out=shorter)).clamp_(max=2 * _FARTHEST_M)

    def inverse_depth(self, z: torch.Tensor) -> torch.Tensor:
        """1 / z (P,) from depths near the surface, made exact; 0 for rays that are not near."""
        gap, slope = self.gap(z)
        met = torch.empty_like(z)
        torch.lt(gap.abs(), 5 * _MET_M, out=met)
        change = gap.div_(slope.clamp_(max=-1e-3)).neg_()
        unsure = (change * change).mul_(self.bend).gt(4 * _EXACT_M).nonzero()[:, 0]
        refined = z + change
        refined[unsure] = self.at(unsure)._newton(z[unsure])
        return met.div_(refined.clamp_(min=0.02))

    def _newton(self, z: torch.Tensor) -> torch.Tensor:
        """Newton's method; rays that only graze the surface keep their z."""
        start, slope = self.gap(z)
        refined, gap = z, start
        for _ in range(3):
            refined = refined - gap / torch.where(slope.abs() < 1e-3, torch.full_like(z, -1e-3), slope)
            gap, slope = self.gap(refined)
        better = (gap.abs() <= start.abs()) & ((refined - z).abs() < 0.05 * z)
        return torch.where(better, refined, z)


def _put(x: npt.NDArray[np.generic], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x, np.float32)).to(device)
