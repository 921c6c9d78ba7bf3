"""The map: keyframes as Sim(3) nodes, landmarks hung on the keyframe that first saw them, edges, frame poses.

Everything that is not a keyframe is stored relative to one, so it follows when the graph moves it.
"""

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.map.frame_table import FrameTable
from vgslam.map.paged_keyframe import PagedKeyframe
from vgslam.map.pictures import PictureKind, Pictures
from vgslam.map.world import UNKNOWN, World
from vgslam.types import Array, Camera, Edge, Ids, Keyframe, Observations, PoseEstimate, Trajectory


class GrowingArray:
    """Rows of fixed shape and dtype; `view` is the filled part, writable, invalid after the next `extend`."""

    def __init__(self, row_shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self._data: npt.NDArray[Any] = np.zeros((64, *row_shape), dtype)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    @property
    def view(self) -> npt.NDArray[Any]:
        return self._data[: self._n]

    def copy(self) -> "GrowingArray":
        """The same rows, in memory of their own."""
        out = GrowingArray(self._data.shape[1:], self._data.dtype)
        out.extend(self.view)
        return out

    def extend(self, rows: npt.ArrayLike) -> None:
        values = np.asarray(rows, self._data.dtype).reshape(-1, *self._data.shape[1:])
        need = self._n + len(values)
        if need > len(self._data):
            grown = np.zeros((max(need, 2 * len(self._data)), *self._data.shape[1:]), self._data.dtype)
            grown[: self._n] = self.view
            self._data = grown
        self._data[self._n : need] = values
        self._n = need


DETOUR, ROUNDING = 4.0, 1e-9
"""A path this many times as long as the distance between its ends has come back; and the share of it that is within
rounding."""


class Landmarks:
    """The table of L landmarks."""

    def __init__(self) -> None:
        self._host = GrowingArray((), np.int64)
        self._xyz = GrowingArray((3,), np.float64)
        self._rel_sigma = GrowingArray((), np.float64)
        self._triangulated = GrowingArray((), np.bool_)
        self._color = GrowingArray((3,), np.uint8)

    def __len__(self) -> int:
        return len(self._host)

    @property
    def host(self) -> Ids:
        """(L,): the keyframe that each hangs on, which saw it first."""
        return self._host.view

    @property
    def xyz_host(self) -> Array:
        """(L,3): position in the host's frame and units."""
        return self._xyz.view

    @property
    def rel_sigma(self) -> Array:
        """(L,): relative standard deviation of the depth in the host."""
        return self._rel_sigma.view

    @property
    def is_triangulated(self) -> np.ndarray:
        """(L,): whether it was triangulated; else its depth is a guess."""
        return self._triangulated.view

    @property
    def color(self) -> np.ndarray:
        """(L,3) RGB."""
        return self._color.view

    def copy(self) -> "Landmarks":
        """The same landmarks, in memory of their own."""
        out = Landmarks()
        for name, column in vars(self).items():
            setattr(out, name, column.copy())
        return out

    def add(self, host: int, xyz_host: Array, rel_sigma: Array, color: np.ndarray) -> Ids:
        """New landmarks with guessed depth; returns their ids."""
        n = len(xyz_host)
        ids = np.arange(len(self), len(self) + n)
        self._host.extend(np.full(n, host))
        self._xyz.extend(xyz_host)
        self._rel_sigma.extend(rel_sigma)
        self._triangulated.extend(np.zeros(n, bool))
        self._color.extend(color)
        return ids


@dataclass(frozen=True)
class Session:
    """One run that went into a map."""

    name: str
    """The session's name."""
    began: str
    """When it began, ISO 8601."""
    first_frame_id: int
    """Id of its first frame in the map, whose ids count up through all its sessions."""
    camera: Camera | None = None
    """The calibration of its images as they were recorded, with their distortion; None where there was none."""


@dataclass
class PlaceCodes:
    """What the first k keyframes are recognised by."""

    vocabulary: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(8, np.uint8))
    """(8,): names what made the codes."""
    codes: GrowingArray = field(default_factory=lambda: GrowingArray((256,), np.uint8))
    """(k,256)."""


