"""The adapter as a separate file: it names the network that it was trained on and refuses any other."""

from pathlib import Path

import torch
from torch import Tensor

from vgslam.errors import ConfigError, WeightsError
from vgslam.network.reloc.config import RelocConfig
from vgslam.network.reloc.network import RelocNetwork, build_reloc
from vgslam.network.vggt import Vggt
from vgslam.network.weight_files import check_safetensors, read_tensors
from vgslam.network.weights_info import WeightsInfo

PACKAGED = ("vggt-s",)  # networks whose adapter comes with the package
METADATA_RELOC, METADATA_BASE, METADATA_STEP = "vgslam.reloc", "vgslam.base_sha256", "vgslam.step"


def packaged_adapter(name: str) -> Path | None:
    """The adapter that comes with the package for weights of that name ('vggt-s'); None if there is none."""
    path = Path(__file__).parents[2] / "assets" / "weights" / f"{name}-reloc.safetensors"
    return path if name in PACKAGED and path.is_file() else None


def base_identity(info: WeightsInfo) -> str:
    """An adapter's name for its base network: the hash of its file, or the source of random weights."""
    return info.sha256 or info.source


def own_parameters(network: RelocNetwork) -> dict[str, Tensor]:
    """All that is not shared with the base network, by name: adapter, tuned and low-rank parameters."""
    tuned = network.config.tuned
    return {
        name: p
        for name, p in network.named_parameters()
        if name.startswith("adapter.")
        or name.removeprefix("vggt.").startswith(tuned)
        or name.endswith(("lora_A", "lora_B"))
    }


def load_reloc(base: Vggt, path: Path, identity: str) -> RelocNetwork:
    """The relocalization network of a file on `base`, whose weights it shares. WeightsError for a file that holds none,
    belongs to other base weights than those of `identity`, or does not fit."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such relocalization adapter")
    metadata = check_safetensors(path)
    if METADATA_RELOC not in metadata:
        raise WeightsError(f"{path} holds no relocalization adapter")
    if metadata.get(METADATA_BASE) != identity:
        raise WeightsError(
            f"{path} was trained on other weights ({metadata.get(METADATA_BASE, 'unnamed')[:12]}) than those that are "
            f"loaded ({identity[:12]}): load the ones it belongs to, or train it again"
        )
    try:
        network = build_reloc(base, RelocConfig.from_json(metadata[METADATA_RELOC]))
    except (ValueError, TypeError, AttributeError, ConfigError) as error:
        raise WeightsError(f"{path} names a configuration that does not fit: {error}") from error
    tensors, _ = read_tensors((path,))
    own = own_parameters(network)
    wrong = sorted(set(own) ^ set(tensors)) or sorted(k for k in own if own[k].shape != tensors[k].shape)
    if wrong:
        raise WeightsError(f"{path} does not fit this network: {len(wrong)} tensors differ, first {wrong[0]}")
    with torch.no_grad():
        for name, p in own.items():
            p.copy_(tensors[name])
    return network
