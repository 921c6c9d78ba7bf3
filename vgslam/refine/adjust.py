"""Rounds of adjustment: solve, throw out what does not fit, decide on the calibration, solve again."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np

from vgslam.config import ABOVE_ZERO
from vgslam.frontend.features import FeatureConfig
from vgslam.geometry.camera import Camera
from vgslam.heap import give_memory_back
from vgslam.refine.calibration import Determined, determined, noise_px
from vgslam.refine.ceres import FocalPrior, FreeCalibration, SolverOptions
from vgslam.refine.pieces import PIECE, solve_pieces
from vgslam.refine.points import PointTests, cleaned, weakly_seen, with_missing_points
from vgslam.refine.problem import Mask, Problem
from vgslam.refine.remeasure import remeasured
from vgslam.refine.shared_landmarks import GrayOf, with_shared_landmarks
from vgslam.refine.thinned import is_long, solve_thinned


@dataclass(frozen=True)
class RefineConfig:
    """The adjustment of the whole map at the end of a recording."""

    is_on: bool = True
    """Adjust the map as a whole when the recording has ended."""
    seconds: float = 60.0
    """Time for it, in s of CPU, so that what else the machine does changes no result. When it is over, the steps that
    were made are kept, and the report says so: the result then depends on the speed of the machine."""
    while_running: bool = True
    """Adjust the calibration during a recording too, at the 10th, 30th and 100th keyframe, and go on with the better
    one."""
    is_calibration_fixed: bool = False
    """The calibration stays as it is."""
    is_focal_estimated: bool = False
    """The focal length was estimated from these same frames: its deviation decides whether it is adjusted, but it has
    no pull, as what the frames say would count twice."""
    focal_px: float = 0.0
    """The focal length that focal_rel_sigma is about, in px of the frames; 0: the map's own."""
    focal_rel_sigma: Annotated[float, ABOVE_ZERO] = 0.0075
    """Relative standard deviation of the focal length before: that of a given calibration; an estimated one brings its
    own."""
    k1_sigma: float = 0.02
    """Standard deviation of the radial distortion that a calibration has left in the images. It is adjusted only if the
    map determines it to half of that."""
    shares_landmarks: bool = True
    """Look for landmarks of each keyframe in others that show the same place, at the end of a recording."""
    remeasures: bool = True
    """Measure again where landmarks are in the images of keyframes, at the end of a recording: what tracking says
    drifts."""
    remeasures_depth: bool = True
    """Measure dense depth again with the adjusted poses, finer and by more views, at the end of a recording."""
    rolling_shutter: bool = True
    """Look for rolling shutter where a camera turned on the spot, and take it out, at the end of a recording."""
    max_iterations: int = 12
    """Steps of each of the rounds."""
    loss_px: Annotated[float, ABOVE_ZERO] = 1.0
    """Error from which observations count less, in px."""
    tests: PointTests = field(default_factory=PointTests)
    """Which points and observations take part."""


FIRST_GATE_PX, GATE_PX = 6.0, 2.5
"""Largest error of an observation of a point that is triangulated, before the poses are adjusted, and after."""
ROUGH, FINE = 1e-3, 2e-5
"""Relative decrease of the cost at which a round ends: before outliers are thrown out, and the last one. A map that was
never adjusted as a whole is not at its optimum yet where a step gains a ten-thousandth."""
WIDE_REL_SIGMA, WIDE_FACTOR, WIDE_STEPS = 0.015, 0.1, 30
"""A focal length that is known less well than this has a long way to go, down a valley that is nearly flat: rounds end
at this share of the usual decrease, and may have this many steps."""
LEAST_OBSERVATIONS = 12
"""Keyframes with fewer observations are not adjusted: they follow a neighbour."""
LEAST_POINTS = 20
"""Least points of an adjustment."""
UNKNOWN_REL_SIGMA = 0.5
"""Relative deviation of a focal length of which nothing is known: lenses are wide or long."""
FREE_SHARE, FREE_SHARE_AT_END = 0.7, 1.0
"""The focal length is adjusted if its deviation becomes less than this share of what it was before: and at the end, one
that was estimated from the first frames, if all of them know it as well as these did."""
K1_SHARE = 0.5
"""As FREE_SHARE, for radial distortion."""
REFUTING = 3.0
"""Radial distortion is adjusted, too, if the map calls for this many deviations of it. A calibration that leaves that
much in the images, such as one that says nothing of a wide lens, was not known as well as others are."""
DOUBTED = 1.5
"""If the map wants another focal length than the given one by this many deviations of the difference, it is asked what
it says alone. What was given is refuted if the two then differ by REFUTING."""
MOST_TURNS, STAYS = 4, 1e-3
"""Most adjustments until a focal length without a prior stays, and the relative change below which it does."""
UNFIT, MOST_ASKED = 0.8, 64
"""A given calibration does not fit where the median error becomes this share of what it was once focal length and
distortion are free: with the right one it becomes 1 to 5 % less. That is asked of this many keyframes at most; more of
them adjust what is wrong."""
NOT_YET = 2.0
"""Before poses and points are adjusted, the deviations of the calibration come out larger, up to 1.5 times on real
recordings: what such a multiple would not determine is not determined."""


