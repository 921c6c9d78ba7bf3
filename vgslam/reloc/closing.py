"""What a confirmed loop does to the map: an edge, components brought together, the graph solved anew."""

from dataclasses import dataclass, field, replace

import numpy as np

from vgslam.backend.map import SlamMap
from vgslam.backend.map_graph import MapGraph
from vgslam.errors import GraphError
from vgslam.frontend.features import FeatureConfig
from vgslam.geometry.sim3 import Sim3
from vgslam.reloc.loop_search import LoopSearch
from vgslam.reloc.loops import LoopConfig, LoopFinder, Meeting
from vgslam.reloc.places import Places


@dataclass(frozen=True)
class Closed:
    """A loop that was closed at keyframe id_b: with id_a, correction of id_b's position in world units, and the
    component that was joined to id_a's, or None."""

    id_a: int
    id_b: int
    shift: float
    joined: int | None = None


class LoopCloser:
    """Finds loops at new keyframes and corrects the map. `closed`: the log of loops; `refused`: edges that the graph
    contradicted after the solve, which are taken out of the map again.

    With `config.in_background` the search goes on beside the caller, and what it found is closed with a later keyframe
    or by `finish`; the map moves within these calls only.
    """

    def __init__(self, slam_map: SlamMap, places: Places, features: FeatureConfig, config: LoopConfig) -> None:
        self.map, self.config = slam_map, config
        self.finder = LoopFinder(slam_map, places, features, config)
        self._graph = MapGraph(slam_map, config.is_metric)
        self._search = LoopSearch(self.finder.find) if config.in_background else None
        self.closed: list[Closed] = []
        self.refused: list[tuple[int, int]] = []

    @property
    def is_searching(self) -> bool:
        """Whether a search goes on in the background."""
        return self._search is not None and self._search.is_busy

    @property
    def search_cpu_s(self) -> float:
        """CPU seconds of the search in the background."""
        return self._search.cpu_s if self._search is not None else 0.0

    def at_keyframe(self, k: int, other_components: bool = False) -> Closed | None:
        """Close what keyframe k closes; None mostly. The map moves: poses held by the caller have to be read again."""
        if not self.config.is_on:
            return None
        if self._search is None or other_components:
            return self._close(self.finder.find(k, other_components))
        closed = self._close(self._search.take())
        self._search.start(k)
        return closed

    def finish(self) -> Closed | None:
        """Close what a search that is still under way finds."""
        return self._close(self._search.wait()) if self._search is not None else None

    def _close(self, confirmed: list[Meeting]) -> Closed | None:
        if not confirmed:
            return None
        last = confirmed[-1]
        try:
            self._graph.take_in()
        except GraphError:
            return None
        joined = self._join(last)
        if joined is None and not self.finder.is_drift(last):
            return None
        k = last.edge.id_b
        before = self.map.keyframes[k].S_world_keyframe.t.copy()
        if not self._solve(confirmed):
            return None
        self._tie(last)
        self.finder.forget()
        shift = float(np.linalg.norm(self.map.keyframes[k].S_world_keyframe.t - before))
        self.closed.append(Closed(last.edge.id_a, last.edge.id_b, shift, joined))
        return self.closed[-1]

    def _solve(self, confirmed: list[Meeting]) -> bool:
        """Add the edges and solve; False, with the edges taken out again, where the graph contradicts them."""
        m = self.map
        new = {(x.edge.id_a, x.edge.id_b): x.edge for x in confirmed if (x.edge.id_a, x.edge.id_b) not in m.edges}
        try:
            off = self._graph.close(list(new.values()))
        except GraphError:
            off = list(new)
        m.edges.update(new)
        for key in off:
            m.edges.pop(key, None)
            self.refused.append(key)
        return any(key not in off for key in new)

    def _tie(self, meeting: Meeting) -> None:
        """Let the keyframe observe the old landmarks that were found in it, so that what follows is tied to them."""
        self.map.observe(meeting.edge.id_b, meeting.found.ids, meeting.found.pixels.astype(np.float64))

    def _join(self, meeting: Meeting) -> int | None:
        """Move the younger of two components onto the older one; returns its number, None within one component."""
        m = self.map
        a, b = meeting.edge.id_a, meeting.edge.id_b
        of_a, of_b = m.keyframes[a].component_id, m.keyframes[b].component_id
        if of_a == of_b:
            return None
        correction = meeting.S_world_b @ m.keyframes[b].S_world_keyframe.inverse()
        first = {c: min(k.id for k in m.keyframes if k.component_id == c) for c in (of_a, of_b)}
        young, old = (of_b, of_a) if first[of_b] > first[of_a] else (of_a, of_b)
        move_component(m, young, old, correction if young == of_b else correction.inverse())
        return young


def move_component(slam_map: SlamMap, young: int, old: int, S_old_young: Sim3) -> None:
    """All keyframes and frames of component `young` become part of `old`, moved by S_old_young."""
    for keyframe in slam_map.keyframes:
        if keyframe.component_id == young:
            slam_map.set_pose(keyframe.id, S_old_young @ keyframe.S_world_keyframe)
            keyframe.component_id = old
    frames = slam_map.frames
    for i, frame in enumerate(frames):
        if frame.component_id == young and frame.T_ref_cam is not None:
            frames[i] = replace(frame, component_id=old)


@dataclass(frozen=True)
class PlaceJoiner:
    """Joins the components of a finished map where they show the same places; implements `store.merge.Joiner`."""

    features: FeatureConfig = field(default_factory=FeatureConfig)
    config: LoopConfig = field(default_factory=LoopConfig)

    def join(self, slam_map: SlamMap) -> int:
        """Number of components that were joined to another; the graph is solved after each."""
        closer = LoopCloser(slam_map, Places(slam_map), self.features, self.config)
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
