"""Nets of thousands of similarities, each measured to a dozen others: solved by conjugate gradients.

Direct elimination (GTSAM's, in whatever order) fills up where many nodes lie in one place: 3,000 maps along one
road of which each is measured to ten of the hundred beside it cost 25 times what 1,000 do. Conjugate gradients cost a
pass over the measurements each, and with a preconditioner in two levels (additive Schwarz: Toselli and Widlund, Domain
Decomposition Methods, 2005, ch. 2) as many passes for many nodes as for few: small sets of neighbours are solved
exactly, and all sets among each other as rigid bodies.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vgslam.errors import GraphError
from vgslam.graph.pose_graph import HUBER_SIGMAS
from vgslam.graph.sim3_batch import Sim3Batch
from vgslam.graph.two_levels import Blocks, TwoLevels, conjugate_gradients, neighbourhoods
from vgslam.types import Array, Edge, Ids

ENOUGH = 1e-5  # share of the error by which a step has to lessen it for another to be made: that of GTSAM's optimisers
LINEAR_ENOUGH = 1e-2  # share of the gradient that a linear solve may leave: the next step mends it
MOST_PASSES = 100  # passes over the measurements of one linear solve at most
STALE_PASSES, STALE_COST = 40, 0.1
"""The preconditioner is made anew after this many passes, or once the error is this share of what it was."""
LEAST_DAMPING, MOST_DAMPING = 1e-4, 1e4
"""Damping after the first step that made it worse, as a share of the diagonal, and that at which it is given up."""


@dataclass(frozen=True)
class Net:
    """M measurements between N nodes."""

    a: Ids  # (M,): rows of the nodes
    b: Ids
    S_a_b: Sim3Batch
    sigmas: Array  # (M,7) as of `Edge`

    @staticmethod
    def of(edges: Sequence[Edge], row: dict[int, int]) -> "Net":
        """Edges between the nodes whose rows are given."""
        a = np.array([row[e.id_a] for e in edges], np.int64)
        b = np.array([row[e.id_b] for e in edges], np.int64)
        sigmas = np.array([e.sigmas for e in edges], np.float64).reshape(-1, 7)
        return Net(a, b, Sim3Batch.of([e.S_a_b for e in edges]), sigmas)

    def __getitem__(self, which: np.ndarray) -> "Net":
        return Net(self.a[which], self.b[which], self.S_a_b[which], self.sigmas[which])

    def left(self, nodes: Sim3Batch) -> Sim3Batch:
        """(M): what is left of each measurement at the nodes."""
        return self.S_a_b.inverse() @ nodes[self.a].inverse() @ nodes[self.b]

    def errors_sigma(self, nodes: Sim3Batch) -> Array:
        """Whitened error length (M,) of each measurement, as of `robust.edge_errors_sigma`."""
        return np.asarray(np.linalg.norm(self.left(nodes).tangent() / self.sigmas, axis=1))

    def cost(self, nodes: Sim3Batch) -> float:
        """The error that a solve makes least."""
        return huber_cost(np.linalg.norm(logarithm(self.left(nodes)) / self.sigmas, axis=1))

    def blocks(self, nodes: Sim3Batch, held: np.ndarray) -> tuple[Blocks, Array]:
        """The linear system of one step of iteratively reweighted least squares (Huber), and its right side (N,7).
        Steps x are right perturbations S exp(x). With E = S_ab^-1 S_a^-1 S_b, log E moves by D (x_b - Ad(S_b^-1 S_a)
        x_a), where D is the derivative of log(E exp(x)). held (N,): nodes that do not move."""
        log = logarithm(self.left(nodes))
        r = log / self.sigmas
        weight = np.sqrt(huber_weights(np.linalg.norm(r, axis=1)))[:, None]
        J_b = _log_jacobian(log) * (weight / self.sigmas)[:, :, None]
        J_a = -J_b @ (nodes[self.b].inverse() @ nodes[self.a]).adjoint()
        J_a[held[self.a]], J_b[held[self.b]] = 0.0, 0.0
        blocks = Blocks(self.a, self.b, np.concatenate([J_a, J_b], axis=2), held)
        return blocks, -blocks.gathered(weight * r)


def huber_weights(lengths: Array) -> Array:
    """(M,): weights of squared errors under Huber's kernel."""
    return np.asarray(np.minimum(1.0, HUBER_SIGMAS / np.maximum(lengths, 1e-12)))


def huber_cost(lengths: Array) -> float:
    """Sum of Huber's kernel."""
    linear = HUBER_SIGMAS * (lengths - 0.5 * HUBER_SIGMAS)
    return float(np.where(lengths <= HUBER_SIGMAS, 0.5 * lengths**2, linear).sum())


