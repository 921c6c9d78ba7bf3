"""How well queries are located, by each method, on windows that are never trained on: anchor first, query last."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vgslam.geometry import se3, torch_se3
from vgslam.multiview.late_fusion import average_motions
from vgslam.multiview.reference_lift import direct_pose, lift
from vgslam.network.pose_encoding import decode_pose
from vgslam.network.readout import Readout, solved_poses
from vgslam.network.reloc.known_poses import KnownPoses, known_poses
from vgslam.network.reloc.network import RelocNetwork
from vgslam.network.vggt import Head, Vggt
from vgslam_train.data.windows import WindowBatch
from vgslam_train.training.reloc_step import PoseNoise, told_poses

Array = npt.NDArray[np.float64]
Locate = Callable[[WindowBatch], Array]
"""Windows -> T_world_query (B,4,4), NaN where there is no answer."""
LEVELS = ((0.05, 5.0), (0.25, 10.0))
"""Recall is counted within (m, deg)."""


@dataclass(frozen=True)
class RelocScore:
    """The score of one method. In the medians, a query without an answer counts as infinitely wrong."""

    method: str
    n_queries: int
    found: float
    """Share of queries with an answer."""
    position_m: float
    """Median position error in m."""
    position_share: float
    """Median position error as a share of the database's scale."""
    rotation_deg: float
    """Median rotation error."""
    recall: tuple[float, ...]
    """Share of queries within each of LEVELS."""


def validate_reloc(methods: Mapping[str, Locate], batches: Sequence[WindowBatch]) -> list[RelocScore]:
    """The score of each method over all windows whose database has a scale (see `reloc_step.PoseNoise`). ValueError
    for no such windows."""
    exact = PoseNoise(dropout=0.0, rotation_deg=0.0, translation_share=0.0)
    told = [told_poses(b, exact, torch.Generator()) for b in batches]
    counts = np.concatenate([t.has_scale.cpu().numpy() for t in told]) if told else np.zeros(0, bool)
    if not counts.any():
        raise ValueError("no windows to validate on")
    truth = np.concatenate([b.T_world_cam[:, -1].double().cpu().numpy() for b in batches])[counts]
    scale = np.concatenate([t.known.scale.cpu().numpy() for t in told])[counts]
    return [
        _score(name, np.concatenate([locate(b) for b in batches])[counts], truth, scale)
        for name, locate in methods.items()
    ]


