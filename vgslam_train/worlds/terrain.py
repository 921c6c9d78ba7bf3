"""A height field of smooth waves."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from vgslam_train.worlds.surfaces import Paint

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Terrain:
    """height(x, y) = sum of amplitude_k sin(wave_k . (x, y) + phase_k)."""

    amplitude: Array  # (K,) m
    wave: Array  # (K,2) rad/m
    phase: Array  # (K,) rad
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
        """Upward unit normals (3,P) at points (3,P)."""
        phase = torch.addmm(_like(self.phase[:, None], points), _like(self.wave, points), points[:2])
        normal = torch.ones_like(points)
        torch.mm(_like(-self.wave.T * self.amplitude, points), phase.cos_(), out=normal[:2])
        return normal.mul_((normal[0] * normal[0]).addcmul_(normal[1], normal[1]).add_(1.0).rsqrt_())


def _like(x: Array, other: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(x), dtype=other.dtype, device=other.device)
