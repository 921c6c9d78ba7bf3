"""The tracker's update transformer: attention over time for each track, and over space through virtual tracks.

CoTracker (arXiv 2307.07635, section 3.3), as VGGT uses it. In these blocks the residual starts from the *normalised*
input.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vgslam.network.config import TrackHeadConfig
from vgslam.network.layers import LayerNorm, Linear, Mlp


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
    """Track tokens (B,N,S,token_channels) -> updates (B,N,S,features+2): coordinate delta (2), feature delta."""

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
