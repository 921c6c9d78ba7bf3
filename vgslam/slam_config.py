"""The settings of the system, gathered from the parts that they belong to."""

from dataclasses import dataclass, field

from vgslam.config import Checked
from vgslam.frontend.initializer import InitializerConfig
from vgslam.frontend.mapper import MapperConfig
from vgslam.frontend.tracker import TrackerConfig
from vgslam.frontend.tracking_state import StateConfig
from vgslam.refine.adjust import RefineConfig
from vgslam.reloc.loops import LoopConfig
from vgslam.reloc.relocalizer_config import RelocalizerConfig


@dataclass(frozen=True)
class SlamConfig(Checked, called="slam"):
    """All settings of the system. Raises ConfigError for a number that no run can use."""

    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    """Following features from frame to frame, and the pose of every frame."""
    mapper: MapperConfig = field(default_factory=MapperConfig)
    """When a keyframe is taken, and how the map around it is adjusted."""
    initializer: InitializerConfig = field(default_factory=InitializerConfig)
    """How a component of the map begins."""
    states: StateConfig = field(default_factory=StateConfig)
    """When tracking is sure, unsure or lost."""
    reloc: RelocalizerConfig = field(default_factory=RelocalizerConfig)
    """How a lost camera is found again in the map."""
    loops: LoopConfig = field(default_factory=LoopConfig)
    """Places seen again, which close loops and join components."""
    refine: RefineConfig = field(default_factory=RefineConfig)
    """The adjustment of the whole map at the end."""
    patience: int = 5
    """Frames after a loss during which only the old map is tried, before a new component may begin; see also
    `states.patience_s`."""
