"""Where an adjusted component hangs on few landmarks: its keyframes in runs, between which it may come apart."""

from dataclasses import dataclass

import numpy as np

from vgslam.refine.problem import Problem
from vgslam.types import Array, Ids

FITS_PX = 2.5
"""Error of an observation up to which it holds its keyframe."""
THIN_SHARE, THIN = 0.4, 30
"""A link is thin with a smaller share of the landmarks that such links usually have, or with fewer than this many."""
HOLDING_VIEWS = 3
"""Keyframes that have to see a landmark for it to hold a scale: two alone agree with any length of the step."""


@dataclass(frozen=True)
class Links:
    """Who sees what in an adjusted component, of what fits."""

    n_keyframes: int
    n_points: int
    cam: Ids
    """(n,): index of a keyframe, in the order of time; ascending."""
    point: Ids
    """(n,): index of a landmark that it sees, each once."""

    @staticmethod
    def of(p: Problem) -> "Links":
        """Those of a problem's active observations that fit."""
        n_points = max(len(p.points), 1)
        fits = np.flatnonzero(p.is_active() & (p.errors_px() < FITS_PX))
        seen = np.unique(p.cam[fits] * n_points + p.point[fits])
        return Links(len(p.keyframe_ids), n_points, seen // n_points, seen % n_points)

    def thin(self, step: int = 1) -> Ids:
        """The keyframes n for which the link from n - step to n is thin, ascending."""
        seen = self.cam * self.n_points + self.point
        again = self.cam[np.isin(seen, seen + step * self.n_points)]
        links = np.bincount(again, minlength=self.n_keyframes)[step:]
        least = max(THIN_SHARE * float(np.median(links)) if len(links) else 0.0, THIN)
        return step + np.flatnonzero(links < least)

    def runs(self) -> Ids:
        """(C,): numbers of runs, between which there is a thin link, or one keyframe by itself, past which few
        landmarks lead: what comes after it may have another scale."""
        begins = np.zeros(self.n_keyframes + 1, np.int64)
        passed = self.thin(2) - 1
        begins[np.concatenate([self.thin(1), passed, passed + 1])] = 1
        return np.cumsum(begins[: self.n_keyframes])

    def holding(self, run: Ids) -> Array:
        """(R,R): landmarks that hold two runs of keyframes, run (C,), at one scale; 0 on the diagonal. One that more
        than two runs see is shared out among their pairs so that it counts once where one of them is cut off."""
        n_runs = int(run.max()) + 1
        holds = np.bincount(self.point, minlength=self.n_points)[self.point] >= HOLDING_VIEWS
        pairs = np.unique(run[self.cam[holds]] * self.n_points + self.point[holds])
        of, point = pairs // self.n_points, pairs % self.n_points
        share = 1.0 / np.maximum(np.bincount(point, minlength=self.n_points) - 1, 1)
        out = np.zeros((n_runs, n_runs))
        for r in range(n_runs):
            is_mine = np.zeros(self.n_points, bool)
            is_mine[point[of == r]] = True
            both = is_mine[point]
            out[r] = np.bincount(of[both], share[point[both]], minlength=n_runs)
        np.fill_diagonal(out, 0.0)
        return out
