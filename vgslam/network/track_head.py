"""The track head: follows query points of frame 0 through the other frames (VGGT, section 3.3; CoTracker)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vgslam.network.aggregator import Encoded
from vgslam.network.config import TrackHeadConfig
from vgslam.network.dpt import DptHead
from vgslam.network.layers import LayerNorm, Linear, Mlp
from vgslam.network.tables import grid_embedding

_GATHER_LIMIT = 2**24  # numbers that one sampling of the correlation windows may gather: bounds memory, not numbers


@dataclass(frozen=True)
class Tracks:
    """Where the query points lie in each frame."""

    positions: list[Tensor]
    """One (B,S,N,2) per iteration, px of the network input, frame 0 equal to the queries. The last is the result."""
    visibility: Tensor
    """(B,S,N) in [0,1]."""
    confidence: Tensor
    """(B,S,N) in [0,1]."""


def sample_bilinear(maps: Tensor, points: Tensor, padding: str) -> Tensor:
    """maps (N,C,h,w) at points (N,P,2) = (x, y), pixel centres at integers -> (N,C,P). padding 'zeros' or 'border'."""
    height, width = maps.shape[-2:]
    x, y = points.unbind(-1)
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], dim=-1)
    sampled = functional.grid_sample(maps, grid[:, None], padding_mode=padding, align_corners=True)
    return sampled[:, :, 0]


def flow_embedding(flow: Tensor, channels: int) -> Tensor:
    """Flow (...,2) -> (..., 2*channels): per axis interleaved [sin, cos] of flow * 2k * 1000/channels, x before y."""
    omega = torch.arange(channels // 2, dtype=flow.dtype, device=flow.device) * (2 * 1000.0 / channels)
    angle = flow[..., None] * omega
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-3)


class PointTracker(nn.Module):
    """Iterative refinement of tracks on feature maps."""

    def __init__(self, config: TrackHeadConfig) -> None:
        super().__init__()
        self.config, f = config, config.features
        self.query_ref_token = nn.Parameter(torch.zeros(1, 2, config.token_channels))
        self.corr_mlp = Mlp(config.corr_channels, config.hidden, f)
        self.updateformer = UpdateTransformer(config)
        self.fmap_norm = LayerNorm(f)
        self.ffeat_norm = nn.GroupNorm(1, f)
        self.ffeat_updater = nn.Sequential(Linear(f, f), nn.GELU())
        self.vis_predictor = nn.Sequential(Linear(f, 1))
        self.conf_predictor = nn.Sequential(Linear(f, 1))

    def forward(self, maps: Tensor, queries: Tensor, n_iterations: int | None = None) -> Tracks:
        """maps (B,S,F,h,w), normalised by `fmap_norm`; queries (B,N,2) px of frame 0 of the network input."""
        stride = self.config.stride
        s = maps.shape[1]
        query = queries.to(maps.dtype) / stride
        coords = query[:, None].expand(-1, s, -1, -1)
        features = sample_bilinear(maps[:, 0], query, "border").transpose(1, 2)[:, None].expand(-1, s, -1, -1)
        pyramid = self._pyramid(maps)
        constant = self._constant_part(maps.shape[-2:], query, s)
        positions = []
        for _ in range(n_iterations or self.config.n_iterations):
            coords = coords.detach()
            tokens = self._tokens(pyramid, coords, features) + constant
            delta = self.updateformer(tokens.transpose(1, 2)).transpose(1, 2)
            features = features + self._feature_update(delta[..., 2:])
            coords = coords + delta[..., :2]
            coords = torch.cat([query[:, None], coords[:, 1:]], dim=1)
            moved = coords[:, 1:] * stride
            positions.append(torch.cat([queries.to(maps.dtype)[:, None], moved], dim=1))
        visibility, confidence = (p(features).squeeze(-1).sigmoid() for p in (self.vis_predictor, self.conf_predictor))
        return Tracks(positions, visibility, confidence)

    def _pyramid(self, maps: Tensor) -> list[Tensor]:
        """Levels (B*S,F,h_l,w_l), each the 2x2 average of the one before."""
        levels = [maps.flatten(0, 1)]
        for _ in range(self.config.corr_levels - 1):
            levels.append(functional.avg_pool2d(levels[-1], 2, 2))
        return levels

    def _constant_part(self, shape: torch.Size, query: Tensor, s: int) -> Tensor:
        """What is added to the tokens in every iteration (B,S,N,token_channels): position of the query, frame slot."""
        channels = self.config.token_channels
        tables = grid_embedding((shape[0], shape[1]), channels, query.device, query.dtype)
        halves = (sample_bilinear(t.expand(len(query), -1, -1, -1), query, "border") for t in tables)
        position = torch.cat(list(halves), dim=1).transpose(1, 2)
        slots = torch.cat([self.query_ref_token[:, :1], self.query_ref_token[:, 1:].expand(-1, s - 1, -1)], dim=1)
        return position[:, None] + slots[:, :, None]

    def _tokens(self, pyramid: list[Tensor], coords: Tensor, features: Tensor) -> Tensor:
        flow = coords - coords[:, :1]
        scaled = flow / self.config.max_scale_px
        correlation = self.corr_mlp(self._correlation(pyramid, coords, features))
        parts = [flow_embedding(flow, self.config.features // 2), scaled, scaled, correlation, features]
        return torch.cat(parts, dim=-1)

    def _correlation(self, pyramid: list[Tensor], coords: Tensor, features: Tensor) -> Tensor:
        """Dot products of the track features with the maps in a window around the tracks (B,S,N,corr_channels): the
        maps are sampled first, which equals sampling the volume of all dot products. The slow index moves x, the fast
        one y."""
        b, s, n, f = features.shape
        r = self.config.corr_radius
        offsets = torch.arange(-r, r + 1, dtype=coords.dtype, device=coords.device)
        window = torch.stack(torch.meshgrid(offsets, offsets, indexing="ij"), dim=-1).view(-1, 2)
        points, features = coords.flatten(0, 1), features.flatten(0, 1)
        step = max(1, _GATHER_LIMIT // (b * s * len(window) * f))
        out = []
        for some, own in zip(points.split(step, 1), features.split(step, 1)):
            levels = []
            for i, maps in enumerate(pyramid):
                places = (some / 2**i)[:, :, None] + window
                values = sample_bilinear(maps, places.flatten(1, 2), "zeros").unflatten(2, places.shape[1:3])
                levels.append(torch.einsum("bfnw,bnf->bnw", values, own) / f**0.5)
            out.append(torch.cat(levels, dim=-1))
        return torch.cat(out, dim=1).view(b, s, n, -1)

    def _feature_update(self, delta: Tensor) -> Tensor:
        rows: Tensor = self.ffeat_norm(delta.reshape(-1, delta.shape[-1]))
        out: Tensor = self.ffeat_updater(rows)
        return out.view_as(delta)


class TrackHead(nn.Module):
    """Feature extractor and tracker."""

    def __init__(self, config: TrackHeadConfig, width: int, patch_size: int) -> None:
        super().__init__()
        self.feature_extractor = DptHead(config.dpt, width, patch_size, stride=config.stride)
        self.tracker = PointTracker(config)

    def forward(self, encoded: Encoded, queries: Tensor, frames_per_pass: int) -> Tracks:
        """queries (B,N,2) px of frame 0."""
        maps = self.feature_extractor.features(encoded, frames_per_pass, self.tracker.fmap_norm)
        tracks: Tracks = self.tracker(maps, queries)
        return tracks


class PackedAttention(nn.Module):
    """Multi-head attention whose projections are packed as `in_proj_weight` [q; k; v], as torch names them."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = Linear(width, width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Queries x (N,L,C), context (N,M,C) -> (N,L,C)."""
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        q, k, v = (
            functional.linear(source, w, b).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for source, w, b in zip((x, context, context), weights, biases)
        )
        return self.out_proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2))


