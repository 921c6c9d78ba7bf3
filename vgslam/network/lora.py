"""Low-rank adapters (LoRA, arXiv 2106.09685) on the attention and MLP layers: W x + b + (alpha / rank) B A x.

B starts at zero, so a fresh adapter changes no bit. The base weights' keys stay; `lora_A` and `lora_B` are added.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from vgslam.errors import ConfigError, WeightsError
from vgslam.guards.documents import parse_json
from vgslam.network.config import from_plain_data
from vgslam.network.layers import Linear
from vgslam.network.weight_files import check_safetensors, read_tensors, write_tensors

ATTENTION = ("attn.qkv", "attn.proj")
MLP = ("mlp.fc1", "mlp.fc2")
MOST_RANK = 1024  # the width of the largest network: more would be no low rank
MOST_STEP_DIGITS = 12


@dataclass(frozen=True)
class LoraConfig:
    """Which layers are adapted, and how."""

    rank: int = 8
    """Rank of the adapters, at least 1."""
    alpha: float = 16.0
    """An adapter's output counts alpha / rank times."""
    layers: tuple[str, ...] = (*ATTENTION, *MLP)
    """Endings of module names."""
    within: tuple[str, ...] = ("aggregator.frame_blocks", "aggregator.global_blocks")
    """Beginnings of module names."""
    blocks: tuple[int, ...] | None = None
    """Numbers of the blocks, where `within` names lists of blocks; None: all."""

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= MOST_RANK:
            raise ConfigError(f"LoRA rank must be at least 1 and at most {MOST_RANK}, got {self.rank}")

    def selects(self, name: str) -> bool:
        """Whether the module of this name is adapted."""
        inside = next((w for w in self.within if name.startswith(w + ".")), None)
        if inside is None or not any(name.endswith("." + layer) for layer in self.layers):
            return False
        number = re.match(r"\.(\d+)\.", name[len(inside) :])
        return self.blocks is None or (number is not None and int(number[1]) in self.blocks)


class LoraLinear(Linear):
    """A linear layer with an adapter beside it. The base weight and bias are shared with the layer it replaces."""

    def __init__(self, base: Linear, config: LoraConfig, generator: torch.Generator | None) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = base.in_features, base.out_features
        self.weight, self.bias = base.weight, base.bias
        self.scale = config.alpha / config.rank
        dtype = base.weight.dtype if base.weight.dtype == torch.float64 else torch.float32
        a = torch.empty(config.rank, base.in_features, dtype=torch.float32)
        nn.init.uniform_(a, -(base.in_features**-0.5), base.in_features**-0.5, generator=generator)
        self.lora_A = nn.Parameter(a.to(base.weight.device, dtype))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, config.rank, dtype=dtype, device=base.weight.device))

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        low = functional.linear(x.to(self.lora_A.dtype), self.lora_A)
        return y + (functional.linear(low, self.lora_B) * self.scale).to(y.dtype)


def adapters(model: nn.Module) -> Iterator[tuple[str, LoraLinear]]:
    """The adapted layers by name."""
    for name, module in model.named_modules():
        if isinstance(module, LoraLinear):
            yield name, module


def add_lora(model: nn.Module, config: LoraConfig, seed: int = 0) -> int:
    """Replaces the selected layers by adapted ones, in place, and freezes everything else. Returns their number.
    ConfigError if nothing is selected or the model has adapters already."""
    if any(True for _ in adapters(model)):
        raise ConfigError("the network has adapters already")
    generator = torch.Generator().manual_seed(seed)
    chosen = [(name, m) for name, m in model.named_modules() if isinstance(m, Linear) and config.selects(name)]
    if not chosen:
        raise ConfigError(f"LoRA: no layer {' | '.join(config.layers)} within {' | '.join(config.within)}")
    model.requires_grad_(False)
    for name, module in chosen:
        _replace(model, name, LoraLinear(module, config, generator))
    return len(chosen)


def _replace(model: nn.Module, name: str, new: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, new)


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """The adapter's tensors alone (copies)."""
    return {
        f"{name}.{part}": getattr(module, part).detach().clone()
        for name, module in adapters(model)
        for part in ("lora_A", "lora_B")
    }


@torch.no_grad()
def set_adapter_state(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Copies tensors into the adapters of `model`; WeightsError unless names and shapes fit exactly."""
    own = {f"{n}.{part}": getattr(m, part) for n, m in adapters(model) for part in ("lora_A", "lora_B")}
    wrong = sorted(set(own) ^ set(state)) or sorted(k for k in own if own[k].shape != state[k].shape)
    if wrong:
        raise WeightsError(f"the adapter does not fit this network: {len(wrong)} tensors differ, first {wrong[0]}")
    for name, module in adapters(model):
        module.lora_A.copy_(state[f"{name}.lora_A"])
        module.lora_B.copy_(state[f"{name}.lora_B"])


def save_adapter(model: nn.Module, config: LoraConfig, path: Path, base_sha256: str, step: int = 0) -> None:
    """Writes the adapter alone, with its configuration, the hash of the base weights and the step, atomically."""
    metadata = {"vgslam.lora": json.dumps(asdict(config)), "vgslam.base_sha256": base_sha256, "vgslam.step": str(step)}
    write_tensors(path, adapter_state(model), metadata)


def load_adapter(model: nn.Module, path: Path, base_sha256: str) -> int:
    """Adds a file's adapter to `model`; returns its step. WeightsError for one that holds none, is of other weights,
    or does not fit."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such adapter file")
    metadata = check_safetensors(path)
    if "vgslam.lora" not in metadata:
        raise WeightsError(f"{path} holds no adapter (it may be a whole network: use --weights)")
    if metadata.get("vgslam.base_sha256", "") != base_sha256:
        raise WeightsError(f"{path} was made for other weights than those that are loaded")
    config, step = stored_config(path), metadata.get("vgslam.step", "0")
    tensors, _ = read_tensors((path,))
    ranks = {tensor.shape[0] for name, tensor in tensors.items() if name.endswith(".lora_A") and tensor.ndim == 2}
    if ranks != {config.rank} or not step.isdecimal() or len(step) > MOST_STEP_DIGITS:
        raise WeightsError(f"{path} holds no adapter that fits what it says of itself")
    try:
        add_lora(model, config)
    except ConfigError as error:
        raise WeightsError(f"{path} does not fit this network: {error}") from error
    set_adapter_state(model, tensors)
    return int(step)


def stored_config(path: Path) -> LoraConfig:
    """The configuration that an adapter's file names. Raises WeightsError."""
    try:
        config: LoraConfig = from_plain_data(LoraConfig, parse_json(check_safetensors(path)["vgslam.lora"]))
    except (ValueError, TypeError, KeyError, AttributeError, ConfigError) as error:
        raise WeightsError(f"{path} names a configuration that cannot be read: {error}") from error
    return config
