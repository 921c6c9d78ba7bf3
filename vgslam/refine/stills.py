"""A recording of stills, solved as a whole where tracking has left some of them out.

From one still to the next so much changes that tracking loses its way: a map in pieces, some of them begun by two
images that a plane explains in more than one way, and frames that no piece shows. All of them together determine more
than each as it comes. When such a recording has ended, it is solved from features that bear wide baselines, matched
between all that look alike (`stills_model`), and that replaces the map if it has as many frames in one piece as the map
in all, and more than its largest piece.
"""

from collections.abc import Sequence

import numpy as np

from vgslam.errors import OutputError
from vgslam.frontend.mapper import Mapper
from vgslam.frontend.matching import ImageFeatures, describe
from vgslam.frontend.tracker import Tracker, View
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.sim3 import Sim3
from vgslam.map.pictures import PictureKind, Pictures
from vgslam.map.slam_map import SlamMap
from vgslam.multiview.pnp import refine_pose
from vgslam.refine.adjust import InterruptedRefinementError, Watch
from vgslam.refine.apply import depth_deviation
from vgslam.refine.problem import gather
from vgslam.refine.stills_model import LEAST_VIEWS, MATCHER, StillsModel, solve_stills
from vgslam.types import Array, Frame, Keyframe, PoseEstimate, Status

MOST_STILLS = 128
"""Frames of a recording of stills at most: more take memory and time of their own."""
KEYFRAME_SHARE = 0.5
"""Where this share of the frames with a pose are keyframes, one shows hardly what the one before has shown: stills. In
a video every fifth to tenth is one."""
WHOLE = 0.95
"""A piece with this share of all frames is left alone: optical flow, where it can follow, measures landmarks in more
images, and a little better."""
IMAGES_BYTES = 32 * 2**20
"""Memory for the frames' images; what is beyond lies in files."""


