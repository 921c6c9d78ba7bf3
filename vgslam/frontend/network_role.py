"""What becomes of a network's depth in the map: starts that are solved again, and dense depth at the end."""

from dataclasses import dataclass

import numpy as np

from vgslam.frontend.asking import AskedGuide, Reason
from vgslam.frontend.guessed import lacks_depth, shared_with_earlier
from vgslam.frontend.guided_tracking import track_guided
from vgslam.frontend.initializer import Start
from vgslam.frontend.mapper import Mapper, keep_depth
from vgslam.frontend.measured_depth import calibrate, depth_of
from vgslam.frontend.tracker import TrackResult, TrackState, View
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Ids, MadeBy, WindowInput, WindowPrediction

N_SOLVED = 6
"""Keyframes that are solved together when the motion determines the geometry: those of a bundle adjustment."""
DENSE_WINDOW = 4
"""Keyframes that the network sees together when it makes their dense depth."""


@dataclass
class Provisional:
    """A component that a network began, and whether the motion has determined its geometry since."""

    component_id: int
    first_keyframe: int
    frame_id: int
    solved_at: int | None = None
    """The frame at which it was solved again without the network's depth."""
    is_open: bool = True


class NetworkRole:
    """All that a guide does to the map beside tracking; nothing without one."""

    def __init__(self, slam_map: SlamMap, mapper: Mapper, guide: AskedGuide | None) -> None:
        self.map, self.mapper, self.guide = slam_map, mapper, guide
        self.starts: list[Provisional] = []

    def began(self, start: Start, component_id: int, first_keyframe: int) -> None:
        """A component has begun."""
        if start.prediction is not None and start.prediction.made_by is MadeBy.NETWORK:
            self.starts.append(Provisional(component_id, first_keyframe, start.first.frame_id))

    def at_keyframe(self, k: int) -> None:
        """A keyframe was added: solve a component again whose geometry the motion determines by now."""
        if self.guide is None:
            return
        component = self.map.keyframes[k].component_id
        newest = self.starts[-1] if self.starts else None
        if newest is not None and newest.is_open and newest.component_id == component:
            self._solve_again(newest, k)

    def track(self, state: TrackState, view: View) -> TrackResult | None:
        """Pose of a view that could not be followed nor found in the map, from where the network says that the camera
        has gone; None if nothing is found there."""
        if self.guide is None or not self.guide.use.motion_guess:
            return None
        return track_guided(self.mapper.tracker, self.guide, state, view)

    def believe(self, reason: Reason, is_guided: bool = True) -> None:
        """What the network said was used."""
        if self.guide is not None and is_guided:
            self.guide.desk.believe(reason)

    # -- a start is solved again

    def _solve_again(self, start: Provisional, k: int) -> None:
        """Two views that determine the geometry of the keyframes between them, the first of them as early as can be;
        or, if there are none, enough landmarks that many keyframes have triangulated."""
        m = self.map
        mine = [i for i in range(start.first_keyframe, k + 1) if m.keyframes[i].component_id == start.component_id]
        for a in mine[-N_SOLVED:-1]:
            window = np.array([i for i in mine if i >= a])
            found = self.mapper.sfm.predict(self.mapper.tracks_of(window))
            if found is not None:
                self._take(window, found)
                return self._solved(start, window, mine)
        if len(mine) >= N_SOLVED and not lacks_depth(m, shared_with_earlier(m, k)):
            return self._solved(start, np.array(mine), mine)
        return None

    def _solved(self, start: Provisional, window: Ids, mine: list[int]) -> None:
        self.mapper.settle(window, np.array(mine))
        start.is_open, start.solved_at = False, self.map.keyframes[mine[-1]].frame_id
        if self.guide is not None:
            self.guide.notes.append(
                f"component {start.component_id} began at frame {start.frame_id} with the network's depth and was "
                f"solved again from the motion alone at frame {start.solved_at}"
            )

    def _take(self, window: Ids, found: WindowPrediction) -> None:
        """Poses and landmarks that follow from the motion alone, in the place and the scale of the first keyframe;
        whatever else was thought to be known of depth there is a guess again."""
        m = self.map
        seen = np.unique(np.concatenate([m.observed[int(i)].ids for i in window]))
        T_world_first = m.T_world_keyframes(window[:1])[0]
        before = se3.transform(se3.inverse(T_world_first), m.landmarks_world(found.landmark_ids))[:, 2]
        ratio = before[before > 0] / found.landmarks[before > 0, 2]
        scale = float(np.median(ratio[ratio > 0])) if (ratio > 0).any() else 1.0
        S_world_window = Sim3.from_T(T_world_first, scale)
        for n, i in enumerate(window.tolist()):
            T_world_cam = S_world_window.compose_pose(found.T_window_cam[n])
            m.set_pose(i, Sim3.from_T(T_world_cam, m.keyframes[i].S_world_keyframe.s))
        m.landmarks.is_triangulated[seen] = False
        m.landmarks.rel_sigma[seen] = np.maximum(m.landmarks.rel_sigma[seen], self.mapper.config.guess_rel_sigma)
        m.set_landmarks_world(found.landmark_ids, S_world_window.apply(found.landmarks))
        m.landmarks.is_triangulated[found.landmark_ids] = True
        m.landmarks.rel_sigma[found.landmark_ids] = found.landmark_rel_sigma

    # -- dense depth

    def _depths(self, window: Ids, n: Ids, ids: Ids) -> Array:
        """Depth (M,) of landmarks along the optical axes of the window's keyframes n (M,), in map units."""
        T = self.map.T_world_keyframes(window)[n]
        return np.asarray(((self.map.landmarks_world(ids) - T[:, :3, 3]) * T[:, :3, 2]).sum(1))

    def _seen_by(self, window: Ids) -> WindowInput:
        keyframes = [self.map.keyframes[i] for i in window.tolist()]
        return WindowInput(np.array([k.frame_id for k in keyframes]), [k.image for k in keyframes], self.mapper.camera)

    def finish(self) -> list[str]:
        """Lines for components that the motion never determined."""
        for start in self.starts:
            start.is_open = False
        return [
            f"component {s.component_id}: the motion never determined its geometry; its scale and depth are the "
            "network's guesses"
            for s in self.starts
            if s.solved_at is None and self.map.keyframes[s.first_keyframe].component_id == s.component_id
        ]  # fmt: skip

    def dense_depth(self) -> None:
        """The network's depth for every keyframe whose landmarks agree with it, if that is wanted."""
        if self.guide is None or not self.guide.use.dense_depth:
            return
        for a in range(0, len(self.map.keyframes), DENSE_WINDOW):
            component = self.map.keyframes[a].component_id
            ids = range(a, min(a + DENSE_WINDOW, len(self.map.keyframes)))
            self._dense(np.array([i for i in ids if self.map.keyframes[i].component_id == component]))

    def _dense(self, window: Ids) -> None:
        guide = self.guide
        about = tuple(window.tolist())
        found = None if guide is None else guide.predict_now(Reason.DEPTH, about, self._seen_by(window))
        if guide is None or found is None:
            return
        n, ids, px = self.mapper.observations(window)
        z, depth = self._depths(window, n, ids), depth_of(found, self.mapper.camera, n, px)
        measured = self.map.landmarks.is_triangulated[ids]
        is_used = False
        for i, k in enumerate(window.tolist()):
            mine = measured & (n == i)
            fit = calibrate(z[mine], depth[mine], ids[mine])
            if fit is not None:
                keyframe = self.map.keyframes[k]
                scale = np.float32(fit.scale / keyframe.S_world_keyframe.s)
                keep_depth(keyframe, found, i, scale, self.mapper.tracker.mask)
                is_used = True
        if is_used:
            guide.desk.believe(Reason.DEPTH)
