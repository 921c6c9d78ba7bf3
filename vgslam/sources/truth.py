"""The reference trajectory of a recording: the data set's own is used when it can be, a person's must be usable."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vgslam.errors import InputError
from vgslam.sources.numbered import LEAST_EPOCH_S, rows_of
from vgslam.sources.recording import Recording
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.sources.trajectory_rows import is_untimed
from vgslam.types import Trajectory

_SLACK_S = 0.5
"""Truth and frames this far apart may still be associated."""


def attach_truth_file(recording: Recording, path: Path, counts_hz: float | None = None) -> None:
    """Sets `truth` from a data set's trajectory; one that cannot be used is a warning. counts_hz: the images' numbers
    became times at this rate, so a truth whose times are whole numbers has it too."""
    if not path.is_file():
        return
    try:
        truth = read_trajectory(path, is_metric=True, notes=recording.warnings)
    except InputError as err:
        recording.warnings.add(f"truth not used: {err}")
        return
    stamps = truth.timestamps_s
    if counts_hz is not None and (stamps == np.floor(stamps)).all() and stamps[-1] < LEAST_EPOCH_S:
        truth = replace(truth, timestamps_s=stamps / counts_hz)
    if overlaps(truth, recording.timestamps_s):
        recording.truth = truth
    else:
        recording.warnings.add(f"truth not used: {path.name} {_spans(truth, recording.timestamps_s)}")


def attach_chosen_truth(recording: Recording, path: Path) -> None:
    """Sets `truth` from the file that the person named. Raises InputError when it cannot be used."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such truth file"
        raise InputError(f"{path}: {what}; give a TUM, KITTI or EuRoC trajectory")
    if not is_untimed(path):
        truth = read_trajectory(path, is_metric=True, notes=recording.warnings)
    else:
        if recording.timestamps_s is None:
            raise InputError(f"{path}: KITTI rows carry no time, and {recording.kind} needs it; give a TUM trajectory")
        truth = _by_rows(read_trajectory(path, "kitti", is_metric=True), path, recording, recording.timestamps_s)
    if not overlaps(truth, recording.timestamps_s):
        raise InputError(f"{path}: truth {_spans(truth, recording.timestamps_s)}; check that it belongs to this input")
    recording.truth = truth


def _by_rows(truth: Trajectory, path: Path, recording: Recording, times_s: npt.NDArray[np.float64]) -> Trajectory:
    """Poses without a time, one for each image or for each of a whole sequence, of which the images are a part."""
    n, rows = len(times_s), None
    if len(truth) > n:
        rows = rows_of(recording.files, len(truth))
    if rows is None and len(truth) != n:
        raise InputError(f"{path}: {len(truth)} poses but {n} timestamps; KITTI poses need one row per image")
    if rows is not None:
        recording.warnings.add(f"{path.name} has {len(truth)} poses for {n} images: the numbers in the images' names "
                               "are their rows in it")  # fmt: skip
    keep = np.flatnonzero(np.diff(np.maximum.accumulate(times_s), prepend=-np.inf) > 0)
    T = truth.T_world_cam if rows is None else truth.T_world_cam[rows]
    return Trajectory(times_s[keep], T[keep], is_metric=True)


def overlaps(truth: Trajectory, timestamps_s: npt.NDArray[np.float64] | None) -> bool:
    """Whether truth and frames share time; unknown frame times count as sharing it."""
    if timestamps_s is None or not len(timestamps_s) or not len(truth):
        return True
    first, last = truth.timestamps_s[0] - _SLACK_S, truth.timestamps_s[-1] + _SLACK_S
    return bool(((timestamps_s >= first) & (timestamps_s <= last)).any())


def _spans(truth: Trajectory, timestamps_s: npt.NDArray[np.float64] | None) -> str:
    frames = np.zeros(1) if timestamps_s is None else timestamps_s
    return (
        f"does not overlap the images in time (truth {truth.timestamps_s[0]:.3f} to {truth.timestamps_s[-1]:.3f} s, "
        f"images {frames.min():.3f} to {frames.max():.3f} s)"
    )
