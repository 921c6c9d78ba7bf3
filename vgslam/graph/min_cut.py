"""The weakest cut that parts some nodes of a small graph from others."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgslam.types import Array, Ids


@dataclass(frozen=True)
class Cut:
    """Which nodes (N,) stay with the sources, and the weight that is cut."""

    is_source_side: npt.NDArray[np.bool_]
    weight: float


def min_cut(weight: Array, sources: Ids, sinks: Ids) -> Cut:
    """The cut of least weight between two sets of nodes, which must have none in common (ValueError); of several, that
    with fewest nodes on the side of the sources. weight (N,N), symmetric, of edges; below 0 counts as 0. By augmenting
    paths, the shortest first (Edmonds and Karp, Journal of the ACM 1972): for graphs of up to some hundred nodes."""
    if np.isin(sources, sinks).any():
        raise ValueError("a node cannot be on both sides of a cut")
    left = np.maximum(np.asarray(weight, np.float64), 0.0)
    np.fill_diagonal(left, 0.0)
    least = 1e-9 * max(float(left.max(initial=0.0)), 1e-300)  # what sums leave over is no edge
    cut = 0.0
    while True:
        parent = _tree(left > least, sources)
        reached = sinks[parent[sinks] >= 0]
        if not len(reached):
            return Cut(parent >= 0, cut)
        path = _path(parent, int(reached[0]))
        flow = float(left[path[:-1], path[1:]].min())
        left[path[:-1], path[1:]] -= flow
        left[path[1:], path[:-1]] += flow
        cut += flow


def _tree(is_edge: npt.NDArray[np.bool_], sources: Ids) -> Ids:
    """(N,): the node from which each is reached by a shortest path; sources are their own, -1 where none leads."""
    parent = np.full(len(is_edge), -1)
    parent[sources] = sources
    front = np.unique(sources)
    while len(front):
        new = is_edge[front] & (parent < 0)
        found = np.flatnonzero(new.any(0))
        parent[found] = front[new[:, found].argmax(0)]
        front = found
    return parent


def _path(parent: Ids, node: int) -> Ids:
    """From a source to a node."""
    path = [node]
    while parent[path[-1]] != path[-1]:
        path.append(int(parent[path[-1]]))
    return np.array(path[::-1], np.int64)
