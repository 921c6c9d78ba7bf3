"""Which keyframes of an adjusted component hang together by what fits.

While a map is made, landmarks that were followed wrongly hold a scale as well as others (`reloc/parting.py`). Where
images are far apart they may be all there is between two keyframes; the adjustment then throws them out, and nothing is
left that says where these are.
"""

from dataclasses import replace

import numpy as np

from vgslam.map.slam_map import SlamMap
from vgslam.refine.contradicted import SOUND
from vgslam.refine.fresh_matches import FreshMatches
from vgslam.refine.points import PointTests, with_missing_points
from vgslam.refine.problem import Problem, gather
from vgslam.refine.thin_links import FITS_PX
from vgslam.reloc.parting import MIN_HELD, held_pieces, loops_among
from vgslam.types import Ids

ANY_ANGLE = PointTests(min_angle_deg=0.0)
"""Landmarks fit however little parallax they have."""
FAR = 1e4
"""Distance of a landmark without parallax, in the largest distance between two cameras: it holds a rotation."""


def pieces_held(m: SlamMap, members: Ids, fresh: FreshMatches) -> list[Ids]:
    """The keyframes `members` (C,) of an adjusted component as pieces (n,), each held together by landmarks that fit,
    by loops, or by fresh matches, which are asked where nothing else holds; the largest first. Landmarks fit too that
    lie far away: all those of a camera that turns do."""
    p = with_far_points(with_missing_points(gather(m, members), ANY_ANGLE, FITS_PX))
    fits = p.errors_px() < FITS_PX
    seen = [np.unique(p.point[rows[fits[rows]]]) for rows in p.rows_by_keyframe()]
    ties = loops_among(m, members.tolist())
    pieces = held_pieces(seen, ties)
    if len(pieces) > 1:
        of = np.repeat(np.arange(len(pieces)), [len(x) for x in pieces])[np.argsort(np.concatenate(pieces))]
        apart = (1 + np.flatnonzero(np.diff(of))).tolist()
        pieces = held_pieces(seen, [*ties, *((n - 1, n) for n in apart if _is_confirmed(members, n, fresh))])
    return [members[piece] for piece in pieces]


def _is_confirmed(members: Ids, n: int, fresh: FreshMatches) -> bool:
    """Whether features in three images, of which some lie on either side, agree with the places of keyframes n - 1 and
    n of the members."""
    threes = [members[i : i + 3].tolist() for i in (n - 2, n - 1) if i >= 0 and i + 3 <= len(members)]
    said = [fresh.in_three(*three) for three in threes]
    return any(s.n * s.share >= MIN_HELD and s.share >= SOUND for s in said)


def with_far_points(p: Problem) -> Problem:
    """Points that are not known lie far away, where the first keyframe sees them."""
    rows = np.flatnonzero(~p.has_point[p.point])
    ids, first = np.unique(p.point[rows], return_index=True)
    T = p.T_world_cam()
    far = FAR * max(float(np.linalg.norm(np.ptp(T[:, :3, 3], axis=0))), 1.0)
    rows = rows[first]
    T = T[p.cam[rows]]
    points = p.points.copy()
    points[ids] = T[:, :3, 3] + far * np.matmul(T[:, :3, :3], p.camera.rays(p.pixels[rows])[:, :, None])[:, :, 0]
    return replace(p, points=points, has_point=np.ones(len(p.points), bool))
