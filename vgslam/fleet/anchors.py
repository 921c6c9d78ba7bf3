"""Where many maps lie in one another: a Sim(3) a part of a map, solved over bonds that agree.

Bonds are weighed by their ties and by the triangles that close with them, a spanning tree of the heaviest places the
nodes, and after each solve the bonds beyond 3 sigma are left out (after Mangelson et al., ICRA 2018). A part whose
scale its bonds do not agree on is put aside before anything is merged.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from vgslam.fleet.ties import Bond
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.roots import Roots
from vgslam.graph.sim3_batch import Sim3Batch
from vgslam.graph.similarity_net import Net, NetSolver
from vgslam.types import Array, Ids

LIMIT_SIGMA = 4.67  # length of an error of 7 degrees of freedom that is exceeded in 0.27 % of cases
WORST_SHARE = 0.5  # bonds off by less than this share of the worst stay for the next round: it may be the worst's doing
ROUNDS, SOLVER_STEPS = 8, 50
MOST_TRIANGLES = 20  # triangles that a bond is weighed by at most
TRIANGLES_AT_ONCE = 50_000  # triangles that are looked at together: some 100 MB
COLLAPSED_LOG_SCALE = 0.5
"""Spread of the log-scales of one bond's ties from which one of its maps has no scale of its own: 65 %."""
SAME_WAY_DEG = 10.0
"""A refused bond that turns the part like the others do is no false place: it is the scale that is wrong."""
ALARM_SIGMAS, LEAST_SPREAD = 4.0, 0.1
"""A part's scale leaves its bonds if it is off by this many of their deviations, which are at least the second."""


@dataclass(frozen=True)
class Anchors:
    """Where the parts lie."""

    nodes: dict[int, Sim3]
    """S_group_part of each part that a bond holds, in the frame of the first part of its group."""
    groups: list[list[int]]
    """Parts that lie in one frame, the largest group first; each in order. Parts without bonds are in none."""
    used: list[Bond]
    refused: list[Bond]
    """Bonds that contradict the others."""
    aside: dict[int, str] = field(default_factory=dict)
    """Parts that were put aside, with the reason in one line."""


def solve_anchors(
    bonds: Sequence[Bond], sizes: dict[int, float] | None = None, begin: Anchors | None = None
) -> Anchors:  # fmt: skip
    """Anchors of all parts that bonds join; a part whose scale contradicts its bonds is put aside, worst first, of two
    between which nothing decides the smaller (`sizes`). begin: the solution of more bonds, to begin with. Raises
    GraphError."""
    sizes = sizes or {}
    aside: dict[int, str] = {}
    left = list(bonds)
    while True:
        anchors = _solved(left, begin)
        node, reason = _alarm(anchors, left, sizes)
        if node is None:
            return Anchors(anchors.nodes, anchors.groups, anchors.used, anchors.refused, aside)
        aside[node] = reason
        left = [b for b in left if node not in (b.a, b.b)]
        begin = anchors


def _solved(bonds: Sequence[Bond], begin: Anchors | None) -> Anchors:
    if not bonds:
        return Anchors({}, [], [], [])
    weights, is_supported = _weights(bonds)
    was_used = np.zeros(len(bonds), bool)
    if begin is not None:
        used_before = {(b.a, b.b) for b in begin.used}
        was_used[:] = [(b.a, b.b) in used_before for b in bonds]
    tree = _tree(bonds, np.lexsort((-weights, ~was_used)))
    nodes = _placed(bonds, tree, begin, was_used)
    names = sorted(nodes)
    net = Net.of([b.edge for b in bonds], {n: i for i, n in enumerate(names)})
    S = Sim3Batch.of([nodes[n] for n in names])
    errors = net.errors_sigma(S)
    # what the tree contradicts may be the tree's own drift: bonds far off that no triangle supports begin outside
    active = np.isin(np.arange(len(bonds)), tree)
    active |= (errors <= 4 * LIMIT_SIGMA) | is_supported if begin is None else was_used | (errors <= LIMIT_SIGMA)
    S, active = _agreed(bonds, net, S, active, _firsts(bonds, names))
    used = [b for b, on in zip(bonds, active, strict=True) if on]
    refused = [b for b, on in zip(bonds, active, strict=True) if not on]
    solved = {n: Sim3(S.R[i], S.t[i], float(S.s[i])) for i, n in enumerate(names)}
    return Anchors(solved, _groups(used), used, refused)


def _firsts(bonds: Sequence[Bond], names: Sequence[int]) -> np.ndarray:
    """Mask (N,) of the nodes that are the first of all that bonds join them to: they lie where their groups begin."""
    return np.isin(np.array(names), [group[0] for group in _groups(bonds)])


