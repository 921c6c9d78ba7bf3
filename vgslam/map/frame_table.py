"""The row of every frame of a map, in about 220 bytes per frame.

A camera that runs for days adds a hundred thousand frames an hour, and a `PoseEstimate` of Python objects takes four
times as much. Rows lie in blocks that never move, so one thread may read while another appends.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from vgslam.types import Array, PoseEstimate, Status

BLOCK_ROWS = 256
ROW = np.dtype([
    ("frame_id", np.int64), ("timestamp_s", np.float64), ("ref_id", np.int32), ("component_id", np.int32),
    ("n_inliers", np.int32), ("inlier_ratio", np.float64), ("pose", np.float64, (3, 4)),
    ("covariance", np.float32, (21,)), ("has_covariance", np.bool_), ("status", np.uint8),
    ("rotation_only", np.bool_),
])  # fmt: skip
"""A row: pose is T_ref_cam without its last row; covariance its upper triangle; status the place in STATUSES."""
STATUSES = tuple(Status)
_NUMBER = {status: i for i, status in enumerate(STATUSES)}
_HAS_POSE = np.array([s.has_pose for s in STATUSES])
_UPPER = np.triu_indices(6)
_PLACE = np.zeros((6, 6), np.int64)
_PLACE[_UPPER] = _PLACE.T[_UPPER] = np.arange(21)


class FrameTable(Sequence[PoseEstimate]):
    """A list of estimates that grows at its end and in which each can be replaced. An estimate that is read is a copy.
    Everything comes back bit for bit but the covariance, which is kept in single precision and symmetric."""

    def __init__(self, estimates: Iterable[PoseEstimate] = ()) -> None:
        self._blocks: list[npt.NDArray[Any]] = []
        self._n = 0
        self.extend(estimates)

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, index: int) -> PoseEstimate: ...
    @overload
    def __getitem__(self, index: slice) -> list[PoseEstimate]: ...
    def __getitem__(self, index: int | slice) -> PoseEstimate | list[PoseEstimate]:
        """An estimate, or a list of them. IndexError if there is none."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._n))]
        block, row = divmod(self._checked(index), BLOCK_ROWS)
        return _estimate(self._blocks[block][row].copy())

    def __setitem__(self, index: int, estimate: PoseEstimate) -> None:
        """Replace an estimate. IndexError if there is none."""
        block, row = divmod(self._checked(index), BLOCK_ROWS)
        self._blocks[block][row] = _row(estimate)

    def __iter__(self) -> Iterator[PoseEstimate]:
        i = 0
        while i < self._n:
            yield self[i]
            i += 1

    def append(self, estimate: PoseEstimate) -> None:
        """Add an estimate at the end."""
        block, row = divmod(self._n, BLOCK_ROWS)
        if block == len(self._blocks):
            self._blocks.append(np.zeros(BLOCK_ROWS, ROW))
        self._blocks[block][row] = _row(estimate)
        self._n += 1

    def extend(self, estimates: Iterable[PoseEstimate]) -> None:
        """Add estimates at the end."""
        for estimate in estimates:
            self.append(estimate)

    def copy(self) -> "FrameTable":
        """The same rows, in memory of their own."""
        out = FrameTable()
        out._n = self._n
        out._blocks = [block.copy() for block in self._blocks[: -(-out._n // BLOCK_ROWS)]]
        return out

    def column(self, name: str) -> npt.NDArray[Any]:
        """A copy of one field (n,...) of all rows, as ROW has it. KeyError for an unknown name."""
        n = self._n
        parts = [block[name] for block in self._blocks[: -(-n // BLOCK_ROWS)]]
        empty = np.zeros(0, ROW)[name]
        return np.concatenate([empty, *parts])[:n]

    def poses(self) -> tuple[Array, npt.NDArray[np.bool_]]:
        """T_ref_cam (n,4,4) of all frames, zeros for those without one, and which have one (n,)."""
        has_pose = _HAS_POSE[self.column("status")]
        T = np.zeros((len(has_pose), 4, 4))
        T[:, :3] = self.column("pose")
        T[:, 3, 3] = has_pose
        return T, has_pose

    def covariances(self) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Covariance (n,6,6) of all frames, zeros for those without one, and which have one (n,)."""
        return _symmetric(self.column("covariance")), self.column("has_covariance")

    def _checked(self, index: int) -> int:
        if not -self._n <= index < self._n:
            raise IndexError(f"frame {index} of {self._n}")
        return index % self._n


def _row(e: PoseEstimate) -> tuple[Any, ...]:
    pose = np.zeros((3, 4)) if e.T_ref_cam is None else e.T_ref_cam[:3]
    C = np.zeros((6, 6)) if e.covariance is None else e.covariance
    return (
        e.frame_id, e.timestamp_s, e.ref_id, e.component_id, e.n_inliers, e.inlier_ratio, pose,
        (0.5 * (C + C.T))[_UPPER], e.covariance is not None, _NUMBER[e.status], e.rotation_only,
    )  # fmt: skip


def _estimate(row: Any) -> PoseEstimate:
    """The estimate of a row, not checked again: what does not agree never got in."""
    (frame_id, timestamp_s, ref_id, component_id, n_inliers, ratio, pose, upper, has_covariance, number,
     rotation_only) = row.item()  # fmt: skip
    T: Array | None = None
    if _HAS_POSE[number]:
        T = np.eye(4)
        T[:3] = pose
    estimate = object.__new__(PoseEstimate)
    vars(estimate).update(
        frame_id=frame_id, timestamp_s=timestamp_s, status=STATUSES[number], ref_id=ref_id, T_ref_cam=T,
        covariance=_symmetric(upper) if has_covariance else None, n_inliers=n_inliers, inlier_ratio=ratio,
        component_id=component_id, rotation_only=rotation_only,
    )  # fmt: skip
    return estimate


def _symmetric(upper: npt.NDArray[np.float32]) -> Array:
    """Matrices (...,6,6), C-contiguous, from their upper triangles (...,21)."""
    return upper[..., _PLACE].astype(np.float64, order="C")
