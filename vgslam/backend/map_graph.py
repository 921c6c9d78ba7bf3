"""The map's pose graph while it grows: a loop costs what it moves, not what the map holds."""

from collections.abc import Sequence

from vgslam.backend.incremental import IncrementalGraph
from vgslam.backend.map import SlamMap
from vgslam.errors import GraphError
from vgslam.geometry.sim3 import Sim3
from vgslam.types import Edge, EdgeKind

Pair = tuple[int, int]


class MapGraph:
    """Follows the keyframes and edges of `slam_map`, and moves its keyframes when loops come in.

    A keyframe is taken in with the edges that it has then; what bundle adjustment says of it later stays, because
    loops are applied to the map as corrections. is_metric: a graph over SE(3), all scales 1.
    """

    def __init__(self, slam_map: SlamMap, is_metric: bool = False) -> None:
        self.map, self.is_metric = slam_map, is_metric
        self._graph = IncrementalGraph(is_metric)

    def take_in(self) -> None:
        """All keyframes that the map has got since, with their edges. Call it before components are joined.

        Raises GraphError; the graph then starts anew with the next call.
        """
        m, graph = self.map, self._graph
        first = len(graph.nodes)
        new = [e for e in m.edges.values() if max(e.id_a, e.id_b) >= first]
        try:
            for keyframe in m.keyframes[first:]:
                graph.add_keyframe(keyframe.id, keyframe.S_world_keyframe, keyframe.component_id)
            for e in sorted(new, key=lambda e: e.kind is not EdgeKind.ODOMETRY):
                graph.add_edge(e)
        except GraphError:
            self._graph = IncrementalGraph(self.is_metric)
            raise

    def close(self, loops: Sequence[Edge]) -> list[Pair]:
        """Adds loops and moves the map; returns the loops, these or earlier ones, that the graph now contradicts.

        Edges between two components join them: the map's own must have been joined alike. Raises GraphError as
        `take_in`, and the map has not moved.
        """
        self.take_in()
        graph = self._graph
        try:
            for e in loops:
                graph.add_edge(e)
            before = dict(graph.nodes)
            moved = graph.update()
        except GraphError:
            self._graph = IncrementalGraph(self.is_metric)
            raise
        for n, S in moved.items():
            self._correct(n, S @ before[n].inverse())
        refused = [x.edge for x in graph.switched_off.values() if x.edge.kind is EdgeKind.LOOP]
        for e in refused:
            graph.remove_edge(e.id_a, e.id_b, e.kind)
        return [(e.id_a, e.id_b) for e in refused]

    def _correct(self, n: int, correction: Sim3) -> None:
        self.map.set_pose(n, correction @ self.map.keyframes[n].S_world_keyframe)
