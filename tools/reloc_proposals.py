"""How good a network's proposals are on a recording with true poses, before any verification.

    python tools/reloc_proposals.py SEQUENCE [--truth FILE] [--weights NAME] [--adapter FILE]

The map: keyframes at their true poses, every tenth of the first part of the recording. Queries: frames of the rest
that have a keyframe within 0.5 m and 30 deg. The keyframes that look most like the query (place codes) are its
references. Prints medians of the error, for each method, and for the pose of the best reference alone.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.network.vggt_backbone import VggtBackbone
from vgslam.network.weights import load
from vgslam.reloc.learned import MAX_REFERENCES, consensus_proposer, learned_proposer, pairwise_proposer
from vgslam.reloc.places import Places
from vgslam.reloc.proposal import PoseProposer, Proposal, References
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions
from vgslam.types import Array, Frame, Keyframe

NEAR_M, NEAR_DEG = 0.5, 30.0
LEVELS = ((0.05, 5.0), (0.25, 10.0))


@dataclass
class Args:
    """What is measured."""

    sequence: tyro.conf.Positional[Path]
    """A recording."""
    truth: Path | None = None
    """Its true poses; by default its own."""
    weights: str = "vggt-s"
    """Weights of the network."""
    adapter: Path | None = None
    """The adapter on it."""
    mapped: int = 600
    """Frames that go into the map."""
    stride: int = 10
    """Frames from one keyframe to the next."""
    query_stride: int = 4
    """Frames from one query to the next."""
    references: int = MAX_REFERENCES
    """Keyframes that a network is shown."""


def main(args: Args) -> None:
    source = open_source(args.sequence, SourceOptions(truth=args.truth))
    assert source.truth is not None
    frames = list(source)
    at = np.searchsorted(source.truth.timestamps_s, [f.timestamp_s - 1e-4 for f in frames])
    T = source.truth.T_world_cam[at]
    keyframes = range(0, args.mapped, args.stride)
    slam_map = true_map(frames, T, keyframes)
    queries = [i for i in range(args.mapped, len(frames), args.query_stride) if is_near(T[i], T[list(keyframes)])]
    backbone = VggtBackbone(load(args.weights))
    proposers: list[PoseProposer] = [consensus_proposer(backbone), pairwise_proposer(backbone)]
    learned = learned_proposer(backbone, args.adapter)
    proposers += [] if learned is None else [learned]
    places, errors = Places(slam_map), defaultdict(list)
    places.catch_up()
    for i in queries:
        near = places.index.search(places.code(frames[i].image), args.references)[0].tolist()
        seen = References.of(slam_map, near)
        found = [p for x in proposers for p in x.propose(seen, frames[i].image, frames[i].camera)]
        found.append(Proposal(seen.T_world_refs[0], "best reference", float("inf")))
        for p in found:
            errors[p.method].append((*error(p.T_world_cam, T[i]), p.spread))
    for name, rows in errors.items():
        print(line(name, np.array(rows), len(queries)))


def true_map(frames: list[Frame], T: Array, chosen: range) -> SlamMap:
    """A map of keyframes without landmarks, at their true poses."""
    slam_map = SlamMap()
    for k, i in enumerate(chosen):
        f = frames[i]
        keyframe = Keyframe(k, f.id, f.timestamp_s, f.image, f.camera, Sim3.from_T(T[i]))
        slam_map.add_keyframe(keyframe, np.zeros(0, np.int64), np.zeros((0, 2)))
    return slam_map


def is_near(T: Array, keyframes: Array) -> bool:
    return any(e[0] <= NEAR_M and e[1] <= NEAR_DEG for e in (error(T, k) for k in keyframes))


def error(T: Array, truth: Array) -> tuple[float, float]:
    """Position in m, rotation in deg."""
    return float(np.linalg.norm(T[:3, 3] - truth[:3, 3])), se3.angle_deg(T[:3, :3].T @ truth[:3, :3])


def line(name: str, rows: Array, n: int) -> str:
    """rows (m,3): position, rotation, spread of m answers to n queries; no answer counts as infinitely wrong."""
    position, rotation = (np.append(rows[:, i], np.full(n - len(rows), np.inf)) for i in (0, 1))
    recall = "  ".join(f"{np.mean((position <= m) & (rotation <= d)):5.0%} in {m} m {d:g} deg" for m, d in LEVELS)
    finite = np.isfinite(rows[:, 2])
    rank = ""
    if finite.sum() > 2:
        ranks = [np.argsort(np.argsort(rows[finite, i])) for i in (0, 2)]
        rank = f"  rank correlation of spread and error {np.corrcoef(ranks)[0, 1]:.2f}"
    medians = f"median {np.median(position):.3f} m {np.median(rotation):.2f} deg"
    return f"{name:18} {len(rows)}/{n} answers  {medians}  {recall}{rank}"


if __name__ == "__main__":
    main(tyro.cli(Args))
