"""Begins a component in the map: its first keyframe, its landmarks, and poses of the frames around it."""

import numpy as np

from vgslam.frontend.corner_tracks import Sighting
from vgslam.frontend.features import Pixels
from vgslam.frontend.guessed import stays, with_unknown_position
from vgslam.frontend.initializer import Start
from vgslam.frontend.mapper import Mapper
from vgslam.frontend.tracker import Tracker, TrackState
from vgslam.frontend.turn_or_move import better_pose
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.multiview.pnp import PosePoints, refine_pose
from vgslam.types import Array, Ids, Keyframe, MadeBy, PoseEstimate, Status

_GUESS_REL_SIGMA = 0.5
"""Relative deviation of a corner's depth before anything is known of it (it is 1): as `MapperConfig.guess_rel_sigma`.
"""
_STEPS, _FAR_STEPS = 12, 15
"""Steps to the pose of a frame between the first two keyframes, and to that of the second, which is farther off."""
_LEAST_APART_PX = 8.0
"""How far another rotation of the last view is from the first one found, in px, to be taken: nothing is known at a
start that could tell small differences from those that a rolling shutter makes over many frames."""
_MIN_RATIO, _MIN_BEFORE = 0.6, 30
"""Least share of a frame's landmarks that must agree with its pose, and least number of them before the first view:
these frames have no neighbours to check with, and the map no keyframe that shows what they see. As
`StateConfig.strict_inliers`."""


