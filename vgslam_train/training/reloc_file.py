"""Writes the files that `vgslam.network.reloc.files` reads."""

from pathlib import Path

import torch

from vgslam.network.reloc.files import METADATA_BASE, METADATA_RELOC, METADATA_STEP, own_parameters
from vgslam.network.reloc.network import RelocNetwork
from vgslam.network.weight_files import METADATA_LICENCE, write_tensors


def save_reloc(
    network: RelocNetwork, path: Path, base: str, licence: str, step: int = 0, dtype: torch.dtype | None = None
) -> None:
    """Writes what belongs to the adapter alone, its configuration, `base` (see `base_identity`) and the step,
    atomically; `dtype` converts. OutputError if it cannot be written."""
    metadata = {
        METADATA_RELOC: network.config.to_json(), METADATA_BASE: base, METADATA_STEP: str(step),
        METADATA_LICENCE: licence,
    }  # fmt: skip
    write_tensors(path, own_parameters(network), metadata, dtype)
