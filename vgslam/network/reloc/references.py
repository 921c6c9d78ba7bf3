"""Which frames a network with a matching adapter compares: frames of a database have no "frame before"."""

import torch
from torch import Tensor

from vgslam.network.reloc.config import MaskKind, MatchOrder


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
