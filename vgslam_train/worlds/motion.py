"""How moving objects of a world move."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Motion:
    """Displacement of a body as a function of time. At 0 s the body is where it was built."""

    pivot: Array
    """(3,): point about which it turns."""
    velocity: Array = field(default_factory=lambda: np.zeros(3))
    """(3,) in m/s."""
    swing: Array = field(default_factory=lambda: np.zeros(3))
    """(3,) in m, to and fro."""
    swing_hz: float = 0.2
    """Frequency of the swing."""
    turn_rad_s: float = 0.0
    """Speed of turning about the vertical through the pivot."""

    def T_world_body(self, time_s: Array) -> Array:
        """Poses (N,4,4) at times (N,); body coordinates are world coordinates at 0 s."""
        angle = self.turn_rad_s * time_s
        T = np.tile(np.eye(4), (len(time_s), 1, 1))
        T[:, 0, 0], T[:, 0, 1] = np.cos(angle), -np.sin(angle)
        T[:, 1, 0], T[:, 1, 1] = np.sin(angle), np.cos(angle)
        moved = time_s[:, None] * self.velocity + np.sin(2 * np.pi * self.swing_hz * time_s)[:, None] * self.swing
        T[:, :3, 3] = self.pivot - T[:, :3, :3] @ self.pivot + moved
        return T