AS_LONG_AGAIN = 1.0
"""Landmarks are measured again if there is more time left than this multiple of what the first round took: what is
measured and not adjusted to any more is worse than nothing."""
LEAST_SECONDS = 0.1
"""What a round may take even if time is up."""


class InterruptedRefinementError(Exception):
    """The adjustment was stopped from outside."""


@dataclass(frozen=True)
class CalibrationOutcome:
    """What became of the calibration."""

    is_focal_free: bool
    is_k1_free: bool
    focal_rel_sigma: float
    """Posterior deviation of the focal length, relative."""
    k1_sigma: float
    focal_doubt: float = 0.0
    """How far the focal length that the map calls for is from the given one, in deviations of the difference."""
    refuted_px: float = 0.0
    """The focal length that was given, if the map refutes it; else 0."""
    other_error: float = 1.0
    """The median error once focal length and distortion are free, as a share of that with the given ones."""

    @property
    def is_unfit(self) -> bool:
        """Whether the images call for another calibration than the one that was given."""
        return self.refuted_px > 0 or self.other_error < UNFIT

    @property
    def is_any_free(self) -> bool:
        """Whether something was adjusted."""
        return self.is_focal_free or self.is_k1_free


@dataclass(frozen=True)
class Adjusted:
    """The outcome of adjusting one problem."""

    before: Problem
    """As it was, with the points that could be triangulated."""
    after: Problem
    weak: Mask
    """(C,): keyframes that were not adjusted."""
    calibration: CalibrationOutcome
    is_cut_short: bool = False
    """Whether time was over before the last round had ended."""


Say = Callable[[str], None]


@dataclass
class Watch:
    """Who is told of progress, who may stop it, and when time is up."""

    say: Say = field(default=lambda line: None)
    should_stop: Callable[[], bool] = field(default=lambda: False)
    block: Callable[[], AbstractContextManager[None]] = field(default=nullcontext)
    """Is entered for as long as `should_stop` is asked."""
    deadline_s: float = float("inf")
    """On the clock of the process's CPU time."""

    def check(self) -> None:
        """Raises InterruptedRefinementError."""
        if self.should_stop():
            raise InterruptedRefinementError

    @property
    def left_s(self) -> float:
        """CPU seconds until time is up, at least a moment."""
        return max(self.deadline_s - time.process_time(), LEAST_SECONDS)

    @property
    def is_over(self) -> bool:
        return time.process_time() >= self.deadline_s


