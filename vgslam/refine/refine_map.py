"""Every component of a map adjusted as a whole, and written back where that made it better."""

import time
from dataclasses import replace

import numpy as np

from vgslam.frontend.features import Gray
from vgslam.heap import give_memory_back
from vgslam.map.paged_keyframe import gray_of as gray_of_keyframe
from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import REFUTING, Adjusted, InterruptedRefinementError, RefineConfig, Watch, adjust
from vgslam.refine.apply import Aligned, aligned, apply
from vgslam.refine.outcome import CalibrationChange, ComponentOutcome, RefineOutcome, Reprojection, moves
from vgslam.refine.plausible import why_refused
from vgslam.refine.problem import gather
from vgslam.refine.shared_landmarks import GrayOf
from vgslam.refine.strays import mend_strays
from vgslam.refine.turning import turning
from vgslam.reloc.places import Places
from vgslam.types import Ids

PICTURES_BYTES = 8 * 2**20
"""Memory of pictures while the map is adjusted: the solver needs as much as the pictures of a hundred keyframes, and
hardly a picture is looked at meanwhile."""
LEAST_KEYFRAMES = 3
"""Components with fewer keyframes are left alone: any length of the one step between two fits what they see."""
MOVED_SHARE, MOVED_DEG = 0.01, 0.5
"""A keyframe that moved by more than this share of the depth, or turned by more than this, counts as moved."""


def refine_map(
    slam_map: SlamMap, config: RefineConfig, watch: Watch | None = None, places: Places | None = None
) -> RefineOutcome:
    """Adjusts each component's keyframes, landmarks and camera together.

    The map changes only component by component, and only where the outcome is better: Ctrl-C, or `watch.should_stop`,
    leaves the rest as it was. KeyboardInterrupt ends the adjustment and goes no further. Raises MapError and
    OutputError for pictures that cannot be read or written. places: those of the map, in which keyframes that went
    astray are looked for (`strays`); a component that had some is adjusted once more. None leaves them.
    """
    watch = watch or Watch()
    watch = replace(watch, deadline_s=time.process_time() + config.seconds)
    with watch.block(), slam_map.pictures.within(PICTURES_BYTES):
        outcome = _refined(slam_map, config, watch, places)
    give_memory_back()
    return outcome


def _refined(slam_map: SlamMap, config: RefineConfig, watch: Watch, places: Places | None) -> RefineOutcome:
    began = time.process_time(), time.monotonic()
    done: list[ComponentOutcome] = []

    def gray_of(k: int) -> Gray:
        return gray_of_keyframe(slam_map.keyframes[k])

    is_interrupted = False
    for component, members in components(slam_map):
        try:
            if places is not None and (turned := _turned(slam_map, component, members, config, watch, places)):
                done.append(turned)
                continue
            result = solved(slam_map, members, config, watch, gray_of)
        except (InterruptedRefinementError, KeyboardInterrupt):
            is_interrupted = True
            done.append(ComponentOutcome(component, len(members), False, "interrupted"))
            break
        done.append(taken(slam_map, component, members, config, result))
        if not done[-1].is_kept or places is None or watch.is_over:
            continue
        try:
            if not _mend(slam_map, members, places, result):
                continue
            result = solved(slam_map, members, config, watch, gray_of)
        except (InterruptedRefinementError, KeyboardInterrupt):
            is_interrupted = True
            break
        done[-1] = done[-1].then(taken(slam_map, component, members, config, result))
    return RefineOutcome(done, time.process_time() - began[0], time.monotonic() - began[1], is_interrupted)


def _turned(
    m: SlamMap, component: int, members: Ids, config: RefineConfig, watch: Watch, places: Places
) -> ComponentOutcome | None:  # fmt: skip
    """A component of a camera with a rolling shutter that turned on the spot, adjusted; None for any other."""
    found = turning(m, members, places, config, watch) if config.rolling_shutter else None
    if found is None or found.refused:
        return None
    fixed = replace(config, is_calibration_fixed=True)
    return replace(taken(m, component, members, fixed, found.result, is_checked=True), readout_s=found.readout_s)


def _mend(m: SlamMap, members: Ids, places: Places, result: tuple[Adjusted, Aligned] | None) -> bool:
    """Whether keyframes of an adjusted component were astray and have been moved to where the others see them."""
    if result is not None and result[1].problem.k1:
        places.forget_features()  # the images were straightened
    return bool(mend_strays(m, members, places))


def components(slam_map: SlamMap) -> list[tuple[int, Ids]]:
    """Ids of the components that are large enough, with their keyframes, the largest first."""
    number = np.array([k.component_id for k in slam_map.keyframes], np.int64)
    found = [(int(c), np.flatnonzero(number == c)) for c in np.unique(number)]
    return sorted((x for x in found if len(x[1]) >= LEAST_KEYFRAMES), key=lambda x: (-len(x[1]), x[0]))


def solved(
    m: SlamMap, members: Ids, config: RefineConfig, watch: Watch, gray_of: GrayOf | None = None,
    for_calibration: bool = False,
) -> tuple[Adjusted, Aligned] | None:  # fmt: skip
    """Keyframes `members` of one component adjusted, or None, as `adjust` does; the map stays as it is. Raises
    InterruptedRefinementError."""
    watch.check()
    problem = [gather(m, members)]  # handed over, as what is adjusted takes room enough
    watch.say(f"adjusting {len(members)} keyframes and {len(problem[0].points)} landmarks together (Ctrl-C skips this)")
    done = adjust(problem.pop(), config, watch, gray_of, for_calibration)
    return None if done is None else (done, aligned(done))


def taken(
    m: SlamMap, component: int, members: Ids, config: RefineConfig, result: tuple[Adjusted, Aligned] | None,
    is_checked: bool = False,
) -> ComponentOutcome:  # fmt: skip
    """Writes a result into the map, unless there is a reason not to. is_checked: it was looked for already."""
    if result is None:
        return ComponentOutcome(component, len(members), False, "too few landmarks are seen twice")
    done, placed = result
    known = replace(done.before, has_point=m.landmarks.is_triangulated[done.before.landmark_ids])
    before, after = Reprojection.of(known), Reprojection.of(placed.problem)
    reason = "" if is_checked else why_refused(m, done, placed)
    if reason:
        is_bent = done.calibration.is_k1_free and abs(placed.problem.k1) > REFUTING * config.k1_sigma
        return ComponentOutcome(component, len(members), False, reason, before=before, after=after,
                                is_calibration_unfit=done.calibration.is_unfit or is_bent)  # fmt: skip
    shift, degrees = moves(done.before, placed.problem)
    fx, c = done.before.camera.of_frames.fx, done.calibration
    change = CalibrationChange(
        fx, placed.problem.camera.of_frames.fx, c.focal_rel_sigma * fx if c.is_focal_free else 0.0, placed.problem.k1,
        c.k1_sigma if c.is_k1_free else 0.0, c.refuted_px / done.before.camera.enlarged,
    )  # fmt: skip
    apply(m, done.before, placed)
    n_moved = int(((shift > MOVED_SHARE) | (degrees > MOVED_DEG)).sum())
    return ComponentOutcome(
        component, len(members), True, "", int(placed.problem.has_point.sum()), before, after, n_moved,
        float(shift.max()), None if config.is_calibration_fixed else change,
        c.is_unfit and not c.refuted_px, done.is_cut_short,
    )  # fmt: skip
