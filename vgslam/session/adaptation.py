"""`vgslam run --adapt` and `--adapter`: sets adaptation up for a run."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vgslam.byte_size import parse_size
from vgslam.errors import ConfigError
from vgslam.types import Camera, Image

if TYPE_CHECKING:
    from vgslam.adapt.online import OnlineAdaptation
    from vgslam.session.network import OpenedNetwork

ADAPTER_NAME = "adapter.safetensors"
NOT_BEGUN = "nothing was learned: the network was not asked, and what is not asked needs not get better"


@dataclass(frozen=True)
class AdaptOptions:
    """How a network adapts during a run."""

    steps: int = 50
    """Training steps per round."""

    windows: int = 4
    """New windows of frames that start a round."""

    learning_rate: float = 3e-3
    """Step size at the start."""

    max_seconds: float = 600.0
    """Longest time of training in all, in s, of the background process; `sync` must not depend on the clock."""

    memory: str = "256MiB"
    """Memory for the windows that are kept."""

    threads: int = 1
    """CPU threads of the background process."""

    seed: int = 0
    """Seed of all random choices."""


class Adaptation:
    """Adaptation of a run's network; does nothing if that does not adapt.

    It begins when the network has been asked first: a run in which geometry is never weak trains nothing, and does not
    load torch. begun_with: name of the weights that are served first, None without a network. begin: makes the
    adaptation, given a network that is open by then; None: nothing is learned.
    """

    def __init__(
        self, begun_with: str | None = None, network: "OpenedNetwork | None" = None,
        begin: "Callable[[Path], OnlineAdaptation] | None" = None,
    ) -> None:  # fmt: skip
        self.begun_with, self._network, self._begin = begun_with, network, begin
        self.online: OnlineAdaptation | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def model_id(self) -> str | None:
        """Name of the weights that are served now; None without a network."""
        return self.begun_with if self.online is None else self.online.model_id

    def after_frame(self, image: Image, frame_id: int, camera: Camera) -> None:
        """Call after each frame: other weights may be served from then on, though never while a question is being
        answered."""
        if self.online is None and self._begin is not None and self._network is not None and self._network.was_asked:
            self._folder = tempfile.TemporaryDirectory(prefix="vgslam-adapt-")
            self.online = self._begin(Path(self._folder.name))
        if self.online is not None and self._network is not None:
            with self._network.desk.asking_later() as is_idle:
                self.online.at_frame(image, frame_id, camera, may_serve=is_idle)

    def report(self) -> dict[str, Any] | None:
        """The entry in report.json; None where nothing adapts."""
        if self.online is not None:
            return self.online.report()
        return None if self._begin is None else {"model_id": self.begun_with, "step": 0, "line": NOT_BEGUN}

    def warnings(self) -> list[str]:
        """Lines for the report's warnings."""
        return self.online.warnings() if self.online is not None else []

    def finish(self, folders: list[Path]) -> None:
        """Ends it and writes the adapter into the folders, where something was committed."""
        if self.online is not None:
            self.online.finish()
            for folder in folders:
                self.online.save(folder / ADAPTER_NAME)

    def __enter__(self) -> "Adaptation":
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the background process, whatever happened."""
        if self.online is not None:
            self.online.adapter.close()
        if self._folder is not None:
            self._folder.cleanup()


def open_adaptation(
    network: "OpenedNetwork | None", mode: Literal["off", "sync", "background"], adapter: Path | None,
    options: AdaptOptions,
) -> Adaptation:  # fmt: skip
    """Loads the adapter of a file into the network, and adapts it once it has been asked. ConfigError without a network
    or for one that cannot learn, WeightsError for an adapter that does not fit it."""
    if mode == "off" and adapter is None:
        return Adaptation(network.model_id if network else None)
    if network is None:
        raise ConfigError("--adapt and --adapter need a network: add --network vggt")
    if not network.can_learn:
        raise ConfigError(f"{network.model_id} cannot learn: --adapt and --adapter need --network vggt")
    _check(options)
    if adapter is None:
        return Adaptation(network.model_id, network, lambda folder: _begun(network, mode, None, 0, options, folder))
    from vgslam.adapt.online import adapted_id
    from vgslam.network.lora import load_adapter

    start = load_adapter(network.backbone.model, adapter, network.weights.sha256)
    begun_with = adapted_id(network.model_id, start)
    if mode == "off":
        return Adaptation(begun_with)
    return Adaptation(begun_with, network, lambda folder: _begun(network, mode, adapter, start, options, folder))


def _begun(
    network: "OpenedNetwork", mode: str, adapter: Path | None, start: int, options: AdaptOptions, folder: Path
) -> "OnlineAdaptation":
    """Adaptation of a network that is open, from the adapter after `start` steps that it has been given, if any."""
    from vgslam.adapt.adapter import AdaptConfig, Adapter
    from vgslam.adapt.online import OnlineAdaptation, Served
    from vgslam.adapt.trainer import ADAPTED, TrainConfig
    from vgslam.adapt.worker import BackgroundAdapter, WorkerOptions
    from vgslam.network.lora import stored_config

    model, info = network.backbone.model, network.weights
    lora = ADAPTED if adapter is None else stored_config(adapter)
    train = TrainConfig(lora=lora, steps=options.steps, learning_rate=options.learning_rate, seed=options.seed)
    config = replace(
        AdaptConfig(), train=train, window_every=options.windows, memory_bytes=parse_size(options.memory),
        max_train_s=options.max_seconds if mode == "background" else float("inf"),
    )  # fmt: skip
    served = Served(model, info.model_id, info.sha256, start)
    if mode == "sync":
        return OnlineAdaptation(served, Adapter(model, config, info.sha256), train)
    return OnlineAdaptation(
        served, BackgroundAdapter(model, folder, config, WorkerOptions(options.threads)), train
    )  # fmt: skip


def _check(options: AdaptOptions) -> None:
    """ConfigError for settings that make no sense."""
    for name in ("steps", "windows", "threads"):
        if getattr(options, name) < 1:
            raise ConfigError(f"--adaptation.{name} must be at least 1, got {getattr(options, name)}")
    if not options.learning_rate > 0 or not options.max_seconds > 0:
        raise ConfigError("--adaptation.learning-rate and --adaptation.max-seconds must be positive")
    parse_size(options.memory)
