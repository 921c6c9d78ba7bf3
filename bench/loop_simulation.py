"""A long drive with drift, true loops and false ones: the input for measuring the back end.

Truth is any trajectory with revisits. Every step between keyframes is a window's measurement with named noise; loops
are offered where the truth comes back, and false ones of three sorts beside them.
"""

from dataclasses import dataclass, field

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.types import Array, Edge, EdgeKind


@dataclass(frozen=True)
class SimulationOptions:
    """A simulated drive. A loop is offered with probability loop_rate when a keyframe comes near one that is at least
    min_gap keyframes older."""

    frames_per_keyframe: int = 4
    translation: float = 0.01
    """Standard deviation per window, as a share of the step's length."""
    rotation_deg: float = 0.1
    """Standard deviation per window."""
    scale: float = 0.005
    """Standard deviation of the log per window."""
    loop_rotation_deg: float = 0.2
    """Standard deviation of a loop's measurement."""
    loop_translation: float = 0.1
    """Standard deviation of a loop's measurement, in units of the truth."""
    loop_scale: float = 0.005
    """Standard deviation of a loop's measurement, of the log."""
    loop_rate: float = 0.5
    reach: float = 5.0
    """Largest distance of the two keyframes, in units of the truth."""
    reach_deg: float = 30.0
    """Largest angle between the two keyframes."""
    min_gap: int = 50
    false_share: float = 0.2
    """Share of false loops among all that are offered."""


@dataclass(frozen=True)
class Simulation:
    """A drive of K keyframes and its measurements."""

    truth: Array  # T_world_cam (K,4,4) of the keyframes
    odometry: list[Edge]
    loops: list[Edge]  # in the order in which the camera meets them
    false_loops: set[tuple[int, int]]  # the (id_a, id_b) that are false
    nodes: dict[int, Sim3] = field(default_factory=dict)  # dead reckoning


def simulate(T_world_cam: Array, seed: int, options: SimulationOptions | None = None) -> Simulation:
    """Keyframes at every n-th pose of T_world_cam (N,4,4), with noisy odometry and offered loops."""
    o = options or SimulationOptions()
    rng = np.random.default_rng(seed)
    T = T_world_cam[:: o.frames_per_keyframe]
    odometry, nodes = [], {0: Sim3.from_T(T[0])}
    for k in range(1, len(T)):
        step = Sim3.from_T(se3.inverse(T[k - 1]) @ T[k])
        shift = o.translation * float(np.linalg.norm(step.t)) + 1e-4
        sigmas = np.array([np.radians(o.rotation_deg)] * 3 + [shift] * 3 + [o.scale])
        odometry.append(Edge(k - 1, k, disturbed(step, sigmas, rng), sigmas, EdgeKind.ODOMETRY))
        nodes[k] = nodes[k - 1] @ odometry[-1].S_a_b
    loops = _true_loops(T, o, rng)
    n_false = round(len(loops) * o.false_share / (1 - o.false_share))
    false = _false_loops(T, n_false, {(e.id_a, e.id_b) for e in loops}, o, rng)
    met = sorted(loops + false, key=lambda e: (e.id_b, e.id_a))
    return Simulation(T, odometry, met, {(e.id_a, e.id_b) for e in false}, nodes)


def disturbed(S: Sim3, sigmas: Array, rng: np.random.Generator) -> Sim3:
    """S with Gaussian noise (7,) on its right."""
    x = sigmas * rng.normal(size=7)
    return S @ Sim3(se3.so3_exp(x[:3]), x[3:6], float(np.exp(x[6])))


def _loop_sigmas(o: SimulationOptions) -> Array:
    return np.array([np.radians(o.loop_rotation_deg)] * 3 + [o.loop_translation] * 3 + [o.loop_scale])


def _true_loops(T: Array, o: SimulationOptions, rng: np.random.Generator) -> list[Edge]:
    """At most one loop a keyframe, to the nearest old one within reach."""
    loops = []
    for k in range(o.min_gap, len(T)):
        old = T[: k - o.min_gap + 1]
        distance = np.linalg.norm(old[:, :3, 3] - T[k, :3, 3], axis=1)
        a = int(np.argmin(distance))
        turned = se3.angle_deg(T[a, :3, :3].T @ T[k, :3, :3])
        if distance[a] > o.reach or turned > o.reach_deg or rng.random() > o.loop_rate:
            continue
        S = Sim3.from_T(se3.inverse(T[a]) @ T[k])
        loops.append(Edge(a, k, disturbed(S, _loop_sigmas(o), rng), _loop_sigmas(o), EdgeKind.LOOP))
    return loops


def _false_loops(
    T: Array, n: int, taken: set[tuple[int, int]], o: SimulationOptions, rng: np.random.Generator
) -> list[Edge]:
    """A third each: random pairs with random poses, look-alikes (a small pose between places that are far apart), and
    look-alikes that three keyframes in a row agree on."""
    false: list[Edge] = []
    while len(false) < n:
        sort = min(3 * len(false) // n, 2)
        a, b = sorted(rng.choice(len(T) - 3, 2, replace=False).tolist())
        run = 3 if sort == 2 else 1
        if b - a < o.min_gap + run or any((a + i, b + i) in taken for i in range(run)):
            continue
        if np.linalg.norm(T[a, :3, 3] - T[b, :3, 3]) < 4 * o.reach:
            continue
        S = _random_pose(rng, 20.0, np.pi) if sort == 0 else _random_pose(rng, 1.0, 0.05)
        for i in range(min(run, n - len(false))):
            carried = Sim3.from_T(se3.inverse(T[a + i]) @ T[a]) @ S @ Sim3.from_T(se3.inverse(T[b]) @ T[b + i])
            measured = disturbed(carried, _loop_sigmas(o), rng)
            false.append(Edge(a + i, b + i, measured, _loop_sigmas(o), EdgeKind.LOOP))
            taken.add((a + i, b + i))
    return false


def _random_pose(rng: np.random.Generator, distance: float, angle: float) -> Sim3:
    scale = float(np.exp(rng.normal(0.0, 0.02)))
    return Sim3(se3.so3_exp(rng.normal(0, angle / 3, 3)), rng.normal(0, distance, 3), scale)
