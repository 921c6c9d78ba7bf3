"""Writes the files that `vgslam.network.reloc.files` reads."""

from pathlib import Path

import torch

from vgslam.atomic import write_path_atomically
from vgslam.network.reloc.files import METADATA_BASE, METADATA_RELOC, METADATA_STEP, own_parameters
from vgslam.network.reloc.network import RelocNetwork
from vgslam.network.weight_files import METADATA_LICENCE


def save_reloc(
    network: RelocNetwork, path: Path, base: str, licence: str, step: int = 0, dtype: torch.dtype | None = None
) -> None:
    """Writes what belongs to the adapter alone, its configuration, `base` (see `base_identity`) and the step,
    atomically; `dtype` converts. OutputError if it cannot be written."""
    from safetensors.torch import save_file

    metadata = {
        METADATA_RELOC: network.config.to_json(), METADATA_BASE: base, METADATA_STEP: str(step),
        METADATA_LICENCE: licence,
    }  # fmt: skip
    state = {k: p.detach().to("cpu", dtype or p.dtype).contiguous() for k, p in own_parameters(network).items()}
    write_path_atomically(path, lambda temporary: save_file(state, temporary, metadata=metadata), make_folders=True)