def to_markdown(scores: Sequence[RelocScore]) -> str:
    """One line a method."""
    levels = [f"within {m:g} m, {deg:g} deg" for m, deg in LEVELS]
    header = ["method", "queries", "found", "position (m)", "position / scale", "rotation (deg)", *levels]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for s in scores:
        cells = [
            s.method, str(s.n_queries), f"{s.found:.0%}", f"{s.position_m:.3f}", f"{s.position_share:.3f}",
            f"{s.rotation_deg:.2f}", *(f"{r:.0%}" for r in s.recall),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def to_json(scores: Sequence[RelocScore]) -> str:
    """All scores; what is infinite is null."""
    plain = [{k: None if v == float("inf") else v for k, v in asdict(s).items()} for s in scores]
    return json.dumps(plain, indent=1) + "\n"


def _score(name: str, found: Array, truth: Array, scale: Array) -> RelocScore:
    ok = np.isfinite(found).all(axis=(1, 2))
    position = np.where(ok, np.linalg.norm(found[:, :3, 3] - truth[:, :3, 3], axis=1), np.inf)
    angle = np.full(len(truth), np.inf)
    for i in np.flatnonzero(ok):
        angle[i] = se3.angle_deg(found[i, :3, :3].T @ truth[i, :3, :3])
    recall = tuple(float(np.mean((position <= m) & (angle <= deg))) for m, deg in LEVELS)
    return RelocScore(
        name, len(truth), float(ok.mean()), _median(position), _median(position / scale), _median(angle), recall
    )


def _median(errors: Array) -> float:
    """The upper one of two middle values, so that half of infinite errors is infinite."""
    return float(np.sort(errors)[len(errors) // 2])


def _known(batch: WindowBatch) -> KnownPoses:
    T, n = batch.T_world_cam[:, :-1], batch.T_world_cam.shape[1] - 1
    height, width = batch.images.shape[-2:]
    return known_poses(T, batch.K[:, None].expand(-1, n, 3, 3), (height, width))


class Learned:
    """The relocalization network; by_consensus: its poses of all frames are lifted instead of the query's alone."""

    def __init__(self, network: RelocNetwork, by_consensus: bool) -> None:
        self.network, self.by_consensus = network, by_consensus

    @torch.no_grad()
    def __call__(self, batch: WindowBatch) -> Array:
        known = _known(batch)
        T_cam_anchor = decode_pose(self.network(batch.images, known)[-1].double())
        T_world = batch.T_world_cam.double().cpu().numpy()
        if self.by_consensus:
            return _lifted(T_cam_anchor, T_world)
        T = T_cam_anchor[:, -1].cpu().numpy()
        found = np.stack([direct_pose(t, float(s), w[0]) for t, s, w in zip(T, known.scale, T_world)])
        found[known.is_scale_unobservable.cpu().numpy()] = np.nan
        return found


def can_solve(vggt: Vggt) -> bool:
    """Whether a network has what the solver's read-out of poses needs."""
    return {Head.POSE, Head.DEPTH, Head.FLOW} <= vggt.heads


def _plain_poses(vggt: Vggt, images: Tensor, K: Tensor, readout: Readout) -> Tensor:
    """T_cam_world (B,S,4,4) of windows by a network that is given no poses, from its head or by the solver."""
    if readout is Readout.HEAD:
        encoding = vggt(images, {Head.POSE}).pose_encoding
        assert encoding is not None
        return decode_pose(encoding.double())
    return solved_poses(vggt(images, {Head.POSE, Head.DEPTH, Head.FLOW}), K.double())


class PlainLift:
    """Consensus of the references over the poses of a network that is given none: needs no training."""

    def __init__(self, vggt: Vggt, readout: Readout = Readout.HEAD) -> None:
        self.vggt, self.readout = vggt, readout

    @torch.no_grad()
    def __call__(self, batch: WindowBatch) -> Array:
        T_cam_local = _plain_poses(self.vggt, batch.images, batch.K, self.readout)
        return _lifted(T_cam_local, batch.T_world_cam.double().cpu().numpy())


class LateFusion:
    """Motion averaging over pairs (reference, query), each seen by a network alone: the baseline."""

    def __init__(self, vggt: Vggt, readout: Readout = Readout.HEAD) -> None:
        self.vggt, self.readout = vggt, readout

    @torch.no_grad()
    def __call__(self, batch: WindowBatch) -> Array:
        b, k = batch.images.shape[0], batch.images.shape[1] - 1
        query = batch.images[:, -1:].expand(-1, k, -1, -1, -1)
        pairs = torch.stack([batch.images[:, :-1], query], dim=2).flatten(0, 1)
        T = _plain_poses(self.vggt, pairs, batch.K.repeat_interleave(k, dim=0), self.readout)
        T_ref_query = (T[:, 0] @ torch_se3.inverse(T[:, 1])).unflatten(0, (b, k)).cpu().numpy()
        T_world = batch.T_world_cam.double().cpu().numpy()
        found = np.full((b, 4, 4), np.nan)
        for i in range(b):
            offset = T_ref_query[i, :, :3, 3]
            if (np.linalg.norm(offset, axis=1) > 0).all():
                averaged = average_motions(T_world[i, :-1], T_ref_query[i, :, :3, :3], offset).T_world_query
                found[i] = np.nan if averaged is None else averaged
        return found


def _lifted(T_cam_local: Tensor, T_world: Array) -> Array:
    """Queries (B,4,4) in the world of their references, from poses (B,N,4,4) in any frame."""
    T_local_cam = torch_se3.inverse(T_cam_local).cpu().numpy()
    return np.stack([lift(T[:-1], T[-1], w[:-1]).T_world_query for T, w in zip(T_local_cam, T_world)])
