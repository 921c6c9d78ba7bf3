"""The view that Depth-Anything-3 puts first: its camera becomes the world (arXiv 2511.10647, section 3)."""

from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional

MIN_VIEWS = 3
"""Fewer views keep their order."""


class ReferenceChoice(StrEnum):
    """BALANCED: the view whose class token is nearest to the middle in likeness, length and spread. FIRST and MIDDLE by
    its place. RANGE: the view whose likeness to the others differs most."""

    BALANCED = "saddle_balanced"
    FIRST = "first"
    MIDDLE = "middle"
    RANGE = "saddle_sim_range"


def choose_reference(class_tokens: Tensor, choice: ReferenceChoice) -> Tensor:
    """Class tokens (B,S,C) of the views of B scenes -> index (B,) of the view to be put first."""
    b, s, _ = class_tokens.shape
    if choice in (ReferenceChoice.FIRST, ReferenceChoice.MIDDLE):
        index = 0 if choice is ReferenceChoice.FIRST else s // 2
        return torch.full((b,), index, dtype=torch.long, device=class_tokens.device)
    length = class_tokens.norm(dim=-1)
    unit = functional.normalize(class_tokens, dim=-1)
    alike = unit @ unit.mT - torch.eye(s, dtype=unit.dtype, device=unit.device)
    if choice is ReferenceChoice.RANGE:
        return (alike.amax(-1) - alike.amin(-1)).argmax(-1)
    measures = torch.stack([alike.sum(-1) / (s - 1), length, unit.var(-1)], dim=-1)
    low, high = measures.amin(1, keepdim=True), measures.amax(1, keepdim=True)
    return ((measures - low) / (high - low + 1e-8) - 0.5).abs().sum(-1).argmin(-1)


def order_with_first(reference: Tensor, n_views: int) -> tuple[Tensor, Tensor]:
    """Orders (B,S) of views: `reference` (B,) first and the others as they were; and the orders that undo them."""
    rank = torch.arange(n_views, device=reference.device).expand(len(reference), -1)
    order = rank.scatter(1, reference[:, None], -1).argsort(dim=1)
    return order, order.argsort(dim=1)


def reordered(x: Tensor, order: Tensor) -> Tensor:
    """The views (axis 1) of x (B,S,...) in the order (B,S)."""
    return x.gather(1, order.view(*order.shape, *([1] * (x.ndim - 2))).expand_as(x))
