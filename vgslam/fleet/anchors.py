"""Where many maps lie in one another: a Sim(3) a part of a map, solved by GTSAM over bonds that agree.

A false bond is outvoted: bonds are weighed by their ties and by the triangles of bonds that close with them, a spanning
tree of the heaviest places the nodes, and after each solve the bonds that contradict it beyond 3 sigma are left out
(after the consistency of cycles, Mangelson et al., ICRA 2018). A part whose scale its bonds do not agree on is put
aside before anything is merged.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from vgslam.fleet.roots import Roots
from vgslam.fleet.ties import Bond
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.pose_graph import optimize
from vgslam.graph.robust import edge_errors_sigma
from vgslam.types import Array

LIMIT_SIGMA = 4.67
"""Length of an error of 7 degrees of freedom that is exceeded in 0.27 % of cases."""
WORST_SHARE = 0.5
"""Bonds off by less than this share of the worst stay for the next round: it may be the worst's doing."""
ROUNDS, SOLVER_STEPS = 8, 50
MOST_TRIANGLES = 20
"""Triangles that a bond is weighed by at most."""
COLLAPSED_LOG_SCALE = 0.5
"""Spread of the log-scales of one bond's ties from which one of its maps has no scale of its own: 65 %."""
SAME_WAY_DEG = 10.0
"""A refused bond that turns the part like the others do is no false place: it is the scale that is wrong."""
ALARM_SIGMAS, LEAST_SPREAD = 4.0, 0.1
"""A part's scale leaves its bonds if it is off by so many of their deviations, which are at least the second."""


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


def solve_anchors(bonds: Sequence[Bond], sizes: dict[int, float] | None = None) -> Anchors:
    """Anchors of all parts that bonds join; a part whose scale contradicts its bonds is put aside, worst first.

    sizes: how large the parts are; of two between which nothing decides, the smaller is put aside. Raises GraphError.
    """
    sizes = sizes or {}
    aside: dict[int, str] = {}
    left = list(bonds)
    while True:
        anchors = _solved(left)
        node, reason = _alarm(anchors, left, sizes)
        if node is None:
            return Anchors(anchors.nodes, anchors.groups, anchors.used, anchors.refused, aside)
        aside[node] = reason
        left = [b for b in left if node not in (b.a, b.b)]


def _solved(bonds: Sequence[Bond]) -> Anchors:
    weights = _weights(bonds)
    active = np.ones(len(bonds), bool)
    tree = _tree(bonds, np.argsort(-weights, kind="stable"))
    nodes = _placed(bonds, tree)
    errors = _errors(nodes, bonds)
    # what the tree contradicts may be the tree's own drift: bonds far off that no triangle supports begin outside
    active &= (errors <= 4 * LIMIT_SIGMA) | np.isin(np.arange(len(bonds)), tree)
    for _ in range(ROUNDS):
        nodes = _optimized(nodes, bonds, active)
        errors = _errors(nodes, bonds)
        off = active & (errors > LIMIT_SIGMA) & ~_holding(bonds, active, errors)
        back = ~active & (errors <= LIMIT_SIGMA)
        if not off.any() and not back.any():
            break
        if off.any():
            off &= errors > max(LIMIT_SIGMA, WORST_SHARE * float(errors[off].max()))
        active = (active & ~off) | back
    used = [b for b, on in zip(bonds, active, strict=True) if on]
    refused = [b for b, on in zip(bonds, active, strict=True) if not on]
    return Anchors(nodes, _groups(used), used, refused)


def _weights(bonds: Sequence[Bond]) -> Array:
    """Weight (N,): ties, and triangles that close less those that do not."""
    between = {(b.a, b.b): i for i, b in enumerate(bonds)}
    near: dict[int, set[int]] = {}
    for b in bonds:
        near.setdefault(b.a, set()).add(b.b)
        near.setdefault(b.b, set()).add(b.a)
    weights = np.array([np.log1p(b.n_ties) for b in bonds])
    for i, b in enumerate(bonds):
        for c in sorted(near[b.a] & near[b.b])[:MOST_TRIANGLES]:
            legs = [_seen(bonds, between, b.a, c), _seen(bonds, between, c, b.b)]
            weights[i] += 1.0 if _closes(b, legs[0], legs[1]) else -1.0
    return weights


