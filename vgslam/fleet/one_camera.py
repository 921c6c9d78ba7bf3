"""One calibration for the maps of a recording's pieces, each of which has adjusted its own."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vgslam.geometry.radial import radial_since
from vgslam.map.slam_map import SlamMap
from vgslam.refine.apply import take_along
from vgslam.types import Camera


def common_camera(maps: Sequence[SlamMap], given: Camera | None = None) -> Camera | None:
    """The median of the pieces' cameras: focal lengths, and the distortion taken out of their images. Pieces too short
    to determine one count only where no others do. None without a keyframe."""
    cameras = [c for m in maps if (c := _usual(m)) is not None]
    if not cameras:
        return None
    found = [c for c in cameras if given is not None and c.fx != given.fx] or cameras
    fx, fy = (float(np.median([getattr(c, name) for c in found])) for name in ("fx", "fy"))
    bent = [c for c in cameras if c.removed_k1] or cameras
    # a coefficient of the square of a radius in focal lengths
    k1 = float(np.median([c.removed_k1 * (fx / c.fx) ** 2 for c in bent]))
    return replace(cameras[0], fx=fx, fy=fy, removed_k1=k1)


def give_one_camera(maps: Sequence[SlamMap], given: Camera | None = None) -> None:
    """Gives all keyframes the common camera (arguments as of `common_camera`), with pixels and images straightened to
    it; an adjustment of the whole follows. Raises MapError and OutputError."""
    camera = common_camera(maps, given)
    if camera is None:
        return
    for m in maps:
        same: dict[Camera, list[int]] = {}
        for k in m.keyframes:
            same.setdefault(k.camera, []).append(k.id)
        for own, ids in same.items():
            if own != camera:
                take_along(m, np.array(ids, np.int64), camera, radial_since(camera, own))


def _usual(m: SlamMap) -> Camera | None:
    """The camera of the most keyframes of a map."""
    cameras = [k.camera for k in m.keyframes]
    return max(set(cameras), key=lambda c: (cameras.count(c), c.fx)) if cameras else None
