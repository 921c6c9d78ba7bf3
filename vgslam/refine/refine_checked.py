"""The map adjusted as a whole, and then asked whether it holds: what does not belong together comes apart, is placed by
matches where these call for it, and is adjusted again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vgslam.frontend.features import FeatureConfig
from vgslam.frontend.image_mask import ImageMask
from vgslam.frontend.mapper import MapperConfig
from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import RefineConfig, Watch
from vgslam.refine.contradicted import contradicted_pieces
from vgslam.refine.fresh_matches import FreshMatches
from vgslam.refine.held_by_fit import pieces_held
from vgslam.refine.outcome import RefineOutcome
from vgslam.refine.refine_map import refine_map
from vgslam.reloc.closing import solve_graph
from vgslam.reloc.late_joins import join_components
from vgslam.reloc.loops import LoopConfig
from vgslam.reloc.parting import part
from vgslam.reloc.places import Places
from vgslam.reloc.relocalizer import Relocalizer
from vgslam.types import Ids

MOST_MENDED = 2
"""How often what came apart is placed anew and adjusted; what comes apart after that stays so."""


@dataclass(frozen=True)
class Mending:
    """What is needed to take a map apart and put it together."""

    places: Places
    """Those of the map."""
    features: FeatureConfig
    """How features are followed."""
    loops: LoopConfig
    """When places are believed to be the same."""
    mapper: MapperConfig
    """How deviant a guessed depth is."""
    first_frame_id: int = 0
    """First frame of this run: components with keyframes of earlier runs stay as they are."""
    mask: ImageMask | None = None
    """Where images carry no features."""

    @staticmethod
    def of(relocalizer: Relocalizer, loops: LoopConfig, mapper: MapperConfig, first_frame_id: int) -> "Mending":
        """With the places, features and mask by which a camera is found in the map."""
        r = relocalizer
        return Mending(r.places, r.locator.features, loops, mapper, first_frame_id, r.mask)


def refine_checked(
    m: SlamMap, config: RefineConfig, watch: Watch | None, mending: Mending, notes: list[str]
) -> RefineOutcome:
    """Adjusts the map (`refine_map`, with all that it raises), and mends what the outcome or fresh matches deny. A map
    that is sound is left as it was adjusted. notes: gets a line where something came apart."""
    outcome = refine_map(m, config, watch, mending.places)
    parted: list[Ids] = []
    for n in range(MOST_MENDED + 1):
        if outcome.is_interrupted or not (new := _part(m, outcome, mending)):
            break
        parted += new
        if n == MOST_MENDED:
            break
        _join(m, mending, notes)
        outcome = outcome.then(refine_map(m, config, watch, mending.places))
        if part_refused(m, outcome, parted, mending):
            outcome = outcome.then(refine_map(m, config, watch, mending.places))
            break
    notes += told(m, parted)
    return outcome


def _join(m: SlamMap, mending: Mending, notes: list[str]) -> None:
    """Brings components together that show the same places, and solves the graph."""
    mending.places.forget_features()  # the adjustment may have straightened the images
    join_components(m, mending.features, mending.loops, notes)
    solve_graph(m, mending.loops.is_metric, notes, else_of="adjustment")


def part_refused(m: SlamMap, outcome: RefineOutcome, parted: Sequence[Ids], mending: Mending) -> bool:
    """Parts pieces again that were joined to a component whose adjustment was then refused: they do not fit there.
    Returns whether there were any."""
    refused = {c.component_id for c in outcome.components if not c.is_kept}
    is_any = False
    for component in refused:
        there = np.array([k.id for k in m.keyframes if k.component_id == component], np.int64)
        joined = [piece for piece in parted if len(piece) > 1 and np.isin(piece, there).all()]
        rest = np.setdiff1d(there, np.concatenate([there[:0], *joined]))
        if joined and len(rest):
            part(m, [rest.tolist(), *(piece.tolist() for piece in joined)], mending.mapper.guess_rel_sigma)
            is_any = True
    return is_any


def _part(m: SlamMap, outcome: RefineOutcome, mending: Mending) -> list[Ids]:
    """Parts components, whether their adjustment was kept or refused; returns the pieces that are no longer with the
    largest of their component."""
    fresh, parted = FreshMatches(m, mending.mask), list[Ids]()
    for component in [c.component_id for c in outcome.components]:
        members = np.array([k.id for k in m.keyframes if k.component_id == component], np.int64)
        if not len(members) or m.keyframes[int(members[0])].frame_id < mending.first_frame_id:
            continue
        pieces = [x for piece in pieces_held(m, members, fresh) for x in contradicted_pieces(m, piece, fresh)]
        if len(pieces) > 1:
            pieces.sort(key=lambda piece: (-len(piece), int(piece[0])))
            part(m, [piece.tolist() for piece in pieces], mending.mapper.guess_rel_sigma)
            parted += pieces[1:]
    return parted


def told(m: SlamMap, parted: Sequence[Ids]) -> list[str]:
    """One line on pieces that were parted, by what has become of them; none for none."""
    if not parted:
        return []
    largest = int(np.argmax(np.bincount([k.component_id for k in m.keyframes])))
    placed = [k for piece in parted for k in piece.tolist() if m.keyframes[k].component_id == largest]
    alone = [int(piece[0]) for piece in parted if len(piece) == 1]
    apart = [k for piece in parted for k in piece.tolist() if k not in placed and k not in alone]
    said = [
        f"frames {_spans(m, ids)} {what}"
        for ids, what in (
            (placed, "were placed anew by matches"), (apart, "have an origin and a scale of their own"),
            (alone, "are lost"),
        ) if ids
    ]  # fmt: skip
    return [f"images deny where the map had some of its pieces: {', '.join(said)}"]


def _spans(m: SlamMap, ids: Sequence[int]) -> str:
    """The frames of keyframes, in spans of keyframes that follow one another."""
    ids = sorted(ids)
    ends = [n for n in range(1, len(ids)) if ids[n] != ids[n - 1] + 1]
    spans = [(ids[a], ids[b - 1]) for a, b in zip([0, *ends], [*ends, len(ids)], strict=True)]
    frames = [(m.keyframes[a].frame_id, m.keyframes[b].frame_id) for a, b in spans]
    return ", ".join(f"{a}-{b}" if a != b else f"{a}" for a, b in frames)
