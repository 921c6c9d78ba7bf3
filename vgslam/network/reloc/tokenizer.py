"""The relative pose tokenizer and its projector: pose encodings -> tokens (Reloc-VGGT, "RPTP")."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from vgslam.network.camera_head import POSE_CHANNELS
from vgslam.network.layers import Linear
from vgslam.network.reloc.config import RelocConfig


def canonical_quaternion(q: Tensor) -> Tensor:
    """Either q or -q (...,4) x,y,z,w: the one with w > 0, or, if w = 0, whose first non-zero component is positive."""
    x, y, z, w = q.unbind(-1)
    deciding = torch.where(w != 0, w, torch.where(x != 0, x, torch.where(y != 0, y, z)))
    return torch.where(deciding[..., None] < 0, -q, q)


class Fourier(nn.Module):
    """gamma(x) = sin(2^l pi x), cos(2^l pi x) for l = 0..bands-1, element by element; l may be learned."""

    def __init__(self, bands: int, is_learned: bool) -> None:
        super().__init__()
        self.bands = bands
        octaves = torch.arange(bands, dtype=torch.float32)
        self.octaves = nn.Parameter(octaves) if is_learned else None

    def forward(self, x: Tensor) -> Tensor:
        """(...,n) -> (...,2 n bands)."""
        octaves = torch.arange(self.bands, device=x.device) if self.octaves is None else self.octaves
        angle = x[..., None] * (math.pi * torch.exp2(octaves.to(x.dtype)))
        return torch.cat([angle.sin(), angle.cos()], dim=-1).flatten(-2)


class PoseTokenizer(nn.Module):
    """Pose encodings (...,9) -> tokens (...,width): Fourier features and, because those repeat with period 2, the raw
    values; then Linear, GELU, Linear."""

    def __init__(self, config: RelocConfig, width: int) -> None:
        super().__init__()
        bands = (config.bands_translation, config.bands_rotation, config.bands_fov)
        self.translation, self.rotation, self.fov = (Fourier(n, config.learned_frequencies) for n in bands)
        self.n_features = 2 * (3 * bands[0] + 4 * bands[1] + 2 * bands[2]) + POSE_CHANNELS
        self.hidden = Linear(self.n_features, config.hidden)
        self.out = Linear(config.hidden, width)

    def features(self, encoding: Tensor) -> Tensor:
        """(...,9) -> (...,n_features), in the dtype of the encoding; q and -q give the same."""
        t, q, fov = encoding[..., :3], canonical_quaternion(encoding[..., 3:7]), encoding[..., 7:]
        return torch.cat([self.translation(t), self.rotation(q), self.fov(fov), t, q, fov], dim=-1)

    def forward(self, encoding: Tensor) -> Tensor:
        hidden: Tensor = self.hidden(self.features(encoding))
        token: Tensor = self.out(functional.gelu(hidden))
        return token