class SelfBlock(nn.Module):
    """x = norm1(x); x = x + attn(x); x = x + mlp(norm2(x))."""

    def __init__(self, width: int, n_heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = LayerNorm(width)
        self.norm2 = LayerNorm(width)
        self.attn = PackedAttention(width, n_heads)
        self.mlp = Mlp(width, int(width * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x)
        x = x + self.attn(x, x)
        return x + self.mlp(self.norm2(x))


class CrossBlock(nn.Module):
    """As `SelfBlock`, with a normalised context as keys and values."""

    def __init__(self, width: int, n_heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = LayerNorm(width)
        self.norm_context = LayerNorm(width)
        self.norm2 = LayerNorm(width)
        self.cross_attn = PackedAttention(width, n_heads)
        self.mlp = Mlp(width, int(width * mlp_ratio))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        x = self.norm1(x)
        x = x + self.cross_attn(x, self.norm_context(context))
        return x + self.mlp(self.norm2(x))


class UpdateTransformer(nn.Module):
    """Track tokens (B,N,S,token_channels) -> updates (B,N,S,features+2): coordinate delta (2), feature delta;
    attention over time for each track, and over space through virtual tracks (CoTracker, arXiv 2307.07635, section
    3.3)."""

    def __init__(self, config: TrackHeadConfig) -> None:
        super().__init__()
        width, depth = config.hidden, config.depth
        self.input_norm = LayerNorm(config.token_channels)
        self.input_transform = Linear(config.token_channels, width)
        self.virual_tracks = nn.Parameter(torch.zeros(1, config.n_virtual, 1, width))  # so spelled in state dicts

        def blocks(kind: type[SelfBlock] | type[CrossBlock]) -> nn.ModuleList:
            return nn.ModuleList(kind(width, config.n_heads, config.mlp_ratio) for _ in range(depth))

        self.time_blocks = blocks(SelfBlock)
        self.space_virtual_blocks = blocks(SelfBlock)
        self.space_point2virtual_blocks = blocks(CrossBlock)
        self.space_virtual2point_blocks = blocks(CrossBlock)
        self.output_norm = LayerNorm(width)
        self.flow_head = Linear(width, config.features + 2)

    def forward(self, tokens: Tensor) -> Tensor:
        b, n, s, _ = tokens.shape
        initial = self.input_transform(self.input_norm(tokens))
        x = torch.cat([initial, self.virual_tracks.expand(b, -1, s, -1)], dim=1)
        n_all = x.shape[1]
        space = zip(self.space_virtual2point_blocks, self.space_virtual_blocks, self.space_point2virtual_blocks)
        for over_time, (to_virtual, among_virtual, to_points) in zip(self.time_blocks, space):
            x = over_time(x.flatten(0, 1)).view(b, n_all, s, -1)
            at_time = x.transpose(1, 2).flatten(0, 1)
            points, virtual = at_time[:, :n], at_time[:, n:]
            virtual = among_virtual(to_virtual(virtual, points))
            points = to_points(points, virtual)
            x = torch.cat([points, virtual], dim=1).view(b, s, n_all, -1).transpose(1, 2)
        return self.flow_head(self.output_norm(x[:, :n] + initial))
