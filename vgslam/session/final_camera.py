"""What an estimated camera has become at the end of a run: its map has been adjusted with all frames since."""

import numpy as np

from vgslam.map.slam_map import SlamMap
from vgslam.refine.lens import MODEL_REL_SIGMA
from vgslam.refine.outcome import RefineOutcome
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


def final_estimate(first: CalibrationEstimate, camera: Camera, refined: RefineOutcome | None) -> CalibrationEstimate:
    """The camera of the map at the end, and how sure it is. first: the estimate from the first frames; refined: the
    adjustment of the map, of which the largest component that it kept speaks."""
    sigma = first.focal_rel_sigma
    for component in [] if refined is None else refined.components:
        change = component.calibration
        if component.is_kept and change is not None and change.fx_sigma > 0:
            sigma = float(np.hypot(change.fx_sigma / change.fx_after, MODEL_REL_SIGMA))
            break
    difference = abs(float(np.log(camera.fx / first.camera.fx)))
    is_same = difference <= CONTRADICTION_SIGMAS * float(np.hypot(first.focal_rel_sigma, sigma))
    if not is_same or not first.is_reliable:
        sigma = float(np.hypot(sigma, difference / 2))
    is_reliable = first.is_reliable and is_same and sigma < RELIABLE_RELATIVE_SIGMA
    return CalibrationEstimate.of(camera, sigma, is_reliable)
