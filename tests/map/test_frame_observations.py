"""What frames saw: in memory and in a file alike."""

import numpy as np
import pytest

from vgslam.map.frame_observations import BLOCK_FRAMES, FrameBlock, FrameObservations, padded

N = 5 * BLOCK_FRAMES + 7


def fill(store: FrameObservations) -> list[tuple[int, np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(3)
    rows = []
    for i in range(N):
        n = int(rng.integers(0, 40))
        rows.append((i, rng.integers(0, 10**6, n), rng.uniform(0, 1000, (n, 2)).astype(np.float32)))
        store.add(*rows[-1])
    return rows


def told(blocks: list[FrameBlock]) -> list[tuple[int, np.ndarray, np.ndarray]]:
    out = []
    for b in blocks:
        for i, frame_id in enumerate(b.frame_ids.tolist()):
            part = slice(b.begins[i], b.begins[i + 1])
            out.append((frame_id, b.ids[part], b.pixels[part]))
    return out


@pytest.mark.parametrize("budget", [0, 20_000, 10**9])
def test_what_was_paged_out_comes_back_bit_for_bit(budget: int) -> None:
    store = FrameObservations(budget)
    rows = fill(store)
    assert store.resident_bytes <= budget
    for _ in range(2):  # reading does not use it up
        back = told(list(store.blocks()))
        assert len(back) == N
        for (i, ids, pixels), (j, ids_back, pixels_back) in zip(rows, back, strict=True):
            assert i == j
            np.testing.assert_array_equal(ids, ids_back)
            np.testing.assert_array_equal(pixels, pixels_back)
    store.add(N, np.array([1]), np.zeros((1, 2)))  # and it goes on
    assert told(list(store.blocks()))[-1][0] == N


def test_a_full_disk_costs_old_frames_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: FrameObservations, block: FrameBlock) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(FrameObservations, "_write", full)
    store = FrameObservations(20_000)
    fill(store)
    back = [i for i, _, _ in told(list(store.blocks()))]
    assert store.n_dropped > 0
    assert back == list(range(store.n_dropped, N))
    assert store.resident_bytes <= 20_000


def test_padding_keeps_every_row_in_its_place() -> None:
    begins = np.array([0, 2, 2, 5])
    out = padded(np.arange(1.0, 6.0), begins, 3)
    np.testing.assert_array_equal(out, [[1, 2, 0], [0, 0, 0], [3, 4, 5]])
