"""Conjugate gradients over blocks of seven, preconditioned in two levels: sets of neighbours, and sets as bodies."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgslam.graph.sim3_batch import Sim3Batch
from vgslam.types import Array, Ids

LEAST_SET, SET_SHARE, SET_GROWTH = 12, 0.8, 0.4
"""Nodes of a set: so many, or 0.8 N^0.4, so that solving the sets exactly costs as much as all of them as bodies."""
RIDGE = 1e-9
"""Added to the diagonal of what is inverted, as a share of it: a set that holds still is no body that could move."""


@dataclass(frozen=True)
class Blocks:
    """The matrix J^T J of M rows of seven that each touch two of N nodes."""

    a: Ids  # (M,)
    b: Ids
    J: Array  # (M,7,14): derivatives by node a, then by node b
    held: np.ndarray  # (N,): nodes that do not move: their derivatives are 0

    def times(self, x: Array) -> Array:
        """J^T J x, (N,7)."""
        both = np.concatenate([x[self.a], x[self.b]], axis=1)
        return self.gathered(np.einsum("mij,mj->mi", self.J, both))

    def gathered(self, z: Array) -> Array:
        """J^T z, (N,7), of rows z (M,7)."""
        y = np.einsum("mij,mi->mj", self.J, z)
        rows = np.concatenate([self.a, self.b])
        parts = np.concatenate([y[:, :7], y[:, 7:]])
        n = len(self.held)
        return np.stack([np.bincount(rows, parts[:, k], n) for k in range(7)], axis=1)

    def diagonal(self) -> Array:
        """(N,7,7): the blocks on the diagonal; the identity for nodes that are held."""
        found = np.zeros((len(self.held), 7, 7))
        for rows, J in ((self.a, self.J[:, :, :7]), (self.b, self.J[:, :, 7:])):
            np.add.at(found, rows, np.swapaxes(J, 1, 2) @ J)
        found[self.held] = np.eye(7)
        return found


def neighbourhoods(a: Ids, b: Ids, n: int) -> Ids:
    """(n,): number of the set of each node. Sets of neighbours are grown one beside the other."""
    near: list[list[int]] = [[] for _ in range(n)]
    for i, j in zip(a.tolist(), b.tolist(), strict=True):
        near[i].append(j)
        near[j].append(i)
    most = max(LEAST_SET, round(SET_SHARE * n**SET_GROWTH))
    of = np.full(n, -1, np.int64)
    n_sets = 0
    border = list(range(n - 1, -1, -1))
    while border:
        start = border.pop()
        if of[start] >= 0:
            continue
        members = [start]
        of[start] = n_sets
        for at in members:
            for to in near[at]:
                if of[to] < 0 and len(members) < most:
                    of[to] = n_sets
                    members.append(to)
        border += [to for at in reversed(members) for to in near[at] if of[to] < 0]
        n_sets += 1
    return _filled(of, a, b, most)


def _filled(of: Ids, a: Ids, b: Ids, most: int) -> Ids:
    """The sets without the crumbs that were left between others, each put to the smallest set that it has a link
    to, and among these to that with most links: fewer sets are fewer bodies. Renumbered from 0."""
    size = np.bincount(of)
    is_crumb = size[of] <= most // 4
    links: dict[int, dict[int, int]] = {}
    for i, j in zip(a.tolist(), b.tolist(), strict=True):
        for at, to in ((i, j), (j, i)):
            if is_crumb[at] and not is_crumb[to]:
                count = links.setdefault(int(of[at]), {})
                count[int(of[to])] = count.get(int(of[to]), 0) + 1
    to = np.arange(len(size))
    for k, count in sorted(links.items()):
        to[k] = min(count, key=lambda n: (size[n], -count[n], n))
        size[to[k]] += size[k]
    return np.unique(to[of], return_inverse=True)[1].reshape(-1).astype(np.int64)


@dataclass(frozen=True)
class TwoLevels:
    """The preconditioner: what it is given, solved within each set, plus solved for the sets as rigid bodies."""

    at: tuple[Ids, Ids]
    """Set (N,) of each node, and its place (N,) in the set."""
    within: npt.NDArray[np.float32]
    """(K,7C,7C): inverses within the K sets of at most C nodes, in single precision: a preconditioner needs no more."""
    body: Array
    """(N,7,7): how a node moves with its set: Ad(S_node^-1 S_first)."""
    between: Array
    """(7K,7K): inverse for the sets as bodies; empty for a single one."""

    @staticmethod
    def of(blocks: Blocks, nodes: Sim3Batch, sets: Ids) -> "TwoLevels":
        """Made for a matrix, the nodes (N) that it was linearised at, and the number (N,) of each node's set."""
        order = np.argsort(sets, kind="stable")
        starts = np.searchsorted(sets[order], np.arange(sets.max() + 1))
        place = np.empty(len(sets), np.int64)
        place[order] = np.arange(len(sets)) - starts[sets[order]]
        first = order[starts][sets]
        body = (nodes.inverse() @ nodes[first]).adjoint()
        body[blocks.held] = 0.0
        within = _within(blocks, sets, place, len(starts)).astype(np.float32)
        between = _between(blocks, sets, body, len(starts)) if len(starts) > 1 else np.zeros((0, 0))
        return TwoLevels((sets, place), within, body, between)

    def times(self, r: Array) -> Array:
        """(N,7) of (N,7)."""
        sets, place = self.at
        n_sets, size = len(self.within), self.within.shape[1] // 7
        filled = np.zeros((n_sets, size, 7), np.float32)
        filled[sets, place] = r
        solved = (self.within @ filled.reshape(n_sets, -1, 1)).reshape(n_sets, size, 7)
        out = solved[sets, place].astype(np.float64)
        if len(self.between):
            pushed = np.einsum("nji,nj->ni", self.body, r)
            bodies = np.stack([np.bincount(sets, pushed[:, k], n_sets) for k in range(7)], axis=1)
            moved = (self.between @ bodies.reshape(-1)).reshape(n_sets, 7)
            out = out + np.einsum("nij,nj->ni", self.body, moved[sets])
        return out


