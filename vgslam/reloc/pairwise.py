"""Late fusion: a network sees the query with one keyframe at a time, and the relative poses are averaged."""

from typing import TYPE_CHECKING

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.multiview.late_fusion import average_motions
from vgslam.reloc.proposal import Proposal, References
from vgslam.types import Image

if TYPE_CHECKING:
    from vgslam.network.reloc.query_poses import QueryPoses


class PairwiseProposer:
    """Implements `PoseProposer` with method `late-fusion`: the baseline for methods that see several keyframes at once.

    Looks at the first `max_references` keyframes, one pass of the network for each. The spread is the root mean square
    distance of the answer from the lines on which the pairs put it. Where these do not determine a place (see
    `multiview.late_fusion`), nothing is proposed.
    """

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
