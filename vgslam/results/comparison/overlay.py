"""Paths of several runs in one frame of reference: the truth's, or the first run's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vgslam.evaluation.alignment import best_scale
from vgslam.evaluation.association import SAME_FRAME_S, match_times
from vgslam.geometry.robust_similarity import line_ratio, umeyama
from vgslam.geometry.rotation_mean import mean_rotation
from vgslam.geometry.sim3 import Sim3
from vgslam.results.page.run_data import RunData
from vgslam.types import Array, Trajectory

FEWEST = 3  # poses in common from which paths are aligned
LINE_RATIO = 0.01
"""Second singular value of the positions over the first below which the rotation comes from the orientations."""


@dataclass(frozen=True)
class PathPiece:
    """A component of a run in the common frame."""

    component: int
    timestamps_s: Array
    positions: Array  # (N,3)


@dataclass(frozen=True)
class Overlay:
    """The paths that could be brought into one frame."""

    pieces: list[list[PathPiece]]
    """The pieces of each run's path; empty for a run that could not be aligned."""
    truth: Array | None
    """Positions (N,3); None when the frame is the first run's."""
    distance_percent: list[float | None]
    """RMS distance of each run's largest component from the first run, in % of the path that both have; without a
    truth."""
    notes: list[str]
    """What is left out, and why."""
    is_metric: bool = False


def over_truth(runs: Sequence[RunData], names: Sequence[str]) -> Overlay:
    """Every component that was scored, aligned with the truth."""
    pieces, notes, truth = [], [], None
    for name, data in zip(names, runs, strict=True):
        own = []
        for component, S in ({} if data.evaluation is None else data.evaluation.alignments).items():
            assert data.run is not None
            own.append(_piece_of(data.run.trajectory.of_component(component), S))
        if not own:
            notes.append(f"{name} is not aligned with the truth: its path is not drawn")
        during = data.truth_positions
        if during is not None:
            truth = during if truth is None or len(during) > len(truth) else truth
        pieces.append(own)
    return Overlay(pieces, truth, [None] * len(runs), notes, is_metric=True)


def over_first(runs: Sequence[RunData], names: Sequence[str]) -> Overlay:
    """Every component with at least 3 frames in common with the largest of the first run that has a pose."""
    first = next((i for i, data in enumerate(runs) if data.run is not None and len(data.run.trajectory)), None)
    if first is None:
        return Overlay([[] for _ in runs], None, [None] * len(runs), ["no run has a pose"])
    reference = largest(runs[first])
    pieces: list[list[PathPiece]] = []
    distances: list[float | None] = []
    notes = []
    for i, (name, data) in enumerate(zip(names, runs, strict=True)):
        own, apart, distance = _over(reference, data)
        if i == first:
            own, apart, distance = [_piece_of(reference, Sim3.identity())], 0, None
        if not own:
            notes.append(f"{name} has fewer than {FEWEST} frames with a pose in common with {names[first]}: "
                         "its path is not drawn")  # fmt: skip
        elif apart:
            notes.append(f"{name}: {apart} component(s) without enough frames in common are not drawn")
        pieces.append(own)
        distances.append(distance)
    return Overlay(pieces, None, distances, notes)


def largest(data: RunData) -> Trajectory:
    """The component with the most poses; the run must have one."""
    assert data.run is not None
    path = data.run.trajectory
    ids, counts = np.unique(path.component_ids, return_counts=True)
    return path.of_component(int(ids[counts.argmax()]))


def _over(reference: Trajectory, data: RunData) -> tuple[list[PathPiece], int, float | None]:
    """Aligned components, the number of those that are not, and the distance of the one with most poses in common."""
    own: list[PathPiece] = []
    most, apart, distance = 0, 0, None
    path = None if data.run is None else data.run.trajectory
    for component in [] if path is None else np.unique(path.component_ids).tolist():
        assert path is not None
        piece = path.of_component(component)
        ids_ref, ids = match_times(reference.timestamps_s, piece.timestamps_s, SAME_FRAME_S)
        S = aligned(reference.T_world_cam[ids_ref], piece.T_world_cam[ids]) if len(ids) >= FEWEST else None
        if S is None:
            apart += 1
            continue
        own.append(_piece_of(piece, S))
        if len(ids) > most:
            most = len(ids)
            distance = _distance_percent(reference.T_world_cam[ids_ref, :3, 3], S.apply(piece.T_world_cam[ids, :3, 3]))
    return own, apart, distance


def aligned(T_ref_cam: Array, T_est_cam: Array) -> Sim3 | None:
    """S_ref_est of corresponding poses (N,4,4), N >= 3: Umeyama's on the positions (PAMI 1991); where these lie on a
    line, the rotation is the mean of the orientations'. None where either path has no extent."""
    p_ref, p_est = T_ref_cam[:, :3, 3], T_est_cam[:, :3, 3]
    scale = best_scale(p_ref, p_est)
    if scale is None:
        return None
    if min(line_ratio(p_ref), line_ratio(p_est)) > LINE_RATIO:
        return umeyama(p_ref, p_est)
    R = mean_rotation(T_ref_cam[:, :3, :3] @ np.swapaxes(T_est_cam[:, :3, :3], 1, 2))
    return Sim3(R, p_ref.mean(0) - scale * R @ p_est.mean(0), scale)


def _distance_percent(reference: Array, points: Array) -> float | None:
    length = float(np.linalg.norm(np.diff(reference, axis=0), axis=1).sum())
    rms = float(np.sqrt(((reference - points) ** 2).sum(axis=1).mean()))
    return 100.0 * rms / length if length > 0 else None


def _piece_of(path: Trajectory, S: Sim3) -> PathPiece:
    return PathPiece(int(path.component_ids[0]), path.timestamps_s, S.apply(path.T_world_cam[:, :3, 3]))
