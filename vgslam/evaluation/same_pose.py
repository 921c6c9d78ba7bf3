"""Frames without a pose that were written with one all the same: the identity, or the last that was known."""

import numpy as np

from vgslam.evaluation.alignment import spread
from vgslam.types import Array

FEWEST = 3
"""Frames with one pose to the last bit from which it is told."""
MOVED = 0.02
"""Share of the extent of the reference that its own poses must spread over meanwhile."""


def same_pose_note(T_ref_cam: Array, T_est_cam: Array) -> str | None:
    """One line where corresponding poses (N,4,4) of the estimate repeat one exactly while the reference moves; None
    otherwise."""
    rows, counts = np.unique(T_est_cam.reshape(len(T_est_cam), 16), axis=0, return_counts=True)
    n = int(counts.max(initial=0))
    if n < FEWEST or n == len(T_est_cam):
        return None
    same = (T_est_cam.reshape(-1, 16) == rows[counts.argmax()]).all(axis=1)
    if spread(T_ref_cam[same, :3, 3]) < MOVED * spread(T_ref_cam[:, :3, 3]):
        return None
    which = "the identity" if np.array_equal(T_est_cam[same][0], np.eye(4)) else "one pose"
    return (f"{n} of {len(T_est_cam)} poses of the estimate are {which} to the last bit, while the reference moves: "
            "frames without a pose that were written all the same? Leave them out")  # fmt: skip