def _agreed(
    bonds: Sequence[Bond], net: Net, S: Sim3Batch, active: np.ndarray, held: np.ndarray
) -> tuple[Sim3Batch, np.ndarray]:  # fmt: skip
    """Nodes solved by the bonds that agree with them, and the mask (M,) of these. What bonds join stays joined."""
    solver = NetSolver(held)
    for _ in range(ROUNDS):
        S = solver.solve(S, net[active], SOLVER_STEPS)
        errors = net.errors_sigma(S)
        off = active & (errors > LIMIT_SIGMA)
        off &= ~_holding(bonds, active, errors) if off.any() else False
        back = ~active & (errors <= LIMIT_SIGMA)
        if not off.any() and not back.any():
            break
        if off.any():
            off &= errors > max(LIMIT_SIGMA, WORST_SHARE * float(errors[off].max()))
        active = (active & ~off) | back
    return S.orthonormal(), active


def _weights(bonds: Sequence[Bond]) -> tuple[Array, np.ndarray]:
    """Weight (N,): ties, and triangles that close less those that do not; and whether (N,) more close than not."""
    ties = np.array([np.log1p(b.n_ties) for b in bonds], np.float64)
    triangles, balance = _triangles(bonds), np.zeros(len(bonds))
    if not len(triangles):
        return ties, balance > 0
    whole = _Legs.of(bonds)
    parts = np.array_split(triangles, len(triangles) // TRIANGLES_AT_ONCE + 1)
    closes = np.concatenate([_close(whole, x) for x in parts])
    np.add.at(balance, triangles[:, 0], np.where(closes, 1.0, -1.0))
    return ties + balance, balance > 0


def _triangles(bonds: Sequence[Bond]) -> Ids:
    """(K,5): a bond a-b, the bond between a and some c, whether it leads from c to a, the bond between c and b, and
    whether it leads from b to c."""
    between = {(b.a, b.b): i for i, b in enumerate(bonds)}
    near: dict[int, set[int]] = {}
    for b in bonds:
        near.setdefault(b.a, set()).add(b.b)
        near.setdefault(b.b, set()).add(b.a)
    found = []
    for i, b in enumerate(bonds):
        for c in sorted(near[b.a] & near[b.b])[:MOST_TRIANGLES]:
            first, second = between.get((b.a, c), -1), between.get((c, b.b), -1)
            first, is_first_turned = (first, 0) if first >= 0 else (between[c, b.a], 1)
            second, is_second_turned = (second, 0) if second >= 0 else (between[b.b, c], 1)
            found.append((i, first, is_first_turned, second, is_second_turned))
    return np.array(found, np.int64).reshape(-1, 5)


@dataclass(frozen=True)
class _Legs:
    """N bonds with their deviations."""

    S: Sim3Batch
    sigmas: Array  # (N,7)

    @staticmethod
    def of(bonds: Sequence[Bond]) -> "_Legs":
        """All bonds, as they are."""
        return _Legs(Sim3Batch.of([b.S_a_b for b in bonds]), np.array([b.sigmas for b in bonds]))

    def taken(self, which: Ids, is_turned: Ids) -> "_Legs":
        """Some of them, led along the other way where that is asked; positions in units of where each then begins."""
        S, sigmas, turned = self.S[which], self.sigmas[which].copy(), np.flatnonzero(is_turned)
        back = S[turned].inverse()
        sigmas[turned, 3:6] /= S.s[turned, None]
        R, t, s = S.R.copy(), S.t.copy(), S.s.copy()
        R[turned], t[turned], s[turned] = back.R, back.t, back.s
        return _Legs(Sim3Batch(R, t, s), sigmas)


def _close(bonds: _Legs, triangles: Ids) -> np.ndarray:
    """Mask (K,): whether the way over a third node says what a bond says, within the deviations of all three."""
    bond = bonds.taken(triangles[:, 0], np.zeros(len(triangles), np.int64))
    first, second = (bonds.taken(triangles[:, k], triangles[:, k + 1]) for k in (1, 3))
    S = bond.S.inverse() @ first.S @ second.S
    angle = np.arccos(np.clip((np.trace(S.R, axis1=1, axis2=2) - 1) / 2, -1, 1))
    sigma_R, sigma_s = (
        np.sqrt(bond.sigmas[:, k] ** 2 + first.sigmas[:, k] ** 2 + second.sigmas[:, k] ** 2) for k in (0, 6)
    )
    far = np.linalg.norm(first.S.s[:, None] * second.S.t, axis=1)  # a rotation of the first leg moves the end by this
    sigma_t = np.sqrt(
        bond.sigmas[:, 3] ** 2 + first.sigmas[:, 3] ** 2 + (first.S.s * second.sigmas[:, 3]) ** 2
        + (far * np.hypot(first.sigmas[:, 0], first.sigmas[:, 6])) ** 2
    )  # fmt: skip
    shift = np.linalg.norm(S.t, axis=1) * bond.S.s
    return np.asarray((angle < 4 * sigma_R) & (np.abs(np.log(S.s)) < 4 * sigma_s) & (shift < 4 * sigma_t))


def _tree(bonds: Sequence[Bond], order: Iterable[int]) -> list[int]:
    """Indices of the bonds that, taken in order, join what nothing before them joins."""
    root = Roots()
    return [int(i) for i in order if root.join(bonds[i].a, bonds[i].b)]


def _placed(
    bonds: Sequence[Bond], tree: Sequence[int], begin: Anchors | None, was_used: np.ndarray
) -> dict[int, Sim3]:  # fmt: skip
    """All nodes along the tree, the least of each group at the identity; what an earlier solution joined stays as it
    was."""
    ways: dict[int, list[tuple[int, Sim3]]] = {}
    for i in tree:
        b = bonds[i]
        S = begin.nodes[b.a].inverse() @ begin.nodes[b.b] if begin is not None and was_used[i] else b.S_a_b
        ways.setdefault(b.a, []).append((b.b, S))
        ways.setdefault(b.b, []).append((b.a, S.inverse()))
    nodes: dict[int, Sim3] = {}
    for start in sorted(ways):
        if start in nodes:
            continue
        nodes[start], left = Sim3.identity(), [start]
        while left:
            at = left.pop()
            for to, S in ways[at]:
                if to not in nodes:
                    nodes[to] = nodes[at] @ S
                    left.append(to)
    return nodes


def _holding(bonds: Sequence[Bond], active: np.ndarray, errors: Array) -> np.ndarray:
    """Mask (N,) of the bonds in use without which parts would fall apart: those of least error that join."""
    holding = np.zeros(len(bonds), bool)
    on = np.flatnonzero(active)
    holding[_tree(bonds, on[np.argsort(errors[on], kind="stable")])] = True
    return holding


def _groups(bonds: Sequence[Bond]) -> list[list[int]]:
    root = Roots()
    for b in bonds:
        root.join(b.a, b.b)
    found: dict[int, list[int]] = {}
    for n in sorted({n for b in bonds for n in (b.a, b.b)}):
        found.setdefault(root.of(n), []).append(n)
    return sorted(found.values(), key=lambda g: (-len(g), g[0]))


def _alarm(anchors: Anchors, bonds: Sequence[Bond], sizes: dict[int, float]) -> tuple[int | None, str]:
    """The part whose scale fits its bonds least, and why; None if all fit."""
    if not bonds:
        return None, ""
    used = {(b.a, b.b) for b in anchors.used}
    off: dict[int, list[float]] = {}
    said: dict[int, str] = {}
    scales = np.array([[anchors.nodes[b.a].s, anchors.nodes[b.b].s, b.S_a_b.s] for b in bonds])
    logs = np.abs(np.log(scales[:, 1] / scales[:, 0] / scales[:, 2]))
    for b, log in zip(bonds, logs.tolist(), strict=True):
        excess = log / (ALARM_SIGMAS * max(b.spread, float(b.sigmas[6]), LEAST_SPREAD))
        has_none = b.spread > COLLAPSED_LOG_SCALE
        is_bad = has_none or (excess > 1.0 and ((b.a, b.b) in used or _is_turned_alike(anchors, b)))
        for n in (b.a, b.b):
            off.setdefault(n, []).append(max(excess, b.spread / COLLAPSED_LOG_SCALE) if is_bad else 0.0)
            if is_bad:
                said[n] = (
                    f"its scale differs by {100 * (np.exp(b.spread) - 1):.0f} % from place to place" if has_none
                    else f"its scale is {100 * (np.exp(log) - 1):.0f} % off what another map says"
                )  # fmt: skip
    if not said:
        return None, ""
    # the one at fault is that most of whose bonds complain; then the smaller
    worst = max(said, key=lambda n: (np.mean([x > 0 for x in off[n]]), -sizes.get(n, 0.0), max(off[n]), -n))
    return worst, said[worst]


def _is_turned_alike(anchors: Anchors, b: Bond) -> bool:
    """Whether a bond says of rotation what the others do: then it is no false place."""
    R = anchors.nodes[b.a].R.T @ anchors.nodes[b.b].R
    return se3.angle_deg(R.T @ b.S_a_b.R) < SAME_WAY_DEG
