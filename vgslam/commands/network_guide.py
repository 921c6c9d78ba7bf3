"""`--predictor vggt`: opens the network, says what its weights may be used for, and what is recorded of them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vgslam.errors import WeightsError
from vgslam.frontend.guide import Guide, VggtUse

if TYPE_CHECKING:
    from vgslam.network.weights import WeightsInfo

RANDOM_NOTE = "the network's weights are RANDOM: what it said is meaningless, and so is the geometry that came from it"


@dataclass(frozen=True)
class OpenedGuide:
    """The guide, what the report says of its weights, and warnings for the person."""

    guide: Guide
    weights: dict[str, Any]
    notes: list[str]


def open_guide(
    predictor: str, weights: str | None, device: str, precision: str, gpu_memory: str | None, use: VggtUse
) -> OpenedGuide | None:
    """None for `sfm`, without loading torch. WeightsError without weights; then the errors of `open_backbone`."""
    if predictor == "sfm":
        return None
    if weights is None:
        raise WeightsError(
            "--predictor vggt needs --weights: a Hugging Face id (facebook/VGGT-1B), a file or a folder; "
            "`--weights random` tries the program out, with meaningless geometry"
        )
    from vgslam.frontend.vggt_predictor import VggtPredictor
    from vgslam.network.open_backbone import BackboneOptions, open_backbone
    from vgslam.network.precision import Precision

    options = BackboneOptions(weights, device=device, precision=Precision(precision), gpu_memory=gpu_memory)
    backbone = open_backbone(options, show=print)
    notes = [RANDOM_NOTE] if backbone.weights.is_random else []
    return OpenedGuide(VggtPredictor(backbone, use), describe_weights(backbone.weights), notes)


def describe_weights(weights: "WeightsInfo") -> dict[str, Any]:
    """The weights for the report; local files by name only."""
    return {
        "model_id": weights.model_id, "sha256": weights.sha256, "files": list(weights.files),
        "n_parameters": weights.n_parameters, "is_random": weights.is_random, "licence": weights.licence.name,
        "allows_commercial_use": weights.licence.allows_commercial_use,
    }  # fmt: skip
