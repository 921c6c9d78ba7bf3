"""The recipe of a training run of relocalization: like any other, with a base network and two stages."""

from dataclasses import dataclass, field

from vgslam.errors import ConfigError
from vgslam.network.reloc.config import Injection, MaskKind, MatchOrder, RelocConfig
from vgslam.network.reloc.network import Stage
from vgslam_train.training.recipe import Recipe, RecipePhase
from vgslam_train.training.reloc_losses import RelocLossWeights
from vgslam_train.training.reloc_step import PoseNoise


@dataclass(frozen=True)
class RelocPhase(RecipePhase):
    """A part of a run of relocalization."""

    n_frames: int = 8
    """Most frames of a window, anchor and query included."""
    least_frames: int = 2
    """Fewest frames of a window, anchor and query included."""
    stage: str = "adapter"
    """'adapter' trains pose and query tokens alone; 'all' also trains the tuned or low-rank parts of the network."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stage not in list(Stage):
            raise ConfigError(f"unknown stage '{self.stage}': use one of {', '.join(Stage)}")
        if not 2 <= self.least_frames <= self.n_frames:
            raise ConfigError("a relocalization phase needs 2 <= least_frames <= n_frames")


@dataclass(frozen=True)
class AdapterSettings:
    """`RelocConfig` in plain values; `tuned`: beginnings of parameter names, separated by blanks."""

    injection: str = "residual"
    mask: str = "star"
    match_order: str = "retrieval"
    learned_frequencies: bool = False
    hidden: int = 512
    inject_every_block: bool = True
    tuned: str = ""
    lora_rank: int = 0

    def to_config(self) -> RelocConfig:
        """ConfigError for values that do not exist or contradict each other."""
        for name, kind in (("injection", Injection), ("mask", MaskKind), ("match_order", MatchOrder)):
            if getattr(self, name) not in list(kind):
                raise ConfigError(f"adapter: unknown {name} '{getattr(self, name)}': use one of {', '.join(kind)}")
        return RelocConfig(
            Injection(self.injection), MaskKind(self.mask), MatchOrder(self.match_order),
            learned_frequencies=self.learned_frequencies, hidden=self.hidden,
            inject_every_block=self.inject_every_block, tuned=tuple(self.tuned.split()), lora_rank=self.lora_rank,
        )  # fmt: skip


@dataclass(frozen=True)
class RelocRecipe(Recipe):
    """A whole run of relocalization. `init` names the weights of the base network, which do not change."""

    phases: tuple[RecipePhase, ...] = (RelocPhase(),)
    adapter: AdapterSettings = field(default_factory=AdapterSettings)
    noise: PoseNoise = field(default_factory=PoseNoise)
    reloc_losses: RelocLossWeights = field(default_factory=RelocLossWeights)
    min_overlap: float = 0.25
    """Share of the query that each database frame of a window sees."""
    max_flow: float = 0.33
    """Largest median flow between them, as a share of the width."""
    n_validation_windows: int = 128
    """Windows of 6 frames each."""

    @property
    def title(self) -> str:
        return f"relocalization on {self.init}"


def stage_of(phase: RecipePhase) -> Stage:
    """What is trained in a phase."""
    return Stage(phase.stage) if isinstance(phase, RelocPhase) else Stage.ADAPTER
