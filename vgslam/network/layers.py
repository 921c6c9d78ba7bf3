"""The transformer block that the encoder, the aggregator and the camera head share.

A `Linear` computes in the dtype of its weight, all else (residual stream, norms, LayerScale, rotary embedding) in that
of its own parameters. So linear weights in bfloat16 compute what autocast does from float32 ones, in half the memory.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from vgslam.network.frame_mask import FrameMask, attend

RopeTable = tuple[Tensor, Tensor]


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """A context in which nothing on the device of x is cast to half precision, whatever surrounds it."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


class Linear(nn.Linear):
    """A linear layer that casts its input to the dtype of its weight."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x.to(self.weight.dtype), self.weight, self.bias)


class LayerNorm(nn.LayerNorm):
    """A layer norm that casts its input to the dtype of its weight."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x.to(self.weight.dtype), self.normalized_shape, self.weight, self.bias, self.eps)


class LayerScale(nn.Module):
    """Per-channel factor of a residual branch (..., width)."""

    def __init__(self, width: int, initial: float) -> None:
        super().__init__()
        self.initial = initial
        self.gamma = nn.Parameter(torch.full((width,), initial))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Mlp(nn.Module):
    """Linear, exact GELU, Linear."""

    def __init__(self, width: int, hidden: int, out: int | None = None) -> None:
        super().__init__()
        self.fc1 = Linear(width, hidden)
        self.fc2 = Linear(hidden, width if out is None else out)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


def rotate(x: Tensor, table: RopeTable) -> Tensor:
    """Rotary position embedding of x (..., T, head_dim); first half of the channels by y, second half by x. Within each
    half of length n, channel k is paired with k + n/2 (Su et al., arXiv 2104.09864, "rotate half" form). Computed in
    the dtype of the table."""
    cos, sin = table
    pairs = x.to(cos.dtype).unflatten(-1, (2, 2, x.shape[-1] // 4))
    turned = torch.stack((-pairs[..., 1, :], pairs[..., 0, :]), dim=-2)
    return (pairs * cos + turned * sin).flatten(-3)


class Attention(nn.Module):
    """Multi-head self-attention softmax(q k^T / sqrt(head_dim)) v with optional query/key norm and rotary embedding."""

    def __init__(self, width: int, n_heads: int, qk_norm: bool) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.head_dim = width // n_heads
        self.qkv = Linear(width, 3 * width)
        self.q_norm = LayerNorm(self.head_dim) if qk_norm else nn.Identity()
        self.k_norm = LayerNorm(self.head_dim) if qk_norm else nn.Identity()
        self.proj = Linear(width, width)

    def project(self, x: Tensor, rope: RopeTable | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, n_heads, S, T, head_dim) of x (B, S, T, width), in the linear layers' dtype."""
        qkv = self.qkv(x).unflatten(-1, (3, self.n_heads, self.head_dim))
        q, k, v = qkv.permute(3, 0, 4, 1, 2, 5).unbind(0)
        q, k = self.q_norm(q), self.k_norm(k)
        if rope is not None:
            q, k = rotate(q, rope), rotate(k, rope)
        return q.to(v.dtype), k.to(v.dtype), v

    def join(self, heads: Tensor) -> Tensor:
        """(B, n_heads, S, T, head_dim) -> output projection of the concatenated heads (B, S, T, width)."""
        return self.proj(heads.permute(0, 2, 3, 1, 4).flatten(-2))

    def forward(self, x: Tensor, rope: RopeTable | None = None, mask: FrameMask | None = None) -> Tensor:
        """x (B, S, T, width): every token attends to the tokens of all S frames, or of those that `mask` allows."""
        q, k, v = self.project(x, rope)
        return self.join(attend(q, k, v, mask))


class Block(nn.Module):
    """x += ls1 * attn(norm1(x)); x += ls2 * mlp(norm2(x)). Tokens (B, S, T, width): T tokens of each of S frames."""

    def __init__(
        self, width: int, n_heads: int, mlp_ratio: float, layer_scale: float, qk_norm: bool = False, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.norm1 = LayerNorm(width, eps=eps)
        self.attn = Attention(width, n_heads, qk_norm)
        self.ls1 = LayerScale(width, layer_scale)
        self.norm2 = LayerNorm(width, eps=eps)
        self.mlp = Mlp(width, int(width * mlp_ratio))
        self.ls2 = LayerScale(width, layer_scale)

    def forward(self, x: Tensor, rope: RopeTable | None = None, mask: FrameMask | None = None) -> Tensor:
        x = x + self.attention_branch(x, rope, mask)
        return x + self.mlp_branch(x)

    def attention_branch(self, x: Tensor, rope: RopeTable | None, mask: FrameMask | None = None) -> Tensor:
        """The change of x by attention."""
        out: Tensor = self.ls1(self.attn(self.norm1(x), rope, mask))
        return out

    def mlp_branch(self, x: Tensor) -> Tensor:
        """The change of x by the MLP."""
        out: Tensor = self.ls2(self.mlp(self.norm2(x)))
        return out

    def projected(self, x: Tensor, rope: RopeTable | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of x; see `Attention.project`."""
        return self.attn.project(self.norm1(x), rope)

    def joined(self, heads: Tensor) -> Tensor:
        """The change of x by attention, from its heads; see `Attention.join`."""
        out: Tensor = self.ls1(self.attn.join(heads))
        return out

    def within_frames(self, x: Tensor, rope: RopeTable | None, chunk: int) -> Tensor:
        """Attention within each frame of x (B, S, T, width); in place and `chunk` frames at a time in inference."""
        frames = x.view(-1, *x.shape[2:])
        if torch.is_grad_enabled():
            return self(frames.unsqueeze(1), rope).view_as(x)
        self.update_frames_(frames, rope, chunk)
        return x

    def across_frames(self, x: Tensor, rope: RopeTable | None, mask: FrameMask | None, chunk: int) -> Tensor:
        """Attention over all frames of a scene of x (B, S, T, width); in inference in place, `chunk` frames at a
        time."""
        if torch.is_grad_enabled():
            out: Tensor = self(x, rope, mask)
            return out
        self.update_scene_(x, rope, mask, max(1, chunk // len(x)))
        return x

    def update_frames_(self, x: Tensor, rope: RopeTable | None, chunk: int) -> None:
        """`forward` within each frame, in place on x (N, T, width), `chunk` frames at a time, for inference only."""
        for part in x.split(chunk):
            frames = part.unsqueeze(1)
            frames.add_(self.attention_branch(frames, rope))
            frames.add_(self.mlp_branch(frames))

    def update_scene_(self, x: Tensor, rope: RopeTable | None, mask: FrameMask | None, chunk: int) -> None:
        """`forward` in place on x (B, S, T, width), for inference only: queries, keys and values are held for all
        frames, the wider intermediate results for `chunk` frames."""
        attn, frames = self.attn, x.shape[1]
        b, s, t, _ = x.shape
        q, k, v = (
            torch.empty(b, attn.n_heads, s, t, attn.head_dim, dtype=attn.qkv.weight.dtype, device=x.device)
            for _ in range(3)
        )
        for i in range(0, frames, chunk):
            part = slice(i, i + chunk)
            q[:, :, part], k[:, :, part], v[:, :, part] = self.projected(x[:, part], rope)
        if mask is not None:
            q = attend(q, k, v, mask, chunk)
        for i in range(0, frames, chunk):
            part = slice(i, i + chunk)
            heads = attend(q[:, :, part], k, v) if mask is None else q[:, :, part]
            x[:, part].add_(self.joined(heads))
            x[:, part].add_(self.mlp_branch(x[:, part]))
