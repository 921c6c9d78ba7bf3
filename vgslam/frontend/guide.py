"""Where a network helps the geometry: the switches and the protocol.

The skeleton (features, triangulation, bundle adjustment) stays in charge. A guide is asked only at the points below and
may always answer None; with every switch off, and where nothing is weak, the result is that without a guide.
"""

from dataclasses import dataclass
from typing import Protocol

from vgslam.types import WindowInput, WindowPrediction

RANDOM_NOTE = "the network's weights are RANDOM: what it said is meaningless, and so is the geometry that came from it"


@dataclass(frozen=True)
class VggtUse:
    """What the network is used for. It is asked only where geometry is weak, and what it says is used only where tracks
    that it has not seen agree. docs/networks.md says what each use brings."""

    initialise: bool = True
    """A component that neither parallax nor a rotation can begin is begun with the network's depth, and solved again
    without it as soon as the motion determines its geometry."""
    motion_guess: bool = True
    """Before a frame counts as lost, features are looked for once more where the network's motion says, with their
    patches turned as it says."""
    dense_depth: bool = False
    """At the end every keyframe gets the network's depth and confidence where it agrees with the landmarks, instead of
    those of the plane sweep."""


class Guide(Protocol):
    """A network beside the geometry of feature tracks. It answers every question; `use` says which are asked;
    `notes` what a user of its answers should know, a line each."""

    use: VggtUse
    notes: list[str]

    def predict(self, window: WindowInput) -> WindowPrediction | None:
        """Poses and depth of a window without using its tracks or the map's poses; None when it cannot say."""
        ...


def notes_on(is_random: bool) -> list[str]:
    """What a user of a network's answers should know, by whether its weights are random."""
    return [RANDOM_NOTE] if is_random else []
