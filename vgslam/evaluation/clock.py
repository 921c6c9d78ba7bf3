"""A constant difference between the clocks of estimate and reference: looked for, and named where it explains far more
than the times as they are. No score is changed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgslam.evaluation.alignment import spread
from vgslam.evaluation.association import default_max_difference_s
from vgslam.types import Array, Trajectory

FARTHEST_S, OF_DURATION = 2.0, 0.25  # differences up to here are tried, and up to this share of the estimate's duration
FAR_BETTER = 0.5
"""Share of the error that may be left for a difference to be named. Errors of tracking drift with the path and not with
the clock: of 289 runs of recordings on one clock with their truth no difference left less than .62 of the positions'
error, nor .99 of the rotations'."""
LEAST_SHARE, LEAST_DEG = 0.01, 0.5
"""Positions with an error below this share of their extent, and rotations with one below this, raise no question."""
NO_WORSE = 1.05
"""A difference that the rotations call for may make the error of the positions grow by this factor, and the reverse."""
LEAST_SHARED = 0.7  # share of the poses that must still have a reference on the other clock
FEWEST = 10  # poses from which a difference is looked for
STEPS_S = (0.01, 0.05)
"""Least and largest step of the search; the shorter of the two intervals between poses, if it lies between."""
FINER = 10  # steps in a step, twice, about the best one
MOST_POSES = 400  # poses that are compared, spread over the estimate
HOLE, LEAST_HOLE_S = 1.5, 0.25
"""Intervals of the reference above this many medians, and above this, are not interpolated over."""

Mask = npt.NDArray[np.bool_]
Error = Callable[[float, Mask], float]  # the error under a difference in s, for a choice of poses


@dataclass(frozen=True)
class Difference:
    """A difference of the clocks, and what it explains."""

    offset_s: float
    """What to add to the estimate's times."""
    error_m: float
    """RMSE of the positions after Sim(3) with it, and before without it for the same poses; the rotations likewise."""
    error_before_m: float
    error_deg: float
    error_before_deg: float

    def note(self) -> str:
        """One line for the person."""
        return (f"the clocks seem to differ: with {self.offset_s:+.3g} s on the estimate's times the ATE is "
                f"{self.error_m:.3g} instead of {self.error_before_m:.3g} m, and the rotations are "
                f"{self.error_deg:.2g} instead of {self.error_before_deg:.2g} deg off; "
                f"`vgslam eval --time-offset {self.offset_s:.3g}` applies it")  # fmt: skip


def clock_difference(estimate: Trajectory, reference: Trajectory) -> Difference | None:
    """The constant that, added to the times of the estimate (one component), at least halves the error of its rotations
    or, where they tell nothing, of its positions, and does not worsen the other; else None. A camera at rest, or along
    a line at a constant speed, fits with any. Both sides of the best one are worse: one at the end of the range is not
    named. Those that the association in time rounds by are not either."""
    if min(len(estimate), len(reference)) < FEWEST:
        return None
    pair = _Pair.of(estimate, reference)
    farthest = min(FARTHEST_S, OF_DURATION * float(estimate.timestamps_s[-1] - estimate.timestamps_s[0]))
    intervals = [float(np.median(np.diff(t.timestamps_s))) for t in (estimate, reference)]
    step = float(np.clip(min(intervals), *STEPS_S))
    offsets = np.asarray(step * np.arange(-int(farthest / step), int(farthest / step) + 1), np.float64)
    for by_rotations in (True, False):
        offset = _best(pair, pair.rotations_deg if by_rotations else pair.positions_m, offsets, step)
        if offset is None or abs(offset) <= default_max_difference_s(estimate.timestamps_s, reference.timestamps_s):
            continue
        found = pair.judged(offset, by_rotations)
        if found is not None:
            return found
    return None


def _best(pair: "_Pair", error: Error, offsets: Array, step: float) -> float | None:
    """The offset of the least error, None where that is no minimum between two others."""
    errors = np.array([pair.among_enough(error, offset) for offset in offsets])
    best = int(np.argmin(errors))
    if best in (0, len(offsets) - 1) or not np.isfinite(errors[best - 1 : best + 2]).all():
        return None
    offset = float(offsets[best])
    for width in (step, step / FINER):
        finer = offset + width / FINER * np.arange(-FINER, FINER + 1)
        offset = float(finer[int(np.argmin([pair.among_enough(error, d) for d in finer]))])
    return offset


