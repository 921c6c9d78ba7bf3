"""A network's depth for every keyframe, when the map is adjusted, wherever the keyframe's landmarks agree with it."""

import numpy as np

from vgslam.frontend.asking import AskedGuide, Reason
from vgslam.frontend.mapper import Mapper, keep_depth
from vgslam.frontend.measured_depth import calibrate, depth_of
from vgslam.map.slam_map import SlamMap
from vgslam.types import Array, Ids, WindowInput

WINDOW = 4
"""Keyframes of a component that the network sees together."""


def add_dense_depth(mapper: Mapper, guide: AskedGuide) -> None:
    """Ask for the depth of all keyframes, and keep it where it is believed."""
    keyframes = mapper.map.keyframes
    for first in range(0, len(keyframes), WINDOW):
        component = keyframes[first].component_id
        together = [k.id for k in keyframes[first : first + WINDOW] if k.component_id == component]
        add_to_window(mapper, guide, np.array(together))


def add_to_window(mapper: Mapper, guide: AskedGuide, window: Ids) -> None:
    """The same for keyframes `window` that the network sees together; each gets a scale of its own."""
    m = mapper.map
    keyframes = [m.keyframes[k] for k in window.tolist()]
    seen = WindowInput(np.array([k.frame_id for k in keyframes]), [k.image for k in keyframes], mapper.camera)
    found = guide.predict_now(Reason.DEPTH, tuple(window.tolist()), seen)
    if found is None:
        return
    n, ids, px = mapper.observations(window)
    z, depth = _depths(m, window, n, ids), depth_of(found, mapper.camera, n, px)
    measured = m.landmarks.is_triangulated[ids]
    is_used = False
    for i, keyframe in enumerate(keyframes):
        mine = measured & (n == i)
        fit = calibrate(z[mine], depth[mine], ids[mine])
        if fit is not None:
            scale = np.float32(fit.scale / keyframe.S_world_keyframe.s)
            keep_depth(keyframe, found, i, scale, mapper.tracker.mask)
            is_used = True
    if is_used:
        guide.desk.believe(Reason.DEPTH)


def _depths(m: SlamMap, window: Ids, n: Ids, ids: Ids) -> Array:
    """Depth (M,) of landmarks along the optical axes of the window's keyframes n (M,), in map units."""
    T = m.T_world_keyframes(window)[n]
    return np.asarray(((m.landmarks_world(ids) - T[:, :3, 3]) * T[:, :3, 2]).sum(1))
