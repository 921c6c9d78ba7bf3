"""Random initial values: those that training starts from. The same seed gives the same values on every device."""

import numpy as np
import torch
from torch import Tensor, nn

from vgslam.network.layers import LayerScale


@torch.no_grad()
def initialise(model: nn.Module, seed: int) -> None:
    """Fills every parameter of `model` in place, in the order of its modules. Linear layers: truncated normal, standard
    deviation 0.02 as at VGGT's width of 1024 and, for fewer inputs, in proportion to their inverse root; biases 0, but
    for the camera head's: no rotation, a field of view of 0.9 rad. Convolutions: variance kept for ReLU (He et al.,
    arXiv 1502.01852). Norms: 1 and 0. LayerScale: its initial value. Learned tokens and embeddings: normal, 0.02."""
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
                    fan_in = p.shape[-1] if p.ndim == 2 else 1024
                    normal_(p, max(0.02, 0.64 / fan_in**0.5))
    head = getattr(model, "camera_head", None)
    if head is not None:
        n = head.n_iterations
        bias = head.pose_branch.fc2.bias
        bias.copy_(torch.tensor([0, 0, 0, 0, 0, 0, 1.0, 0.9, 0.9], device=bias.device) / n)


@torch.no_grad()
def scatter(model: nn.Module, seed: int) -> None:
    """Fills every parameter with values that make every path visible: initial values hide errors (gammas of 0.01, zero
    biases, equal tokens). The numbers come from numpy's RandomState in the order of the state dict: the same
    everywhere."""
    stream = np.random.RandomState(seed)
    for name, p in model.named_parameters():
        values = stream.standard_normal(tuple(p.shape))
        if p.ndim >= 2 and name.endswith("weight"):
            gain = 0.1 if "flow_head" in name else 1.0
            values *= gain / np.prod(p.shape[1:]) ** 0.5
        elif name.endswith(("gamma", "weight")):
            values = 0.2 * values + (0.3 if name.endswith("gamma") else 1.0)
        elif name == "camera_head.pose_branch.fc2.bias":
            values = np.array([0.1, -0.2, 0.3, 0.1, -0.2, 0.2, 0.5, 0.4, 0.45]) + 0.01 * values
        else:
            values *= 0.1 if name.endswith("bias") else 0.3
        p.copy_(torch.from_numpy(values).to(p.dtype))