class SlamMap:
    """Keyframes with their observations, landmarks, edges and the poses of all frames."""

    keyframes: list[Keyframe]
    """Each at the place of its id."""
    observed: list[Observations]
    """What each keyframe sees. Another thread may read it at any time, if it takes ids and pixels in one access: `ids,
    pixels = slam_map.observed[k]`."""
    landmarks: Landmarks
    edges: dict[tuple[int, int], Edge]
    """Measurements between keyframes, by the ids of the two."""
    frames: FrameTable
    """The pose of every frame, relative to a keyframe."""
    pictures: Pictures
    """Images and dense depth of the keyframes, within a memory budget."""
    sessions: list[Session]
    """The runs that went into the map, in order; none where it is that of a single run which nobody has named."""
    worlds: dict[int, World]
    """What is known about the frame of reference of a component, by its id; those without an entry are in map units
    (`world_of`)."""
    image_names: dict[int, str]
    """Names of the frames' files in their sources, by frame id, where they have some; a saved map keeps those of its
    keyframes."""
    place_codes: PlaceCodes

    def __init__(self, pictures: Pictures | None = None) -> None:
        self.pictures = Pictures() if pictures is None else pictures
        self.sessions, self.worlds, self.image_names = [], {}, {}
        self.keyframes, self.observed, self.edges = [], [], {}
        self.landmarks, self.frames, self.place_codes = Landmarks(), FrameTable(), PlaceCodes()
        self._R, self._t, self._s = _no_poses()

    def frozen(self) -> "SlamMap":
        """The map as it is now, for another thread to read: later changes of this one do not reach it. The pictures are
        shared, which is safe. Takes milliseconds for a thousand keyframes."""
        out = SlamMap(self.pictures)
        out.sessions, out.worlds, out.edges = list(self.sessions), dict(self.worlds), dict(self.edges)
        out.keyframes, out.observed = [copy.copy(k) for k in self.keyframes], list(self.observed)
        out.landmarks, out.frames = self.landmarks.copy(), self.frames.copy()
        out.place_codes = PlaceCodes(self.place_codes.vocabulary, self.place_codes.codes.copy())
        out._R, out._t, out._s = self._R.copy(), self._t.copy(), self._s.copy()
        return out

    def begin_anew(self) -> None:
        """Forgets the keyframes with all that hangs on them. Frames keep their rows, which have to be set anew."""
        for keyframe in self.keyframes:
            for kind in PictureKind:
                self.pictures.put((keyframe.id, kind), None)
        self.worlds, self.keyframes, self.observed, self.landmarks, self.edges = {}, [], [], Landmarks(), {}
        self.place_codes = PlaceCodes()
        self._R, self._t, self._s = _no_poses()

    def add_keyframe(self, keyframe: Keyframe, ids: Ids, pixels: npt.NDArray) -> None:
        """Append a keyframe (its id must be the next one) with its observations ids (n,), pixels (n,2)."""
        if keyframe.id != len(self.keyframes):
            raise ValueError(f"keyframe id {keyframe.id} is not the next one, {len(self.keyframes)}")
        self.keyframes.append(self._paged(keyframe))
        self.observed.append(Observations.of(ids, pixels))
        S = keyframe.S_world_keyframe
        self._R.extend(S.R[None])
        self._t.extend(S.t[None])
        self._s.extend([S.s])

    def _paged(self, keyframe: Keyframe) -> PagedKeyframe:
        if isinstance(keyframe, PagedKeyframe) and keyframe.is_in(self.pictures):
            return keyframe
        return PagedKeyframe.of(keyframe, self.pictures)

    def begin_session(self, name: str, began: str, camera: Camera | None = None) -> Session:
        """Begins a session; everything that is added from now on belongs to it."""
        session = Session(name, began, 1 + max((f.frame_id for f in self.frames), default=-1), camera)
        self.sessions.append(session)
        return session

    @property
    def recorded_camera(self) -> Camera | None:
        """The calibration of the images of the newest keyframe's session as they were recorded; None if not known."""
        newest = self.keyframes[-1].frame_id if self.keyframes else -1
        return next((s.camera for s in reversed(self.sessions) if s.first_frame_id <= newest), None)

    def session_frames(self, session: int = -1) -> list[PoseEstimate]:
        """The frames of a session, by default those of the newest; all frames where there are no sessions."""
        begin, end = self._session_range(session)
        ids = self.frames.column("frame_id")
        return [self.frames[i] for i in np.flatnonzero((begin <= ids) & (ids < end)).tolist()]

    def _session_range(self, session: int) -> tuple[float, float]:
        if not self.sessions:
            return -np.inf, np.inf
        i = range(len(self.sessions))[session]
        is_last = i + 1 == len(self.sessions)
        return self.sessions[i].first_frame_id, np.inf if is_last else self.sessions[i + 1].first_frame_id

    def set_pose(self, keyframe_id: int, S_world_keyframe: Sim3) -> None:
        self.keyframes[keyframe_id].S_world_keyframe = S_world_keyframe
        self._R.view[keyframe_id] = S_world_keyframe.R
        self._t.view[keyframe_id] = S_world_keyframe.t
        self._s.view[keyframe_id] = S_world_keyframe.s

    def world_of(self, component_id: int) -> World:
        """What is known about the frame of reference of a component."""
        return self.worlds.get(component_id, UNKNOWN)

    def _are_metric(self, component_ids: Ids) -> bool:
        """Whether all of one or more components are in metres."""
        return len(component_ids) > 0 and all(self.world_of(c).is_metric for c in np.unique(component_ids).tolist())

    def observe(self, keyframe_id: int, ids: Ids, pixels: Array) -> None:
        """Add observations to an existing keyframe; landmarks that it already observes are left as they are."""
        old = self.observed[keyframe_id]
        new = ~np.isin(ids, old.ids, kind="table")  # a table of the ids: to sort them takes three times as long
        self.observed[keyframe_id] = Observations.of(
            np.concatenate([old.ids, ids[new]]), np.concatenate([old.pixels, pixels[new]])
        )

    def unobserve(self, keyframe_id: int, ids: Ids) -> None:
        """Remove observations (outliers)."""
        old = self.observed[keyframe_id]
        keep = ~np.isin(old.ids, ids, kind="table")
        self.observed[keyframe_id] = Observations.of(old.ids[keep], old.pixels[keep])

    def T_world_keyframes(self, keyframe_ids: Ids) -> Array:
        """Camera poses (N,4,4) of keyframes."""
        T = np.zeros((len(keyframe_ids), 4, 4))
        T[:, :3, :3] = self._R.view[keyframe_ids]
        T[:, :3, 3] = self._t.view[keyframe_ids]
        T[:, 3, 3] = 1.0
        return T

    def landmarks_world(self, ids: Ids) -> Array:
        """Positions (n,3) in the world."""
        host = self.landmarks.host[ids]
        xyz = self.landmarks.xyz_host[ids] * self._s.view[host][:, None]
        return np.einsum("nij,nj->ni", self._R.view[host], xyz) + self._t.view[host]

    def centres(self, keyframe_ids: Ids) -> Array:
        """Camera centres (n,3) of keyframes."""
        return self._t.view[keyframe_ids]

    def set_landmarks_world(self, ids: Ids, points: Array) -> None:
        """Move landmarks to world positions (n,3)."""
        host = self.landmarks.host[ids]
        local = np.matmul((points - self._t.view[host])[:, None, :], self._R.view[host])[:, 0]
        self.landmarks.xyz_host[ids] = local / self._s.view[host][:, None]

    def is_revisit(self, keyframe_id: int, centre: Array) -> bool:
        """Whether the newest keyframe has come back to an old one: the path between them is at least DETOUR times as
        long as the distance from the old one to centre (3,), where the camera is now."""
        centres = self.centres(np.arange(keyframe_id, len(self.keyframes)))
        way = float(np.linalg.norm(np.diff(centres, axis=0), axis=1).sum())
        return way > DETOUR * float(np.linalg.norm(centres[0] - centre))

    def are_revisits(self, keyframe_ids: Ids, centre: Array) -> npt.NDArray[np.bool_]:
        """(n,): `is_revisit` of keyframes (n,), in one go along the path."""
        if not len(keyframe_ids):
            return np.zeros(0, bool)
        centres = self.centres(np.arange(int(keyframe_ids.min()), len(self.keyframes)))
        at = keyframe_ids - keyframe_ids.min()
        way = np.append(np.cumsum(np.linalg.norm(np.diff(centres, axis=0), axis=1)[::-1])[::-1], 0.0)[at]
        least = DETOUR * np.linalg.norm(centres[at] - centre, axis=1)
        found = way > least
        for i in np.flatnonzero(np.abs(way - least) <= ROUNDING * least).tolist():  # sums in another order
            found[i] = self.is_revisit(int(keyframe_ids[i]), centre)
        return np.asarray(found)

    def relative_to(self, keyframe_id: int, T_world_cam: Array) -> Array:
        """T_keyframe_cam (4,4) in the keyframe's units."""
        S = self.keyframes[keyframe_id].S_world_keyframe
        T = se3.inverse(S.pose) @ T_world_cam
        T[:3, 3] /= S.s
        return T

    def covariance_relative_to(self, keyframe_id: int, covariance: Array) -> Array:
        """The covariance (6,6) of a pose T_world_cam, in map units -> that of T_keyframe_cam, in the keyframe's."""
        return with_lengths_times(1.0 / self.keyframes[keyframe_id].S_world_keyframe.s, covariance)

    def pose_of(self, estimate: PoseEstimate) -> Array | None:
        """T_world_cam (4,4) of a frame in the newest state of the map, None if it has no pose."""
        if estimate.T_ref_cam is None:
            return None
        return self.keyframes[estimate.ref_id].S_world_keyframe.compose_pose(estimate.T_ref_cam)

    def covariance_of(self, estimate: PoseEstimate) -> Array | None:
        """The covariance (6,6) of `pose_of`, in map units; None if it is not known."""
        if estimate.T_ref_cam is None or estimate.covariance is None:
            return None
        return with_lengths_times(self.keyframes[estimate.ref_id].S_world_keyframe.s, estimate.covariance)

    def is_upright(self, estimate: PoseEstimate) -> bool:
        """Whether the z axis of the world of `pose_of` is known to point up; False without a pose."""
        return estimate.T_ref_cam is not None and self.world_of(self.keyframes[estimate.ref_id].component_id).is_upright

    def trajectory(self, session: int = -1) -> Trajectory:
        """All frames of a session (by default the newest) that have a pose."""
        known = [f for f in self.session_frames(session) if f.T_ref_cam is not None]
        poses = [T for T in (self.pose_of(f) for f in known) if T is not None]
        return Trajectory(
            np.array([f.timestamp_s for f in known], np.float64),
            np.stack(poses) if poses else np.zeros((0, 4, 4)),
            np.array([f.frame_id for f in known], np.int64),
            component_ids := np.array([f.component_id for f in known], np.int64),
            self._are_metric(component_ids),
        )

    def keyframe_trajectory(self, session: int = -1) -> Trajectory:
        """The keyframes that a session (by default the newest) has added."""
        begin, end = self._session_range(session)
        k = [x for x in self.keyframes if begin <= x.frame_id < end]
        return Trajectory(
            np.array([x.timestamp_s for x in k], np.float64),
            self.T_world_keyframes(np.array([x.id for x in k], np.int64)),
            np.array([x.frame_id for x in k], np.int64),
            component_ids := np.array([x.component_id for x in k], np.int64),
            self._are_metric(component_ids),
        )


def _no_poses() -> tuple[GrowingArray, GrowingArray, GrowingArray]:
    """Rotations, positions and scales of keyframes, without any."""
    return GrowingArray((3, 3), np.float64), GrowingArray((3,), np.float64), GrowingArray((), np.float64)


def with_lengths_times(factor: float, covariance: Array) -> Array:
    """A covariance (6,6) of (rotation, translation) whose unit of length becomes 1 / factor of what it was."""
    scale = np.array([1.0, 1.0, 1.0, factor, factor, factor])
    return scale[:, None] * covariance * scale
