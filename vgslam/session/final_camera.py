"""What an estimated camera has become at the end of a run: its map has been adjusted with all frames since."""

from dataclasses import replace

import numpy as np

from vgslam.geometry.whole_lens import whole_lens
from vgslam.interfaces import FrameSource
from vgslam.map.slam_map import SlamMap
from vgslam.refine.lens import MODEL_REL_SIGMA
from vgslam.refine.outcome import CalibrationChange, RefineOutcome
from vgslam.session.self_calibration import RELIABLE_RELATIVE_SIGMA, CalibrationEstimate
from vgslam.types import Camera

CONTRADICTION_SIGMAS = 3.0
"""All frames and the first ones contradict each other where their focal lengths differ by more than this many
deviations: one of them is wrong, and nobody knows which."""


def main_camera(slam_map: SlamMap) -> Camera | None:
    """The camera of the newest keyframe of the largest component; None of an empty map."""
    component = np.array([k.component_id for k in slam_map.keyframes], np.int64)
    if not len(component):
        return None
    return slam_map.keyframes[int(np.flatnonzero(component == np.bincount(component).argmax())[-1])].camera


def recorded_camera(
    camera: Camera, source: FrameSource, refined: RefineOutcome | None, estimate: CalibrationEstimate | None
) -> Camera | None:
    """The camera of a source's images as they were recorded, with their distortion, for a later run; None where nothing
    has determined it. camera: that of the map at the end; estimate: as `final_estimate` has it, None for a camera that
    was given."""
    change = _largest_change(refined)
    is_determined = change is not None and (change.fx_sigma > 0 or change.k1_sigma > 0)
    if not (is_determined if estimate is None else estimate.is_reliable):
        return None
    pinhole = replace(camera, removed_k1=0.0)
    frames = source.camera or pinhole
    return whole_lens(camera, frames, getattr(source, "recorded_camera", None) or frames)


def _largest_change(refined: RefineOutcome | None) -> CalibrationChange | None:
    """What became of the calibration in the largest component whose adjustment was kept; None where there is none. A
    smaller component has another camera than the one that is asked about."""
    components = [] if refined is None else refined.components  # the largest first
    return next((c.calibration for c in components if c.is_kept), None)


def final_estimate(first: CalibrationEstimate, camera: Camera, refined: RefineOutcome | None) -> CalibrationEstimate:
    """The camera of the map at the end, and how sure it is. first: the estimate from the first frames; refined: the
    adjustment of the map, of which the largest component that it kept speaks."""
    sigma, change = first.focal_rel_sigma, _largest_change(refined)
    if change is not None and change.fx_sigma > 0:
        sigma = float(np.hypot(change.fx_sigma / change.fx_after, MODEL_REL_SIGMA))
    difference = abs(float(np.log(camera.fx / first.camera.fx)))
    is_same = difference <= CONTRADICTION_SIGMAS * float(np.hypot(first.focal_rel_sigma, sigma))
    if not is_same or not first.is_reliable:
        sigma = float(np.hypot(sigma, difference / 2))
    is_reliable = first.is_reliable and is_same and sigma < RELIABLE_RELATIVE_SIGMA
    return CalibrationEstimate.of(camera, sigma, is_reliable)
