"""What is adjusted together: the keyframes of one component, the landmarks that they see, and their camera."""

from dataclasses import dataclass

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH, Camera
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Ids

Mask = np.ndarray
AT_ONCE = 20_000
"""Observations that are worked on together: of a long map all at once would take hundreds of MB."""


@dataclass(frozen=True)
class Problem:
    """Cameras, points and observations; a map is left alone until a solution of it is written back."""

    camera: Camera
    """The pinhole of all keyframes."""
    k1: float
    """What the lens has of radial distortion beside it: (x, y) / z is seen at (x, y) / z (1 + k1 r^2)."""
    keyframe_ids: Ids
    """(C,), ascending."""
    T_cam_world: Array
    """(C,4,4)."""
    landmark_ids: Ids
    """(L,), ascending."""
    points: Array
    """(L,3) in the world."""
    has_point: Mask
    """(L,): whether the point is known; the others take no part until they are triangulated."""
    cam: Ids
    """(M,): index of the keyframe of an observation."""
    point: Ids
    """(M,): index of its landmark."""
    pixels: Array
    """(M,2)."""
    in_use: Mask
    """(M,): whether the observation is believed."""

    def errors_px(self) -> Array:
        """(M,): reprojection error of every observation; inf behind a camera or where there is no point."""
        error = np.full(len(self.cam), np.inf)
        for begin in range(0, len(error), AT_ONCE):
            rows = np.arange(begin, min(begin + AT_ONCE, len(error)))
            Xc = self.local_points_of(rows)
            ahead = (Xc[:, 2] > MIN_DEPTH) & self.has_point[self.point[rows]]
            seen = self.pixels[rows[ahead]]
            error[rows[ahead]] = np.linalg.norm(project(self.camera, self.k1, Xc[ahead]) - seen, axis=1)
        return error

    def local_points(self) -> Array:
        """(M,3): the point of every observation, in the frame of its camera."""
        return self.local_points_of(np.arange(len(self.cam)))

    def local_points_of(self, rows: Ids) -> Array:
        """(n,3): the points of the observations `rows` (n,), in the frames of their cameras."""
        local = np.empty((len(rows), 3))
        for begin in range(0, len(rows), AT_ONCE):
            part = rows[begin : begin + AT_ONCE]
            T = self.T_cam_world[self.cam[part]]
            turned = np.matmul(T[:, :3, :3], self.points[self.point[part]][:, :, None])[:, :, 0]
            local[begin : begin + AT_ONCE] = turned + T[:, :3, 3]
        return local

    def T_world_cam(self) -> Array:
        """(C,4,4): poses of the cameras."""
        return se3.inverse(self.T_cam_world)

    def is_active(self) -> Mask:
        """(M,): the observations that count: believed, of a known point that at least two keyframes see."""
        use = self.in_use & self.has_point[self.point]
        count = np.bincount(self.point[use], minlength=len(self.points))
        return use & (count >= 2)[self.point]

    def rows_by_keyframe(self) -> list[Ids]:
        """The active observations of each keyframe, C arrays of rows."""
        active = np.flatnonzero(self.is_active())
        active = active[np.argsort(self.cam[active], kind="stable")]
        return np.split(active, np.searchsorted(self.cam[active], np.arange(1, len(self.keyframe_ids))))


def gather(slam_map: SlamMap, members: Ids) -> Problem:
    """The problem of keyframes `members` (C,) of one component: all landmarks that two of them see. Points are those
    of the map where it has triangulated them. The camera is that of the last member."""
    m = slam_map
    seen = [m.observed[k] for k in members.tolist()]
    cam = np.concatenate([np.full(len(s.ids), n) for n, s in enumerate(seen)]).astype(np.int64)
    ids = np.concatenate([s.ids for s in seen])
    pixels = np.concatenate([s.pixels for s in seen])
    n_views = np.bincount(ids, minlength=len(m.landmarks))
    keep = (n_views >= 2)[ids]
    unique, point = np.unique(ids[keep], return_inverse=True)
    return Problem(
        m.keyframes[int(members[-1])].camera, 0.0, members, se3.inverse(m.T_world_keyframes(members)), unique,
        m.landmarks_world(unique), m.landmarks.is_triangulated[unique].copy(), cam[keep], point.reshape(-1),
        pixels[keep], np.ones(int(keep.sum()), bool),
    )  # fmt: skip


def project(camera: Camera, k1: float, points: Array) -> Array:
    """Points (N,3) in the camera frame, z > 0 -> pixels (N,2) of a pinhole with radial distortion k1."""
    if not k1:
        return camera.project(points)
    xy = points[:, :2] / points[:, 2:]
    bent = xy * (1.0 + k1 * (xy**2).sum(1, keepdims=True))
    return bent * [camera.fx, camera.fy] + [camera.cx, camera.cy]
