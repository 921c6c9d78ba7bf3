"""Components that began with a network's depth, and are solved again as soon as the motion determines them."""

from dataclasses import dataclass

import numpy as np

from vgslam.frontend.guessed import lacks_depth, shared_with_earlier
from vgslam.frontend.initializer import Start
from vgslam.frontend.mapper import Mapper
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.types import Ids, MadeBy, WindowPrediction

N_SOLVED = 6
"""Keyframes that are solved together when the motion determines the geometry: those of a bundle adjustment."""


@dataclass
class Provisional:
    """A component that a network began, and whether the motion has determined its geometry since."""

    component_id: int
    first_keyframe: int
    frame_id: int
    solved_at: int | None = None
    """The frame at which it was solved again without the network's depth."""
    is_open: bool = True


class ProvisionalStarts:
    """Watches over the components that a network began. notes: gets a line for each that is solved."""

    def __init__(self, slam_map: SlamMap, mapper: Mapper, notes: list[str]) -> None:
        self.map, self.mapper, self._notes = slam_map, mapper, notes
        self.starts: list[Provisional] = []

    def began(self, start: Start, component_id: int, first_keyframe: int) -> None:
        """A component has begun."""
        if start.prediction is not None and start.prediction.made_by is MadeBy.NETWORK:
            self.starts.append(Provisional(component_id, first_keyframe, start.first.frame_id))

    def at_keyframe(self, k: int) -> None:
        """A keyframe was added: solve a component again whose geometry the motion determines by now."""
        component = self.map.keyframes[k].component_id
        newest = self.starts[-1] if self.starts else None
        if newest is not None and newest.is_open and newest.component_id == component:
            self._solve_again(newest, k)

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
        self._notes.append(
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
