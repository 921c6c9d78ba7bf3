"""How many images wait, counted where the reader stands still as there is no more room."""

import numpy as np
import pytest
from waiting import until

from vgslam.session.read_ahead import _Reader
from vgslam.types import Frame


@pytest.mark.parametrize(
    ("side", "n_waiting"),
    [(2, 3), (1300, 3), (1500, 2), (2300, 1), (2500, 1)],  # 5.1, 6.8, 15.9 and 18.8 MB, of 16.8
)
def test_three_images_wait_or_as_many_as_sixteen_mebibytes_hold_but_one_at_least(side: int, n_waiting: int) -> None:
    n_read = 0

    def frames():
        nonlocal n_read
        image = np.zeros((side, side, 3), np.uint8)
        for n in range(20):
            n_read = n + 1
            yield Frame(n, float(n), image)

    reader = _Reader(frames(), lambda image: None)
    reader.start()
    until(lambda: bool(reader._changed._waiters))  # type: ignore[attr-defined]
    assert len(reader._waiting) == n_waiting
    assert n_read == n_waiting + 1  # which the reader holds
    taken = reader.taken()
    assert [next(taken).id for _ in range(3)] == [0, 1, 2]
    reader.end()
    assert not reader.is_alive()
