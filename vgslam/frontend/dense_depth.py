"""A network's depth for every keyframe, when the map is adjusted, laid onto the keyframe's landmarks if they agree."""

import numpy as np

from vgslam.frontend.asking import AskedGuide, Reason
from vgslam.frontend.fitted_depth import fit_depth
from vgslam.frontend.mapper import Mapper, keep_depth
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
    """The same for keyframes `window` that the network sees together; each is fitted for itself."""
    m = mapper.map
    keyframes = [m.keyframes[k] for k in window.tolist()]
    seen = WindowInput(np.array([k.frame_id for k in keyframes]), [k.image for k in keyframes], mapper.camera)
    found = guide.predict_now(Reason.DEPTH, tuple(window.tolist()), seen)
    if found is None:
        return
    n, ids, px = mapper.observations(window)
    z, measured = _depths(m, window, n, ids), m.landmarks.is_triangulated[ids]
    rows, columns = mapper.camera.cell_at(px, found.depth.shape[1:])
    is_used = False
    for i, keyframe in enumerate(keyframes):
        mine = measured & (n == i)
        fit = fit_depth(found.depth[i], (rows[mine], columns[mine]), z[mine], ids[mine])
        if fit is not None:
            depth = fit.depth / np.float32(keyframe.S_world_keyframe.s)
            keep_depth(keyframe, depth, fit.confidence, found.cameras[i], mapper.tracker.mask)
            is_used = True
    if is_used:
        guide.desk.believe(Reason.DEPTH)


def _depths(m: SlamMap, window: Ids, n: Ids, ids: Ids) -> Array:
    """Depth (M,) of landmarks along the optical axes of the window's keyframes n (M,), in map units."""
    T = m.T_world_keyframes(window)[n]
    return np.asarray(((m.landmarks_world(ids) - T[:, :3, 3]) * T[:, :3, 2]).sum(1))
