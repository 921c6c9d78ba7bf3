"""Poses of an image in a map proposed by a network that sees it together with a few keyframes.

Two ways into the map's gauge. Direct: the anchor's pose and the query's pose relative to it, whose scale the known
baselines between the keyframes give; needs a network that is told the keyframes' poses. By consensus: every keyframe
lifts the query into the map (`geometry.reference_lift`); works with any network.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.reference_lift import direct_pose, lift
from vgslam.geometry.robust_point import student_t_mean
from vgslam.geometry.rotation_mean import robust_mean_rotation
from vgslam.reloc.proposal import Proposal
from vgslam.types import Array

if TYPE_CHECKING:
    from vgslam.backend.map import SlamMap
    from vgslam.network.reloc.query_poses import LocalPoses, QueryPoses
    from vgslam.network.vggt_backbone import VggtBackbone

MAX_REFERENCES = 6
"""Most keyframes that a network is shown with a query: what the packaged adapter was trained with."""
N_ANCHORS = 3


class NetworkProposer:
    """Implements `PoseProposer`; looks at the first `max_references` keyframes that it is given.

    Each of the first `n_anchors` keyframes is made the anchor in turn. The methods are called after the network's:
    `learned` (direct) and `learned-consensus` of one that is told poses, `consensus` of a plain one. The spread of a
    direct proposal is the root mean square distance of the anchors' answers from their mean, infinite for a single
    one; that of a consensus, of the lifted centres from theirs. Of keyframes that all lie at one place, nothing is
    proposed: the scale is not known.
    """

    def __init__(self, poses: "QueryPoses", max_references: int = MAX_REFERENCES, n_anchors: int = N_ANCHORS) -> None:
        self.poses, self.max_references, self.n_anchors = poses, max_references, n_anchors

    def propose(
        self, slam_map: "SlamMap", keyframe_ids: Sequence[int], image: npt.NDArray[np.uint8], camera: Camera
    ) -> list[Proposal]:
        """See `PoseProposer`; ConfigError as `QueryPoses.predict`."""
        chosen = list(dict.fromkeys(keyframe_ids))[: self.max_references]
        if len(chosen) < 2:
            return []
        keyframes = [slam_map.keyframes[k] for k in chosen]
        images, cameras = [k.image for k in keyframes], [k.camera for k in keyframes]
        T_world_refs = slam_map.T_world_keyframes(np.array(chosen))
        seen = self.poses.predict([*images, image], [*cameras, camera], T_world_refs, self.n_anchors)
        return proposals(seen, T_world_refs, self.poses.name)


def proposals(seen: "Sequence[LocalPoses]", T_world_refs: Array, name: str) -> list[Proposal]:
    """From what a network says with each anchor, and T_world_cam (K,4,4) of the references, to poses in the world."""
    found = []
    direct = [
        direct_pose(se3.inverse(p.T_local_query), p.scale, T_world_refs[p.anchor]) for p in seen if np.isfinite(p.scale)
    ]
    if direct:
        found.append(Proposal(*_direct(np.stack(direct), name)))
    lifted = [lift(p.T_local_refs, p.T_local_query, T_world_refs) for p in seen]
    lifted = [x for x in lifted if not x.is_scale_unobservable]
    if lifted:
        best = min(lifted, key=lambda x: x.dispersion)
        method = f"{name}-consensus" if direct else name
        found.append(Proposal(best.T_world_query, method, best.dispersion))
    return found


def _direct(T: Array, name: str) -> tuple[Array, str, float]:
    """The mean (4,4) of poses T_world_query (A,4,4), and how far they disagree."""
    R, _ = robust_mean_rotation(T[:, :3, :3])
    centre, weights = student_t_mean(T[:, :3, 3])
    spread = float(np.sqrt(weights @ np.sum((T[:, :3, 3] - centre) ** 2, axis=1))) if len(T) > 1 else float("inf")
    return se3.from_rt(R, centre), name, spread


def proposer_on(backbone: "VggtBackbone", adapter: Path | None = None) -> NetworkProposer:
    """The best that a loaded network can do: with `adapter`, or the one that comes with the package for its weights;
    else the consensus without training. WeightsError for an adapter of other weights."""
    from vgslam.network.reloc.files import packaged_adapter
    from vgslam.network.reloc.query_poses import PlainQueryPoses, with_adapter

    found = adapter or packaged_adapter(backbone.weights.source)
    return NetworkProposer(PlainQueryPoses(backbone) if found is None else with_adapter(backbone, found))


def open_proposer(weights: str = "vggt-s", device: str = "auto", adapter: Path | None = None) -> NetworkProposer:
    """Loads a network and its adapter; see `proposer_on`. ConfigError and WeightsError as `weights.load`."""
    from vgslam.network.precision import Precision, choose_device, choose_dtype
    from vgslam.network.vggt_backbone import VggtBackbone
    from vgslam.network.weights import LoadOptions, load

    on = choose_device(device)
    return proposer_on(VggtBackbone(load(weights, LoadOptions(on, choose_dtype(Precision.AUTO, on)))), adapter)
