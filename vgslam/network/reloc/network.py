"""The relocalization network: a VGGT whose database frames carry their known poses (Reloc-VGGT, arXiv 2512.21883).

Frame order is fixed: anchor first, query last. Poses that come out are T_cam_anchor in units of `KnownPoses.scale`.
"""

import copy
import math
from enum import StrEnum
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from vgslam.errors import ConfigError
from vgslam.network.aggregator import Chunks, frame_descriptor
from vgslam.network.camera_head import POSE_CHANNELS
from vgslam.network.frame_mask import FrameMask
from vgslam.network.initialise import initialise
from vgslam.network.layers import Linear
from vgslam.network.lora import LoraConfig, add_lora
from vgslam.network.matching import ReferenceMatches
from vgslam.network.reloc.config import Injection, MaskKind, MatchOrder, RelocConfig, frame_mask, head_mask
from vgslam.network.reloc.known_poses import KnownPoses
from vgslam.network.vggt import Vggt

LORA_WITHIN = ("aggregator.frame_blocks", "aggregator.global_blocks", "camera_head.trunk")


class Stage(StrEnum):
    """Which parameters are trained: the adapter alone, or the tuned and low-rank parts of the network as well."""

    ADAPTER = "adapter"
    ALL = "all"


class RelocNetwork(nn.Module):
    """`vggt` shares the weights of the network it was made from, except for those that are tuned."""

    def __init__(self, vggt: Vggt, config: RelocConfig) -> None:
        super().__init__()
        if vggt.camera_head is None:
            raise ConfigError("relocalization needs a network with a camera head")
        self.vggt, self.config = vggt, config
        self.adapter = RelocAdapter(config, vggt.config.width, vggt.config.aggregator.depth)

    def set_trained(self, stage: Stage) -> None:
        """Lets the parameters of a stage be trained and freezes all others."""
        self.requires_grad_(False)
        self.adapter.requires_grad_(True)
        if stage is Stage.ALL:
            for name, p in self.vggt.named_parameters():
                p.requires_grad_(name.startswith(self.config.tuned) or name.endswith(("lora_A", "lora_B")))

    def forward(
        self, images: Tensor, known: KnownPoses, mask: FrameMask | None = None, chunks: Chunks | None = None
    ) -> list[Tensor]:
        """Images (B,N,3,H,W) in [0,1] and the poses of frames 0..N-2 -> pose encodings (B,N,9), one per refinement. The
        last one's row N-1 is the answer, the other rows re-predict the database. `mask` takes the place of the
        configured one. ConfigError if the numbers of frames do not fit."""
        n, chunks = images.shape[1], chunks or Chunks()
        if known.encoding.shape[:2] != (len(images), n - 1):
            raise ConfigError(
                f"{len(images)} scenes of {n} frames need the poses of {n - 1}, got {tuple(known.encoding.shape[:2])}"
            )
        grid = self.vggt.config.patches(*images.shape[-2:])
        patches = self.patches(images, chunks)
        pose_tokens = self.adapter.pose_tokens(known)
        x = self.assemble(patches, pose_tokens, known.has_pose)
        mask = mask or frame_mask(self.config.mask, n)
        tell = partial(self.adapter.after_frame_block, pose_tokens=pose_tokens, has_pose=known.has_pose)
        _, special = self.vggt.aggregator.alternate(x, grid, (), None if mask.is_dense else mask, chunks, tell)
        assert self.vggt.camera_head is not None
        encodings: list[Tensor] = self.vggt.camera_head(special[:, :, 0], mask=head_mask(self.config.mask, n))
        return encodings

    def patches(self, images: Tensor, chunks: Chunks) -> Tensor:
        """Patch tokens (B,N,h*w,width) of all frames, with what the matching adapter adds, if there is one."""
        aggregator = self.vggt.aggregator
        patches = aggregator.encode_patches(images, chunks)
        if aggregator.matching is None:
            return patches
        second = second_references(descriptors(patches), self.config.mask, self.config.match_order)
        matches: ReferenceMatches = aggregator.matching(images, second)
        return patches + aggregator.matching.embed(matches)

    def assemble(self, patches: Tensor, pose_tokens: Tensor, has_pose: Tensor) -> Tensor:
        """Tokens (B,N,T,width) of patch tokens (B,N,h*w,width): known poses and the query token in the camera slots."""
        tokens = self.vggt.aggregator.assemble(patches)
        database = self.adapter.database_tokens(tokens[:, :-1, 0], pose_tokens, has_pose)
        query = self.adapter.query_token.to(tokens.dtype).expand(len(tokens), 1, -1)
        camera = torch.cat([database, query], dim=1)
        return torch.cat([camera[:, :, None], tokens[:, :, 1:]], dim=2)


def descriptors(patches: Tensor) -> Tensor:
    """Global descriptors (B,N,width) of patch tokens (B,N,h*w,width); no gradient."""
    with torch.no_grad():
        return frame_descriptor(patches)


def build_reloc(base: Vggt, config: RelocConfig, seed: int = 0) -> RelocNetwork:
    """A relocalization network on the weights of `base`, which it shares and leaves as they are. With residual
    injection its answers are those of `base` until it is trained. ConfigError if `config.tuned` names no parameter or
    `base` has no camera head."""
    own = _sharing_copy(base, config.tuned)
    if config.lora_rank:
        lora = LoraConfig(config.lora_rank, float(config.lora_rank), within=LORA_WITHIN)
        add_lora(own, lora, seed)
    network = RelocNetwork(own, config)
    token = base.aggregator.camera_token
    network.adapter.to(token.device, token.dtype)
    network.adapter.reset(seed, token[0, 1, 0])
    network.set_trained(Stage.ADAPTER)
    return network.eval()


def _sharing_copy(base: Vggt, tuned: tuple[str, ...]) -> Vggt:
    """The modules of `base` again, on the same weights; only parameters whose names begin as in `tuned` are copied."""
    names = [name for name, _ in base.named_parameters()]
    for prefix in tuned:
        if not any(name.startswith(prefix) for name in names):
            raise ConfigError(f"relocalization: no parameter of the network begins with '{prefix}'")
    shared: dict[int, object] = {}
    for name, p in base.named_parameters():
        data = p.detach().clone() if name.startswith(tuned) else p.detach()
        shared[id(p)] = nn.Parameter(data, requires_grad=False)
    return copy.deepcopy(base, shared)


def most_similar(query: Tensor, database: Tensor) -> Tensor:
    """Index (B,) of the database frame most similar to the query, the anchor left out unless it is the only one. Global
    descriptors of unit length: query (B,width), database (B,K,width)."""
    if database.shape[1] == 1:
        return torch.zeros(len(query), dtype=torch.long, device=query.device)
    similarity = torch.einsum("bkw,bw->bk", database, query)
    return 1 + similarity[:, 1:].argmax(dim=1)


def second_references(descriptors: Tensor, kind: MaskKind, order: MatchOrder) -> Tensor:
    """Indices (B,N) of the frames that N frames, anchor first and query last, are compared with beside the anchor.
    descriptors (B,N,width): the choice follows from the images alone, never from the order of the database."""
    b, n = descriptors.shape[:2]
    device = descriptors.device
    if order is MatchOrder.VIDEO:
        return (torch.arange(n, device=device) - 1).clamp(min=0).expand(b, n)
    other = 0 if kind is MaskKind.CACHEABLE else n - 1
    second = torch.full((b, n), other, dtype=torch.long, device=device)
    second[:, 0] = 0
    if n > 1:
        second[:, -1] = most_similar(descriptors[:, -1], descriptors[:, :-1])
    return second


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