class ComponentStart:
    """Adds the first keyframe of component `component_id` to `slam_map`, with its landmarks `ids`. T_world_last (4,4):
    pose of the start's last view, which the caller makes the second keyframe before it asks for `estimates`."""

    def __init__(self, slam_map: SlamMap, tracker: Tracker, mapper: Mapper, start: Start, component_id: int) -> None:
        self.map, self.tracker, self.mapper, self.start = slam_map, tracker, mapper, start
        self.seen: list[tuple[int, Ids, Pixels]] = []  # landmarks and their pixels, by frame, of the `estimates`
        self.without_translation = (
            f"component {component_id} began at frame {start.first.frame_id} with a camera that only turned or "
            "stood still: rotations are measured, its scale and depth are guesses until it moves sideways"
        )
        m, first, camera = slam_map, start.first, tracker.camera
        self.k = len(m.keyframes)
        m.add_keyframe(
            Keyframe(self.k, first.frame_id, first.timestamp_s, first.image, camera, Sim3.identity(), component_id),
            np.zeros(0, np.int64), np.zeros((0, 2)),
        )  # fmt: skip
        u, v = start.corners.round().astype(int).T
        rel_sigma = np.full(len(start.corners), _GUESS_REL_SIGMA)
        self.ids = m.landmarks.add(self.k, camera.rays(start.corners), rel_sigma, first.image[v, u])
        m.observe(self.k, self.ids, start.corners.astype(np.float64))
        self.T_world_last = self._seed()

    def estimates(self, component_id: int) -> list[PoseEstimate]:
        """Poses of the two keyframes, of the frames between them and of those before, as far as they are known."""
        return [*self._between(component_id), *self._keyframes(component_id), *self._before(component_id)]

    def _seed(self) -> Array:
        """Put the prediction's landmarks (unit: its median depth) into the map; returns the last view's pose."""
        m, prediction = self.map, self.start.prediction
        if prediction is None:
            last = self.start.sightings[-1]
            points = self.tracker.pose_points(self.ids[last.index], last.pixels)
            first_s, last_s = self.start.first.timestamp_s, self.start.last.timestamp_s
            still = stays(m, self.ids[last.index], np.zeros(3), last_s - first_s)
            camera, before = self.tracker.camera, self.start.corners[last.index].astype(np.float64)
            fit = refine_pose(camera, np.eye(4), points, 1.0, iterations=_FAR_STEPS, prior=still)
            other = better_pose(camera, np.eye(4), before, points, fit.T_cam_world, still, _LEAST_APART_PX)
            return se3.inverse(fit.T_cam_world if other is None else other.T_cam_world)
        found = self.ids[prediction.landmark_ids]
        m.set_landmarks_world(found, prediction.landmarks)
        m.landmarks.is_triangulated[found] = prediction.made_by is MadeBy.TRACKS
        m.landmarks.rel_sigma[found] = prediction.landmark_rel_sigma
        if prediction.made_by is MadeBy.TRACKS and prediction.confidence[0].any():
            self.mapper.take_depth(self.k, prediction, 0, 1.0)
        return prediction.T_window_cam[-1]

    def _between(self, component_id: int) -> list[PoseEstimate]:
        """Frames between the first two keyframes, against the landmarks that these gave."""
        m, config, out = self.map, self.tracker.config, []
        starts = (np.eye(4), se3.inverse(m.keyframes[self.k + 1].S_world_keyframe.pose))
        for sighting in self.start.sightings[1:-1]:
            points = self._sighted(sighting)
            if points is None or len(points) < config.min_inliers:
                continue
            fits = [refine_pose(self.tracker.camera, T, points, config.sigma_px, iterations=_STEPS) for T in starts]
            fit = max(fits, key=lambda f: int(f.inliers.sum()))
            n, ratio = int(fit.inliers.sum()), float(fit.inliers.mean())
            if ratio > _MIN_RATIO and n >= config.min_inliers:
                self.seen.append((sighting.frame_id, self.ids[sighting.index], sighting.pixels))
                T = m.relative_to(self.k, se3.inverse(fit.T_cam_world))
                covariance = m.covariance_relative_to(self.k, self._honest(fit.covariance))
                out.append(PoseEstimate(
                    sighting.frame_id, sighting.timestamp_s, Status.TRACKED, self.k, T, covariance, n, ratio,
                    component_id, self.start.prediction is None,
                ))  # fmt: skip
        return out

    def _honest(self, covariance: Array) -> Array:
        """A covariance (6,6) near the first view, with what a start leaves open that no motion has determined."""
        if self.start.prediction is not None and self.start.prediction.made_by is MadeBy.TRACKS:
            return covariance
        return with_unknown_position(self.map, self.ids, np.zeros(3), covariance)

    def _keyframes(self, component_id: int) -> list[PoseEstimate]:
        n = len(self.start.sightings[-1].index)
        return [
            PoseEstimate(
                keyframe.frame_id, keyframe.timestamp_s, Status.TRACKED, keyframe.id, np.eye(4),
                self._honest(1e-6 * np.eye(6)), n, 1.0, component_id, self.start.prediction is None,
            )
            for keyframe in self.map.keyframes[self.k : self.k + 2]
        ]  # fmt: skip

    def _before(self, component_id: int) -> list[PoseEstimate]:
        """Views before the component's first one, by tracking backwards in time."""
        m, k, out = self.map, self.k, []
        state = TrackState(self.start.first, self.ids, self.start.corners, m.keyframes[k].S_world_keyframe.pose)
        for view in reversed(self.start.earlier):
            result = self.tracker.track(state, view)
            if result.is_lost or result.n_inliers < _MIN_BEFORE or result.ratio < _MIN_RATIO:
                break
            self.seen.append((view.frame_id, result.ids, result.pixels))
            out.append(PoseEstimate(
                view.frame_id, view.timestamp_s, Status.TRACKED, k, m.relative_to(k, result.T_world_cam),
                m.covariance_relative_to(k, result.covariance), result.n_inliers, result.ratio, component_id,
                result.rotation_only,
            ))  # fmt: skip
            state = result.state(view, state)
        return out

    def _sighted(self, sighting: Sighting) -> PosePoints | None:
        """The landmarks of a sighting, those of known depth alone where the start has given depths; None for few."""
        seen = self.ids[sighting.index]
        prediction, marks = self.start.prediction, self.map.landmarks
        sure = marks.is_triangulated[seen]
        if prediction is not None and prediction.made_by is MadeBy.NETWORK:
            sure = marks.rel_sigma[seen] < _GUESS_REL_SIGMA
        if sure.sum() < self.tracker.config.min_inliers:
            if self.start.prediction is not None:  # a pose by guessed depths is no pose
                return None
            sure = np.ones(len(seen), bool)
        return self.tracker.pose_points(seen[sure], sighting.pixels[sure])
