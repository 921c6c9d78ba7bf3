"""Whether two maps hold the same run, as a map and a copy of it do: merged, every keyframe would be there twice."""

import numpy as np

from vgslam.map.slam_map import SlamMap


def shared_session(a: SlamMap, b: SlamMap) -> str | None:
    """Name and time of a run that went into both maps, None if there is none: it has the same name, began at the same
    time, and its frames have the same times and inliers, which nothing changes later."""
    for i, mine in enumerate(a.sessions):
        for j, other in enumerate(b.sessions):
            if (mine.name, mine.began) == (other.name, other.began) and _is_same(a, i, b, j):
                return f"'{mine.name}' of {mine.began}"
    return None


def _is_same(a: SlamMap, i: int, b: SlamMap, j: int) -> bool:
    rows = [
        np.array([(f.timestamp_s, f.n_inliers) for f in m.session_frames(k)], np.float64).reshape(-1, 2)
        for m, k in ((a, i), (b, j))
    ]
    n = min(map(len, rows))
    return n > 0 and np.array_equal(rows[0][:n], rows[1][:n])