class Stills:
    """Keeps the frames of a short recording, and solves them as stills if they are."""

    def __init__(self, slam_map: SlamMap, tracker: Tracker, mapper: Mapper, is_on: bool) -> None:
        """With the system's tracker and mapper, whose map and camera change; is_on: False keeps nothing."""
        self.map, self.tracker, self.mapper = slam_map, tracker, mapper
        self._may_be = is_on and not slam_map.keyframes
        self.is_on = False
        self._images = Pictures(IMAGES_BYTES)
        self._model: StillsModel | None = None
        self._solved_with: Camera | None = None

    def expect(self, n_frames: int) -> None:
        """Know how many frames a recording has; a stream, whose frames nobody can count, has no last word on stills."""
        self.is_on = self._may_be and LEAST_VIEWS <= n_frames <= MOST_STILLS

    def see(self, frame: Frame) -> None:
        """Keep a frame. Where there is no room for it, the recording is not solved as stills."""
        try:
            if self.is_on:
                self._images.put((frame.id, PictureKind.IMAGE), frame.image)
        except OutputError:
            self.is_on = False

    def take_over(self, watch: Watch) -> bool:
        """Replaces the map by what the stills determine, if that is more; returns whether it was. They are solved once
        for a camera. Raises OutputError and MapError for pictures that cannot be written or read."""
        if not self.is_on or not self._is_in_pieces():
            return False
        if self._solved_with != self.tracker.camera:
            watch.say(f"matching {len(self.map.frames)} stills with one another (Ctrl-C skips this)")
            self._model, self._solved_with = self._solved(watch), self.tracker.camera
        model, n_posed, n_largest = self._model, *self._counts()
        if model is None or len(model.images) < n_posed or len(model.images) == n_largest:
            return False
        self._write(model)
        self.is_on = False
        return True

    def _is_in_pieces(self) -> bool:
        """Whether these are stills, and not nearly all in one piece."""
        n_posed, n_largest = self._counts()
        return len(self.map.keyframes) >= KEYFRAME_SHARE * n_posed and n_largest < WHOLE * len(self.map.frames)

    def _counts(self) -> tuple[int, int]:
        """Frames with a pose, and those of the component that has most of them."""
        of = self.map.frames.column("component_id")[self.map.frames.poses()[1]]
        return len(of), int(np.bincount(of).max(initial=0))

    def _solved(self, watch: Watch) -> StillsModel | None:
        try:
            return solve_stills(self._features(watch), self.tracker.camera, watch)
        except (InterruptedRefinementError, KeyboardInterrupt, OSError):
            return None

    def _features(self, watch: Watch) -> Sequence[ImageFeatures]:
        mask, found = self.tracker.mask, []
        for row in range(len(self.map.frames)):
            watch.check()
            f = describe(self._view(row).gray, MATCHER)
            found.append(f if mask.is_empty else f.select(mask.allows(f.pixels)))
        return found

    def _view(self, row: int) -> View:
        frame = self.map.frames[row]
        image = self._images.get((frame.frame_id, PictureKind.IMAGE))
        if image is None:
            raise KeyError(frame.frame_id)
        return self.tracker.view(frame.frame_id, frame.timestamp_s, image)

    def _write(self, model: StillsModel) -> None:
        """The map of a model: its images are the keyframes, in the order of time, all in one component. The first is
        the world, the median depth the unit of length. Frames that are not in it are lost."""
        m, (T, points) = self.map, in_first(model)
        frames, (_, had_pose) = list(m.frames), m.frames.poses()
        m.begin_anew()
        for k, row in enumerate(model.images.tolist()):
            view = self._view(row)
            pose = Sim3.from_T(T[k])
            keyframe = Keyframe(k, view.frame_id, view.timestamp_s, view.image, self.tracker.camera, pose, 0)
            m.add_keyframe(keyframe, np.zeros(0, np.int64), np.zeros((0, 2)))
        self._add_landmarks(model, points)
        self.mapper.link_edges(np.arange(len(m.keyframes)))
        row_of = {row: k for k, row in enumerate(model.images.tolist())}
        for row, f in enumerate(frames):
            before = Status.TRACKED if had_pose[row] else Status.RELOCALIZED
            lost = PoseEstimate(f.frame_id, f.timestamp_s, Status.LOST)
            m.frames[row] = self._estimate(row_of[row], f, before) if row in row_of else lost

    def _add_landmarks(self, model: StillsModel, points: Array) -> None:
        """The model's landmarks, each on the first keyframe that sees it."""
        m = self.map
        order = np.lexsort((model.cam, model.point))
        first = order[np.unique(model.point[order], return_index=True)[1]]
        host, ids = model.cam[first], np.zeros(len(points), np.int64)
        for k in np.unique(host).tolist():
            mine = np.flatnonzero(host == k)
            keyframe = m.keyframes[k]
            v, u = keyframe.camera.cell_at(model.pixels[first[mine]], keyframe.image.shape[:2])
            local = keyframe.S_world_keyframe.inverse().apply(points[mine])
            ids[mine] = m.landmarks.add(k, local, np.ones(len(mine)), keyframe.image[v, u])
        m.landmarks.is_triangulated[ids] = True
        for k in range(len(m.keyframes)):
            rows = model.cam == k
            m.observe(k, ids[model.point[rows]], model.pixels[rows])
        p = gather(m, np.arange(len(m.keyframes)))
        m.landmarks.rel_sigma[p.landmark_ids] = depth_deviation(p)

    def _estimate(self, k: int, f: PoseEstimate, status: Status) -> PoseEstimate:
        """The row of the frame of keyframe k."""
        m, (ids, pixels) = self.map, self.map.observed[k]
        T_cam_world = se3.inverse(m.keyframes[k].S_world_keyframe.pose)
        fit = refine_pose(self.tracker.camera, T_cam_world, self.tracker.pose_points(ids, pixels))
        covariance = m.covariance_relative_to(k, fit.covariance)
        return PoseEstimate(f.frame_id, f.timestamp_s, status, k, np.eye(4), covariance, len(ids), 1.0, 0)


def in_first(model: StillsModel) -> tuple[Array, Array]:
    """Poses (C,4,4) and landmarks (L,3) of a model with its first image as the world, its median depth as the unit."""
    T_first = se3.inverse(model.T_world_cam[0])
    T, points = T_first @ model.T_world_cam, se3.transform(T_first, model.points)
    seen = se3.inverse(T)[model.cam]
    depth = (seen[:, 2, :3] * points[model.point]).sum(1) + seen[:, 2, 3]
    unit = float(np.median(depth))
    T[:, :3, 3] /= unit
    return T, points / unit
