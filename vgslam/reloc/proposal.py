"""Candidate poses of a query image in a map, and who proposes them; nothing here decides whether they are right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from vgslam.geometry.camera import Camera
from vgslam.types import Array, Image, Keyframe

if TYPE_CHECKING:
    from vgslam.map.slam_map import SlamMap


@dataclass(frozen=True)
class References:
    """Keyframes of a map that probably see the same place as a query, the one most like it (the anchor) first. The map
    may change meanwhile: poses are those of the moment, images are read when they are asked for."""

    keyframes: tuple[Keyframe, ...]
    T_world_refs: Array
    """(K,4,4), in the world and the units of the map."""

    @staticmethod
    def of(slam_map: "SlamMap", keyframe_ids: Sequence[int]) -> "References":
        """Keyframes of a map, each once."""
        ids = list(dict.fromkeys(keyframe_ids))
        return References(
            tuple(slam_map.keyframes[k] for k in ids), slam_map.T_world_keyframes(np.array(ids, np.int64))
        )

    def __len__(self) -> int:
        return len(self.keyframes)

    def first(self, n: int) -> "References":
        """The n that look most alike."""
        return References(self.keyframes[:n], self.T_world_refs[:n])

    @property
    def images(self) -> list[Image]:
        """(H,W,3) RGB each."""
        return [k.image for k in self.keyframes]

    @property
    def cameras(self) -> list[Camera]:
        return [k.camera for k in self.keyframes]


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

    def propose(self, references: References, image: Image, camera: Camera) -> list[Proposal]:
        """Candidates of an image (H,W,3) RGB of a camera, none if nothing can be proposed; all are finite."""
        ...


@dataclass(frozen=True)
class AllOf:
    """Everything that several propose, in their order."""

    proposers: tuple[PoseProposer, ...]

    def propose(self, references: References, image: Image, camera: Camera) -> list[Proposal]:
        """See `PoseProposer.propose`."""
        return [p for who in self.proposers for p in who.propose(references, image, camera)]
