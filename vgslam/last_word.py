"""The last word on a map when its recording has ended: what belongs together comes together, and all is adjusted."""

from dataclasses import dataclass

import numpy as np

from vgslam.frontend.asking import AskedGuide
from vgslam.frontend.dense_depth import add_dense_depth
from vgslam.frontend.mapper import Mapper
from vgslam.frontend.tracker import Tracker
from vgslam.refine.adjust import RefineConfig, Watch
from vgslam.refine.dense_depth import measure_depth_again
from vgslam.refine.outcome import RefineOutcome
from vgslam.refine.refine_checked import Mending, refine_checked
from vgslam.refine.stills import Stills
from vgslam.reloc.closing import LoopCloser, solve_graph
from vgslam.reloc.late_joins import join_components
from vgslam.reloc.parting import part_components
from vgslam.reloc.places import Places
from vgslam.reloc.relocalizer import Relocalizer
from vgslam.stage_clock import StageClock


@dataclass
class LastWord:
    """The parts of a system that have a say in it."""

    tracker: Tracker
    mapper: Mapper
    relocalizer: Relocalizer
    loops: LoopCloser
    stills: Stills
    refine: RefineConfig
    stages: StageClock
    notes: list[str]
    first_frame_id: int
    """First frame of this run: what is older stays as it is."""
    refined: RefineOutcome | None = None
    """What became of the adjustment, if there was one."""

    def speak(self, watch: Watch) -> bool:
        """Whether the map was made anew, of stills: keyframes have other numbers then."""
        is_anew, n_notes = self._solve_stills(watch), len(self.notes)
        self._adjust(watch)
        if self._solve_stills(watch):  # the adjustment has parted what does not hold
            is_anew = True
            del self.notes[n_notes:]  # they are of a map that is gone
            self._adjust(watch)
        return is_anew

    def _solve_stills(self, watch: Watch) -> bool:
        with self.stages.of("refine"):
            if not self.stills.take_over(watch):
                return False
            self.relocalizer.take_places(Places(self.mapper.map))
            self.loops.closed.clear()
            return True

    def _adjust(self, watch: Watch) -> None:
        """Components fall apart where nothing holds them, and come together where places say so; the graph is solved
        and the whole map adjusted."""
        m, loops = self.mapper.map, self.loops.config
        with self.stages.of("loops"):
            self.notes += part_components(m, self.mapper.config.guess_rel_sigma, self.first_frame_id)
            join_components(m, self.tracker.config.features, loops, self.notes)
        with self.stages.of("graph"):
            solve_graph(m, loops.is_metric, self.notes, else_of="odometry")
        if not self.refine.is_on:
            return
        with self.stages.of("refine"):
            mending = Mending.of(self.relocalizer, loops, self.mapper.config, self.first_frame_id)
            self.refined = refine_checked(m, self.refine, watch, mending, self.notes)
            self.notes += self.refined.warnings()
            if m.keyframes:
                self.tracker.take_camera(m.keyframes[-1].camera)
                self.mapper.take_camera(m.keyframes[-1].camera)

    def measure_depth(self, guide: AskedGuide | None, watch: Watch) -> None:
        """Dense depth as the last poses say, of this run's keyframes. guide: a network whose depth they get first."""
        with self.stages.of("depth"):
            asked = guide if guide is not None and guide.use.dense_depth else None
            if asked is not None:
                add_dense_depth(self.mapper, asked)
            if self.refine.remeasures_depth and self.refined is not None and not self.refined.is_interrupted:
                m = self.mapper.map
                new = np.array([k.id for k in m.keyframes if k.frame_id >= self.first_frame_id], np.int64)
                measure_depth_again(m, new, self.tracker.mask, watch, keeps_others=asked is not None)
