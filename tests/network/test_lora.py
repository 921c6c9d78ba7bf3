"""Adapters: no change at zero, training, saving the adapter alone."""

import pytest
import torch

from vgslam.errors import ConfigError, WeightsError
from vgslam.network.lora import (
    ATTENTION,
    LoraConfig,
    adapter_state,
    adapters,
    add_lora,
    load_adapter,
    save_adapter,
    set_adapter_state,
)
from vgslam.network.vggt import Head, Vggt

WANT = {Head.POSE, Head.DEPTH}


def results(model: Vggt, images: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad():
        out = model(images, WANT)
    return [out.pose_encoding, out.depth]


def train_a_little(model: Vggt, seed: int = 5) -> None:
    """Makes the adapters non-trivial."""
    generator = torch.Generator().manual_seed(seed)
    for _, module in adapters(model):
        noise = torch.randn(module.lora_B.shape, generator=generator, dtype=torch.float64)
        module.lora_B.data.copy_(0.05 * noise)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fresh_adapter_changes_no_bit(fresh_model: Vggt, images, dtype) -> None:
    model, x = fresh_model.to(dtype), images.to(dtype)
    before = results(model, x)
    keys = set(model.state_dict())
    n = add_lora(model, LoraConfig(rank=2, within=("aggregator", "camera_head.trunk")))
    assert n == 4 * (2 + 4 + 4 + 2)
    assert keys < set(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(before, results(model, x)))


def test_selection(fresh_model: Vggt) -> None:
    add_lora(fresh_model, LoraConfig(layers=ATTENTION, within=("aggregator.global_blocks",), blocks=(1, 3)))
    names = {name for name, _ in adapters(fresh_model)}
    assert names == {f"aggregator.global_blocks.{i}.attn.{part}" for i in (1, 3) for part in ("qkv", "proj")}
    trainable = {name for name, p in fresh_model.named_parameters() if p.requires_grad}
    assert trainable == {f"{name}.{part}" for name in names for part in ("lora_A", "lora_B")}


def test_training_moves_only_the_adapter(fresh_model: Vggt, images) -> None:
    add_lora(fresh_model, LoraConfig(rank=2))
    frozen = {n: p.clone() for n, p in fresh_model.named_parameters() if not p.requires_grad}
    optimiser = torch.optim.SGD([p for p in fresh_model.parameters() if p.requires_grad], lr=0.1)
    losses = []
    for _ in range(3):
        optimiser.zero_grad()
        loss = (fresh_model(images, {Head.DEPTH}).depth - 1).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(torch.equal(p, frozen[n]) for n, p in fresh_model.named_parameters() if n in frozen)


def test_adapter_file_round_trip(fresh_model: Vggt, golden_tool, images, tmp_path) -> None:
    config = LoraConfig(rank=3, blocks=(0, 2))
    add_lora(fresh_model, config)
    train_a_little(fresh_model)
    path = tmp_path / "adapter.safetensors"
    save_adapter(fresh_model, config, path, base_sha256="abc", step=7)
    other = golden_tool.golden_model()
    assert load_adapter(other, path, base_sha256="abc") == 7
    assert all(torch.equal(a, b) for a, b in zip(results(other, images), results(fresh_model, images)))
    assert path.stat().st_size < 200_000
    with pytest.raises(WeightsError, match="other weights"):
        load_adapter(golden_tool.golden_model(), path, base_sha256="def")


def test_misfits_are_refused(fresh_model: Vggt, tmp_path) -> None:
    with pytest.raises(ConfigError, match="no layer"):
        add_lora(fresh_model, LoraConfig(within=("nowhere",)))
    with pytest.raises(ConfigError, match="rank"):
        LoraConfig(rank=0)
    add_lora(fresh_model, LoraConfig(rank=2))
    with pytest.raises(ConfigError, match="already"):
        add_lora(fresh_model, LoraConfig(rank=2))
    state = adapter_state(fresh_model)
    state.pop(next(iter(state)))
    with pytest.raises(WeightsError, match="1 tensors differ"):
        set_adapter_state(fresh_model, state)
    with pytest.raises(WeightsError, match="no such adapter"):
        load_adapter(fresh_model, tmp_path / "none.safetensors", "")
