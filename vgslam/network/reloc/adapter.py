"""The parts that relocalization adds to a network: pose tokens, the ways they enter, and the query token."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from vgslam.network.camera_head import POSE_CHANNELS
from vgslam.network.initialise import initialise
from vgslam.network.layers import Linear
from vgslam.network.reloc.config import Injection, RelocConfig
from vgslam.network.reloc.known_poses import KnownPoses


class RelocAdapter(nn.Module):
    """The tokenizer, its zero-initialised ways into the network and the query token (width,)."""

    def __init__(self, config: RelocConfig, width: int, depth: int) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = PoseTokenizer(config, width)
        is_residual = config.injection is Injection.RESIDUAL
        self.entry = Linear(width, width) if is_residual else None
        self.block_entries = (
            nn.ModuleList(Linear(width, width) for _ in range(depth)) if config.inject_every_block else None
        )
        self.query_token = nn.Parameter(torch.zeros(width))

    @torch.no_grad()
    def reset(self, seed: int, other_camera_token: Tensor) -> None:
        """Initial values: the query token is the network's camera token of "other" frames (width,), entries are 0."""
        initialise(self, seed)
        for entry in ([] if self.entry is None else [self.entry]) + list(self.block_entries or []):
            assert isinstance(entry, Linear)
            nn.init.zeros_(entry.weight)
            nn.init.zeros_(entry.bias)
        for fourier in (self.tokenizer.translation, self.tokenizer.rotation, self.tokenizer.fov):
            if fourier.octaves is not None:
                fourier.octaves.copy_(torch.arange(fourier.bands))
        self.query_token.copy_(other_camera_token)

    def pose_tokens(self, known: KnownPoses) -> Tensor:
        """(B,K,width) of the database frames, in the adapter's dtype."""
        tokens: Tensor = self.tokenizer(known.encoding.to(self.query_token.dtype))
        return tokens

    def database_tokens(self, camera_tokens: Tensor, pose_tokens: Tensor, has_pose: Tensor) -> Tensor:
        """Camera tokens (B,K,width) of the database frames, with the poses that are given (B,K)."""
        has_pose = has_pose[..., None]
        if self.entry is None:
            return torch.where(has_pose, pose_tokens.to(camera_tokens.dtype), camera_tokens)
        return camera_tokens + torch.where(has_pose, self.entry(pose_tokens), 0.0).to(camera_tokens.dtype)

    def after_frame_block(self, i: int, x: Tensor, pose_tokens: Tensor, has_pose: Tensor) -> Tensor:
        """Tokens x (B,S,T,width), S >= K: adds the poses of the K first frames again; in place without gradients."""
        if self.block_entries is None:
            return x
        added = torch.where(has_pose[..., None], self.block_entries[i](pose_tokens), 0.0)
        k = added.shape[1]
        if torch.is_grad_enabled():
            database = torch.cat([x[:, :k, :1] + added[:, :, None].to(x.dtype), x[:, :k, 1:]], dim=2)
            return torch.cat([database, x[:, k:]], dim=1)
        x[:, :k, 0] += added.to(x.dtype)
        return x


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
