"""Weights in 8 bits: matrices as whole numbers of -127 to 127 with one scale (largest weight / 127) for each row. A
weight is off by at most 1/254 of the largest of its row. Vectors stay as they are; what loads the file gets float32."""

from typing import TYPE_CHECKING

from vgslam.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

METADATA_PACKING, ROWS_OF_8_BITS = "vgslam.packing", "int8-rows"
SCALE = ".row_scale"
"""Ending of the name of a matrix's scales."""
LEVELS = 127
LEAST_NUMBERS = 1024
"""Smaller tensors are not packed: they take no room, and some of them (tokens) are added to everything."""


def packed(tensors: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """The tensors with large matrices (R,...) as int8 (R,...) and, by `NAME.row_scale`, their scales (R,) float32."""
    import torch

    out: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.ndim < 2 or tensor.numel() < LEAST_NUMBERS:
            out[name] = tensor
            continue
        rows = tensor.detach().float().flatten(1)
        scale = rows.abs().amax(1) / LEVELS
        steps = torch.where(scale > 0, scale, 1.0)
        out[name] = (rows / steps[:, None]).round().to(torch.int8).view(tensor.shape)
        out[name + SCALE] = scale
    return out


def unpacked(tensors: "dict[str, Tensor]", metadata: dict[str, str], where: str) -> "dict[str, Tensor]":
    """A file's tensors as they were, packed ones in float32. WeightsError for an unknown packing and scales that do not
    fit."""
    if METADATA_PACKING not in metadata:
        return tensors
    if metadata[METADATA_PACKING] != ROWS_OF_8_BITS:
        raise WeightsError(f"{where} is packed as '{metadata[METADATA_PACKING]}', which this version does not know")
    scales = {name.removesuffix(SCALE): tensors[name] for name in tensors if name.endswith(SCALE)}
    left = {name: tensor for name, tensor in tensors.items() if not name.endswith(SCALE)}
    whole = {name for name, tensor in left.items() if not tensor.is_floating_point()}
    for name in sorted(whole ^ set(scales)):
        raise WeightsError(f"{where}: {name} has no scales, or scales without numbers: damaged, or packed wrongly")
    for name, scale in scales.items():
        steps = left[name]
        if steps.ndim < 2 or scale.shape != steps.shape[:1] or not scale.is_floating_point():
            raise WeightsError(f"{where}: the scales of {name} {tuple(scale.shape)} do not fit {tuple(steps.shape)}")
        left[name] = (steps.float().flatten(1) * scale.float()[:, None]).view(steps.shape)
    return left
