"""The graph that follows a growing map: the same map as the full solve gives, and what is false stays out."""

import numpy as np
import pytest

from bench.loop_simulation import Simulation, SimulationOptions, simulate
from vgslam.errors import GraphError
from vgslam.evaluation.alignment import align
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.map_graph import MapGraph
from vgslam.graph.robust import optimize_map
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Edge, EdgeKind, Keyframe

CAMERA = Camera.from_fov(32, 24, 70.0)
IMAGE = np.zeros((24, 32, 3), np.uint8)


def laps() -> Array:
    """Three rounds of a ring of 40 units, poses (300,4,4)."""
    angle = 2 * np.pi * np.arange(300) / 100
    T = np.tile(np.eye(4), (300, 1, 1))
    T[:, :3, :3] = [se3.so3_exp(np.array([0.0, -a, 0.0])) for a in angle]
    T[:, 0, 3], T[:, 2, 3] = 6.4 * np.cos(angle), 6.4 * np.sin(angle)
    return T


def drive(seed: int) -> Simulation:
    options = SimulationOptions(frames_per_keyframe=1, reach=0.5, min_gap=50, loop_rate=0.2, loop_translation=0.02)
    return simulate(laps(), seed, options)


def add(m: SlamMap, k: int, S: Sim3, component: int = 0) -> None:
    keyframe = Keyframe(k, k, 0.1 * k, IMAGE, CAMERA, S, component)
    m.add_keyframe(keyframe, np.zeros(0, np.int64), np.zeros((0, 2)))


def ate(m: SlamMap, truth: Array) -> float:
    estimate = np.stack([k.S_world_keyframe.pose for k in m.keyframes])
    moved = align(truth, estimate, with_scale=True).apply(estimate)
    return float(np.sqrt(((moved[:, :3, 3] - truth[:, :3, 3]) ** 2).sum(1).mean()))


def played(simulation: Simulation) -> tuple[SlamMap, list[tuple[int, int]]]:
    """The map after a drive whose loops were closed as they came, and the loops that were refused."""
    m, refused = SlamMap(), []
    graph = MapGraph(m)
    loops = {k: [e for e in simulation.loops if e.id_b == k] for k in range(len(simulation.truth))}
    for k in range(len(simulation.truth)):
        if k:
            e = simulation.odometry[k - 1]
            add(m, k, m.keyframes[k - 1].S_world_keyframe @ e.S_a_b)
            m.edges[(e.id_a, e.id_b)] = e
        else:
            add(m, k, simulation.nodes[0])
        if loops[k]:
            refused += graph.close(loops[k]).dropped
    return m, refused


@pytest.mark.parametrize("seed", [0, 1])
def test_loops_closed_as_they_come_give_the_map_of_the_full_solve(seed: int) -> None:
    simulation = drive(seed)
    m, refused = played(simulation)
    assert simulation.false_loops
    assert simulation.false_loops <= set(refused)
    closed_at_once = ate(m, simulation.truth)
    optimize_map(m)
    solved = ate(m, simulation.truth)
    dead_reckoning, _ = played(Simulation(simulation.truth, simulation.odometry, [], set(), simulation.nodes))
    assert solved < 0.5 * ate(dead_reckoning, simulation.truth)
    assert closed_at_once < 1.2 * solved


def test_later_adjustments_of_a_keyframe_survive_a_loop_elsewhere() -> None:
    """Bundle adjustment moves a keyframe after the graph has taken it in: a loop that asks for no change leaves it."""
    m = SlamMap()
    for k in range(30):
        add(m, k, Sim3(np.eye(3), np.array([0.1 * k, 0, 0])))
        if k:
            sigmas = np.array([1e-3] * 3 + [1e-3] * 3 + [1e-3])
            m.edges[(k - 1, k)] = Edge(k - 1, k, Sim3(np.eye(3), np.array([0.1, 0, 0])), sigmas, EdgeKind.ODOMETRY)
    graph = MapGraph(m)
    graph.take_in()
    tuned = Sim3(np.eye(3), np.array([2.5, 0.01, 0]))
    m.set_pose(25, tuned)
    loop = Edge(2, 29, Sim3(np.eye(3), np.array([2.7, 0, 0])), np.full(7, 1e-2), EdgeKind.LOOP)
    assert graph.close([loop]).dropped == []
    np.testing.assert_allclose(m.keyframes[25].S_world_keyframe.t, tuned.t, atol=1e-12)


def test_an_edge_to_nowhere_is_refused_and_the_graph_starts_anew() -> None:
    m = SlamMap()
    add(m, 0, Sim3.identity())
    add(m, 1, Sim3.identity())
    m.edges[(0, 1)] = Edge(0, 1, Sim3.identity(), np.full(7, 0.1), EdgeKind.ODOMETRY)
    m.edges[(1, 5)] = Edge(1, 5, Sim3.identity(), np.full(7, 0.1), EdgeKind.ODOMETRY)
    graph = MapGraph(m)
    with pytest.raises(GraphError, match="keyframe 5"):
        graph.take_in()
    del m.edges[(1, 5)]
    assert graph.close([]).dropped == []
