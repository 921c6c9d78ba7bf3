"""A focal length that changes inside a run is noticed: what a pose cannot explain grows with the radius.

Landmarks of measured depth determine the focal length of a view together with its pose: seven parameters, one
Gauss-Newton step from the pose that was found (Hartley and Zisserman, Multiple View Geometry, section 7.2). A flat
scene leaves the focal length open, and its deviation says so.
"""

from collections import deque

import numpy as np

from vgslam.frontend.tracker import Tracker, TrackResult
from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH, Camera
from vgslam.multiview.pnp import PosePoints
from vgslam.types import Array

MIN_POINTS = 40
"""Least landmarks of measured depth."""
MOST_POINTS = 120
"""Most landmarks that are used: of more, every second, third, ... is."""
MAX_REL_SIGMA = 0.1
"""Landmarks whose depth is known worse say nothing of the focal length."""
LEAST_CHANGE, SIGMAS = 0.025, 5.0
"""A frame has another focal length than those before when it differs by this share and by this many deviations: more
than any of a fixed lens seemed to (0.018), where depths of neighbours err alike."""
N_LOOKED, N_CHANGED = 3, 2
"""Last looks, and how many of them must say the same: the map soon takes on the new focal length."""
N_BEFORE, MIN_BEFORE = 30, 5
"""Looks whose median is the focal length of before, so that a wrong calibration is no zoom: at most, and at least."""
LONGEST_GAP = 30
"""Frames between two changes that are told of as one."""
LOOK_EVERY = 2
"""Frames from one look to the next."""
N_STEPS = 2
"""Steps with weights renewed: the pose is known already."""
WIDTH_SIGMAS = 3.0
"""Width of the Cauchy weights, in standard deviations of a pixel."""


def focal_change(camera: Camera, points: PosePoints, T_cam_world: Array, sigma_px: float) -> tuple[float, float]:
    """How much longer the focal length of a view is than that of `camera`, as its logarithm, and the deviation of that;
    (0, infinity) where it is not determined. points: N landmarks and where the view sees them; T_cam_world (4,4): its
    pose with the camera's focal length."""
    Xc = se3.transform(T_cam_world, points.landmarks)
    ahead = Xc[:, 2] > MIN_DEPTH
    if ahead.sum() < MIN_POINTS:
        return 0.0, np.inf
    Xc, pixels = Xc[ahead], points.pixels[ahead]
    z = Xc[:, 2]
    a, b, zero = camera.fx / z, camera.fy / z, np.zeros(len(z))
    off = camera.project(Xc) - [camera.cx, camera.cy]
    J3 = np.stack([np.stack([a, zero, -off[:, 0] / z], 1), np.stack([zero, b, -off[:, 1] / z], 1)], axis=1)
    J = np.concatenate([np.matmul(J3, -se3.skew(Xc)), J3, off[:, :, None]], axis=2)
    along = np.matmul(J3, (points.direction[ahead] * points.rel_sigma[ahead, None] @ T_cam_world[:3, :3].T)[:, :, None])
    r = camera.project(Xc) - pixels
    # the depth's error moves a projection along one direction; its variance counts for both
    variance = sigma_px**2 + (along[:, :, 0] ** 2).sum(1)
    step, H = np.zeros(7), np.eye(7)
    for _ in range(N_STEPS):
        left = r + np.matmul(J, step)
        w = 1.0 / (variance * (1.0 + (left**2).sum(1) / variance / WIDTH_SIGMAS**2))
        H = np.einsum("nij,n,nik->jk", J, w, J) + 1e-9 * np.eye(7)
        step = -np.linalg.solve(H, np.einsum("nij,n,ni->j", J, w, r))
    deviation = float(np.sqrt(max(np.linalg.inv(H)[6, 6], 0.0)))
    return float(step[6]), deviation


class ZoomWatch:
    """Looks at tracked frames, and keeps one line of `notes` up to date with those where the focal length changes."""

    def __init__(self, tracker: Tracker, notes: list[str]) -> None:
        self._tracker, self._notes, self._note = tracker, notes, ""
        self._before: deque[float] = deque(maxlen=N_BEFORE)
        self._signs: deque[int] = deque(maxlen=N_LOOKED)
        self._stretches: list[list[int]] = []
        self._n = -1

    def take_camera(self) -> None:
        """The calibration has changed: what the focal length was before says nothing of what it will be."""
        self._before.clear()
        self._signs.clear()

    def see(self, frame: int, result: TrackResult) -> None:
        """Take the next tracked frame; frame: its number in the run."""
        self._n += 1
        if self._n % LOOK_EVERY:
            return
        tracked = self._tracker.map
        marks = tracked.landmarks
        is_sure = marks.is_triangulated[result.ids] & (marks.rel_sigma[result.ids] < MAX_REL_SIGMA)
        is_sure &= marks.host[result.ids] < len(tracked.keyframes) - 1
        if is_sure.sum() < MIN_POINTS:
            return
        some = np.flatnonzero(is_sure)[:: 1 + int(is_sure.sum()) // MOST_POINTS]
        points = self._tracker.pose_points(result.ids[some], result.pixels[some])
        T_cam_world = se3.inverse(result.T_world_cam)
        self.take(frame, *focal_change(self._tracker.camera, points, T_cam_world, self._tracker.config.sigma_px))

    def take(self, frame: int, change: float, deviation: float) -> None:
        """Take the focal length of a frame: the logarithm of its ratio to the camera's, and the deviation of that."""
        if not np.isfinite(deviation):
            return
        usual = float(np.median(self._before)) if len(self._before) >= MIN_BEFORE else None
        off = 0.0 if usual is None else change - usual
        is_off = abs(off) > LEAST_CHANGE and abs(off) > SIGMAS * deviation
        self._signs.append(int(np.sign(off)) if is_off else 0)
        if not is_off:
            self._before.append(change)
        if abs(sum(self._signs)) >= N_CHANGED:
            self._tell(frame)

    def _tell(self, frame: int) -> None:
        if not self._stretches or frame - self._stretches[-1][1] > LONGEST_GAP:
            self._stretches.append([frame, frame])
        self._stretches[-1][1] = frame
        if self._note in self._notes:
            self._notes.remove(self._note)
        told = ", ".join(f"{a}-{b}" for a, b in self._stretches)
        self._note = (
            f"the focal length seems to change (zoom) in frames {told}: poses from there on are not to be believed; "
            "run the parts with one focal length apart"
        )
        self._notes.append(self._note)
