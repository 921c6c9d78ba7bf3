"""How often a place is recognised: recall of image codes on a sequence whose poses are known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vgslam.geometry import se3
from vgslam.types import Array, Ids, Image


@dataclass(frozen=True)
class RecallOptions:
    """Which images are asked for, and when two show the same place: within `reach` and `angle_deg` of each other."""

    database_stride: int = 5
    """Every n-th image is kept."""
    query_stride: int = 5
    """Every n-th of the other images is asked for."""
    reach: float = 0.1
    """Largest distance, as a share of the diagonal of the path's bounding box."""
    angle_deg: float = 30.0
    gap: int = 50
    """Images nearer in the sequence do not count, neither as answers nor as places to be found."""
    at: tuple[int, ...] = (1, 5, 10)


@dataclass(frozen=True)
class Recall:
    """n_queries that had something to find, and the share of them with a right one among the first `at`."""

    n_queries: int
    shares: tuple[float, ...]


Code = Callable[[int, Image], Array]  # a unit vector (D,) of image number i


def recall(images: Sequence[Image], T_world_cam: Array, code: Code, options: RecallOptions) -> Recall:
    """Recall of `code` on images with poses (N,4,4). Queries without a place to find are left out."""
    o, n = options, len(images)
    database = np.arange(0, n, o.database_stride)
    queries = np.setdiff1d(np.arange(o.database_stride // 2, n, o.query_stride), database)
    is_same = same_place(T_world_cam, queries, database, o)
    usable = np.abs(queries[:, None] - database[None]) >= o.gap
    asked = (is_same & usable).any(1)
    if not asked.any():
        return Recall(0, tuple(float("nan") for _ in o.at))
    codes = np.stack([code(i, images[i]) for i in database.tolist()])
    found = np.zeros((int(asked.sum()), len(o.at)), bool)
    for row, q in enumerate(np.flatnonzero(asked)):
        i = int(queries[q])
        likeness = codes @ code(i, images[i])
        likeness[~usable[q]] = -np.inf
        order = np.argsort(-likeness, kind="stable")
        found[row] = [is_same[q, order[:m]].any() for m in o.at]
    return Recall(int(asked.sum()), tuple(found.mean(0).tolist()))


def same_place(T_world_cam: Array, queries: Ids, database: Ids, options: RecallOptions) -> np.ndarray:
    """Mask (Q,D): whether two images show the same place."""
    centres = T_world_cam[:, :3, 3]
    reach = options.reach * float(np.linalg.norm(np.ptp(centres, axis=0)))
    near = np.linalg.norm(centres[queries][:, None] - centres[database][None], axis=2) <= reach
    turn = np.array([[se3.angle_deg(T_world_cam[q, :3, :3].T @ T_world_cam[d, :3, :3]) for d in database]
                     for q in queries])  # fmt: skip
    return near & (turn <= options.angle_deg)
