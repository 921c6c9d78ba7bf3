"""Which keyframes of an adjusted component hang together by what fits.

While a map is made, landmarks that were followed wrongly hold a scale as well as others (`reloc/parting.py`). Where
images are far apart they may be all there is between two keyframes; the adjustment then throws them out, and nothing is
left that says where these are.
"""

import numpy as np

from vgslam.map.slam_map import SlamMap
from vgslam.refine.points import PointTests, with_missing_points
from vgslam.refine.problem import gather
from vgslam.refine.thin_links import FITS_PX
from vgslam.reloc.parting import held_pieces, loops_among
from vgslam.types import Ids

FAR = PointTests(min_angle_deg=0.0)
"""Landmarks without parallax fit too: those of a camera that turns hold its rotation."""


def pieces_held(m: SlamMap, members: Ids) -> list[Ids]:
    """The keyframes `members` (C,) of an adjusted component as pieces (n,), each held together by landmarks that fit or
    by loops, the largest first."""
    p = with_missing_points(gather(m, members), FAR, FITS_PX)
    fits = p.is_active() & (p.errors_px() < FITS_PX)
    seen = [np.unique(p.point[fits & (p.cam == n)]) for n in range(len(members))]
    return [members[piece] for piece in held_pieces(seen, loops_among(m, members.tolist()))]
