"""Settings of everything that finds a view in the map: which keyframes are tried, and when an answer is believed."""

from dataclasses import dataclass, field

from vgslam.frontend.matching import MatcherConfig
from vgslam.reloc.locate import LocateConfig


@dataclass(frozen=True)
class RelocalizerConfig:
    """Which keyframes are tried, and when an answer is believed."""

    n_recent: int = 3
    """Last keyframes that are tried first, by a camera that was just lost."""
    n_similar: int = 8
    """Keyframes that look most alike and are tried."""
    n_nearby: int = 12
    """Keyframes considered for one that looks the same way, when the pose is known."""
    n_joint: int = 4
    """Agreeing hypotheses whose landmarks together make the final pose."""
    n_back: int = 2
    """Old keyframes whose landmarks are looked for in a new one where the camera has come back."""
    back_agreement: tuple[float, float] = (3.0, 0.08)
    """Rotation (degrees) and position (share of the median depth) within which these must say the same pose."""
    min_trust: float = 0.5
    """Least probability of being right (0 to 1) of an accepted pose."""
    rival: float = 0.6
    """Another place with at least this share of the best one's landmarks makes a pose ambiguous."""
    agreement: tuple[float, float] = (15.0, 0.5)
    """Rotation (degrees) and position (share of the median depth) within which two answers are the same place."""
    matcher: MatcherConfig = field(default_factory=MatcherConfig)
    """Matching by descriptors."""
    locate: LocateConfig = field(default_factory=lambda: LocateConfig(15, 0.5, 12, 2.0, 2.0, 0.03, 2))
    """Conditions on a hypothesis to be considered."""
