"""Takes what never moves in the image out of tracking and the map, and says so."""

import numpy as np

from vgslam.frontend.black_bars import BlackBars
from vgslam.frontend.image_mask import Mask
from vgslam.frontend.static_regions import StaticRegions
from vgslam.frontend.tracker import Tracker, View
from vgslam.map.slam_map import SlamMap

LEAST_CHANGE = 0.002
"""A mask that differs in a smaller share of the image from the one in use is not taken: the edges waver."""
GUESS_REL_SIGMA = 0.5
"""Relative deviation of the depth of what turned out to be no landmark: as `MapperConfig.guess_rel_sigma`."""


class StaticWatch:
    """Looks at all frames of a run, and keeps `tracker.mask` and the run's note up to date. The map's keyframes from
    the run (those since this was made) lose what they saw there, unless `is_localizing`."""

    def __init__(
        self, tracker: Tracker, slam_map: SlamMap, notes: list[str], first_frame_id: int = 0,
        is_localizing: bool = False,
    ) -> None:  # fmt: skip
        self._tracker, self._map, self._notes, self._is_localizing = tracker, slam_map, notes, is_localizing
        self._first_frame_id, self._first_keyframe = first_frame_id, len(slam_map.keyframes)
        self._regions, self._bars = StaticRegions(tracker.camera), BlackBars()
        self._note: str | None = None
        self._is_forgetting_due = False
        self.found: Mask | None = None
        """(height,width) True where the image did not move, when that was most of it; None where nothing was found."""

    @property
    def most_share(self) -> float:
        """Largest share of the image that was found not to move, 0 to 1."""
        return 0.0 if self.found is None else float(self.found.mean())

    def see(self, view: View, may_change_map: bool = True) -> None:
        """Take the next frame. may_change_map: False while others change the map: what it saw there is forgotten with
        `forget` then."""
        has_changed = self._bars.see(view.gray)
        if not self._regions.see(view.gray) and not has_changed:
            return
        mask = self._tracker.mask
        parts = [part for part in (self._regions.mask, self._bars.mask) if part is not None]
        before, now = mask.static, np.logical_or.reduce(parts) if parts else None
        if now is not None and mask.given is not None:
            now = now & ~mask.given if (now & ~mask.given).mean() > LEAST_CHANGE else None
        if before is not None and now is not None and (before ^ now).mean() < LEAST_CHANGE:
            return
        mask.set_static(now)
        if now is None:
            return
        self._is_forgetting_due = not self._is_localizing
        if may_change_map:
            self.forget()
        if now.mean() > self.most_share:
            self.found = now
            self._tell(view.frame_id - self._first_frame_id)

    def _tell(self, frame: int) -> None:
        if self._note in self._notes:
            self._notes.remove(self._note)
        share = f"{100 * self.most_share:.0f}" if self.most_share >= 0.005 else "less than 1"
        self._note = (
            f"{share} % of the image never moves while the rest does (found by frame {frame}): "
            "it is ignored; see static_mask.png, which can be given as --mask"
        )
        self._notes.append(self._note)

    def forget(self) -> None:
        """Take what was newly found out of the map, if that is due."""
        if not self._is_forgetting_due:
            return
        self._is_forgetting_due = False
        m, mask = self._map, self._tracker.mask
        for k in range(self._first_keyframe, len(m.keyframes)):
            ids, pixels = m.observed[k]
            on_it = ids[~mask.allows(pixels)]
            if len(on_it) == 0:
                continue
            m.unobserve(k, on_it)
            m.landmarks.is_triangulated[on_it] = False
            m.landmarks.rel_sigma[on_it] = np.maximum(m.landmarks.rel_sigma[on_it], GUESS_REL_SIGMA)
