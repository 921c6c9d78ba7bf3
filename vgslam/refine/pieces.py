"""A long map adjusted piece by piece, each between keyframes that stay: what is adjusted together is never much."""

from dataclasses import replace

import numpy as np

from vgslam.refine.ceres import FreeCalibration, SolverOptions, solve
from vgslam.refine.problem import Mask, Problem

PIECE, AROUND = 100, 25
"""Keyframes that are adjusted together, and on either side of them those that stay, which hold them."""


def solve_pieces(problem: Problem, options: SolverOptions, held: Mask | None = None, first: int = 0) -> Problem:
    """The problem with every keyframe adjusted among its neighbours, in the order of time, by all observations of
    these; the calibration stays. held (C,): keyframes that stay too. first: where the first piece begins, 0 or less, so
    that those of another round lie across its ends. For what has been adjusted by a part."""
    n = len(problem.keyframe_ids)
    stays = np.zeros(n, bool) if held is None else held
    for begin in range(first, n, PIECE):
        problem = _adjusted(problem, max(begin, 0), min(begin + PIECE, n), options, stays)
    return problem


def _adjusted(p: Problem, begin: int, end: int, options: SolverOptions, held: Mask) -> Problem:
    """Keyframes begin to end adjusted, with the landmarks that they see."""
    first, last = max(begin - AROUND, 0), min(end + AROUND, len(p.keyframe_ids))
    active = p.is_active()
    mine = np.zeros(len(p.points), bool)
    mine[p.point[active & (p.cam >= begin) & (p.cam < end)]] = True
    rows = np.flatnonzero(active & mine[p.point] & (p.cam >= first) & (p.cam < last))
    if not len(rows):
        return p
    at, point = np.unique(p.point[rows], return_inverse=True)
    numbers = np.arange(first, last)
    piece = replace(
        p, keyframe_ids=p.keyframe_ids[first:last], T_cam_world=p.T_cam_world[first:last], cam=p.cam[rows] - first,
        landmark_ids=p.landmark_ids[at], points=p.points[at], has_point=p.has_point[at], point=point.reshape(-1),
        pixels=p.pixels[rows], in_use=p.in_use[rows],
    )  # fmt: skip
    solved = solve(piece, options, FreeCalibration(), held[first:last] | (numbers < begin) | (numbers >= end))
    T, points = p.T_cam_world.copy(), p.points.copy()
    T[begin:end], points[at] = solved.T_cam_world[begin - first : end - first], solved.points
    return replace(p, T_cam_world=T, points=points)
