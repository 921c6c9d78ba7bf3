"""Closes a confirmed loop: adds an edge, brings components together, and solves the graph again."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vgslam.errors import GraphError
from vgslam.frontend.features import FeatureConfig
from vgslam.geometry.camera import Camera
from vgslam.graph.map_graph import MapGraph
from vgslam.graph.robust import SwitchedOff, optimize_map
from vgslam.heap import give_memory_back
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.loop_search import LoopSearch
from vgslam.reloc.loops import LoopConfig, LoopFinder, Meeting
from vgslam.reloc.places import Places
from vgslam.reloc.verifiers import open_verifier
from vgslam.types import EdgeKind, Ids

NO_DRIFT = (
    "what they show looks the same, but no drift explains how far apart the map has them: there are two such places, "
    "or the map is wrong between them"
)
"""Why a loop is not closed that was confirmed."""
MANY_IN_A_ROW, IN_A_ROW = 5, 6
"""Such loops from which on the user is told, and keyframes from one to the next within which they are in a row: two or
three are often a repeated pattern."""


@dataclass(frozen=True)
class Closed:
    """A loop that was closed at keyframe id_b, with keyframe id_a."""

    id_a: int
    id_b: int
    shift: float
    """How far the position of id_b was corrected, in world units."""
    joined: int | None = None
    """The component that was joined to that of id_a, or None."""


class LoopCloser:
    """Finds loops at new keyframes and corrects the map.

    The search runs beside the caller, and what it found is closed with the next keyframe (`config.in_background`: with
    a later one) or by `finish`; the map moves within these calls only.
    """

    def __init__(
        self, slam_map: SlamMap, places: Places, features: FeatureConfig, config: LoopConfig,
        notes: list[str] | None = None,
    ) -> None:  # fmt: skip
        self.map, self.config = slam_map, config
        verifier = open_verifier(slam_map, places, features, config)
        self.finder = LoopFinder(slam_map, places, verifier, config)
        self._graph = MapGraph(slam_map, config.is_metric)
        self.search = LoopSearch(self.finder.find, is_waited_for=not config.in_background)
        self.closed: list[Closed] = []
        """The log of loops."""
        self.notes: list[str] = [] if notes is None else notes
        """A line for each thing that went wrong, added to the list that the caller gives."""
        self._dropped: list[tuple[int, int]] = []
        self._out_of_use: list[tuple[int, int]] = []
        self._tied: dict[tuple[int, int], Ids] = {}  # landmarks that a keyframe observes because of a loop
        self._failures: dict[str, _Failure] = {}
        self._no_drift: list[Meeting] = []  # the last in a row

    @property
    def refused(self) -> list[tuple[int, int]]:
        """Edges that the graph contradicts: those taken out of the map again, and those between parts of the map that
        only such edges join, which more of their kind may bring back."""
        return self._dropped + self._out_of_use

    @property
    def search_cpu_s(self) -> float:
        """CPU seconds of the search beside."""
        return self.search.cpu_s

    def take_camera(self, camera: Camera) -> None:
        """Go on with another calibration. Keyframes and edges have changed together: the graph that grew with them is
        made anew with the next loop."""
        self._graph = MapGraph(self.map, self.config.is_metric)

    def at_keyframe(self, k: int, other_components: bool = False) -> Closed | None:
        """Close the loop that keyframe k closes, if any. The map moves: the caller has to read its poses again."""
        return self.close(self.finder.find(k, other_components)) if self.config.is_on else None

    def begin(self, k: int) -> None:
        """Look for the loop that keyframe k closes, beside the tracking."""
        if self.config.is_on and self.finder.may_find(k):
            self.search.start(k)

    def finish(self) -> Closed | None:
        """Wait for a search that is still running, and close what it finds."""
        return self.close(self.search.wait())

    def give_graph_up(self) -> None:
        """The frames have ended: the graph that grew with them takes 50 KB a keyframe. A later loop makes it anew."""
        self._graph = MapGraph(self.map, self.config.is_metric)
        give_memory_back()

    def close(self, confirmed: list[Meeting]) -> Closed | None:
        """Close loops that were confirmed, if any: the map moves. None where the graph contradicts them."""
        if not confirmed:
            return None
        last = confirmed[-1]
        if all(self.finder.is_known(x) for x in confirmed):
            return self._note_known(last)
        try:
            self._graph.take_in()
            if not self._may_be(last):
                self._note_no_drift(last)
                return None
            return self._close_all(confirmed)
        except GraphError as error:
            self._note_failure(last, error)
            return None

    def _note_known(self, meeting: Meeting) -> Closed:
        """Keep a loop that says what the map says: the graph has it when it is next solved, which would move nothing
        now."""
        self.map.edges.setdefault(_pair(meeting), meeting.edge)
        self._tie(meeting)
        self.closed.append(Closed(*_pair(meeting), shift=0.0))
        return self.closed[-1]

    def _may_be(self, meeting: Meeting) -> bool:
        """Whether the map can be wrong by as much as a meeting says: between parts of it that drift does not tie, by
        anything."""
        a, b = meeting.edge.id_a, meeting.edge.id_b
        k = self.map.keyframes
        is_join = k[a].component_id != k[b].component_id
        return is_join or self._graph.lies_apart(a, b) or self.finder.is_drift(meeting)

    def _close_all(self, confirmed: list[Meeting]) -> Closed | None:
        """Add the edges and solve; None if the graph contradicts all of them. Raises GraphError, and nothing has
        changed."""
        m, last = self.map, confirmed[-1]
        k = last.edge.id_b
        before = m.keyframes[k].S_world_keyframe.t.copy()
        new = {_pair(x): x.edge for x in confirmed if _pair(x) not in m.edges}
        closing = self._graph.close(list(new.values()))
        self._dropped += closing.dropped
        self._out_of_use = closing.out_of_use
        out_of_use = set(closing.out_of_use)
        self._untie(out_of_use)
        if not new.keys() - out_of_use - set(closing.dropped):
            return None
        if _pair(last) not in out_of_use:
            self._tie(last)
        self.finder.forget()
        shift = float(np.linalg.norm(m.keyframes[k].S_world_keyframe.t - before))
        self.closed.append(Closed(last.edge.id_a, k, shift, closing.joined))
        return self.closed[-1]

    def _tie(self, meeting: Meeting) -> None:
        """Let the keyframe observe the old landmarks that were found in it, so that what follows is tied to them."""
        k, found = meeting.edge.id_b, meeting.found
        new = found.ids[~np.isin(found.ids, self.map.observed[k].ids)]
        self.map.observe(k, found.ids, found.pixels.astype(np.float64))
        self._tied[_pair(meeting)] = new

    def _untie(self, out_of_use: set[tuple[int, int]]) -> None:
        """Take back what was observed because of joins that have turned out to be false."""
        for pair in sorted(out_of_use & self._tied.keys()):
            a, b = (self.map.keyframes[n].frame_id for n in pair)
            self.map.unobserve(pair[1], self._tied.pop(pair))
            self.notes.append(f"the place seen in frames {a} and {b} was taken back: others contradict it")

    def _note_no_drift(self, meeting: Meeting) -> None:
        """Tell of loops that no drift explains, once there are many in a row."""
        row = self._no_drift
        is_next = bool(row) and meeting.edge.id_b - row[-1].edge.id_b <= IN_A_ROW
        self._no_drift = row = [*row, meeting] if is_next else [meeting]
        if len(row) >= MANY_IN_A_ROW:
            for x in row if len(row) == MANY_IN_A_ROW else row[-1:]:
                self._note_failure(x, GraphError(NO_DRIFT))

    def _note_failure(self, meeting: Meeting, error: GraphError) -> None:
        """One line for each reason, however often it comes."""
        reason, k = str(error), self.map.keyframes
        a, b = k[meeting.edge.id_a].frame_id, k[meeting.edge.id_b].frame_id
        failure = self._failures.setdefault(reason, _Failure(a, b))
        if failure.times:
            self.notes.remove(failure.line(reason))
        failure.times += 1
        self.notes.append(failure.line(reason))


@dataclass
class _Failure:
    """Loops that could not be closed: the frames of the first, and how many there were."""

    frame_a: int
    frame_b: int
    times: int = 0

    def line(self, reason: str) -> str:
        frames = f"between frames {self.frame_a} and {self.frame_b}: {reason}"
        return f"1 loop was not closed, {frames}" if self.times == 1 else (
            f"{self.times} loops were not closed, the first {frames}")  # fmt: skip


def solve_graph(slam_map: SlamMap, is_metric: bool, notes: list[str], else_of: str) -> None:
    """Optimise the whole pose graph. notes: gets a line where loops were left out, unless it is there already, and one
    if the graph cannot be solved and poses stay those of whatever `else_of` names."""
    try:
        left_out = _ties_left_out(slam_map, optimize_map(slam_map, is_metric).switched_off)
        notes += [line for line in left_out if line not in notes]
    except GraphError as error:
        notes.append(f"the graph was not optimised, poses are those of the {else_of}: {error}")


def _ties_left_out(slam_map: SlamMap, switched_off: Sequence[SwitchedOff]) -> list[str]:
    """A line where the last solve left out loops between parts of the map that only loops join."""
    off = [x for x in switched_off if x.is_tie and x.edge.kind is EdgeKind.LOOP]
    if not off:
        return []
    worst = max(off, key=lambda x: x.error_sigma)
    a, b = (slam_map.keyframes[n].frame_id for n in (worst.edge.id_a, worst.edge.id_b))
    return [
        f"{len(off)} loop(s) that would join parts of the map contradict the others and were left out; the worst, "
        f"between frames {a} and {b}, by {worst.error_sigma:.0f} sigma"
    ]


def _pair(meeting: Meeting) -> tuple[int, int]:
    return meeting.edge.id_a, meeting.edge.id_b


@dataclass(frozen=True)
class PlaceJoiner:
    """Joins the components of a finished map where they show the same places; implements `store.merge.Joiner`. notes: a
    line for each thing that went wrong."""

    features: FeatureConfig = field(default_factory=FeatureConfig)
    config: LoopConfig = field(default_factory=LoopConfig)
    notes: list[str] = field(default_factory=list)

    def join(self, slam_map: SlamMap) -> int:
        """Number of components that were joined to another; the graph is solved after each."""
        closer = LoopCloser(slam_map, Places(slam_map), self.features, self.config, self.notes)
        joined = 0
        while self._join_one(slam_map, closer):
            joined += 1
        return joined

    def _join_one(self, slam_map: SlamMap, closer: LoopCloser) -> bool:
        numbers = [k.component_id for k in slam_map.keyframes]
        main = max(set(numbers), key=numbers.count)
        for k in [keyframe.id for keyframe in slam_map.keyframes if keyframe.component_id != main]:
            closed = closer.at_keyframe(k, other_components=True)
            if closed is not None and closed.joined is not None:
                return True
        return False
