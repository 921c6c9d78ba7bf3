"""Ties (edges between pieces that no odometry joins) as a tree over the pieces, and what follows from it."""

from dataclasses import dataclass

import numpy as np

from vgslam.geometry.sim3 import Sim3
from vgslam.graph.loop_consistency import Measured, chi2_3sigma, squared_error
from vgslam.graph.odometry_path import OdometryPath
from vgslam.graph.sim3_batch import Sim3Batch, moved
from vgslam.types import Array, Edge

Chain = tuple[Sim3Batch, Array]  # a similarity (1) and its covariance (1,7,7) in the frame of its last index


class TieTree:
    """Ties that join pieces without a cycle. path: odometry of all keyframes that they name."""

    def __init__(self, path: OdometryPath, is_metric: bool) -> None:
        self._path, self._is_metric = path, is_metric
        self._links: dict[int, list[tuple[int, Measured]]] = {}

    def add(self, tie: Measured) -> None:
        """A tie (one) between two pieces that the tree does not join yet."""
        p, q = self._pieces(tie)
        self._links.setdefault(p, []).append((q, tie))
        self._links.setdefault(q, []).append((p, tie.reversed()))

    def take_back(self, tie: Measured) -> None:
        """Forget the tie that was added last."""
        for piece in self._pieces(tie):
            self._links[piece].pop()

    def agrees(self, tie: Measured) -> bool:
        """Whether the cycle through a tie, the tree and the odometry closes within 3 sigma; True without one."""
        route = self._route(*self._pieces(tie))
        if route is None:
            return True
        S, covariance = self._along(int(tie.a[0]), route, int(tie.b[0]))
        error = (tie.S.inverse() @ S).tangent()
        squared = squared_error(error, covariance + tie.covariance, self._is_metric)
        return bool(squared[0] <= chi2_3sigma(self._is_metric))

    def _pieces(self, tie: Measured) -> tuple[int, int]:
        return self._path.piece_of(int(tie.a[0])), self._path.piece_of(int(tie.b[0]))

    def _route(self, begin: int, end: int) -> list[Measured] | None:
        """The ties from one piece to another, each in the direction of travel; None if nothing joins them."""
        came: dict[int, tuple[int, Measured] | None] = {begin: None}
        queue = [begin]
        for piece in queue:
            if piece == end:
                break
            for other, tie in self._links.get(piece, []):
                if other not in came:
                    came[other] = piece, tie
                    queue.append(other)
        if end not in came:
            return None
        route: list[Measured] = []
        step = came[end]
        while step is not None:
            route.append(step[1])
            step = came[step[0]]
        return route[::-1]

    def _along(self, start: int, route: list[Measured], end: int) -> Chain:
        """The similarity from keyframe start to end, through the ties of a route and the odometry between them."""
        leave = np.array([*(int(t.a[0]) for t in route), end])
        arrive = np.array([start, *(int(t.b[0]) for t in route)])
        S, covariance, _ = self._path.between(arrive, leave)
        chain = S[:1], covariance[:1]
        for i, tie in enumerate(route, 1):
            chain = _then(chain, (tie.S, tie.covariance))
            chain = _then(chain, (S[i : i + 1], covariance[i : i + 1]))
        return chain


def _then(first: Chain, second: Chain) -> Chain:
    (S, C), (S_next, C_next) = first, second
    return S @ S_next, moved(S_next.inverse().adjoint(), C) + C_next


@dataclass(frozen=True)
class Hanging:
    """A piece that a tie holds to one nearer to the root: the keyframe of it that the tie names, and the tie."""

    keyframe_id: int
    tie: Edge

    def move(self, nodes: dict[int, Sim3]) -> Sim3:
        """The motion of the piece that satisfies the tie exactly while the other end stays."""
        e = self.tie
        if self.keyframe_id == e.id_b:
            return nodes[e.id_a] @ e.S_a_b @ nodes[e.id_b].inverse()
        return nodes[e.id_b] @ e.S_a_b.inverse() @ nodes[e.id_a].inverse()


@dataclass(frozen=True)
class Placed:
    """Keyframes that were moved as a whole to satisfy an edge; joined: the component that they were until then, if
    that joined another."""

    hanging: Hanging
    members: list[int]
    joined: int | None = None


def outward(path: OdometryPath, tree: list[Edge], roots: set[int]) -> list[Hanging]:
    """The pieces that hang on others, each after the one that it hangs on. tree: ties without a cycle; roots: keyframes
    whose pieces stay. Without a root, the piece of the smallest keyframe stays."""
    ends: dict[int, list[tuple[int, int, Edge]]] = {}
    for e in tree:
        p, q = path.piece_of(e.id_a), path.piece_of(e.id_b)
        ends.setdefault(p, []).append((q, e.id_b, e))
        ends.setdefault(q, []).append((p, e.id_a, e))
    first = sorted((min(e.id_a, e.id_b), path.piece_of(min(e.id_a, e.id_b))) for e in tree)
    found: list[Hanging] = []
    reached: set[int] = set()
    starts = [[path.piece_of(n) for n in sorted(roots) if n in path], *([piece] for _, piece in first)]
    for start in starts:
        queue = [p for p in dict.fromkeys(start) if p not in reached]
        reached.update(queue)
        for piece in queue:
            for other, keyframe_id, e in ends.get(piece, []):
                if other not in reached:
                    reached.add(other)
                    queue.append(other)
                    found.append(Hanging(keyframe_id, e))
    return found
