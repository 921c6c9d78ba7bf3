"""The part of the map that tracking needs: of the whole map, or of a snapshot that nobody changes."""

from collections.abc import Sized
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap, with_lengths_times
from vgslam.types import Array, Ids, PoseEstimate


class TrackedLandmarks(Protocol):
    """Columns of the landmarks that are indexed by ids (n,), as in `vgslam.map.slam_map.Landmarks`."""

    @property
    def host(self) -> Any: ...

    @property
    def rel_sigma(self) -> Any: ...

    @property
    def is_triangulated(self) -> Any: ...


class TrackedMap(Protocol):
    """What tracking asks of the map; `SlamMap` and `LocalMap` provide it."""

    @property
    def keyframes(self) -> Sized: ...

    @property
    def landmarks(self) -> TrackedLandmarks: ...

    def landmarks_world(self, ids: Ids) -> Array: ...

    def centres(self, keyframe_ids: Ids) -> Array: ...

    def relative_to(self, keyframe_id: int, T_world_cam: Array) -> Array: ...

    def covariance_relative_to(self, keyframe_id: int, covariance: Array) -> Array: ...


@dataclass(frozen=True)
class _Column:
    """Values (n,...) of ascending ids (n,)."""

    ids: Ids
    values: np.ndarray

    def __getitem__(self, ids: Ids) -> np.ndarray:
        """Values (m,...) of ids (m,). KeyError for one that is not there."""
        rows = np.minimum(np.searchsorted(self.ids, ids), max(len(self.ids) - 1, 0))
        if len(rows) and (len(self.ids) == 0 or (self.ids[rows] != ids).any()):
            raise KeyError("a landmark that is not in the snapshot")
        return np.asarray(self.values[rows])


@dataclass(frozen=True)
class _Columns:
    host: _Column
    rel_sigma: _Column
    is_triangulated: _Column


class LocalMap:
    """A snapshot of landmarks `ids` and of keyframe `reference`, as they are in slam_map now; nothing changes it. It is
    read by one thread while another changes the map. KeyError for landmarks and keyframes that it lacks."""

    def __init__(self, slam_map: SlamMap, ids: Ids, reference: int) -> None:
        ids = np.unique(ids)
        marks = slam_map.landmarks
        host = marks.host[ids]
        hosts = np.unique(host)
        self.keyframes: Sized = range(len(slam_map.keyframes))
        self.landmarks = _Columns(
            _Column(ids, host), _Column(ids, marks.rel_sigma[ids]), _Column(ids, marks.is_triangulated[ids])
        )
        self._points = _Column(ids, slam_map.landmarks_world(ids))
        self._centres = _Column(hosts, slam_map.centres(hosts))
        self._reference = reference
        hub = slam_map.keyframes[reference] if reference >= 0 else None
        self._S: Sim3 | None = None if hub is None else hub.S_world_keyframe
        self._is_upright = hub is not None and slam_map.world_of(hub.component_id).is_upright

    def landmarks_world(self, ids: Ids) -> Array:
        """Positions (n,3) in the world."""
        return self._points[ids]

    def centres(self, keyframe_ids: Ids) -> Array:
        """Camera centres (n,3) of keyframes that have first seen landmarks of the snapshot."""
        return self._centres[keyframe_ids]

    def relative_to(self, keyframe_id: int, T_world_cam: Array) -> Array:
        """T_keyframe_cam (4,4) in the units of the keyframe, which is the reference."""
        S = self._of(keyframe_id)
        T = se3.inverse(S.pose) @ T_world_cam
        T[:3, 3] /= S.s
        return T

    def covariance_relative_to(self, keyframe_id: int, covariance: Array) -> Array:
        """As `SlamMap.covariance_relative_to`, for the reference."""
        return with_lengths_times(1.0 / self._of(keyframe_id).s, covariance)

    def pose_of(self, estimate: PoseEstimate) -> Array | None:
        """T_world_cam (4,4) of a frame whose keyframe is the reference; None if it has no pose."""
        return None if estimate.T_ref_cam is None else self._of(estimate.ref_id).compose_pose(estimate.T_ref_cam)

    def covariance_of(self, estimate: PoseEstimate) -> Array | None:
        """The covariance (6,6) of `pose_of`, in map units; None if it is not known."""
        if estimate.T_ref_cam is None or estimate.covariance is None:
            return None
        return with_lengths_times(self._of(estimate.ref_id).s, estimate.covariance)

    def is_upright(self, estimate: PoseEstimate) -> bool:
        """As `SlamMap.is_upright`, when the snapshot was taken."""
        return estimate.T_ref_cam is not None and self._is_upright

    def _of(self, keyframe_id: int) -> Sim3:
        if keyframe_id != self._reference or self._S is None:
            raise KeyError(f"keyframe {keyframe_id} is not the snapshot's")
        return self._S