class NetSolver:
    """Solves nets over the same nodes again and again, while measurements come and go; held (N,): nodes that stay."""

    def __init__(self, held: np.ndarray) -> None:
        self._held = held
        self._levels: TwoLevels | None = None
        self._made_at = np.inf

    def solve(self, nodes: Sim3Batch, net: Net, most_steps: int) -> Sim3Batch:
        """The nodes of least error (Huber), from where they are: Gauss-Newton, damped where that would not lessen it
        (Levenberg, Marquardt). Raises GraphError where numbers are not finite."""
        cost, damping = net.cost(nodes), 0.0
        if not np.isfinite(cost):
            raise GraphError("a similarity between maps holds a number that is not finite")
        for _ in range(most_steps):
            blocks, right = net.blocks(nodes, self._held)
            self._refresh(blocks, nodes, cost)
            moved, now = self._tried(blocks, right, nodes, net, damping)
            while not now <= cost and damping < MOST_DAMPING:
                damping = max(LEAST_DAMPING, 10.0 * damping)
                moved, now = self._tried(blocks, right, nodes, net, damping)
            if not now <= cost:
                break
            gain, nodes, cost, damping = cost - now, moved, now, damping / 10.0
            if gain <= ENOUGH * max(cost, 1.0):
                break
        return nodes

    def _refresh(self, blocks: Blocks, nodes: Sim3Batch, cost: float) -> None:
        if self._levels is None or cost < STALE_COST * self._made_at:
            sets = neighbourhoods(blocks.a, blocks.b, len(self._held))
            self._levels, self._made_at = TwoLevels.of(blocks, nodes, sets), cost

    def _tried(
        self, blocks: Blocks, right: Array, nodes: Sim3Batch, net: Net, damping: float
    ) -> tuple[Sim3Batch, float]:  # fmt: skip
        assert self._levels is not None
        x, passes = conjugate_gradients(blocks, right, self._levels, damping, LINEAR_ENOUGH, MOST_PASSES)
        if passes > STALE_PASSES:
            self._made_at = np.inf
        moved = _moved(nodes, x)
        return moved, net.cost(moved)


def _moved(nodes: Sim3Batch, x: Array) -> Sim3Batch:
    return nodes @ Sim3Batch(_rotations(x[:, :3]), x[:, 3:6], np.exp(np.clip(x[:, 6], -5.0, 5.0)))


def _rotations(w: Array) -> Array:
    """(N,3,3): exponentials of rotation vectors (N,3), after Rodrigues."""
    angle = np.linalg.norm(w, axis=1)[:, None, None]
    K = _cross(w)
    safe = np.maximum(angle, 1e-9)
    return np.asarray(np.eye(3) + np.sin(safe) / safe * K + (1.0 - np.cos(safe)) / safe**2 * (K @ K))


def _cross(w: Array) -> Array:
    """(N,3,3): the matrices that take the cross product with w (N,3)."""
    K = np.zeros((len(w), 3, 3))
    K[:, 0, 1], K[:, 0, 2], K[:, 1, 2] = -w[:, 2], w[:, 1], -w[:, 0]
    return K - np.swapaxes(K, 1, 2)


def logarithm(E: Sim3Batch) -> Array:
    """(M,7): rotation vector w, translation u, log-scale l with E = exp of them. With M = [w]x + l the translation is
    M / (e^M - 1) t: Bernoulli's series, which for the turns of bonds that are used has converged after four terms."""
    log = E.tangent()
    w, scale = log[:, :3], log[:, 6:]

    def times(x: Array) -> Array:
        return np.asarray(np.cross(w, x) + scale * x)

    first = times(E.t)
    second = times(first)
    fourth = times(times(second))
    log[:, 3:6] = E.t - first / 2 + second / 12 - fourth / 720
    return log


def _log_jacobian(log: Array) -> Array:
    """(M,7,7): derivative of log(exp(log) exp(x)) by x at 0: ad / (1 - e^-ad), by the same series."""
    ad = np.zeros((len(log), 7, 7))
    ad[:, :3, :3] = _cross(log[:, :3])
    ad[:, 3:6, :3] = _cross(log[:, 3:6])
    ad[:, 3:6, 3:6] = ad[:, :3, :3] + log[:, 6, None, None] * np.eye(3)
    ad[:, 3:6, 6] = -log[:, 3:6]
    second = ad @ ad
    return np.asarray(np.eye(7) + ad / 2 + second / 12 - second @ second / 720)
