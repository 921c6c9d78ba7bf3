"""The pose graph while the camera moves: ISAM2, at a cost per keyframe that does not grow with the map.

Kaess et al., "iSAM2: Incremental smoothing and mapping using the Bayes tree", IJRR 2012.
"""

from collections.abc import Sequence
from itertools import takewhile

import numpy as np

from vgslam.errors import GraphError
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.loop_consistency import Measured, agree_in_pairs, agrees_with_odometry, chi2_3sigma
from vgslam.graph.odometry_path import OdometryPath, odometry_path
from vgslam.graph.piece_ties import choose_ties, first_contradicted, fit_together
from vgslam.graph.pose_graph import check_measurement
from vgslam.graph.robust import FAR_SIGMA, RobustSolution, SwitchedOff, edge_errors_sigma, solve_robust
from vgslam.graph.solved_graph import Key, SolvedGraph
from vgslam.graph.tie_tree import Hanging, Placed, outward
from vgslam.types import Edge, EdgeKind

WITNESSES = 16  # active loops that a new one is compared with
FEWEST_COMPARED, MOST_COMPARED = 4, 128  # loops whose comparisons are made together
AGREEING_SHARE = 0.5  # of these that must agree with it, if they can judge: the majority


class IncrementalGraph(SolvedGraph):
    """Keyframes and edges of all components; every component's first keyframe is held. add_keyframe, add_edge, then
    update() once per keyframe."""

    def __init__(self, is_metric: bool = False, threshold: float = 1e-3) -> None:
        """is_metric: a graph over SE(3), all scales 1. threshold: movement of a keyframe (rad, log-scale, and position
        over its scale) below which update() does not report it."""
        super().__init__(is_metric, threshold)
        self._path = OdometryPath()
        self._born: dict[int, int] = {}
        self._has_loose_odometry = False  # an odometry edge between two pieces, which the path does not know
        self._doubted: list[Key] = []
        self._revived: list[Key] = []
        self._placed: list[Placed] = []

    def add_keyframe(self, keyframe_id: int, S_world_keyframe: Sim3, component: int) -> None:
        """A node at its first estimate; the first of a component is held there. Raises GraphError for an id that is
        known or numbers that are not finite."""
        if keyframe_id in self.nodes:
            raise GraphError(f"keyframe {keyframe_id} is in the pose graph already")
        check_measurement(f"keyframe {keyframe_id}", S_world_keyframe, self.is_metric)
        self.nodes[keyframe_id] = S_world_keyframe
        self.component[keyframe_id] = self._born[keyframe_id] = component
        self.members.setdefault(component, []).append(keyframe_id)
        self._new_nodes[keyframe_id] = S_world_keyframe

    def add_edge(self, edge: Edge) -> bool:
        """A measurement; returns whether it is in use.

        A LOOP or RELOC edge within a component must lie within 3 sigma of the odometry and of most of the nearest
        active loops, else it goes to switched_off; solve() looks at it again. An edge between two components joins
        them: the one that began later is moved onto the other. Between pieces of a component that no odometry joins,
        what contradicts those in use is decided by settle(). Raises GraphError for unknown keyframes, an edge that is
        there already, or numbers that are not finite.
        """
        self._register(edge)
        if self.component[edge.id_a] != self.component[edge.id_b]:
            self._join(edge)
        elif edge.kind is not EdgeKind.ODOMETRY and not self._is_plausible(edge):
            self._switch_off(edge)
            if self.is_tie(edge):
                self._doubted.append(_key(edge))
            return False
        self._take_into_use(edge)
        return True

    def add_edges(self, edges: Sequence[Edge]) -> None:
        """As `add_edge` for each in turn: loops within a piece of odometry are compared with those before them many at
        a time, as if all before were in use, and what comes after one that is not is compared anew."""
        at, n = 0, FEWEST_COMPARED
        while at < len(edges):
            some = list(takewhile(self._is_comparable, edges[at : at + n]))
            if len(some) < 2 or any(n not in self._path for k in self._loops[-WITNESSES:] for n in k[:2]):
                self.add_edge(edges[at])
                at += 1
                continue
            plausible = self._are_plausible(some)
            n_plausible = len(some) if plausible.all() else int(np.argmin(plausible))
            for e in some[:n_plausible]:
                self._register(e)
                self._take_into_use(e)
            if n_plausible < len(some):
                self.add_edge(some[n_plausible])
                n_plausible += 1
            n = max(FEWEST_COMPARED, n // 2) if n_plausible < len(some) else min(MOST_COMPARED, 2 * n)
            at += n_plausible

    def remove_edge(self, id_a: int, id_b: int, kind: EdgeKind) -> None:
        """Forget an edge. Raises GraphError when there is none, or for odometry (a keyframe could come loose)."""
        key = (id_a, id_b, kind)
        if key not in self.edges:
            raise GraphError(f"no {kind} edge {id_a}-{id_b} in the pose graph")
        if kind is EdgeKind.ODOMETRY:
            raise GraphError(f"odometry edge {id_a}-{id_b} cannot be removed: keyframes would come loose")
        self._take_out(key)
        self.switched_off.pop(key, None)
        del self.edges[key]

    def lies_apart(self, a: int, b: int) -> bool:
        """Whether two keyframes began in different components and no odometry has joined them since."""
        p, q = (self._path.piece_of(n) if n in self._path else n for n in (a, b))
        return p != q and self._born[p] != self._born[q]

    def is_tie(self, edge: Edge) -> bool:
        """Whether an edge lies between pieces that no odometry joins."""
        return edge.kind is not EdgeKind.ODOMETRY and not self._path.joins(edge)

    def settle(self) -> list[Placed]:
        """Decide which of the edges between pieces that no odometry joins are in use: the most that can be true
        together, whatever the order in which they came. Returns what has been moved as a whole since the last call, by
        this and by joins, in order; update() then moves keyframes from there."""
        if self._doubted:
            self._know_all_pieces()
            for c in sorted({self.component[k[0]] for k in self._doubted if k in self.edges}):
                self._settle_component(c)
            self._doubted.clear()
        placed, self._placed = self._placed, []
        return placed

    def update(self) -> dict[int, Sim3]:
        """Optimise with what was added; returns the keyframes that moved by more than the threshold, with new poses.
        Settles first, if settle() was not called. Edges beyond 3 sigma afterwards are switched off. Raises GraphError
        when a new keyframe has no edge (and is not the first of its component) or the solve diverges."""
        placed = [n for p in self.settle() for n in p.members]
        if not (self._new_nodes or self._new_edges or self._removed or self._must_rebuild):
            return {}
        if self._only_grows():
            return self._grow()
        loops = [k for k in self._new_edges if k[2] is not EdgeKind.ODOMETRY] + self._revived
        has_loops, spans = bool(loops or self._removed), set(self._loop_span)
        try:
            changed = self._solved(spans if has_loops else set(), again=2 if has_loops else 0)
            bad = self._contradicted(loops)
            if bad:
                for key, error in bad:
                    self._take_out(key)
                    self.switched_off[key] = SwitchedOff(self.edges[key], error)
                changed |= self._solved(spans, again=1, is_read=False)
        except (RuntimeError, ValueError, np.linalg.LinAlgError) as error:
            raise GraphError(f"pose graph optimisation diverged ({str(error).splitlines()[0]})") from error
        self._loop_span.clear()
        self._revived.clear()
        return {n: self.nodes[n] for n in placed} | changed

    def solve(self) -> list[RobustSolution]:
        """Full robust solve of every component with edges (solve_robust), with which the graph continues; edges that
        were switched off get another chance. One solution per component, in order of its number."""
        solutions = []
        for c in sorted(self.members):
            members = set(self.members[c])
            edges = [e for e in self.edges.values() if e.id_a in members]
            if not edges:
                continue
            solution = solve_robust({n: self.nodes[n] for n in members}, edges, {min(members)}, self.is_metric)
            self.nodes.update(solution.nodes)
            for e in solution.active:
                self.switched_off.pop(_key(e), None)
            self.switched_off.update({_key(x.edge): x for x in solution.switched_off})
            solutions.append(solution)
        self._doubted.clear()
        self._rebuild()
        return solutions

    def _register(self, edge: Edge) -> None:
        for n in (edge.id_a, edge.id_b):
            if n not in self.nodes:
                raise GraphError(f"edge {edge.id_a}-{edge.id_b} names keyframe {n}, which is not in the graph")
        if _key(edge) in self.edges:
            raise GraphError(f"edge {edge.id_a}-{edge.id_b} ({edge.kind}) is in the pose graph already")
        check_measurement(f"edge {edge.id_a}-{edge.id_b}", edge.S_a_b, self.is_metric)
        self.edges[_key(edge)] = edge
        if edge.kind is EdgeKind.ODOMETRY:
            if edge.id_a not in self._path and edge.id_b not in self._path:
                first = min(edge.id_a, edge.id_b)
                self._path.start(first, self.nodes[first])
            self._path.grow_by(edge)
            self._has_loose_odometry |= not self._path.joins(edge)

    def _is_plausible(self, edge: Edge) -> bool:
        for n in (edge.id_a, edge.id_b):
            if n not in self._path:
                return True  # the odometry has no word on it
        if not agrees_with_odometry(self._path, [edge], self.is_metric)[0]:
            return False
        near = [self.edges[k] for k in self._loops[-WITNESSES:]]
        near = [e for e in near if e.id_a in self._path and e.id_b in self._path]
        pairs = np.array([[0, i + 1] for i in range(len(near))], np.int64).reshape(-1, 2)
        agree, known = agree_in_pairs(self._path, Measured.of([edge, *near]), pairs, self.is_metric)
        if known.any() or self._path.joins(edge):
            return not known.any() or bool(agree[known].mean() >= AGREEING_SHARE)
        return fit_together(self._path, self._ties_in_use(), edge, self.is_metric)

    def _is_comparable(self, edge: Edge) -> bool:
        """Whether it is a loop within a piece of odometry."""
        a, b, path = edge.id_a, edge.id_b, self._path
        if edge.kind is EdgeKind.ODOMETRY or not (a in path and b in path and path.joins(edge)):
            return False
        return self.component[a] == self.component[b]

    def _are_plausible(self, loops: list[Edge]) -> np.ndarray:
        """(n,): `_is_plausible` of each of the loops (n,), all within a piece of odometry, if those before it are in
        use."""
        before = [self.edges[k] for k in self._loops[-WITNESSES:]]
        first = np.arange(len(before), len(before) + len(loops))
        pairs = np.array([[i, j] for i in first.tolist() for j in range(max(0, i - WITNESSES), i)], np.int64)
        agree, known = agree_in_pairs(self._path, Measured.of([*before, *loops]), pairs.reshape(-1, 2), self.is_metric)
        owner = pairs[:, 0] - len(before)
        n_known, n_agree = (np.bincount(owner, x, len(loops)) for x in (known, known & agree))
        is_odometry = agrees_with_odometry(self._path, loops, self.is_metric)
        return np.asarray(is_odometry & (n_agree >= AGREEING_SHARE * n_known))

    def _take_into_use(self, edge: Edge) -> None:
        self._new_edges.append(_key(edge))
        if edge.kind is not EdgeKind.ODOMETRY:
            self._loops.append(_key(edge))
            self._loop_span.add(self.component[edge.id_a])

    def _switch_off(self, edge: Edge) -> None:
        error = float(edge_errors_sigma(self.nodes, [edge], self.is_metric)[0])
        self.switched_off[_key(edge)] = SwitchedOff(edge, error)

    def _take_out(self, key: Key) -> None:
        if key in self._slot:
            self._removed.append(self._slot.pop(key))
            self._loop_span.add(self.component[key[0]])
        if key in self._new_edges:
            self._new_edges.remove(key)
        if key in self._loops:
            self._loops.remove(key)

    def _join(self, edge: Edge) -> None:
        """Move the component that began later by the Sim(3) that satisfies the edge, and give up its gauge."""
        c_a, c_b = self.component[edge.id_a], self.component[edge.id_b]
        is_b_young = min(self.members[c_a]) < min(self.members[c_b])
        old, young = (c_a, c_b) if is_b_young else (c_b, c_a)
        members = self.members.pop(young)
        self._place(Placed(Hanging(edge.id_b if is_b_young else edge.id_a, edge), members, young))
        for n in members:
            self.component[n] = old
            self.members[old].append(n)
            self._loop_span.add(old)

    def _place(self, placed: Placed) -> None:
        move = placed.hanging.move(self.nodes)
        for n in placed.members:
            self.nodes[n] = move @ self.nodes[n]
        self._placed.append(placed)
        self._must_rebuild = True

    def _know_all_pieces(self) -> None:
        """Let the path know every keyframe that an edge names, and all odometry between pieces."""
        if self._has_loose_odometry:
            odometry = [e for e in self.edges.values() if e.kind is EdgeKind.ODOMETRY]
            ends = {n for e in odometry for n in (e.id_a, e.id_b)}
            self._path = odometry_path({n: self.nodes[n] for n in ends}, odometry)
            self._has_loose_odometry = False
        for n in (n for k in self.edges for n in k[:2] if n not in self._path):
            self._path.start(n, self.nodes[n])

    def _settle_component(self, c: int) -> None:
        """Another choice than the one in use is taken where the ties that would hold the pieces are not all in use."""
        ties = [e for e in self.edges.values() if self.component[e.id_a] == c and self.is_tie(e)]
        choice = choose_ties(self._path, ties, self.is_metric)
        tree = [ties[i] for i in choice.tree]
        if not any(_key(e) in self.switched_off for e in tree):
            return
        for hanging in outward(self._path, tree, {self.members[c][0]}):
            if edge_errors_sigma(self.nodes, [hanging.tie], self.is_metric)[0] > FAR_SIGMA:
                piece = self._path.piece_of(hanging.keyframe_id)
                mine = [n for n in self.members[c] if n in self._path and self._path.piece_of(n) == piece]
                self._place(Placed(hanging, mine))
        for e, is_kept in zip(ties, choice.is_kept, strict=True):
            if not is_kept:
                self._switch_off(e)
            elif self.switched_off.pop(_key(e), None) is not None:
                self._revived.append(_key(e))
        self._loop_span.add(c)
        self._must_rebuild = True

    def _ties_in_use(self) -> list[Edge]:
        """The edges whose ends the odometry knows."""
        loops = [self.edges[k] for k in self._loops]
        return [e for e in loops if e.id_a in self._path and e.id_b in self._path and not self._path.joins(e)]

    def _contradicted(self, loops: list[Key]) -> list[tuple[Key, float]]:
        near = [k for k in dict.fromkeys(self._loops[-WITNESSES:] + loops) if k in self._slot] if loops else []
        errors = edge_errors_sigma(self.nodes, [self.edges[k] for k in near], self.is_metric)
        limit = float(np.sqrt(chi2_3sigma(self.is_metric)))
        bad = [(k, float(x)) for k, x in zip(near, errors, strict=True) if x > limit]
        if all(self._path.joins(self.edges[k]) for k, _ in bad):
            return bad
        ties = self._ties_in_use()
        errors = edge_errors_sigma(self.nodes, ties, self.is_metric)
        false = {_key(e) for e in first_contradicted(self._path, ties, errors, limit)}
        return [(k, x) for k, x in bad if self._path.joins(self.edges[k]) or k in false]


def _key(edge: Edge) -> Key:
    return edge.id_a, edge.id_b, edge.kind
