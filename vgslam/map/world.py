"""The frame of reference of a component: whether its lengths are metres and its z axis points up."""

from dataclasses import dataclass


@dataclass(frozen=True)
class World:
    """The frame of reference of one component of a map."""

    is_metric: bool = False
    """Whether lengths are metres; otherwise they are map units."""
    scale_rel_sigma: float = 0.0
    """Relative standard deviation of the scale; 0 where it is not metric."""
    is_upright: bool = False
    """Whether the z axis points up, against gravity; otherwise the axes are those of a first camera."""
    tilt_sigma_deg: float = 0.0
    """Standard deviation of the direction of gravity in degrees; 0 where it is not upright."""

    def __post_init__(self) -> None:
        if not (self.scale_rel_sigma >= 0 and self.tilt_sigma_deg >= 0):
            raise ValueError("deviations of a world must be >= 0")


UNKNOWN = World()
"""Map units, and the axes of a first camera."""