def _seen(bonds: Sequence[Bond], between: dict[tuple[int, int], int], a: int, b: int) -> tuple[Sim3, Array]:
    """The bond between two nodes from a to b, and its deviations."""
    i = between.get((a, b))
    if i is not None:
        return bonds[i].S_a_b, bonds[i].sigmas
    turned = bonds[between[b, a]]
    return turned.S_a_b.inverse(), turned.sigmas / np.array([1, 1, 1, *[turned.S_a_b.s] * 3, 1])


def _closes(bond: Bond, first: tuple[Sim3, Array], second: tuple[Sim3, Array]) -> bool:
    """Whether a way over a third node says what a bond says, within the deviations of all three."""
    S = bond.S_a_b.inverse() @ first[0] @ second[0]
    angle = np.arccos(np.clip((np.trace(S.R) - 1) / 2, -1, 1))
    sigma_R = np.sqrt(bond.sigmas[0] ** 2 + first[1][0] ** 2 + second[1][0] ** 2)
    sigma_s = np.sqrt(bond.sigmas[6] ** 2 + first[1][6] ** 2 + second[1][6] ** 2)
    far = float(np.linalg.norm(first[0].s * second[0].t))  # a rotation of the first leg moves the end by this times it
    sigma_t = np.sqrt(
        bond.sigmas[3] ** 2 + first[1][3] ** 2 + (first[0].s * second[1][3]) ** 2
        + (far * np.hypot(first[1][0], first[1][6])) ** 2
    )  # fmt: skip
    shift = float(np.linalg.norm(S.t)) * bond.S_a_b.s
    return bool(angle < 4 * sigma_R and abs(np.log(S.s)) < 4 * sigma_s and shift < 4 * sigma_t)


def _tree(bonds: Sequence[Bond], order: Iterable[int]) -> list[int]:
    """Indices of the bonds that, taken in order, join what nothing before them joins."""
    root = Roots()
    return [int(i) for i in order if root.join(bonds[i].a, bonds[i].b)]


def _placed(bonds: Sequence[Bond], tree: Sequence[int]) -> dict[int, Sim3]:
    """All nodes along the tree, the least of each group at the identity."""
    ways: dict[int, list[tuple[int, Sim3]]] = {}
    for i in tree:
        b = bonds[i]
        ways.setdefault(b.a, []).append((b.b, b.S_a_b))
        ways.setdefault(b.b, []).append((b.a, b.S_a_b.inverse()))
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


def _optimized(nodes: dict[int, Sim3], bonds: Sequence[Bond], active: np.ndarray) -> dict[int, Sim3]:
    edges = [b.edge for b, on in zip(bonds, active, strict=True) if on]
    if not edges:
        return nodes
    held = {group[0] for group in _groups([b for b, on in zip(bonds, active, strict=True) if on])}
    among = {n for e in edges for n in (e.id_a, e.id_b)}
    solved, _ = optimize({n: nodes[n] for n in sorted(among)}, edges, held, SOLVER_STEPS)
    return nodes | solved


def _errors(nodes: dict[int, Sim3], bonds: Sequence[Bond]) -> Array:
    return edge_errors_sigma(nodes, [b.edge for b in bonds])


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
    used = {(b.a, b.b) for b in anchors.used}
    off: dict[int, list[float]] = {}
    said: dict[int, str] = {}
    for b in bonds:
        S_a_b = anchors.nodes[b.a].inverse() @ anchors.nodes[b.b]
        log = float(np.log(S_a_b.s / b.S_a_b.s))
        excess = abs(log) / (ALARM_SIGMAS * max(b.spread, float(b.sigmas[6]), LEAST_SPREAD))
        has_none = b.spread > COLLAPSED_LOG_SCALE
        is_place = (b.a, b.b) in used or se3.angle_deg(S_a_b.R.T @ b.S_a_b.R) < SAME_WAY_DEG  # else it is a false one
        is_bad = has_none or (excess > 1.0 and is_place)
        for n in (b.a, b.b):
            off.setdefault(n, []).append(max(excess, b.spread / COLLAPSED_LOG_SCALE) if is_bad else 0.0)
            if is_bad:
                said[n] = (
                    f"its scale differs by {100 * (np.exp(b.spread) - 1):.0f} % from place to place" if has_none
                    else f"its scale is {100 * (np.exp(abs(log)) - 1):.0f} % off what another map says"
                )  # fmt: skip
    if not said:
        return None, ""
    # the one at fault is that most of whose bonds complain; then the smaller
    worst = max(said, key=lambda n: (np.mean([x > 0 for x in off[n]]), -sizes.get(n, 0.0), max(off[n]), -n))
    return worst, said[worst]
