"""`vgslam run --adapt` and `--adapter`: sets adaptation up for a run."""

import tempfile
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


@dataclass(frozen=True)
class Adaptation:
    """Adaptation of a run's network; does nothing if that does not adapt. begun_with: name of the weights that were
    served first, None without a network."""

    begun_with: str | None = None
    online: "OnlineAdaptation | None" = None
    folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def model_id(self) -> str | None:
        """Name of the weights that are served now; None without a network."""
        return self.begun_with if self.online is None else self.online.model_id

    def after_frame(self, image: Image, frame_id: int, camera: Camera) -> None:
        """Call after each frame: other weights may be served from then on."""
        if self.online is not None:
            self.online.at_frame(image, frame_id, camera)

    def report(self) -> dict[str, Any] | None:
        return self.online.report() if self.online is not None else None

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
        if self.folder is not None:
            self.folder.cleanup()


def open_adaptation(
    network: "OpenedNetwork | None", mode: Literal["off", "sync", "background"], adapter: Path | None,
    options: AdaptOptions,
) -> Adaptation:  # fmt: skip
    """Loads the adapter of a file into the network, and begins to adapt it. ConfigError without a network or for one
    that cannot learn, WeightsError for an adapter that does not fit it."""
    if mode == "off" and adapter is None:
        return Adaptation(network.model_id if network else None)
    if network is None:
        raise ConfigError("--adapt and --adapter need a network: add --network vggt")
    model = getattr(network.backbone, "model", None)
    if model is None:
        raise ConfigError(f"{network.model_id} cannot learn: --adapt and --adapter need --network vggt")
    _check(options)
    from vgslam.adapt.adapter import AdaptConfig, Adapter
    from vgslam.adapt.online import OnlineAdaptation, Served, adapted_id
    from vgslam.adapt.trainer import ADAPTED, TrainConfig
    from vgslam.adapt.worker import BackgroundAdapter, WorkerOptions
    from vgslam.network.lora import load_adapter, stored_config

    info, lora, start = network.backbone.weights, ADAPTED, 0
    if adapter is not None:
        start, lora = load_adapter(model, adapter, info.sha256), stored_config(adapter)
    begun_with = adapted_id(info.model_id, start)
    if mode == "off":
        return Adaptation(begun_with)
    train = TrainConfig(lora=lora, steps=options.steps, learning_rate=options.learning_rate, seed=options.seed)
    config = replace(
        AdaptConfig(), train=train, window_every=options.windows, memory_bytes=parse_size(options.memory),
        max_train_s=options.max_seconds if mode == "background" else float("inf"),
    )  # fmt: skip
    served = Served(model, info.model_id, info.sha256, start)
    if mode == "sync":
        return Adaptation(begun_with, OnlineAdaptation(served, Adapter(model, config, info.sha256), train))
    folder = tempfile.TemporaryDirectory(prefix="vgslam-adapt-")
    worker = BackgroundAdapter(model, Path(folder.name), config, WorkerOptions(options.threads))
    return Adaptation(begun_with, OnlineAdaptation(served, worker, train), folder)


def _check(options: AdaptOptions) -> None:
    """ConfigError for settings that make no sense."""
    for name in ("steps", "windows", "threads"):
        if getattr(options, name) < 1:
            raise ConfigError(f"--adaptation.{name} must be at least 1, got {getattr(options, name)}")
    if not options.learning_rate > 0 or not options.max_seconds > 0:
        raise ConfigError("--adaptation.learning-rate and --adaptation.max-seconds must be positive")
    parse_size(options.memory)
