"""Blocks of the network with their elementwise work fused by torch.compile: it pays on a GPU, in half precision.

There the norms, the rotary embedding and the casts between precisions take as long as the matrix products. Attention
itself stays torch's own kernel. The numbers agree to rounding.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from vgslam.network.layers import Block

_COMPILED = ("attention_branch", "mlp_branch", "projected", "joined")


def compile_blocks(model: nn.Module, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compiles the parts of every `Block` of `model`, in place; the first calls take seconds to a minute.

    For inference only, on a network that is not copied: a copy would go on using the weights of this one.
    """
    for block in model.modules():
        if isinstance(block, Block):
            for name in _COMPILED:
                setattr(block, name, torch.compile(getattr(block, name), backend=backend))