def adjust(
    problem: Problem, config: RefineConfig, watch: Watch, gray_of: GrayOf | None = None, for_calibration: bool = False
) -> Adjusted | None:
    """The whole problem adjusted; None where too little is known. Raises InterruptedRefinementError.

    gray_of: images in which, after the first round, keyframes find each other's landmarks (`shared_landmarks`) and
    landmarks are measured again (`remeasure`); None takes the observations as they are. for_calibration: None too where
    nothing of the calibration can be adjusted.
    """
    began_s = time.process_time()
    before = with_missing_points(problem, config.tests, FIRST_GATE_PX)
    del problem  # what it has more than what follows takes room
    weak = weakly_seen(before, LEAST_OBSERVATIONS)
    p = without_keyframes(before, weak)
    if int(p.has_point.sum()) < LEAST_POINTS or (~weak).sum() < 2:
        return None
    if for_calibration and not may_determine(p, config):
        return None
    watch.check()
    p = _tidied(_solved(p, weak, _options(config, ROUGH, watch)), weak, config)
    watch.check()
    if gray_of is not None and config.shares_landmarks and not watch.is_over:
        p = with_shared_landmarks(p, weak, gray_of, FeatureConfig())
        before = with_rows_of(before, p)
        watch.check()
    took_s = time.process_time() - began_s
    if gray_of is not None and config.remeasures and watch.left_s > AS_LONG_AGAIN * took_s:
        p = remeasured(p, gray_of)
        give_memory_back()
        watch.check()
    free, calibration = choose_calibration(p, config, not for_calibration)
    if for_calibration and not calibration.is_any_free:
        return None
    other = _without_given_focal(p, weak, config, watch) if calibration.focal_doubt > DOUBTED else None
    if other is not None:
        return Adjusted(before, *other, watch.is_over)
    p = _rounds(p, weak, config, watch, free)
    is_asked = not (for_calibration or config.is_calibration_fixed or config.is_focal_estimated or watch.is_over)
    if is_asked and (~weak).sum() <= MOST_ASKED:
        calibration = replace(calibration, other_error=_other_error(p, weak, config, watch))
    return Adjusted(before, p, weak, calibration, watch.is_over)


def _other_error(p: Problem, weak: Mask, config: RefineConfig, watch: Watch) -> float:
    """The median error of an adjusted problem once focal length and distortion are free, as a share of its own."""
    own = FreeCalibration(FocalPrior(p.camera.fx, UNKNOWN_REL_SIGMA * p.camera.fx), is_k1_free=True)
    other = _rounds(p, weak, config, watch, own)
    both = p.is_active() & other.is_active()
    error = float(np.median(p.errors_px()[both])) if both.any() else 0.0
    return float(np.median(other.errors_px()[both])) / error if error > 0 else 1.0


