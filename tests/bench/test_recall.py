"""Recall of place codes, on paths and codes whose right answers are known."""

import numpy as np
import pytest

from bench.places import bits_of_vector
from bench.recall import RecallOptions, recall, same_place
from vgslam.geometry import se3
from vgslam.types import Array, Image

OPTIONS = RecallOptions(database_stride=2, query_stride=2, reach=0.1, angle_deg=20.0, gap=10, at=(1, 3))


def two_laps(n: int = 40) -> Array:
    """Poses (2n,4,4): twice around a circle, looking along it."""
    angle = 2 * np.pi * np.arange(2 * n) / n
    T = np.tile(np.eye(4), (2 * n, 1, 1))
    T[:, :3, :3] = [se3.so3_exp(np.array([0.0, a, 0.0])) for a in angle]
    T[:, 0, 3], T[:, 2, 3] = np.cos(angle), np.sin(angle)
    return T


def images(n: int) -> list[Image]:
    return [np.zeros((2, 2, 3), np.uint8)] * n


def test_a_code_of_the_true_place_finds_everything_and_a_constant_one_next_to_nothing() -> None:
    T = two_laps()

    def right(i: int, _: Image) -> Array:
        v = np.array([*T[i, :3, 3], *T[i, :3, 2]])
        return v / np.linalg.norm(v)

    perfect = recall(images(80), T, right, OPTIONS)
    assert perfect.n_queries > 30
    assert perfect.shares == (1.0, 1.0)
    wrong = recall(images(80), T, lambda *_: np.ones(4) / 2, OPTIONS)
    assert wrong.n_queries == perfect.n_queries
    assert wrong.shares[0] < 0.3


def test_neighbours_in_time_are_neither_answers_nor_places_to_find() -> None:
    once = two_laps()[:30]
    assert recall(images(30), once, lambda *_: np.ones(4) / 2, OPTIONS).n_queries == 0


@pytest.mark.parametrize(("turn_deg", "is_same"), [(10.0, True), (40.0, False)])
def test_the_same_place_looks_the_same_way(turn_deg: float, is_same: bool) -> None:
    T = np.tile(np.eye(4), (3, 1, 1))
    T[1, :3, :3] = se3.so3_exp(np.array([0.0, np.radians(turn_deg), 0.0]))
    T[2, 0, 3] = 10.0
    found = same_place(T, np.array([0]), np.array([1, 2]), OPTIONS)
    assert found.tolist() == [[is_same, False]]


def test_bits_of_vectors_tell_their_angle() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=384).astype(np.float32)
    a /= np.linalg.norm(a)
    b = rng.normal(size=384).astype(np.float32)
    b -= (a @ b) * a
    b /= np.linalg.norm(b)
    for angle in (0.2, 0.8, np.pi / 2):
        c = (np.cos(angle) * a + np.sin(angle) * b).astype(np.float32)
        different = np.unpackbits(bits_of_vector(a) ^ bits_of_vector(c)).mean()
        assert different == pytest.approx(angle / np.pi, abs=0.035)
