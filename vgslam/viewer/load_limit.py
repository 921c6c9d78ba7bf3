"""Limits the time of showing to a share of the time of tracking."""

from dataclasses import dataclass

LIGHT_SHARE = 0.06
"""Numbers and the camera's pose are shown while showing has taken no more than this share of tracking's time."""
HEAVY_SHARE = 0.04
"""Images, depth, clouds and paths are shown below this share, so that they leave room for the light things."""


@dataclass
class LoadLimit:
    """An account of seconds: tracking earns, showing spends."""

    tracking_s: float = 0.0
    showing_s: float = 0.0

    def earn(self, tracking_s: float) -> None:
        """Count the seconds in which a frame was tracked."""
        self.tracking_s += tracking_s

    def spend(self, showing_s: float) -> None:
        """Count the seconds in which something was shown."""
        self.showing_s += showing_s

    def allows(self, share: float) -> bool:
        """Whether showing has taken less than this share of tracking's time so far."""
        return self.showing_s < share * self.tracking_s
