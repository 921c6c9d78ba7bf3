"""Names of the tensors in files of Depth-Anything-3 weights, to and from the network's own."""

import torch
from torch import Tensor

from vgslam.errors import WeightsError
from vgslam.network.da3.network import Da3

PREFIX = "model."
"""Before every name in published files."""


def aliases(model: Da3) -> dict[str, str]:
    """Names in the state dict of tensors that another name stands for, which published files leave out."""
    first: dict[int, str] = {}
    found = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        kept = first.setdefault(id(p), name)
        if kept != name:
            found[name] = kept
    return found


def own_names(tensors: dict[str, Tensor], where: str, model: Da3) -> dict[str, Tensor]:
    """The network's whole state dict from a file's tensors, with or without the prefix and the aliases. WeightsError,
    saying what is missing, too much or of another shape, and for aliases that differ from what they stand for."""
    named = {k.removeprefix(PREFIX): v for k, v in tensors.items()}
    if len(named) < len(tensors) or 0 < sum(k.startswith(PREFIX) for k in tensors) < len(tensors):
        raise WeightsError(f"{where}: some names of tensors begin with '{PREFIX}' and some do not: no DA3 weights")
    for alias, kept in aliases(model).items():
        given = named.setdefault(alias, named.get(kept, torch.empty(0)))
        if kept in named and given is not named[kept] and not torch.equal(given, named[kept]):
            raise WeightsError(f"{where}: {alias} and {kept} are one tensor of the network, but differ in the file")
    return named
