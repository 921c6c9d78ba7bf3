"""Which keyframes of an adjusted component hang together by what fits.

While a map is made, landmarks that were followed wrongly hold a scale as well as others (`reloc/parting.py`). Where
images are far apart they may be all there is between two keyframes; the adjustment then throws them out, and nothing is
left that says where these are.
"""

from dataclasses import replace

import numpy as np

from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import RefineConfig
from vgslam.refine.points import with_missing_points
from vgslam.refine.problem import Problem, gather
from vgslam.refine.thin_links import FITS_PX
from vgslam.reloc.parting import held_pieces, loops_among
from vgslam.types import Ids

FAR = 1e4
"""Distance of a landmark without parallax, in the largest distance between two cameras: it holds a rotation."""


def pieces_held(m: SlamMap, members: Ids) -> list[Ids]:
    """The keyframes `members` (C,) of an adjusted component as pieces (n,), each held together by landmarks that fit or
    by loops, the largest first. Landmarks fit too that lie far away: all those of a camera that turns do."""
    p = with_far_points(with_missing_points(gather(m, members), RefineConfig().tests, FITS_PX))
    fits = p.is_active() & (p.errors_px() < FITS_PX)
    seen = [np.unique(p.point[fits & (p.cam == n)]) for n in range(len(members))]
    return [members[piece] for piece in held_pieces(seen, loops_among(m, members.tolist()))]


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
