"""Maps that are whole but for a number that is none: refused, as a merge would carry it into another map."""

import numpy as np
import pytest
from random_map import random_map, with_place_codes

from vgslam.map.slam_map import SlamMap
from vgslam.store.arrays import SessionNames, fill, to_arrays
from vgslam.types import Array

FINITE = ("observation_px", "landmark_xyz", "keyframe_timestamp_s", "frame_timestamp_s")
NUMBERS = ("landmark_rel_sigma", "frame_inlier_ratio", "edge_inlier_ratio", "camera_removed_k1", "frame_covariance")
NOT_FINITE = [np.nan, np.inf, -np.inf]


def filled(changes: dict[str, float]) -> SlamMap:
    """A map read from arrays of which the middle number of each of `changes` is that one."""
    m = with_place_codes(random_map(3))
    arrays: dict[str, Array] = {name: array.copy() for name, array in to_arrays(m).items()}
    for name, number in changes.items():
        assert arrays[name].size, name
        arrays[name].reshape(-1)[arrays[name].size // 2] = number
    out = SlamMap()
    fill(out, arrays, SessionNames([s.name for s in m.sessions], [s.began for s in m.sessions]))
    return out


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *[(name, x) for name in FINITE for x in NOT_FINITE],
        *[(name, np.nan) for name in NUMBERS],
    ],
)  # fmt: skip
def test_a_map_with_what_is_no_number_is_refused(name: str, number: float) -> None:
    with pytest.raises(ValueError, match=f"{name} holds 1 numbers that are none"):
        filled({name: number})


def test_what_is_not_known_may_be_infinite() -> None:
    assert np.isinf(filled({"landmark_rel_sigma": np.inf}).landmarks.rel_sigma).sum() == 1
    assert len(filled({}).keyframes) == 3
