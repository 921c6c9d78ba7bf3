"""What optimises the keyframes of a pose graph while it grows: ISAM2, or, in a graph that is neither small nor large,
all edges in use at once."""

import numpy as np

from vgslam.errors import GraphError
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.pose_graph import factor_graph, fresh_isam, optimize, space_of
from vgslam.graph.robust import SwitchedOff
from vgslam.types import Edge, EdgeKind

Key = tuple[int, int, EdgeKind]
BLOCK = 16  # keyframes among which one is read back to learn whether a loop moved them
MOST_WAITING = 50  # keyframes that wait, so that a look at them all stays cheap
AT_ONCE, SOLVER_STEPS = range(500, 5000), 100
"""Keyframes of a graph that is solved as a whole for each loop that moves it, and steps of that at most. ISAM2 takes
90 to 130 KB a keyframe, a whole solve 15, and no more time up to there (1,657 keyframes that drift has bent: .25 s and
26 MiB, ISAM2 .6 s and 214 MiB)."""


class SolvedGraph:
    """Keyframes and edges with what has been optimised of them, and what waits to be."""

    def __init__(self, is_metric: bool = False, threshold: float = 1e-3) -> None:
        """is_metric: a graph over SE(3), all scales 1. threshold: movement of a keyframe (rad, log-scale, and position
        over its scale) below which update() does not report it."""
        self.is_metric, self.threshold = is_metric, threshold
        self.nodes: dict[int, Sim3] = {}
        self.component: dict[int, int] = {}
        self.members: dict[int, list[int]] = {}
        self.edges: dict[Key, Edge] = {}
        self.switched_off: dict[Key, SwitchedOff] = {}
        self._space = space_of(is_metric)
        self._loops: list[Key] = []
        self._slot: dict[Key, int] = {}
        self._new_nodes: dict[int, Sim3] = {}
        self._new_edges: list[Key] = []
        self._removed: list[int] = []
        self._loop_span: set[int] = set()
        self._must_rebuild = False
        self._has_isam = True  # False after a solve without it: then it knows nothing
        self._n_placed = 0
        self._isam = fresh_isam()

    def _only_grows(self) -> bool:
        """Whether all that waits is keyframes on one odometry edge each: these satisfy it exactly and move nothing."""
        return self._hangs() and len(self._new_edges) <= MOST_WAITING

    def _hangs(self) -> bool:
        """As `_only_grows`, however many they are."""
        if self._must_rebuild or self._removed or any(k[2] is not EdgeKind.ODOMETRY for k in self._new_edges):
            return False
        hung = [max(k[:2]) for k in self._new_edges]
        free = {n for n in self._new_nodes if self.members[self.component[n]][0] != n}
        return len(hung) == len(free) and set(hung) == free

    def _grow(self) -> dict[int, Sim3]:
        """Place the keyframes that came since the last call; ISAM2 gets them with the next edge that closes a cycle."""
        changed: dict[int, Sim3] = {}
        for key in self._new_edges[self._n_placed :]:
            e = self.edges[key]
            n, S = max(e.id_a, e.id_b), self.nodes[min(e.id_a, e.id_b)] @ (
                e.S_a_b if e.id_a < e.id_b else e.S_a_b.inverse()
            )
            if np.abs(S.matrix() - self.nodes[n].matrix()).max() > self.threshold:
                changed[n] = S
            self.nodes[n] = self._new_nodes[n] = S
        self._n_placed = len(self._new_edges)
        return changed

    def _rebuild(self) -> None:
        """A new ISAM2 over all nodes, where they are now, and all edges in use."""
        self._isam = fresh_isam()
        self._new_nodes = dict(self.nodes)
        self._new_edges = [k for k in self.edges if k not in self.switched_off]
        self._loops = [k for k in self._new_edges if k[2] is not EdgeKind.ODOMETRY]
        self._slot.clear()
        self._removed.clear()
        self._must_rebuild, self._has_isam = False, True
        self._add_all()

    def _solved(self, spans: set[int], again: int, is_read: bool = True) -> dict[int, Sim3]:
        """Optimise with what has changed; the keyframes that moved, of those that were touched (is_read) and of the
        components `spans`. again: rounds of ISAM2 after the first."""
        if len(self.nodes) in AT_ONCE:
            return self._solved_at_once()
        fresh = self._step()
        for _ in range(again):
            self._isam.update()
        return self._moved(fresh if is_read else set(), spans)

    def _solved_at_once(self) -> dict[int, Sim3]:
        """Optimise all edges in use, without ISAM2, where these say more than where new keyframes are; the keyframes
        that moved."""
        self._check_tied()
        if self._hangs():
            changed = self._grow()
            self._isam, self._has_isam = fresh_isam(), False
            self._new_nodes, self._new_edges, self._n_placed = {}, [], 0
            return changed
        used = [k for k in self.edges if k not in self.switched_off]
        anchors = {members[0] for members in self.members.values()}
        solved, _ = optimize(self.nodes, [self.edges[k] for k in used], anchors, SOLVER_STEPS, self.is_metric)
        self._isam, self._has_isam, self._must_rebuild = fresh_isam(), False, False
        self._loops = [k for k in used if k[2] is not EdgeKind.ODOMETRY]
        self._slot = dict.fromkeys(self._loops, 0)
        self._new_nodes, self._new_edges, self._removed, self._n_placed = {}, [], [], 0
        changed = {}
        for n, S in solved.items():
            self._take(n, S, changed)
        return changed

    def _step(self) -> set[int]:
        if self._must_rebuild or not self._has_isam:
            self._rebuild()
            return set(self.nodes)
        return self._add_all()

    def _add_all(self) -> set[int]:
        """Hand new nodes and edges to ISAM2; returns the keyframes it touched."""
        self._check_tied()
        anchors = {n for n in self._new_nodes if self.members[self.component[n]][0] == n}
        edges = [self.edges[k] for k in self._new_edges]
        graph, values = factor_graph(self._new_nodes, edges, anchors, self._space)
        result = self._isam.update(graph, values, self._removed)
        slots = list(result.getNewFactorsIndices())[len(anchors) :]
        self._slot.update((k, s) for k, s in zip(self._new_edges, slots, strict=True) if k[2] is not EdgeKind.ODOMETRY)
        touched = set(self._new_nodes) | {int(k) for k in result.getMarkedKeys()}
        self._new_nodes, self._new_edges, self._removed, self._n_placed = {}, [], [], 0
        return touched

    def _check_tied(self) -> None:
        tied = {n for k in self._new_edges for n in k[:2]}
        for n in self._new_nodes:
            if n not in tied and self.members[self.component[n]][0] != n:
                raise GraphError(f"pose graph is disconnected: keyframe {n} has no edge")

    def _moved(self, touched: set[int], spans: set[int]) -> dict[int, Sim3]:
        """Read back the touched keyframes and, after a loop, every BLOCK-th and the last of its component, with all
        between two of which one moved."""
        changed: dict[int, Sim3] = {}
        for n in touched:
            self._read(n, changed)
        for c in spans & set(self.members):
            members = self.members[c]
            at = [*range(0, len(members) - 1, BLOCK), len(members) - 1]
            has_moved = [self._read(members[i], changed) for i in at]
            for i in range(len(at) - 1):
                if has_moved[i] or has_moved[i + 1]:
                    for n in members[at[i] + 1 : at[i + 1]]:
                        self._read(n, changed)
        return changed

    def _read(self, n: int, changed: dict[int, Sim3]) -> bool:
        if n in changed:
            return True
        return self._take(n, self._space.read_incremental(self._isam, n), changed)

    def _take(self, n: int, new: Sim3, changed: dict[int, Sim3]) -> bool:
        """Keep where a keyframe is now, if it moved."""
        old = self.nodes[n]
        shift = np.abs(new.t - old.t).max() / old.s
        if max(shift, np.abs(new.R - old.R).max(), abs(new.s / old.s - 1)) <= self.threshold:
            return False
        self.nodes[n] = changed[n] = new
        return True
