"""Pieces of an adjusted component that stand where fresh matches deny it.

An adjustment makes landmarks agree that were followed wrongly or found at a place that looks the same, if nothing but
they ties two pieces: its own errors say nothing. Where keyframes that follow one another share few landmarks, they are
matched anew by features that bear wide baselines. Where most of these deny the poses, the component is cut where least
holds it: landmarks, and features in three images. It comes apart if the matches that deny the cut are more than that.
"""

from dataclasses import dataclass

import numpy as np

from vgslam.graph.min_cut import min_cut
from vgslam.map.slam_map import SlamMap
from vgslam.refine.fresh_matches import FreshMatches, Votes
from vgslam.refine.problem import gather
from vgslam.refine.thin_links import Links
from vgslam.reloc.epipolar_check import AGAINST, MIN_MATCHES
from vgslam.types import Array, Ids

SOUND = 0.8
"""Share of the matches of two neighbours that agree with their poses from which no others are asked: between images far
apart right poses have half of them and mostly more than that, wrong ones less than .2."""
REACH, N_AROUND = 2, 3
"""Keyframes on either side of a thin link, beside the nearest, that are matched across it; and of these pairs the
nearest, of which one has to match for the others to be tried."""


@dataclass(frozen=True)
class Denial:
    """Pairs of keyframes across a thin link whose fresh matches deny their poses, as places in a list of members."""

    before: Ids
    """(n,): the different ones before the link."""
    after: Ids
    """(m,)."""
    weight: float
    """Matches against less those for the poses, of the pair with most."""


def contradicted_pieces(m: SlamMap, members: Ids, fresh: FreshMatches) -> list[Ids]:
    """The keyframes `members` (C,) of an adjusted component as pieces (n,) that belong together, the largest first; one
    piece where nothing is denied. Single keyframes that are astray come apart first, and alone. Images are looked at
    only where neighbours share few landmarks."""
    links = Links.of(gather(m, members))
    thin = links.thin()
    if strays := [n for n in np.intersect1d(thin, thin - 1).tolist() if is_astray(members, n, fresh)]:
        return [np.delete(members, strays), *(members[n : n + 1] for n in strays)]
    found = [denial(members, n, fresh) for n in thin.tolist()]
    denials = sorted((d for d in found if d is not None), key=lambda d: -d.weight)
    if not denials:
        return [members]
    run = links.runs()
    weight = links.holding(run) + _seen_in_three(run, members, fresh)
    for d in denials:
        a, b = run[d.before[-1]], run[d.after[0]]
        weight[a, b] -= d.weight
        weight[b, a] -= d.weight
    label = np.zeros(int(run.max()) + 1, np.int64)
    for d in denials:
        _cut(label, weight, run[d.before], run[d.after])
    of = label[run]
    return sorted((members[of == c] for c in np.unique(of)), key=lambda piece: (-len(piece), int(piece[0])))


def is_astray(members: Ids, n: int, fresh: FreshMatches) -> bool:
    """Whether keyframe n of the members, not their first or last, is where neither neighbour sees it, and these agree
    with each other. What else was found by it hangs on it, and is judged when it is gone."""
    before, here, after = members[n - 1 : n + 2].tolist()
    denied = (fresh.in_two(before, here), fresh.in_two(here, after))
    if not all(said.n >= MIN_MATCHES and said.share < AGAINST for said in denied):
        return False
    across = fresh.in_two(before, after)
    return across.n >= MIN_MATCHES and across.share >= SOUND


def denial(members: Ids, n: int, fresh: FreshMatches) -> Denial | None:
    """The denial of the link from keyframe n - 1 of the members to keyframe n, None if there is none. These two are
    matched; where they do not agree, those around; and if any of these match, those further away."""
    before, after = range(max(0, n - 1 - REACH), n), range(n, min(n + 1 + REACH, len(members)))
    pairs = sorted(((a, b) for a in before for b in after), key=lambda pair: pair[1] - pair[0])
    known: list[tuple[int, int, Votes]] = []
    for i, (a, b) in enumerate(pairs):
        if i == N_AROUND and not known:
            return None
        said = fresh.in_two(int(members[a]), int(members[b]))
        if said.n >= MIN_MATCHES:
            known.append((a, b, said))
            if i == 0 and said.share >= SOUND:
                return None
    share = float(np.median([said.share for _, _, said in known])) if known else 1.0
    if share >= AGAINST:
        return None
    against = np.array([(a, b) for a, b, said in known if said.share < AGAINST], np.int64)
    most = max(said.n for _, _, said in known)
    return Denial(np.unique(against[:, 0]), np.unique(against[:, 1]), most * (1.0 - 2.0 * share))


def _seen_in_three(run: Ids, members: Ids, fresh: FreshMatches) -> Array:
    """(R,R): what features in three neighbours say of the runs of the first and the last of them."""
    weight = np.zeros((int(run.max()) + 1,) * 2)
    for n in range(1, len(members) - 1):
        a, c = run[n - 1], run[n + 1]
        if a != c:
            w = fresh.in_three(*members[n - 1 : n + 2].tolist()).weight
            weight[a, c] += w
            weight[c, a] += w
    return weight


def _cut(label: Ids, weight: Array, before: Ids, after: Ids) -> None:
    """Gives runs on one side of the weakest cut between `before` and `after` a label of their own, unless these are
    apart already, or more holds the two sides than denies them."""
    before, after = np.unique(before), np.unique(after)
    inside = np.flatnonzero(label == label[before[-1]])
    if label[after[0]] != label[before[-1]]:
        return
    sources = np.flatnonzero(np.isin(inside, before))
    sinks = np.flatnonzero(np.isin(inside, np.setdiff1d(after, before)))
    if not (len(sources) and len(sinks)):
        return
    mine = weight[np.ix_(inside, inside)]
    side = min_cut(mine, sources, sinks).is_source_side
    if mine[np.ix_(side, ~side)].sum() < 0.0:
        label[inside[side]] = label.max() + 1