def _within(blocks: Blocks, sets: Ids, place: Ids, n_sets: int) -> Array:
    size = int(place.max()) + 1
    H = np.zeros((n_sets, size, size, 7, 7))
    H[:, np.arange(size), np.arange(size)] = np.eye(7)
    H[sets, place, place] = blocks.diagonal()
    inside = np.flatnonzero(sets[blocks.a] == sets[blocks.b])
    a, b, J = blocks.a[inside], blocks.b[inside], blocks.J[inside]
    cross = np.swapaxes(J[:, :, :7], 1, 2) @ J[:, :, 7:]
    np.add.at(H, (sets[a], place[a], place[b]), cross)
    np.add.at(H, (sets[a], place[b], place[a]), np.swapaxes(cross, 1, 2))
    return _inverse(H.swapaxes(2, 3).reshape(n_sets, 7 * size, 7 * size))


def _between(blocks: Blocks, sets: Ids, body: Array, n_sets: int) -> Array:
    H = np.zeros((n_sets, n_sets, 7, 7))
    a, b, J = blocks.a, blocks.b, blocks.J
    ends = (sets[a], J[:, :, :7] @ body[a]), (sets[b], J[:, :, 7:] @ body[b])
    for i, G in ends:
        for j, other in ends:
            np.add.at(H, (i, j), np.swapaxes(G, 1, 2) @ other)
    return _inverse(H.swapaxes(1, 2).reshape(7 * n_sets, 7 * n_sets))


def _inverse(H: Array) -> Array:
    """Inverses of symmetric matrices (...,n,n), each scaled to a diagonal of ones first: lengths have units."""
    scale = 1.0 / np.sqrt(np.maximum(np.einsum("...ii->...i", H), 1e-30))
    scaled = H * scale[..., :, None] * scale[..., None, :]
    ridge = RIDGE * np.eye(H.shape[-1])
    return np.asarray(np.linalg.inv(scaled + ridge) * scale[..., :, None] * scale[..., None, :])


def conjugate_gradients(
    blocks: Blocks, right: Array, levels: TwoLevels, damping: float, enough: float, most: int
) -> tuple[Array, int]:  # fmt: skip
    """x (N,7) with (J^T J + damping diag) x = right, up to a share `enough` of the right side in the norm of the
    preconditioner, and how many passes that took."""
    diagonal = np.einsum("nii->ni", blocks.diagonal()) * damping if damping else np.zeros_like(right)
    x, r = np.zeros_like(right), right
    z = levels.times(r)
    p, rz = z, float((r * z).sum())
    limit = enough**2 * rz
    for k in range(most):
        if rz <= limit or rz <= 0.0:
            return x, k
        Hp = blocks.times(p) + diagonal * p
        step = rz / float((p * Hp).sum())
        x, r = x + step * p, r - step * Hp
        z = levels.times(r)
        rz, before = float((r * z).sum()), rz
        p = z + rz / before * p
    return x, most
