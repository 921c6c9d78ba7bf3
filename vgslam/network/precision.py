"""Where the network computes, and in which precision.

Half precision is used where VGGT was trained with it: in the linear layers and the attention of the aggregator. The
residual stream, norms, rotary embedding and heads stay float32. Only linear weights are *stored* in half precision.
"""

from enum import StrEnum

import torch
from torch import nn

from vgslam.errors import ConfigError
from vgslam.network.layers import Linear
from vgslam.network.vggt import Vggt


class Precision(StrEnum):
    """AUTO: bf16 on CUDA from Ampere on, fp16 on older GPUs, fp32 on CPU and MPS."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


_DTYPES = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}


def choose_device(name: str = "auto") -> torch.device:
    """'auto' takes CUDA, then MPS, then the CPU. ConfigError for a device that this machine does not have."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"unknown device '{name}': use auto, cpu, cuda, cuda:N or mps") from None
    if device.type not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"device '{name}' is not supported: use auto, cpu, cuda, cuda:N or mps")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device '{name}': torch sees {torch.cuda.device_count()} CUDA devices here; use --device cpu"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device 'mps' is not available here; use --device cpu")
    return device


def choose_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Dtype of the aggregator's linear layers. ConfigError if the device cannot compute in it."""
    is_ampere = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    if precision is Precision.AUTO:
        if device.type == "cuda":
            return torch.bfloat16 if is_ampere else torch.float16
        return torch.float32
    if precision is Precision.BF16 and device.type == "cuda" and not is_ampere:
        raise ConfigError("this GPU has no bf16 arithmetic (it is older than Ampere): use --precision fp16")
    if precision is Precision.FP16 and device.type == "cpu":
        raise ConfigError("fp16 is not for the CPU: use --precision fp32, or bf16 to halve the memory of the weights")
    return _DTYPES[precision]


def set_precision(model: Vggt, dtype: torch.dtype) -> None:
    """Puts the weights of the aggregator's linear layers and patch projection in `dtype`, in place."""
    hold_in(model.aggregator, dtype)


def hold_in(part: nn.Module, dtype: torch.dtype) -> None:
    """Puts the weights of the linear layers and convolutions of a part of a network in `dtype`, in place."""
    for module in part.modules():
        if isinstance(module, Linear | nn.Conv2d):
            for name, p in module.named_parameters(recurse=False):
                setattr(module, name, nn.Parameter(p.detach().to(dtype), requires_grad=p.requires_grad))


def compute_dtype(model: Vggt) -> torch.dtype:
    """The dtype that `set_precision` has set."""
    return model.aggregator.linear_dtype