@dataclass(frozen=True)
class _Pair:
    """What is compared: some poses of the estimate, and the reference."""

    times_s: Array
    T_est_cam: Array
    reference: Trajectory
    hole_s: float

    @staticmethod
    def of(estimate: Trajectory, reference: Trajectory) -> "_Pair":
        some = np.unique(np.linspace(0, len(estimate) - 1, MOST_POSES).astype(int))
        hole_s = max(LEAST_HOLE_S, HOLE * float(np.median(np.diff(reference.timestamps_s))))
        return _Pair(estimate.timestamps_s[some], estimate.T_world_cam[some], reference, hole_s)

    def known(self, offset_s: float) -> Mask:
        """Poses (N,) that the reference surrounds."""
        t = self.reference.timestamps_s
        after = np.searchsorted(t, self.times_s + offset_s)
        inside = (after > 0) & (after < len(t))
        after = np.clip(after, 1, len(t) - 1)
        return np.asarray(inside & (t[after] - t[after - 1] <= self.hole_s), np.bool_)

    def among_enough(self, error: Error, offset_s: float) -> float:
        """The error of all poses with a reference; infinite where these are too few."""
        known = self.known(offset_s)
        return error(offset_s, known) if known.sum() >= self._fewest else float("inf")

    @property
    def _fewest(self) -> float:
        return LEAST_SHARED * max(float(self.known(0.0).sum()), len(self.times_s) / 2)

    def positions_m(self, offset_s: float, known: Mask) -> float:
        """RMSE of the positions after Sim(3). Umeyama, PAMI 1991, eq. 33 and 39: e^2 = var_ref - tr(DS)^2 / var_est."""
        a, b = self._reference(offset_s, known)[:, :, 3], self.T_est_cam[known, :3, 3]
        a, b = a - a.mean(0), b - b.mean(0)
        var_ref, var_est = float((a * a).sum()), float((b * b).sum())
        left = var_ref - (max(_best_trace(a.T @ b), 0.0) ** 2 / var_est if var_est > 0 else 0.0)
        return float(np.sqrt(max(left, 0.0) / len(a)))

    def rotations_deg(self, offset_s: float, known: Mask) -> float:
        """RMS angle between rotations aligned by themselves, from chords 2 sqrt(2) sin(angle / 2) (Hartley et al., IJCV
        2013, 4.3)."""
        a, b = self._reference(offset_s, known)[:, :, :3], self.T_est_cam[known, :3, :3]
        product = float(_best_trace((a @ np.swapaxes(b, 1, 2)).sum(0)))
        chord_sq = max((float((a * a).sum()) + float((b * b).sum()) - 2.0 * product) / len(a), 0.0)
        return float(np.degrees(2.0 * np.arcsin(min(np.sqrt(chord_sq / 8.0), 1.0))))

    def _reference(self, offset_s: float, known: Mask) -> Array:
        """Poses (N,3,4) of the reference, each number by itself on a line between two."""
        t, T = self.reference.timestamps_s, self.reference.T_world_cam[:, :3]
        at = self.times_s[known] + offset_s
        after = np.clip(np.searchsorted(t, at), 1, len(t) - 1)
        share = ((at - t[after - 1]) / (t[after] - t[after - 1]))[:, None, None]
        return np.asarray((1.0 - share) * T[after - 1] + share * T[after])

    def judged(self, offset_s: float, by_rotations: bool) -> Difference | None:
        """Whether it explains far more than no difference, over the poses that both have a reference for."""
        both = self.known(offset_s) & self.known(0.0)
        if both.sum() < max(LEAST_SHARED * self._fewest, 3):
            return None
        now_m, then_m = self.positions_m(0.0, both), self.positions_m(offset_s, both)
        now_deg, then_deg = self.rotations_deg(0.0, both), self.rotations_deg(offset_s, both)
        extent = spread(self._reference(0.0, both)[:, :, 3])
        degrees, metres = (now_deg, then_deg, LEAST_DEG), (now_m, then_m, LEAST_SHARE * extent)
        (now, then, least), (now_other, then_other, _) = (degrees, metres) if by_rotations else (metres, degrees)
        if now < least or then > FAR_BETTER * now or then_other > NO_WORSE * now_other:
            return None
        return Difference(offset_s, then_m, now_m, then_deg, now_deg)


def _best_trace(M: Array) -> float:
    """The largest trace of R M over rotations R: the sum of its singular values, the last with the sign of det M."""
    D = np.linalg.svd(M, compute_uv=False)
    return float(D[0] + D[1] + D[2] * (np.sign(np.linalg.det(M)) or 1.0))
