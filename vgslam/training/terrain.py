"""A height field of smooth waves, and where rays meet it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from vgslam.geometry.camera import Camera
from vgslam.training.surfaces import Paint

Array = npt.NDArray[np.float64]

_STEPS_A_LOOK = 8
_SLOW_STEPS = 166  # most rays need a tenth of them; those that graze the ground, all
_MET_M = 1e-3
_NEWTON_STEPS = 3
_FARTHEST_M = 60.0


@dataclass(frozen=True)
class Terrain:
    """height(x, y) = sum of amplitude_k sin(wave_k . (x, y) + phase_k).

    amplitude (K,) m, wave (K,2) rad/m, phase (K,) rad.
    """

    amplitude: Array
    wave: Array
    phase: Array
    paint: Paint

    @staticmethod
    def draw(rng: np.random.Generator, paint: Paint) -> "Terrain":
        """Four waves of 3 to 12 m with slopes of up to about 0.25 each."""
        length = np.exp(rng.uniform(np.log(3), np.log(12), 4))
        angle = rng.uniform(0, 2 * np.pi, 4)
        number = 2 * np.pi / length
        wave = number[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        return Terrain(rng.uniform(0.08, 0.22, 4) / number, wave, rng.uniform(0, 2 * np.pi, 4), paint)

    @property
    def highest(self) -> float:
        """A bound on the height in metres."""
        return float(self.amplitude.sum())

    @property
    def steepest(self) -> float:
        """A bound on the slope."""
        return float((self.amplitude * np.linalg.norm(self.wave, axis=1)).sum())

    def height(self, at: Array) -> Array:
        """Heights (N,) at (N,2)."""
        return np.sin(at @ self.wave.T + self.phase) @ self.amplitude

    def normals(self, points: torch.Tensor) -> torch.Tensor:
        """Upward unit normals (P,3) at points (P,3)."""
        phase = points[:, :2] @ _like(self.wave.T, points) + _like(self.phase, points)
        slope = torch.cos(phase) @ _like(self.amplitude[:, None] * self.wave, points)
        return torch.nn.functional.normalize(torch.cat([-slope, torch.ones_like(slope[:, :1])], 1), dim=1)

    def cast(self, T_world_cam: Array, camera: Camera, device: torch.device) -> torch.Tensor:
        """Inverse depth (N,H,W) float32 where the rays of N views first meet the terrain, 0 where they do not.

        Steps as long as the steepest slope allows never pass the surface (sphere tracing, Hart 1996); Newton's method
        then makes the depth exact. The camera must be above the terrain.
        """
        along = _Along.of(self, T_world_cam, camera, device)
        z = along.above(self.highest)
        z = along.approach(z, self.steepest, _SLOW_STEPS, stretch=1.7)
        met = (along.gap(z).abs() < 5 * _MET_M) & (z > 0.02) & (z < _FARTHEST_M)
        z = along.polish(z)
        inverse = torch.where(met, 1.0 / z.clamp(min=0.02), torch.zeros_like(z))
        return inverse.view(len(T_world_cam), camera.height, camera.width)


@dataclass(frozen=True)
class _Along:
    """Height of P rays over the terrain as a function of depth z.

    origin_z, ray_z, speed (P,): start height, and change of height and of place on the ground per unit of z.
    start, advance (P,K): phase of each wave at the start, and its change per unit of z. amplitude (K,).
    """

    origin_z: torch.Tensor
    ray_z: torch.Tensor
    speed: torch.Tensor
    start: torch.Tensor
    advance: torch.Tensor
    amplitude: torch.Tensor

    @staticmethod
    def of(terrain: Terrain, T_world_cam: Array, camera: Camera, device: torch.device) -> "_Along":
        pixels = camera.width * camera.height
        forms = torch.from_numpy((T_world_cam[:, :3, :3] @ np.linalg.inv(camera.K)).astype(np.float32)).to(device)
        u = torch.arange(camera.width, device=device, dtype=torch.float32).repeat(camera.height)
        v = torch.arange(camera.height, device=device, dtype=torch.float32).repeat_interleave(camera.width)
        ray = (forms @ torch.stack([u, v, torch.ones_like(u)])).transpose(1, 2).reshape(-1, 3)
        origin = T_world_cam[:, :3, 3]
        phase = np.remainder(origin[:, :2] @ terrain.wave.T + terrain.phase, 2 * np.pi)

        def each(x: Array) -> torch.Tensor:
            """Per frame -> per pixel."""
            return torch.from_numpy(x.astype(np.float32)).to(device).repeat_interleave(pixels, dim=0)

        advance = ray[:, :2] @ _like(terrain.wave.T, ray)
        speed = torch.hypot(ray[:, 0], ray[:, 1])
        return _Along(each(origin[:, 2]), ray[:, 2], speed, each(phase), advance, _like(terrain.amplitude, ray))

    def at(self, chosen: torch.Tensor) -> "_Along":
        """The rays with the given indices."""
        return _Along(
            self.origin_z[chosen], self.ray_z[chosen], self.speed[chosen], self.start[chosen], self.advance[chosen],
            self.amplitude,
        )  # fmt: skip

    def gap(self, z: torch.Tensor) -> torch.Tensor:
        """Height above the terrain at depth z (P,)."""
        waves = torch.sin(torch.addcmul(self.start, self.advance, z[:, None])) @ self.amplitude
        return torch.addcmul(self.origin_z, self.ray_z, z) - waves

    def rate(self, z: torch.Tensor) -> torch.Tensor:
        """Derivative of `gap` by z."""
        waves = torch.cos(torch.addcmul(self.start, self.advance, z[:, None])) * self.advance
        return self.ray_z - waves @ self.amplitude

    def above(self, highest: float) -> torch.Tensor:
        """Depth at which each ray comes down to the height that nothing exceeds; beyond all for one that never does."""
        down = (self.origin_z - highest).clamp(min=0.0) / (-self.ray_z).clamp(min=1e-9)
        return down.clamp(max=2 * _FARTHEST_M)

    def approach(self, z: torch.Tensor, steepest: float, steps: int, stretch: float = 1.0) -> torch.Tensor:
        """`march` for the rays that have neither met the terrain nor gone too far, looked at every few steps."""
        z = z.clone()
        left = ((self.gap(z) > _MET_M) & (z < _FARTHEST_M)).nonzero()[:, 0]
        for _ in range(-(-steps // _STEPS_A_LOOK)):
            if not len(left):
                break
            rays = self.at(left)
            at = rays.march(z[left], steepest, _STEPS_A_LOOK, stretch)
            z[left] = at
            left = left[(rays.gap(at) > _MET_M) & (at < _FARTHEST_M)]
        return z

    def march(self, z: torch.Tensor, steepest: float, steps: int, stretch: float = 1.0) -> torch.Tensor:
        """Go from depth z towards the terrain. Steps are those that cannot pass it, times `stretch`; a stretched step
        that ends below ground is taken back."""
        descent = (self.speed * steepest - self.ray_z).clamp(min=1e-6)
        gap = self.gap(z)
        for _ in range(steps):
            z_new = torch.addcdiv(z, gap, descent, value=stretch).clamp_(max=2 * _FARTHEST_M)
            gap_new = self.gap(z_new)
            if stretch > 1.0:
                below = gap_new < 0
                z_new = torch.where(below, torch.addcdiv(z, gap, descent), z_new)
                gap_new = torch.where(below, self.gap(z_new), gap_new)
            z, gap = z_new, gap_new
        return z

    def polish(self, z: torch.Tensor) -> torch.Tensor:
        """Newton's method from a depth just above the surface; rays that only graze it keep their depth."""
        refined = z
        for _ in range(_NEWTON_STEPS):
            rate = self.rate(refined)
            refined = refined - self.gap(refined) / torch.where(rate.abs() < 1e-3, torch.full_like(rate, -1e-3), rate)
        better = (self.gap(refined).abs() <= self.gap(z).abs()) & ((refined - z).abs() < 0.05 * z)
        return torch.where(better, refined, z)


def _like(x: Array, other: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(x), dtype=other.dtype, device=other.device)
