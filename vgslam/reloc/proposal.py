"""Candidate poses of a query image in a map, and who proposes them; nothing here decides whether they are right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from vgslam.geometry.camera import Camera
from vgslam.types import Array

if TYPE_CHECKING:
    from vgslam.map.slam_map import SlamMap


@dataclass(frozen=True)
class Proposal:
    """A candidate pose of a query."""

    T_world_cam: Array
    """(4,4), in the world and the units of the map."""
    method: str
    """How the pose was found."""
    spread: float
    """How far the evidence for the position disagrees, in map units, >= 0; larger is less sure, infinite where nothing
    is known. Spreads of different methods are not comparable."""


class PoseProposer(Protocol):
    """Proposes poses of an image from a few keyframes of a map that probably see the same place."""

    def propose(
        self, slam_map: "SlamMap", keyframe_ids: Sequence[int], image: npt.NDArray[np.uint8], camera: Camera
    ) -> list[Proposal]:
        """Candidates of an image (H,W,3) RGB of a camera, none if nothing can be proposed; all are finite.

        keyframe_ids: keyframes of the map, the one most like the image (the anchor) first.
        """
        ...


@dataclass(frozen=True)
class AllOf:
    """Everything that several propose, in their order."""

    proposers: tuple[PoseProposer, ...]

    def propose(
        self, slam_map: "SlamMap", keyframe_ids: Sequence[int], image: npt.NDArray[np.uint8], camera: Camera
    ) -> list[Proposal]:
        """See `PoseProposer.propose`."""
        return [p for who in self.proposers for p in who.propose(slam_map, keyframe_ids, image, camera)]
