"""`--network`: opens a network, shows the terms of its weights, and makes their record for the report."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vgslam.errors import ConfigError
from vgslam.frontend.guide import Guide, VggtUse

if TYPE_CHECKING:
    from vgslam.network.weights import WeightsInfo
    from vgslam.reloc.proposal import PoseProposer

NO_NETWORK, OLD_NO_NETWORK = "none", "sfm"
DEFAULT_WEIGHTS = {"vggt": "vggt-s"}
"""The weights that come with the package."""


@dataclass(frozen=True)
class NetworkOptions:
    """Which network is asked, and how it runs; see `BackboneOptions`."""

    name: str = NO_NETWORK
    """`none`, or a kind of backbone, as in `vggt`."""
    weights: str | None = None
    """Its weights; the default is those that come with the package."""
    device: str = "auto"
    """Where it runs: auto, cpu, cuda, cuda:N or mps."""
    precision: str = "auto"
    """Its arithmetic: auto, fp32, bf16 or fp16."""
    gpu_memory: str | None = None
    """Memory that it may use, as in 8GiB; the default is what is free."""
    readout: str = "auto"
    """Where its poses come from: auto, head or solver."""
    use: VggtUse = field(default_factory=VggtUse)
    """What it is used for."""
    size_px: int | None = None
    """Longest side of the images that it sees, where that can be chosen."""
    accepted_licence: str | None = None
    """Name of a licence for non-commercial use that the person accepts."""


@dataclass(frozen=True)
class OpenedNetwork:
    """A network that guides the geometry and proposes poses to a lost camera."""

    guide: Guide
    proposer: "PoseProposer"
    backbone: Any
    model_id: str
    """Name and hash of its weights."""
    about: dict[str, Any]
    """Its entry in the report."""


def open_network(options: NetworkOptions, say: Callable[[str], None]) -> OpenedNetwork | None:
    """None for `none`, without loading torch. `say` gets the terms of the weights. Errors as `open_backbone`, and
    ConfigError for weights that nothing would use."""
    if options.name == NO_NETWORK:
        if options.weights is not None:
            raise ConfigError(f"--weights {options.weights}: no network is asked; add --network vggt, or leave it out")
        return None
    from vgslam.frontend.network_guide import NetworkGuide
    from vgslam.network.open_backbone import BACKBONES, BackboneOptions, open_backbone
    from vgslam.network.precision import Precision
    from vgslam.network.readout import Readout
    from vgslam.reloc.learned import network_proposer

    if options.name == OLD_NO_NETWORK and options.name not in BACKBONES.names():
        raise ConfigError(f"no network is called {options.name}; for geometry without one, --network {NO_NETWORK}")
    chosen = BackboneOptions(
        options.weights or DEFAULT_WEIGHTS.get(options.name, ""), options.name, device=options.device,
        precision=Precision(options.precision), gpu_memory=options.gpu_memory, readout=Readout(options.readout),
        size_px=options.size_px, accepted_licence=options.accepted_licence,
    )  # fmt: skip
    backbone = open_backbone(chosen, show=say)
    guide = NetworkGuide(backbone, options.use)
    about = describe_weights(backbone.weights) | {"poses_from": backbone.spec.poses_from}
    return OpenedNetwork(guide, network_proposer(backbone), backbone, backbone.weights.model_id, about)


def describe_weights(weights: "WeightsInfo") -> dict[str, Any]:
    """The weights for the report; local files by name only."""
    return {
        "model_id": weights.model_id, "sha256": weights.sha256, "files": list(weights.files),
        "n_parameters": weights.n_parameters, "is_random": weights.is_random, "licence": weights.licence.name,
        "allows_commercial_use": weights.licence.allows_commercial_use,
    }  # fmt: skip
