"""The edges of a growing graph that it uses."""

from vgslam.graph.incremental import IncrementalGraph
from vgslam.types import Edge


def active_edges(graph: IncrementalGraph) -> list[Edge]:
    return [e for key, e in graph.edges.items() if key not in graph.switched_off]
