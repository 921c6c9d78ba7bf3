"""Starting from the weights of another network of the same kind: what fits is taken over, the rest stays as it is.

Blocks: where the new network has fewer of them, those evenly spread over the other's, the last for the last. Cost
volumes: where the new one reaches less far, the middle of the other's displacements.
"""

import math

import torch
from torch import Tensor

from vgslam.network.config import VggtConfig
from vgslam.network.matching import N_REFERENCES
from vgslam.network.vggt import Vggt

_BLOCKS = ("aggregator.frame_blocks.", "aggregator.global_blocks.", "aggregator.patch_embed.blocks.")
_VOLUMES = ("aggregator.matching.cell.weight", "aggregator.matching.cell_norm.weight",
            "aggregator.matching.cell_norm.bias")  # fmt: skip


@torch.no_grad()
def warm_start(model: Vggt, source: Vggt) -> list[str]:
    """Copies into `model` what fits of `source`; returns the names of the parameters that nothing fitted."""
    given, kept = source.state_dict(), []
    for name, parameter in model.named_parameters():
        value = given.get(_source_name(name, model.config, source.config))
        if value is not None and name in _VOLUMES:
            value = cropped_volume(value, parameter.shape[-1])
        if value is None or value.shape != parameter.shape:
            kept.append(name)
        else:
            parameter.copy_(value)
    return kept


def block_taken(index: int, n: int, n_source: int) -> int:
    """Which of n_source blocks becomes block `index` of n; with as many, or more, the same number."""
    return index if n >= n_source or n == 1 else index * (n_source - 1) // (n - 1)


def cropped_volume(values: Tensor, size: int) -> Tensor:
    """Values (...,R (K + 3)) for the inputs of R references, cut down to the displacements of a smaller radius so that
    `size` are left; unchanged where there are not more."""
    n, m = values.shape[-1] // N_REFERENCES - 3, size // N_REFERENCES - 3
    cut = (math.isqrt(n) - math.isqrt(m)) // 2
    if cut <= 0:
        return values
    middle = slice(cut, cut + math.isqrt(m))
    parts = []
    for reference in values.unflatten(-1, (N_REFERENCES, n + 3)).unbind(-2):
        volume = reference[..., :n].unflatten(-1, (math.isqrt(n), math.isqrt(n)))
        parts += [volume[..., middle, middle].flatten(-2), reference[..., n:]]
    return torch.cat(parts, dim=-1)


def _source_name(name: str, config: VggtConfig, source: VggtConfig) -> str:
    for prefix in _BLOCKS:
        if name.startswith(prefix):
            number, _, rest = name[len(prefix) :].partition(".")
            part = "encoder" if "patch_embed" in prefix else "aggregator"
            taken = block_taken(int(number), getattr(config, part).depth, getattr(source, part).depth)
            return f"{prefix}{taken}.{rest}"
    return name
