"""The map of a recording from those of its pieces, finished as that of a run is: loops, graph, adjustment, frames."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vgslam.fleet.splice import Part, splice
from vgslam.frontend.frame_poses import FramePoses
from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import RefineConfig, Watch
from vgslam.refine.outcome import RefineOutcome
from vgslam.refine.refine_map import refine_map
from vgslam.reloc.closing import Closed, LoopCloser, solve_graph
from vgslam.reloc.late_joins import join_components
from vgslam.reloc.places import Places
from vgslam.slam_config import SlamConfig
from vgslam.stage_clock import StageClock
from vgslam.types import Array, Ids

SEARCHED = 8  # places looked through for each wanted: those most like a keyframe are mostly of its own piece


class EarlierPieces(Places):
    """Places of a map of which each keyframe sees those of earlier pieces alone. piece (K,): that of each keyframe."""

    def __init__(self, slam_map: SlamMap, piece: Ids) -> None:
        super().__init__(slam_map)
        self._piece = piece

    def like_keyframe(self, k: int, n: int) -> tuple[Ids, npt.NDArray[np.float64]]:
        """As `Places.like_keyframe`, among earlier pieces."""
        ids, likeness = super().like_keyframe(k, SEARCHED * n)
        earlier = self._piece[ids] < self._piece[k]
        return ids[earlier][:n], likeness[earlier][:n]


@dataclass
class Whole:
    """What became of the parts."""

    slam_map: SlamMap
    loops: list[Closed] = field(default_factory=list)
    n_refused: int = 0
    n_joined: int = 0  # components that places joined, as no seam did
    notes: list[str] = field(default_factory=list)  # a line for each thing that a user of the poses should know
    refined: RefineOutcome | None = None
    stages: StageClock = field(default_factory=StageClock)


def make_whole(
    parts: Sequence[Part], timestamps_s: Array, into: SlamMap, config: SlamConfig, refine: RefineConfig, watch: Watch
) -> Whole:  # fmt: skip
    """The whole map, in `into`, which holds nothing but its session. Raises MapError and OutputError for pictures."""
    whole = Whole(into)
    with whole.stages.of("splice"):
        source = splice(parts, timestamps_s, into)
    if not into.keyframes:
        return whole
    frames = FramePoses(into, into.keyframes[0].camera, config.tracker)
    frames.take_over()
    with whole.stages.of("loops"):
        _close(whole, config, np.array(source, np.int64))
    with whole.stages.of("graph"):
        solve_graph(into, config.loops.is_metric, whole.notes, else_of="pieces")
    if refine.is_on:
        with whole.stages.of("refine"):
            whole.refined = refine_map(into, refine, watch, Places(into))
    with whole.stages.of("frames"):
        frames.finish()
    return whole


def _close(whole: Whole, config: SlamConfig, source: Ids) -> None:
    """Loops between pieces, as a run would close them at its keyframes; then what is still apart."""
    m, features = whole.slam_map, config.tracker.features
    if not config.loops.is_on:
        return
    closer = LoopCloser(m, EarlierPieces(m, source), features, config.loops, whole.notes)
    for k in np.flatnonzero(source > source[0]).tolist():
        closer.at_keyframe(k)
    whole.loops, whole.n_refused = closer.closed, len(closer.refused)
    n_late = join_components(m, features, config.loops, whole.notes)
    whole.n_joined = n_late + sum(x.joined is not None for x in closer.closed)
