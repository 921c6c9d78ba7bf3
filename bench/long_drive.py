"""A drive of any length, for the cost per keyframe: laps on a grid of streets, with drift and loops."""

import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.loop_simulation import disturbed
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.incremental import IncrementalGraph
from vgslam.types import Array, Edge, EdgeKind

LAP = 400  # keyframes after which the camera comes back to a street
ODOMETRY = np.array([np.radians(0.1)] * 3 + [0.01] * 3 + [0.005])
LOOP = np.array([np.radians(0.2)] * 3 + [0.1] * 3 + [0.005])


@dataclass(frozen=True)
class LongDrive:
    """What a drive of K keyframes costs."""

    seconds: Array  # (K,): time of the back end
    is_loop: np.ndarray  # (K,): whether the keyframe closed a loop
    memory_at: Array  # (M,): keyframes at which memory was measured
    memory_kib: Array  # (M,): peak resident memory

    @property
    def kib_per_keyframe(self) -> float:
        """Slope over the second half."""
        half = len(self.memory_at) // 2
        return float(np.polyfit(self.memory_at[half:], self.memory_kib[half:], 1)[0])


def true_pose(k: int) -> Sim3:
    """A circle of LAP keyframes, one unit apart, that moves on by a tenth of its radius every lap."""
    angle, radius = 2 * np.pi * k / LAP, LAP / (2 * np.pi)
    centre = radius * np.array([np.sin(angle) + 0.1 * k / LAP, 0.0, 1 - np.cos(angle)])
    return Sim3(se3.so3_exp(np.array([0.0, -angle, 0.0])), centre)


def drive(n_keyframes: int, loop_every: int, seed: int = 0) -> LongDrive:
    """Feeds an IncrementalGraph and times add_keyframe, add_edge and update of each keyframe."""
    rng = np.random.default_rng(seed)
    graph = IncrementalGraph()
    seconds, is_loop, at, kib = [], [], [], []
    for k, edges in _steps(n_keyframes, loop_every, rng):
        begun = time.perf_counter()
        start = graph.nodes[k - 1] @ edges[0].S_a_b if edges else true_pose(0)
        graph.add_keyframe(k, start, 0)
        for e in edges:
            graph.add_edge(e)
        graph.update()
        seconds.append(time.perf_counter() - begun)
        is_loop.append(len(edges) > 1)
        if k % 100 == 0:
            at.append(k)
            kib.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return LongDrive(np.array(seconds), np.array(is_loop), np.array(at, float), np.array(kib, float))


def _steps(n: int, loop_every: int, rng: np.random.Generator) -> Iterator[tuple[int, list[Edge]]]:
    for k in range(n):
        S, edges = true_pose(k), []
        if k:
            step = disturbed(true_pose(k - 1).inverse() @ S, ODOMETRY, rng)
            edges.append(Edge(k - 1, k, step, ODOMETRY, EdgeKind.ODOMETRY))
        if k >= LAP and k % loop_every == 0:
            measured = disturbed(true_pose(k - LAP).inverse() @ S, LOOP, rng)
            edges.append(Edge(k - LAP, k, measured, LOOP, EdgeKind.LOOP))
        yield k, edges
