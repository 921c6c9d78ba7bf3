"""The truth that a run is compared with: a file that the user names, or what the run used."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from vgslam.errors import VgslamError
from vgslam.results.page.run_data import RunData
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.sources.trajectory_rows import is_untimed
from vgslam.types import Trajectory

OPTIONS = {"source": "kind"}
"""Fields of `run` that the source's options call otherwise."""


def chosen_truth(path: Path, data: RunData) -> Trajectory:
    """The reference, mended as far as possible, with notes; KITTI's rows are the run's frames. Raises InputError."""
    if not is_untimed(path):
        return read_trajectory(path, is_metric=True, notes=data.notes)
    times_s = None if data.run is None else data.run.frames.timestamps_s
    return read_trajectory(path, "kitti", times_s, is_metric=True)


def truth_of_run(data: RunData) -> Trajectory | None:
    """The reference that the run was compared with; None, and a note, when it cannot be found any more."""
    if not data.report.get("evaluation"):
        return None
    try:
        return _reopen(data.config)
    except (VgslamError, TypeError, ValueError, OSError) as error:
        data.notes.append(f"the truth is not where it was, plots are those of the run itself ({error})")
        return None


def _reopen(config: dict[str, Any]) -> Trajectory | None:
    given = {OPTIONS.get(key, key): value for key, value in config.items()}
    known = {f.name for f in fields(SourceOptions)}
    chosen = {k: v for k, v in given.items() if k in known and v is not None}
    for name in ("calib", "truth"):
        if name in chosen:
            chosen[name] = Path(chosen[name])
    return open_source(Path(str(config["path"])), SourceOptions(**chosen)).truth if "path" in config else None
