"""`--network`: checks a network, shows the terms of its weights, and opens it when it is asked first."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vgslam.errors import ConfigError
from vgslam.frontend.asking import AskedGuide, Desk
from vgslam.frontend.guide import VggtUse, notes_on
from vgslam.frontend.provisional_starts import Provisional
from vgslam.network.options import (
    DEFAULT_WEIGHTS,
    HOW_TO_INSTALL,
    NO_NETWORK,
    PACKAGED,
    NetworkOptions,
    has_torch,
    require_torch,
)
from vgslam.network.weight_files import PACKAGED as PACKAGED_WEIGHTS
from vgslam.reloc.asked_proposer import AskedProposer

if TYPE_CHECKING:
    from vgslam.frontend.guide import Guide
    from vgslam.network.weights_info import WeightsInfo
    from vgslam.reloc.proposal import PoseProposer

OLD_NO_NETWORK, AUTO = "sfm", "auto"
"""The former name for no network, and the word for the package's own if torch is installed, else for none."""


class OpenedNetwork:
    """A network that guides the geometry and proposes poses to a lost camera: checked, and opened when it is asked.
    info: what was checked of its weights without torch; None: it is opened at once, as only that can check it."""

    def __init__(
        self, options: NetworkOptions, use: VggtUse, info: "WeightsInfo | None", say: Callable[[str], None]
    ) -> None:
        self._options, self._use, self._info, self._say = options, use, info, say
        self.desk = Desk()
        self.guide = AskedGuide(self._open_guide, use, self.desk)
        self.proposer = AskedProposer(self._open_proposer, self.desk)
        if info is None:
            self._info = self.backbone.weights
        self.desk.notes += notes_on(self.weights.is_random)

    @property
    def weights(self) -> "WeightsInfo":
        """What is known of its weights."""
        assert self._info is not None
        return self._info

    @cached_property
    def backbone(self) -> Any:
        """The network itself, opened. Errors as `open_backbone`."""
        from vgslam.network.open_backbone import BackboneOptions, open_backbone
        from vgslam.network.precision import Precision
        from vgslam.network.readout import Readout

        o = self._options
        chosen = BackboneOptions(
            o.chosen_weights, o.name, device=o.device, precision=Precision(o.precision), gpu_memory=o.gpu_memory,
            readout=Readout(o.readout), size_px=o.size_px, accepted_licence=o.accepted_licence,
        )  # fmt: skip
        return open_backbone(chosen, show=self._say if self._info is None else lambda line: None)

    @property
    def was_asked(self) -> bool:
        """Whether it has been asked and is open, so that it can learn."""
        return self.desk.n_asked > 0 and "backbone" in vars(self)

    @property
    def can_learn(self) -> bool:
        """Whether it is one of those that can be trained; the network is not opened to know."""
        if "backbone" in vars(self):
            return getattr(self.backbone, "model", None) is not None
        return self.model_id.partition(":")[0] in DEFAULT_WEIGHTS

    @property
    def model_id(self) -> str:
        """Name and hash of its weights."""
        return self.weights.model_id

    @property
    def about(self) -> dict[str, Any]:
        """Its entry in the report; where poses come from is known once it is opened."""
        asked = {"was_asked": self.desk.n_asked > 0}
        if "backbone" not in vars(self):
            return describe_weights(self.weights) | asked
        return describe_weights(self.backbone.weights) | asked | {"poses_from": self.backbone.spec.poses_from}

    def report(self, starts: Sequence[Provisional]) -> dict[str, Any]:
        """What it was asked, and what became of the components that it began; see `Desk.report`."""
        rows = [{"component": s.component_id, "frame_id": s.frame_id, "solved_at": s.solved_at} for s in starts]
        return self.desk.report() | {"starts": rows}

    def _open_guide(self) -> "Guide":
        from vgslam.frontend.network_guide import NetworkGuide

        return NetworkGuide(self.backbone, self._use)

    def _open_proposer(self) -> "PoseProposer":
        from vgslam.reloc.learned import network_proposer

        return network_proposer(self.backbone)


def open_network(
    options: NetworkOptions, say: Callable[[str], None], use: VggtUse | None = None
) -> OpenedNetwork | None:  # fmt: skip
    """None for `none`, and for `auto` without torch. use: what it is asked for. `say` gets the terms of the weights.
    Torch is loaded at once only where nothing else can tell whether the network can be opened. Errors as
    `open_backbone`, MissingDependencyError without torch, and ConfigError for weights that nothing would use."""
    options = _decided(options, say)
    if options.name == NO_NETWORK:
        if options.weights is not None:
            raise ConfigError(f"--weights {options.weights}: no network is asked; add --network vggt, or leave it out")
        return None
    from vgslam.network.preflight import KINDS, check

    require_torch(f"--network {options.name}")
    if options.name == OLD_NO_NETWORK and options.name not in KINDS and not _is_added(options.name):
        raise ConfigError(f"no network is called {options.name}; for geometry without one, --network {NO_NETWORK}")
    return OpenedNetwork(options, use or VggtUse(), check(options, say), say)


def _decided(options: NetworkOptions, say: Callable[[str], None]) -> NetworkOptions:
    """What `auto` and the names of the package's weights stand for; weights that are named ask for a network."""
    if options.name in PACKAGED_WEIGHTS:
        if options.weights not in (None, options.name):
            raise ConfigError(
                f"--network {options.name} names weights, and --weights {options.weights} others: leave one of them out"
            )
        return replace(options, name=PACKAGED, weights=options.name)
    if options.name != AUTO:
        return options
    if has_torch() or options.weights is not None:
        return replace(options, name=PACKAGED)
    say(f"no network is asked, as torch is not installed ({HOW_TO_INSTALL})")
    return replace(options, name=NO_NETWORK)


def _is_added(name: str) -> bool:
    """Whether another package adds a network of this name."""
    from vgslam.network.open_backbone import BACKBONES

    return name in BACKBONES.names()


def describe_weights(weights: "WeightsInfo") -> dict[str, Any]:
    """The weights for the report; local files by name only."""
    return {
        "model_id": weights.model_id, "sha256": weights.sha256, "files": list(weights.files),
        "n_parameters": weights.n_parameters, "is_random": weights.is_random, "licence": weights.licence.name,
        "allows_commercial_use": weights.licence.allows_commercial_use,
    }  # fmt: skip
