"""The adapter's file: holds what is its own, names its base and refuses others."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from reloc_cases import TINY, base_network, frames, told, trained
from safetensors.torch import load_file, save_file

from vgslam.errors import ConfigError, WeightsError
from vgslam.network.initialise import scatter
from vgslam.network.licence import Licence
from vgslam.network.reloc.config import RelocConfig
from vgslam.network.reloc.files import base_identity, load_reloc, own_parameters
from vgslam.network.reloc.network import build_reloc
from vgslam.network.weights import save
from vgslam.network.weights_info import WeightsInfo
from vgslam_train.training.reloc_file import save_reloc

BASE = "a" * 64


@pytest.mark.parametrize(
    "config",
    [RelocConfig(), RelocConfig(tuned=("camera_head", "aggregator.global_blocks")), RelocConfig(lora_rank=3),
     RelocConfig(inject_every_block=True, learned_frequencies=True)],
    ids=["adapter", "tuned", "lora", "every block"],
)  # fmt: skip
def test_round_trip(config: RelocConfig, tmp_path: Path) -> None:
    base = base_network()
    network = trained(build_reloc(base, config))
    with torch.no_grad():
        for k, p in enumerate(own_parameters(network).values()):
            p += 0.01 * (1 + k % 3)
    path = tmp_path / "reloc.safetensors"
    save_reloc(network, path, BASE, "Apache-2.0", step=7)
    again = load_reloc(base, path, BASE)
    images, known = frames(4), told(3)
    with torch.no_grad():
        assert torch.equal(network(images, known)[-1], again(images, known)[-1])
    assert again.config == config


def test_file_holds_the_adapter_alone(tmp_path: Path) -> None:
    network = build_reloc(base_network(), RelocConfig())
    path = tmp_path / "reloc.safetensors"
    save_reloc(network, path, BASE, "Apache-2.0", dtype=torch.float16)
    tensors = load_file(path)
    assert set(tensors) == {f"adapter.{name}" for name, _ in network.adapter.named_parameters()}
    assert {t.dtype for t in tensors.values()} == {torch.float16}


def test_other_base_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reloc.safetensors"
    save_reloc(build_reloc(base_network(), RelocConfig()), path, BASE, "Apache-2.0")
    with pytest.raises(WeightsError, match=r"other weights \(aaaaaaaaaaaa\) than those that are loaded \(bbbb"):
        load_reloc(base_network(), path, "b" * 64)


def test_other_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reloc.safetensors"
    save_reloc(build_reloc(base_network(), RelocConfig()), path, BASE, "Apache-2.0")
    wider = base_network(replace(TINY, width=80))
    with pytest.raises(WeightsError, match="does not fit this network"):
        load_reloc(wider, path, BASE)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    base = base_network()
    with pytest.raises(WeightsError, match="no such relocalization adapter"):
        load_reloc(base, tmp_path / "none", BASE)
    whole = tmp_path / "whole.safetensors"
    save(base, whole, "Apache-2.0")
    with pytest.raises(WeightsError, match="holds no relocalization adapter"):
        load_reloc(base, whole, BASE)
    unknown = tmp_path / "unknown.safetensors"
    metadata = {"vgslam.reloc": '{"later": 1}', "vgslam.base_sha256": BASE}
    save_file({"x": torch.zeros(1)}, unknown, metadata=metadata)
    with pytest.raises(WeightsError, match="unknown field later"):
        load_reloc(base, unknown, BASE)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="incomplete"):
        load_reloc(base, cut, BASE)


def test_identity_of_the_base() -> None:
    licence = Licence("Apache-2.0", True, "")
    assert base_identity(WeightsInfo("file", BASE, licence, 1)) == BASE
    assert base_identity(WeightsInfo("random:3", "", licence, 1, is_random=True)) == "random:3"


def test_config_as_text() -> None:
    config = RelocConfig(mask="cacheable", tuned=("camera_head",), hidden=64)
    assert RelocConfig.from_json(config.to_json()) == config
    with pytest.raises(ConfigError, match="unknown field x"):
        RelocConfig.from_json('{"x": 1}')


def test_scattered_parameters_differ_between_seeds() -> None:
    """What `trained` in these tests relies on."""
    network = build_reloc(base_network(), RelocConfig())
    scatter(network.adapter, 1)
    first = network.adapter.query_token.clone()
    scatter(network.adapter, 2)
    assert not torch.equal(first, network.adapter.query_token)
