"""Random initial values: those that training starts from. The same seed gives the same values on every device."""

import torch
from torch import Tensor, nn

from vgslam.network.layers import LayerScale


@torch.no_grad()
def initialise(model: nn.Module, seed: int) -> None:
    """Fills every parameter of `model` in place, in the order of its modules.

    Linear layers: truncated normal, standard deviation 0.02, biases 0. Convolutions: variance kept for ReLU (He et al.,
    arXiv 1502.01852). Norms: 1 and 0. LayerScale: its initial value. Learned tokens and embeddings: normal, 0.02.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal_(p: Tensor, std: float) -> None:
        if p.device.type == "cpu" and p.dtype == torch.float32:
            nn.init.trunc_normal_(p, std=std, a=-2 * std, b=2 * std, generator=generator)
        elif not p.is_meta:
            values = torch.empty(p.shape)
            nn.init.trunc_normal_(values, std=std, a=-2 * std, b=2 * std, generator=generator)
            p.copy_(values)

    for module in model.modules():
        own = dict(module.named_parameters(recurse=False))
        if isinstance(module, nn.LayerNorm | nn.GroupNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, LayerScale):
            nn.init.constant_(module.gamma, module.initial)
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            fan_in = module.weight[0].numel() if isinstance(module, nn.Conv2d) else module.weight.shape[0]
            normal_(module.weight, (2.0 / fan_in) ** 0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        else:
            for name, p in own.items():
                if name.endswith("bias"):
                    nn.init.zeros_(p)
                else:
                    normal_(p, 0.02)
