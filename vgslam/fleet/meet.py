"""Two saved maps looked at for places that both show: one task a pair."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vgslam.fleet.overlap import Overlap, Views, overlap, places, spread_out
from vgslam.fleet.sights import Sight
from vgslam.fleet.ties import Tie, bond_of
from vgslam.frontend.features import FeatureConfig
from vgslam.geometry.sim3 import Sim3
from vgslam.interfaces import LoopVerifier
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.loops import LoopConfig, LoopFinder, Meeting
from vgslam.reloc.places import Places
from vgslam.reloc.verifiers import open_verifier
from vgslam.store.merge import put_beside
from vgslam.store.open import load_map
from vgslam.types import Ids

MOST_CODES = 48  # keyframes of a map by which it is recognised, spread over it: the pair test alone looks at all
ROW = 4
"""Keyframes on each side of one that looks alike which are looked at: a meeting needs several in a row that agree."""
MOST_ROWS = 8  # places of a pair that are looked at, those that look most alike first


@dataclass(frozen=True)
class Known:
    """What the search for pairs needs to know of a map."""

    codes: npt.NDArray[np.uint8]  # (n,256): codes of keyframes
    keyframes: Ids  # (n,): which ones
    sizes: dict[int, int]  # keyframes of each component


def known(path: Path) -> Known:
    """The codes of a saved map, made from its images where it holds none. Raises MapError."""
    m = load_map(path)
    places = Places(m)
    places.catch_up()
    n = len(m.keyframes)
    ids = np.unique(np.linspace(0, n - 1, min(n, MOST_CODES)).round().astype(np.int64)) if n else np.zeros(0, np.int64)
    codes = m.place_codes.codes.view[ids]
    sizes: dict[int, int] = defaultdict(int)
    for k in m.keyframes:
        sizes[k.component_id] += 1
    return Known(np.array(codes), ids, dict(sizes))


@dataclass(frozen=True)
class Met:
    """What two maps show of one another."""

    ties: list[Tie]
    overlaps: dict[tuple[int, int], Overlap]
    """How much of what components of both must have in common by their ties was found."""


def meet(a: Path, b: Path, config: LoopConfig | None = None) -> list[Tie]:
    """The verified ties between two saved maps: seen from both sides, by several keyframes in a row. Raises
    MapError."""
    return _Pair(a, b, config or LoopConfig()).ties()


def meet_and_check(a: Path, b: Path, config: LoopConfig | None = None) -> Met:
    """The ties, and whether the maps have in common what these say that they must. Raises MapError."""
    pair = _Pair(a, b, config or LoopConfig())
    ties = pair.ties()
    return Met(ties, {parts: pair.overlap(*parts, some) for parts, some in tied(ties).items()})


class _Pair:
    """Two saved maps side by side. Raises MapError."""

    def __init__(self, a: Path, b: Path, config: LoopConfig) -> None:
        m = self.map = load_map(a)
        self.n_a = len(m.keyframes)
        put_beside(m, load_map(b))
        self._config, self._places, self._middles = config, Places(m), _Middles(m)
        self._n_parts_a = 1 + max((k.component_id for k in m.keyframes[: self.n_a]), default=-1)
        self._verifier: LoopVerifier = open_verifier(m, self._places, FeatureConfig(), config)

    def ties(self) -> list[Tie]:
        """Places that both show."""
        m, n_a = self.map, self.n_a
        finder = LoopFinder(m, self._places, self._verifier, self._config)
        found: dict[tuple[int, int], Meeting] = {}
        for row in _rows(m, self._places, n_a):
            finder.forget()
            for k in row:
                for meeting in finder.find(k, other_components=True):
                    if meeting.edge.id_a < n_a:  # or else of another component of the same map
                        found[meeting.edge.id_a, meeting.edge.id_b] = meeting
        return [_tie(m, self._middles, meeting, n_a, self._n_parts_a) for _, meeting in sorted(found.items())]

    def overlap(self, part_a: int, part_b: int, ties: Sequence[Tie]) -> Overlap:
        """How much of what two parts must have in common is found, by the bond that their ties make."""
        bond, kept = bond_of(0, 1, ties)
        S_a, S_b = self._middles.of(part_a), self._middles.of(part_b + self._n_parts_a)
        component = np.array([k.component_id for k in self.map.keyframes], np.int64)
        a = Views.of(self.map, np.flatnonzero(component == part_a), Sim3.identity())
        b = Views.of(
            self.map, np.flatnonzero(component == part_b + self._n_parts_a), S_a @ bond.S_a_b @ S_b.inverse()
        )
        shown = S_a.apply(np.array([tie.sight_a.seen for tie in kept]))
        tied_already = {(tie.a, tie.b + self.n_a) for tie in kept}
        looks = spread_out(places(a, b, shown))
        return overlap(looks, tied_already, lambda i, j: self._verifier.verify(i, j) is not None)


def _rows(m: SlamMap, places: Places, n_a: int) -> list[range]:
    """Keyframes of the second map, in rows round those that look most like one of the first."""
    places.catch_up()
    best = []
    for k in range(n_a, len(m.keyframes)):
        ids, likeness = places.like_keyframe(k, 20)
        alike = likeness[ids < n_a]
        best.append(float(alike.max()) if len(alike) else -1.0)
    rows: list[range] = []
    for i in np.argsort(-np.array(best), kind="stable").tolist():
        if best[i] < 0 or len(rows) == MOST_ROWS:
            break
        if any(n_a + i in row for row in rows):
            continue
        rows.append(range(max(n_a, n_a + i - ROW), min(len(m.keyframes), n_a + i + ROW + 1)))
    return sorted(rows, key=lambda row: row.start)


class _Middles:
    """The middle of each component, as a frame of reference with the axes and units of the component."""

    def __init__(self, m: SlamMap) -> None:
        components = np.array([k.component_id for k in m.keyframes], np.int64)
        centres = m.centres(np.arange(len(m.keyframes)))
        self._at = {int(c): Sim3(np.eye(3), centres[components == c].mean(0)) for c in np.unique(components)}

    def of(self, component: int) -> Sim3:
        """S_world_middle of a component."""
        return self._at[component]


def _tie(m: SlamMap, middles: _Middles, meeting: Meeting, n_a: int, n_parts_a: int) -> Tie:
    e = meeting.edge
    a, b = m.keyframes[e.id_a], m.keyframes[e.id_b]
    S_a, S_b = middles.of(a.component_id), middles.of(b.component_id)
    S_middle = S_a.inverse() @ a.S_world_keyframe @ e.S_a_b @ b.S_world_keyframe.inverse() @ S_b
    place = S_a.inverse() @ a.S_world_keyframe
    S_place_b = a.S_world_keyframe @ e.S_a_b @ b.S_world_keyframe.inverse() @ S_b
    far = max(float(np.linalg.norm(place.t)), float(np.linalg.norm(S_place_b.t - a.S_world_keyframe.t)))
    reach = max(far, meeting.depth)
    seen = np.median(m.landmarks_world(meeting.found.ids), axis=0)
    S_b_a = b.S_world_keyframe @ e.S_a_b.inverse() @ a.S_world_keyframe.inverse()
    sight_a = Sight(a.S_world_keyframe.t, seen).through(S_a.inverse())
    sight_b = Sight(b.S_world_keyframe.t, S_b_a.apply(seen[None])[0]).through(S_b.inverse())
    return Tie(
        e.id_a, e.id_b - n_a, a.component_id, b.component_id - n_parts_a, e.S_a_b, e.sigmas, e.inlier_ratio, S_middle,
        reach, sight_a, sight_b,
    )  # fmt: skip


def tied(ties: Sequence[Tie]) -> dict[tuple[int, int], list[Tie]]:
    """The ties by the components that they lie between."""
    found: dict[tuple[int, int], list[Tie]] = {}
    for tie in ties:
        found.setdefault((tie.part_a, tie.part_b), []).append(tie)
    return found
