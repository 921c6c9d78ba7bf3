"""Poses of an image in a map proposed by a network that sees it together with a few keyframes.

Two ways into the map's gauge. Direct: the anchor's pose and the query's pose relative to it, whose scale the known
baselines between the keyframes give; needs a network that is given the keyframes' poses. By consensus: every keyframe
lifts the query into the map (`multiview.reference_lift`); works with any network.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.multiview.late_fusion import average_motions
from vgslam.multiview.reference_lift import direct_pose, lift
from vgslam.reloc.proposal import AllOf, PoseProposer, Proposal, References
from vgslam.types import Array, Image

if TYPE_CHECKING:
    from vgslam.network.reloc.query_poses import QueryPoses


class PairwiseProposer:
    """Implements `PoseProposer` with method `late-fusion`: the baseline for methods that see several keyframes at once.
    Looks at the first `max_references` keyframes, one pass of the network for each. The spread is the root mean square
    distance of the answer from the lines on which the pairs put it. Where these do not determine a place (see
    `multiview.late_fusion`), nothing is proposed."""

    METHOD = "late-fusion"

    def __init__(self, poses: "QueryPoses", max_references: int = 6) -> None:
        self.poses, self.max_references = poses, max_references

    def propose(self, references: References, image: Image, camera: Camera) -> list[Proposal]:
        """See `PoseProposer`."""
        chosen = references.first(self.max_references)
        if len(chosen) < 2:
            return []
        T_refs = chosen.T_world_refs
        used, pairs = [], []
        for i, keyframe in enumerate(chosen.keyframes):
            seen = self.poses.predict([keyframe.image, image], [keyframe.camera, camera], T_refs[i : i + 1])
            if seen is None:
                continue
            T = se3.inverse(seen.T_local_refs[0]) @ seen.T_local_query
            if np.linalg.norm(T[:3, 3]) > 0:
                used.append(i)
                pairs.append(T)
        if len(used) < 2:
            return []
        T_refs_query = np.stack(pairs)
        found = average_motions(T_refs[used], T_refs_query[:, :3, :3], T_refs_query[:, :3, 3])
        if found.T_world_query is None:
            return []
        return [Proposal(found.T_world_query, self.METHOD, found.dispersion)]


if TYPE_CHECKING:
    from vgslam.interfaces import Backbone
    from vgslam.network.reloc.query_poses import LocalPoses, QueryPoses
    from vgslam.network.vggt_backbone import VggtBackbone

MAX_REFERENCES = 6
"""Most keyframes that a network is shown with a query: what the packaged adapter was trained with."""
PLAIN_METHODS, LEARNED_METHODS = ("consensus", PairwiseProposer.METHOD), ("learned", "learned-consensus")
"""Ways to propose of any network, and those of one that has a relocalization adapter too."""


class NetworkProposer:
    """Implements `PoseProposer`; looks at the first `max_references` keyframes that it is given. The methods are called
    after the network's: `learned` (direct) and `learned-consensus` of one that gets poses, `consensus` of a plain one.
    Of keyframes that all lie at one place nothing is proposed: the scale is not known."""

    def __init__(self, poses: "QueryPoses", max_references: int = MAX_REFERENCES) -> None:
        self.poses, self.max_references = poses, max_references

    def propose(self, references: References, image: Image, camera: Camera) -> list[Proposal]:
        """See `PoseProposer`; ConfigError as `QueryPoses.predict`."""
        chosen = references.first(self.max_references)
        if len(chosen) < 2:
            return []
        seen = self.poses.predict([*chosen.images, image], [*chosen.cameras, camera], chosen.T_world_refs)
        return [] if seen is None else proposals(seen, chosen.T_world_refs, self.poses.name)


def proposals(seen: "LocalPoses", T_world_refs: Array, name: str) -> list[Proposal]:
    """Poses of references and a query by a network, in the world of the references, T_world_cam (K,4,4). The spread of
    the direct one is the root mean square distance of the references, as the network places them, from where they are;
    that of the consensus, of the lifted centres from their mean."""
    found = []
    if np.isfinite(seen.scale):
        direct = direct_pose(se3.inverse(seen.T_local_query), seen.scale, T_world_refs[0])
        found.append(Proposal(direct, name, _misplaced(seen, T_world_refs)))
    lifted = lift(seen.T_local_refs, seen.T_local_query, T_world_refs)
    if not lifted.is_scale_unobservable:
        method = f"{name}-consensus" if found else name
        found.append(Proposal(lifted.T_world_query, method, lifted.dispersion))
    return found


def _misplaced(seen: "LocalPoses", T_world_refs: Array) -> float:
    """How far the network misplaces the references whose poses it was given, in units of the world."""
    T_world_anchor = T_world_refs[0]
    centres = seen.scale * seen.T_local_refs[:, :3, 3] @ T_world_anchor[:3, :3].T + T_world_anchor[:3, 3]
    return float(np.sqrt(np.mean(np.sum((centres - T_world_refs[:, :3, 3]) ** 2, axis=1))))


def learned_proposer(backbone: "VggtBackbone", adapter: Path | None = None) -> NetworkProposer | None:
    """A proposer with `adapter`, or with the packaged one for the backbone's weights; None if there is none.
    WeightsError for an adapter of other weights."""
    from vgslam.network.reloc.files import packaged_adapter
    from vgslam.network.reloc.query_poses import with_adapter

    found = adapter or packaged_adapter(backbone.weights.source)
    return None if found is None else NetworkProposer(with_adapter(backbone, found))


def consensus_proposer(backbone: "Backbone[Any]") -> NetworkProposer:
    """A proposer with a plain network, without training."""
    from vgslam.network.reloc.query_poses import PlainQueryPoses

    return NetworkProposer(PlainQueryPoses(backbone))


def pairwise_proposer(backbone: "Backbone[Any]") -> PairwiseProposer:
    """Late fusion with a plain network."""
    from vgslam.network.reloc.query_poses import PlainQueryPoses

    return PairwiseProposer(PlainQueryPoses(backbone), MAX_REFERENCES)


@dataclass(frozen=True)
class EverythingOf(AllOf):
    """All that one network can propose."""

    methods: tuple[str, ...]
    """Names of the ways in which it proposes."""


def network_proposer(backbone: "Backbone[Any]") -> EverythingOf:
    """All that a network can propose, the best first: consensus, late fusion, and what it learned where there is an
    adapter for its weights."""
    from vgslam.network.vggt_backbone import VggtBackbone

    learned = learned_proposer(backbone) if isinstance(backbone, VggtBackbone) else None
    plain: tuple[PoseProposer, ...] = (consensus_proposer(backbone), pairwise_proposer(backbone))
    if learned is None:
        return EverythingOf(plain, PLAIN_METHODS)
    return EverythingOf((*plain, learned), PLAIN_METHODS + LEARNED_METHODS)
