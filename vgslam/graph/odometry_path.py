"""Relative pose and covariance of any two keyframes by the odometry alone.

Covariances are kept as sums in the world frame along a spanning tree of the odometry edges (first-order propagation;
Barfoot and Furgale, "Associating uncertainty with three-dimensional poses", T-RO 2014, section III), so that a pair
costs one subtraction, however far apart its keyframes are.
"""

import numpy as np

from vgslam.geometry.sim3 import Sim3
from vgslam.graph.sim3_batch import Sim3Batch, moved
from vgslam.types import Array, Edge, Ids

LEVELS = 20  # of ancestors kept per keyframe: 2^20 keyframes


class OdometryPath:
    """Grows by a keyframe and the odometry edge that it hangs on; O(log n) each."""

    def __init__(self) -> None:
        self._row: dict[int, int] = {}
        self._ids: list[int] = []
        self._S: list[Sim3] = []
        self._P: list[Array] = []
        self._root: list[int] = []
        self._depth: list[int] = []
        self._up: list[list[int]] = []

    def __contains__(self, keyframe_id: int) -> bool:
        return keyframe_id in self._row

    def piece_of(self, keyframe_id: int) -> int:
        """The keyframe that the piece of odometry with a keyframe begins at. Raises KeyError for an unknown one."""
        return self._ids[self._root[self._row[keyframe_id]]]

    def joins(self, edge: Edge) -> bool:
        """Whether the odometry alone joins the two ends of an edge; False where it does not know one of them."""
        return edge.id_a in self and edge.id_b in self and self.piece_of(edge.id_a) == self.piece_of(edge.id_b)

    def start(self, keyframe_id: int, S: Sim3) -> None:
        """A keyframe that hangs on no other."""
        row = len(self._S)
        self._row[keyframe_id] = row
        self._ids.append(keyframe_id)
        self._append(S, np.zeros((7, 7)), row, 0, [row])

    def grow(self, parent_id: int, keyframe_id: int, S_parent_keyframe: Sim3, sigmas: Array) -> None:
        """A keyframe that an edge measures from one already here."""
        parent = self._row[parent_id]
        S = self._S[parent] @ S_parent_keyframe
        A = Sim3Batch.of([S]).adjoint()
        P = self._P[parent] + moved(A, np.diag(np.square(sigmas))[None])[0]
        up = [parent]
        while len(up) < LEVELS and up[-1] != self._root[parent]:
            level = len(up) - 1
            ancestors = self._up[up[-1]]
            up.append(ancestors[min(level, len(ancestors) - 1)])
        self._row[keyframe_id] = len(self._S)
        self._ids.append(keyframe_id)
        self._append(S, P, self._root[parent], self._depth[parent] + 1, up)

    def grow_by(self, edge: Edge) -> None:
        """The keyframe of an odometry edge that is not here yet; nothing where both or none are."""
        if edge.id_a in self and edge.id_b not in self:
            self.grow(edge.id_a, edge.id_b, edge.S_a_b, edge.sigmas)
        elif edge.id_b in self and edge.id_a not in self:
            self.grow(edge.id_b, edge.id_a, edge.S_a_b.inverse(), edge.sigmas)

    def _append(self, S: Sim3, P: Array, root: int, depth: int, up: list[int]) -> None:
        self._S.append(S)
        self._P.append(P)
        self._root.append(root)
        self._depth.append(depth)
        self._up.append(up)

    def between(self, ids_a: Ids, ids_b: Ids) -> tuple[Sim3Batch, Array, np.ndarray]:
        """S_a_b (N) by odometry, its covariance (N,7,7) in the frame of b, and whether odometry joins them (N,). Raises
        KeyError for an unknown keyframe."""
        a = np.array([self._row[int(i)] for i in ids_a], np.int64)
        b = np.array([self._row[int(i)] for i in ids_b], np.int64)
        pairs, of_pair = np.unique(np.stack([a, b], 1), axis=0, return_inverse=True)
        meet = np.array([self._meet(i, j) for i, j in pairs.tolist()], np.int64)[of_pair.reshape(-1)]
        rows, at = np.unique(np.concatenate([a, b, np.maximum(meet, 0)]), return_inverse=True)
        at_a, at_b, at_meet = at.reshape(3, -1)
        S = Sim3Batch.of([self._S[i] for i in rows.tolist()])
        P_row = np.array([self._P[i] for i in rows.tolist()]).reshape(-1, 7, 7)
        S_b, P = S[at_b], P_row[at_a] + P_row[at_b] - 2 * P_row[at_meet]
        return S[at_a].inverse() @ S_b, moved(S_b.inverse().adjoint(), P), meet >= 0

    def _meet(self, a: int, b: int) -> int:
        """Nearest common ancestor, -1 if there is none."""
        if self._root[a] != self._root[b]:
            return -1
        a, b = (a, b) if self._depth[a] >= self._depth[b] else (b, a)
        while self._depth[a] > self._depth[b]:
            a = self._climb(a, self._depth[a] - self._depth[b])
        while a != b:
            level = max((k for k in range(self._levels(a, b)) if self._up[a][k] != self._up[b][k]), default=0)
            a, b = self._up[a][level], self._up[b][level]
        return a

    def _levels(self, a: int, b: int) -> int:
        return min(len(self._up[a]), len(self._up[b]))

    def _climb(self, a: int, by: int) -> int:
        return self._up[a][by.bit_length() - 1]


def odometry_path(nodes: dict[int, Sim3], odometry: list[Edge]) -> OdometryPath:
    """The spanning forest of odometry edges over nodes, from the smallest id of each tree (shortest steps first)."""
    neighbours: dict[int, list[Edge]] = {n: [] for n in nodes}
    for e in odometry:
        neighbours[e.id_a].append(e)
        neighbours[e.id_b].append(e)
    path = OdometryPath()
    for n in sorted(nodes):
        if n in path:
            continue
        path.start(n, nodes[n])
        queue = [n]
        for k in queue:
            for e in sorted(neighbours[k], key=lambda e: float(e.sigmas[:3].sum())):
                other = e.id_b if e.id_a == k else e.id_a
                if other not in path:
                    path.grow_by(e)
                    queue.append(other)
    return path
