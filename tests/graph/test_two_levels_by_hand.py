"""Conjugate gradients and their preconditioner: small systems, solved otherwise, and sets put down by hand."""

import numpy as np
import pytest

from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.sim3_batch import Sim3Batch
from vgslam.graph.two_levels import Blocks, TwoLevels, _filled, conjugate_gradients
from vgslam.types import Array

N = 6


def system() -> tuple[Blocks, Sim3Batch]:
    """Six nodes in a row, each measured to the next two; the first is held."""
    rng = np.random.default_rng(0)
    a = np.array([i for i in range(N) for j in (i + 1, i + 2) if j < N])
    b = np.array([j for i in range(N) for j in (i + 1, i + 2) if j < N])
    held = np.arange(N) == 0
    J = rng.normal(0, 1.0, (len(a), 7, 14))
    J[:, :, 3:6] *= 10.0
    J[held[a], :, :7] = 0.0
    nodes = Sim3Batch.of([Sim3(se3.so3_exp(rng.normal(0, 0.5, 3)), rng.normal(0, 2, 3), 1.0 + 0.1 * i)
                          for i in range(N)])  # fmt: skip
    return Blocks(a, b, J, held), nodes


def dense(blocks: Blocks) -> Array:
    """(7N,7N): the matrix, row by row from its two blocks of each measurement."""
    full = np.zeros((7 * len(blocks.a), 7 * N))
    for m, (i, j) in enumerate(zip(blocks.a, blocks.b, strict=True)):
        full[7 * m : 7 * m + 7, 7 * i : 7 * i + 7] = blocks.J[m, :, :7]
        full[7 * m : 7 * m + 7, 7 * j : 7 * j + 7] = blocks.J[m, :, 7:]
    return full.T @ full


def free(x: Array) -> Array:
    """(7 (N - 1),): without the node that is held."""
    return x.reshape(-1)[7:]


@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_the_solution_is_that_of_the_matrix_and_its_damped_diagonal(damping: float) -> None:
    blocks, nodes = system()
    right = np.random.default_rng(1).normal(0, 1, (N, 7))
    right[0] = 0.0
    H = dense(blocks)[7:, 7:]
    levels = TwoLevels.of(blocks, nodes, np.array([0, 0, 0, 1, 1, 1]))
    x, passes = conjugate_gradients(blocks, right, levels, damping, 1e-9, 200)
    np.testing.assert_allclose(free(x), np.linalg.solve(H + damping * np.diag(np.diag(H)), free(right)), atol=1e-6)
    assert passes < 80


def test_it_ends_when_the_share_that_is_enough_is_left_or_the_passes_are_over() -> None:
    """In the norm of the preconditioner, the square root of r M r."""
    blocks, nodes = system()
    right = np.random.default_rng(1).normal(0, 1, (N, 7))
    right[0] = 0.0
    levels = TwoLevels.of(blocks, nodes, np.array([0, 0, 0, 1, 1, 1]))

    def left(x: Array) -> float:
        r = right - blocks.times(x)
        return float(np.sqrt((r * levels.times(r)).sum()))

    x, passes = conjugate_gradients(blocks, right, levels, 0.0, 1e-3, 200)
    assert left(x) <= 1.01e-3 * left(np.zeros_like(right))
    before, count = conjugate_gradients(blocks, right, levels, 0.0, 1e-3, passes - 1)
    assert count == passes - 1
    assert left(before) > 0.99e-3 * left(np.zeros_like(right))


def test_within_one_set_the_preconditioner_is_the_inverse() -> None:
    blocks, nodes = system()
    levels = TwoLevels.of(blocks, nodes, np.zeros(N, np.int64))
    x = np.random.default_rng(2).normal(0, 1, (N, 7))
    x[0] = 0.0
    np.testing.assert_allclose(levels.times(blocks.times(x)), x, atol=1e-3)


def test_with_several_sets_it_is_symmetric_and_positive() -> None:
    blocks, nodes = system()
    levels = TwoLevels.of(blocks, nodes, np.array([0, 0, 1, 1, 2, 2]))
    columns = [levels.times(e.reshape(N, 7)).reshape(-1) for e in np.eye(7 * N)]
    M = np.stack(columns, axis=1)
    np.testing.assert_allclose(M, M.T, atol=1e-5 * np.abs(M).max())
    assert np.linalg.eigvalsh(0.5 * (M + M.T)).min() > 0.0


def test_a_crumb_goes_to_the_smallest_set_beside_it_and_then_to_the_one_with_most_links() -> None:
    """Sets of 9, 6 and 9, and crumbs of 3 and 2 with links to the first two; at most 12 are in a set."""
    of = np.repeat([0, 1, 2, 3, 4], [9, 6, 9, 3, 2])
    first, second, third, crumb, other = (int(np.flatnonzero(of == k)[0]) for k in range(5))
    links = [(first, crumb), (first + 1, crumb), (crumb + 1, second), (other, first), (other, first + 1),
             (second, other), (third, second)]  # fmt: skip
    a, b = np.array(links).T
    found = _filled(of, a, b, 12)
    assert found[of == 3].tolist() == [1, 1, 1], "to the set of 6, which has 9 then"
    assert found[of == 4].tolist() == [0, 0], "two links against one"
    assert [found[at] for at in (first, second, third)] == [0, 1, 2]