def _rounds(p: Problem, weak: Mask, config: RefineConfig, watch: Watch, free: FreeCalibration) -> Problem:
    """The last rounds, in which what is free of the calibration is adjusted too."""
    wide = WIDE_FACTOR if free.prior is not None and config.focal_rel_sigma > WIDE_REL_SIGMA else 1.0
    for tolerance in (ROUGH, FINE):
        if not watch.is_over:
            options = _options(config, tolerance * wide, watch)
            if tolerance == FINE and is_long(p):  # the pieces of before end in the middle of these
                p = _tidied(solve_pieces(p, options, weak, -PIECE // 2), weak, config)
            else:
                p = _tidied(_solved(p, weak, options, free), weak, config)
            watch.check()
    return p


def _solved(p: Problem, weak: Mask, options: SolverOptions, free: FreeCalibration | None = None) -> Problem:
    """All adjusted together; a long problem by a part of its observations, and then each piece by all that it has."""
    found = solve_thinned(p, options, free, held=weak)
    return solve_pieces(found, options, weak) if is_long(p) else found


def given_focal_px(config: RefineConfig, camera: Camera) -> float:
    """The focal length that was given, in px of the camera's images."""
    return config.focal_px * camera.enlarged or camera.fx


def _without_given_focal(
    p: Problem, weak: Mask, config: RefineConfig, watch: Watch
) -> tuple[Problem, Mask, CalibrationOutcome] | None:
    """The problem adjusted as if nothing were known of the focal length; None if that does not refute the given one."""
    given = given_focal_px(config, p.camera)
    unknown = replace(
        config, is_focal_estimated=True, focal_px=given / p.camera.enlarged, focal_rel_sigma=UNKNOWN_REL_SIGMA
    )
    for _ in range(MOST_TURNS):
        free, outcome = choose_calibration(p, unknown, is_end=True)
        if free.prior is None:
            return None
        fx = p.camera.fx
        p = _rounds(p, weak, unknown, watch, free)
        if abs(np.log(p.camera.fx / fx)) < STAYS:
            break
    found = determined(p, config.loss_px, noise_px(p)).focal_sigma()
    if abs(np.log(p.camera.fx / given)) < REFUTING * np.hypot(found, config.focal_rel_sigma):
        return None
    return p, weak, replace(outcome, focal_rel_sigma=found, refuted_px=given)


def with_rows_of(problem: Problem, longer: Problem) -> Problem:
    """The problem with the observations that were added at the end of another."""
    n = len(problem.cam)
    return replace(
        problem, cam=longer.cam, point=longer.point, pixels=longer.pixels,
        in_use=np.concatenate([problem.in_use, longer.in_use[n:]]),
    )  # fmt: skip


def without_keyframes(problem: Problem, weak: Mask) -> Problem:
    """Observations of those keyframes are not used."""
    return replace(problem, in_use=problem.in_use & ~weak[problem.cam])


def _tidied(problem: Problem, weak: Mask, config: RefineConfig) -> Problem:
    tidy = with_missing_points(cleaned(problem, config.tests), config.tests, GATE_PX)
    give_memory_back()
    return without_keyframes(tidy, weak)


def _options(config: RefineConfig, tolerance: float, watch: Watch) -> SolverOptions:
    steps = config.max_iterations if tolerance >= FINE else max(WIDE_STEPS, config.max_iterations)
    return SolverOptions(steps, config.loss_px, tolerance, watch.left_s)


def choose_calibration(
    problem: Problem, config: RefineConfig, is_end: bool = False
) -> tuple[FreeCalibration, CalibrationOutcome]:
    """What of the calibration the active observations determine well enough to be adjusted. is_end: no more will be
    known, and landmarks were measured again: what errors are left say how exact that is."""
    nothing = FreeCalibration()
    if config.is_calibration_fixed:
        return nothing, CalibrationOutcome(False, False, config.focal_rel_sigma, config.k1_sigma)
    sigma_px = noise_px(problem) if is_end else 1.0
    return _chosen(determined(problem, config.loss_px, sigma_px), problem, config, is_end)


def may_determine(problem: Problem, config: RefineConfig) -> bool:
    """Whether something of the calibration may become determined when the problem, which is not adjusted yet, is."""
    if config.is_calibration_fixed:
        return False
    known = determined(problem, config.loss_px)
    return _chosen(replace(known, information=known.information * NOT_YET**2), problem, config)[1].is_any_free


def _chosen(
    known: Determined, problem: Problem, config: RefineConfig, is_end: bool = False
) -> tuple[FreeCalibration, CalibrationOutcome]:  # fmt: skip
    pull = UNKNOWN_REL_SIGMA if config.is_focal_estimated else config.focal_rel_sigma
    focal, k1 = known.deviations(pull, is_k1_free=True)
    off = 0.0 if config.is_focal_estimated else abs(float(known.wanted(pull)[1]))
    is_k1_free = bool(0.0 < k1 < max(K1_SHARE * config.k1_sigma, off / REFUTING))
    if not is_k1_free:
        focal = known.deviations(pull, is_k1_free=False)[0]
    share = FREE_SHARE_AT_END if is_end and config.is_focal_estimated else FREE_SHARE
    is_focal_free = bool(focal < share * config.focal_rel_sigma)
    given = given_focal_px(config, problem.camera)
    sigma_px = pull * given / np.sqrt(known.overcount)
    prior = FocalPrior(given, float(sigma_px)) if is_focal_free else None
    free = FreeCalibration(prior, is_k1_free)
    wanted = abs(float(np.log(problem.camera.fx / given) + known.step[0]))
    doubt = 0.0 if config.is_focal_estimated else wanted / float(np.hypot(known.focal_sigma(), config.focal_rel_sigma))
    return free, _outcome(known, free, config, pull, doubt)


def _outcome(
    known: Determined, free: FreeCalibration, config: RefineConfig, pull: float, doubt: float
) -> CalibrationOutcome:
    """Posterior deviations; those of what is held are the prior's."""
    sigma = known.deviations(pull, free.is_k1_free)
    focal = float(sigma[0]) if free.prior is not None else config.focal_rel_sigma
    k1 = float(sigma[1]) if free.is_k1_free else config.k1_sigma
    return CalibrationOutcome(free.prior is not None, free.is_k1_free, focal, k1, doubt)
