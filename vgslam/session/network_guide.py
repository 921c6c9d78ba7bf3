"""`--predictor vggt`: opens the network, says what its weights may be used for, and what is recorded of them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vgslam.frontend.guide import Guide, VggtUse

if TYPE_CHECKING:
    from vgslam.network.weights import WeightsInfo
    from vgslam.reloc.proposal import PoseProposer

DEFAULT_WEIGHTS = "vggt-s"
"""Those that come with the package."""
RANDOM_NOTE = "the network's weights are RANDOM: what it said is meaningless, and so is the geometry that came from it"


@dataclass(frozen=True)
class OpenedGuide:
    """The guide, what the report says of its weights, and warnings for the person."""

    guide: Guide
    weights: dict[str, Any]
    notes: list[str]
    backbone: Any

    def proposer(self) -> "PoseProposer":
        """The network as one who proposes poses to a lost camera."""
        from vgslam.reloc.learned import network_proposer

        return network_proposer(self.backbone)


def open_guide(
    predictor: str, weights: str | None, device: str, precision: str, gpu_memory: str | None, use: VggtUse,
    readout: str = "auto",
) -> OpenedGuide | None:  # fmt: skip
    """None for `sfm`, without loading torch. Without `weights`: those of the package. Errors as `open_backbone`."""
    if predictor == "sfm":
        return None
    from vgslam.frontend.vggt_predictor import VggtPredictor
    from vgslam.network.open_backbone import BackboneOptions, open_backbone
    from vgslam.network.precision import Precision
    from vgslam.network.readout import Readout

    options = BackboneOptions(
        weights or DEFAULT_WEIGHTS, device=device, precision=Precision(precision), gpu_memory=gpu_memory,
        readout=Readout(readout),
    )  # fmt: skip
    backbone = open_backbone(options, show=print)
    notes = [RANDOM_NOTE] if backbone.weights.is_random else []
    about = describe_weights(backbone.weights) | {"poses_from": backbone.spec.poses_from}
    return OpenedGuide(VggtPredictor(backbone, use), about, notes, backbone)


def describe_weights(weights: "WeightsInfo") -> dict[str, Any]:
    """The weights for the report; local files by name only."""
    return {
        "model_id": weights.model_id, "sha256": weights.sha256, "files": list(weights.files),
        "n_parameters": weights.n_parameters, "is_random": weights.is_random, "licence": weights.licence.name,
        "allows_commercial_use": weights.licence.allows_commercial_use,
    }  # fmt: skip
