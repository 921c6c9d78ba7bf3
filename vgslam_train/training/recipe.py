"""The recipe of a training run: read strictly from YAML (`vgslam train CONFIG`), kept with the checkpoint."""

import math
from dataclasses import dataclass, field

from vgslam.errors import ConfigError
from vgslam.network.config import VggtConfig
from vgslam_train.data.clips import KINDS
from vgslam_train.presets import PRESETS
from vgslam_train.training.losses import LossWeights


@dataclass(frozen=True)
class RecipePhase:
    """A part of a run with one window size. The learning rate falls from lr to lr_end along half a cosine."""

    n_steps: int = 1000
    n_frames: int = 4
    batch_size: int = 16
    lr: float = 1e-3
    lr_end: float = 1e-3
    depth_share: float = 0.5
    """Share of the frames whose dense maps are supervised in a step; these take most of the time."""

    def __post_init__(self) -> None:
        if min(self.n_steps, self.batch_size) < 1 or self.n_frames < 2 or not 0 < self.depth_share <= 1:
            raise ConfigError("a training phase needs steps, windows, at least 2 frames and a depth_share in (0, 1]")


@dataclass(frozen=True)
class DataConfig:
    """The rendered clips that a run trains on."""

    folder: str = "training_data"
    """Where clips are rendered to and read from."""
    n_clips: int = 5000
    """Clips for training."""
    first_clips: int = 0
    """Training begins when so many are there, and the rest is rendered beside it, so that what is drawn depends on how
    far that is; 0: when all are there."""
    n_validation_clips: int = 200
    """Clips for validation."""
    seed: int = 0
    """Seed of the worlds."""
    render_workers: int = 2
    """Processes that render; 0 renders in the main process."""
    batch_workers: int = 0
    """Processes that prepare batches; 0 prepares them in the main process."""
    clip_height: int = 96
    """Height of the clips in px."""
    clip_width: int = 128
    """Width of the clips in px."""
    kinds: tuple[str, ...] = KINDS
    """Kinds of the worlds."""
    sizes: tuple[tuple[int, int, float], ...] = ((48, 64, 0.65), (40, 72, 0.12), (32, 96, 0.13), (64, 48, 0.1))
    """(height, width, weight) of the windows."""
    wide_share: float = 0.0
    """Share of the windows with a wide baseline, see `windows.WindowConfig`."""


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW, gradient clipping, warm-up (steps) and the decay of the averaged weights (EMA)."""

    weight_decay: float = 0.02
    beta2: float = 0.98
    clip_norm: float = 1.0
    warmup_steps: int = 100
    ema_decay: float = 0.999
    bf16: bool = True


@dataclass(frozen=True)
class Recipe:
    """A whole run."""

    model: str = "vggt-s"
    """Name of a preset."""
    init: str = ""
    """Weights to start from; '' for random ones by `seed`."""
    seed: int = 0
    phases: tuple[RecipePhase, ...] = (RecipePhase(),)
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    log_every: int = 50
    validate_every: int = 1000
    checkpoint_every: int = 500

    @property
    def title(self) -> str:
        """What is trained, in words."""
        return self.model

    @property
    def n_steps(self) -> int:
        return sum(phase.n_steps for phase in self.phases)

    @property
    def network(self) -> VggtConfig:
        """ConfigError for a model that is not a preset."""
        if self.model not in PRESETS:
            raise ConfigError(f"unknown model '{self.model}': known are {', '.join(PRESETS)}")
        return PRESETS[self.model]

    def phase_at(self, step: int) -> tuple[RecipePhase, int]:
        """The phase of a step (counted from 0) and the first step of that phase."""
        first = 0
        for phase in self.phases:
            if step < first + phase.n_steps:
                return phase, first
            first += phase.n_steps
        raise ValueError(f"step {step} is beyond the end, {first}")

    def learning_rate(self, step: int) -> float:
        """Linear warm-up at the start of the run, half a cosine from lr to lr_end within each phase."""
        phase, first = self.phase_at(step)
        share = (step - first) / max(phase.n_steps - 1, 1)
        lr = phase.lr_end + 0.5 * (phase.lr - phase.lr_end) * (1 + math.cos(math.pi * share))
        return lr * min(1.0, (step + 1) / max(self.optimizer.warmup_steps, 1))
