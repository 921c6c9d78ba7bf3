"""The map's pose graph while it grows: the cost of a loop depends on what it moves, not on the size of the map."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vgslam.errors import GraphError
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.incremental import IncrementalGraph, Placed
from vgslam.graph.sim3_batch import Sim3Batch
from vgslam.map.slam_map import SlamMap
from vgslam.types import Edge, EdgeKind

Pair = tuple[int, int]


@dataclass(frozen=True)
class Closing:
    """The outcome of loops."""

    dropped: list[Pair]
    """Loops, new or old, that the graph contradicted and that are out of the map."""
    out_of_use: list[Pair]
    """All loops that now contradict the majority, between parts of the map that no odometry joins. They stay in the
    map's edges because later ones may confirm them."""
    joined: int | None = None
    """The component that was joined to another, or None."""


class MapGraph:
    """Follows the keyframes and edges of `slam_map`, and moves its keyframes when loops come in. A keyframe is taken in
    with the edges that it has then; later changes by bundle adjustment stay, because loops are applied to the map as
    corrections. What the graph moves as a whole (components that are joined, parts that were joined wrongly) the map
    moves by the same edge. is_metric: a graph over SE(3), all scales 1."""

    def __init__(self, slam_map: SlamMap, is_metric: bool = False) -> None:
        self.map, self.is_metric = slam_map, is_metric
        self._graph = IncrementalGraph(is_metric)

    def take_in(self) -> None:
        """Takes in all keyframes that the map has got since, with their edges. Raises GraphError; the next call then
        starts again with an empty graph."""
        m, graph = self.map, self._graph
        first = len(graph.nodes)
        new = [e for e in m.edges.values() if max(e.id_a, e.id_b) >= first]
        try:
            for keyframe in m.keyframes[first:]:
                graph.add_keyframe(keyframe.id, keyframe.S_world_keyframe, keyframe.component_id)
            graph.add_edges(sorted(new, key=lambda e: e.kind is not EdgeKind.ODOMETRY))
        except GraphError:
            self._graph = IncrementalGraph(self.is_metric)
            raise

    def lies_apart(self, a: int, b: int) -> bool:
        """Whether loops alone tie two keyframes that were taken in: they began in different components."""
        return self._graph.lies_apart(a, b)

    def close(self, loops: Sequence[Edge]) -> Closing:
        """Adds loops to the map, joins the components that they lie between, and moves the map. All of it or, with a
        GraphError as from `take_in`, nothing."""
        self.take_in()
        graph = self._graph
        try:
            for e in loops:
                graph.add_edge(e)
            placed = graph.settle()
            before = dict(graph.nodes)
            moved = graph.update()
        except GraphError:
            self._graph = IncrementalGraph(self.is_metric)
            raise
        for p in placed:
            self._place(p)
        self._correct(moved, before)
        self.map.edges.update({(e.id_a, e.id_b): e for e in loops})
        joined = next((p.joined for p in placed if p.joined is not None), None)
        return Closing(self._drop_contradicted(), self._out_of_use(), joined)

    def _drop_contradicted(self) -> list[Pair]:
        graph = self._graph
        off = [x.edge for x in graph.switched_off.values() if x.edge.kind is EdgeKind.LOOP]
        dropped = [e for e in off if not graph.is_tie(e)]
        for e in dropped:
            graph.remove_edge(e.id_a, e.id_b, e.kind)
            self.map.edges.pop((e.id_a, e.id_b), None)
        return [(e.id_a, e.id_b) for e in dropped]

    def _out_of_use(self) -> list[Pair]:
        off = [x.edge for x in self._graph.switched_off.values() if x.edge.kind is EdgeKind.LOOP]
        return [(e.id_a, e.id_b) for e in off]

    def _place(self, placed: Placed) -> None:
        m, tie = self.map, placed.hanging.tie
        move = placed.hanging.move({n: m.keyframes[n].S_world_keyframe for n in (tie.id_a, tie.id_b)})
        for n in placed.members:
            m.set_pose(n, move @ m.keyframes[n].S_world_keyframe)
        if placed.joined is not None:
            other = tie.id_a if placed.hanging.keyframe_id == tie.id_b else tie.id_b
            _renumber(m, placed.joined, m.keyframes[other].component_id)

    def _correct(self, moved: dict[int, Sim3], before: dict[int, Sim3]) -> None:
        """Move the map's keyframes as those of the graph have been moved."""
        m, moves = self.map, Sim3Batch.of(list(moved.values())) @ Sim3Batch.of([before[n] for n in moved]).inverse()
        new = (moves @ Sim3Batch.of([m.keyframes[n].S_world_keyframe for n in moved])).orthonormal()
        for n, R, t, s in zip(moved, new.R, new.t, new.s.tolist(), strict=True):
            m.set_pose(n, Sim3(R, t, s))


def _renumber(slam_map: SlamMap, young: int, old: int) -> None:
    """All keyframes and frames of component `young` become part of `old`."""
    for keyframe in slam_map.keyframes:
        if keyframe.component_id == young:
            keyframe.component_id = old
    frames = slam_map.frames
    for i, frame in enumerate(frames):
        if frame.component_id == young and frame.T_ref_cam is not None:
            frames[i] = replace(frame, component_id=old)
