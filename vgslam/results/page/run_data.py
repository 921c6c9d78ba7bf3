"""The contents of a run's folder, as far as they are there: older and interrupted runs have less, and another program
may have written its report. With the truth that the run is compared with: a file of the user's, or what the run
used."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from vgslam.errors import EvaluationError, InputError, VgslamError
from vgslam.evaluation.evaluate import Evaluation
from vgslam.guards.documents import DocumentError, parse_yaml, read_json
from vgslam.results.read_run import RunTrajectories, read_run, score_run
from vgslam.results.run_folder import CONFIG, PLOTS, REPORT, STATUS
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.sources.trajectory_rows import is_untimed
from vgslam.types import Array, Trajectory


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def amount(value: Any) -> float | None:
    """The value if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300 or not math.isfinite(value):
        return None
    return float(value)


@dataclass
class RunData:
    """All that the page shows."""

    path: Path
    report: dict[str, Any]  # report.json as it is, whatever version wrote it
    config_text: str = ""
    run: RunTrajectories | None = None  # none when no frame has a pose or the files are missing
    truth: Trajectory | None = None
    evaluation: Evaluation | None = None  # present if truth is
    plots: dict[str, bytes] = field(default_factory=dict)  # PNG files of the run by name
    notes: list[str] = field(default_factory=list)  # remarks that the page shows beside the warnings

    @property
    def name(self) -> str:
        return str(self.report.get("source_name") or self.path.resolve().name)

    @property
    def config(self) -> dict[str, Any]:
        """config.yaml; empty when it is missing or damaged."""
        try:
            data = parse_yaml(self.config_text)
        except DocumentError:
            return {}
        return data if isinstance(data, dict) else {}

    @property
    def coverage_percent(self) -> float | None:
        """Share of the frames that have a pose; None where status.csv does not bear out what the report says."""
        n_frames, n_poses = amount(self.report.get("n_frames")), amount(self.report.get("n_poses"))
        if not n_frames or n_poses is None or (n_poses and not self.has_all_statuses):
            return None
        return 100.0 * n_poses / n_frames

    @property
    def is_network_unasked(self) -> bool:
        """Whether there was a network that might be asked, and nothing asked it."""
        return amount(mapping(self.report.get("network")).get("n_asked")) == 0

    @property
    def has_all_statuses(self) -> bool:
        """Whether status.csv has a row for each frame that the report counts."""
        return self.run is not None and len(self.run.frames.frame_ids) == amount(self.report.get("n_frames"))

    @property
    def truth_positions(self) -> Array | None:
        """Positions (N,3) of the truth while the run's frames last; None without a truth or frames."""
        if self.truth is None or self.run is None or not len(self.run.frames.timestamps_s):
            return None
        t, times = self.truth.timestamps_s, self.run.frames.timestamps_s
        return self.truth.T_world_cam[(t >= times[0] - 0.1) & (t <= times[-1] + 0.1), :3, 3]

    @property
    def recorded_headline(self) -> Mapping[str, Any]:
        """The scores of the largest component as the report has them; empty where it has none."""
        return mapping(mapping(self.report.get("evaluation")).get("headline"))

    def compare(self, truth: Trajectory) -> None:
        """Score against the truth; one that does not fit becomes a note."""
        if self.run is None or not len(self.run.trajectory):
            return
        try:
            self.evaluation = score_run(self.run, truth)
            self.truth = truth
        except EvaluationError as error:
            self.notes.append(f"not compared with the truth: {error}")


def read_run_data(folder: Path) -> RunData:
    """Raises InputError unless the folder holds a report.json; all the rest may be missing."""
    if not (folder / REPORT).is_file():
        what = f"a folder without a {REPORT}" if folder.is_dir() else "a file" if folder.exists() else "not there"
        raise InputError(f"{folder}: is {what}; give the folder of a run")
    try:
        report = read_json(folder / REPORT)
    except (OSError, DocumentError) as error:
        raise InputError(f"{folder}: no readable {REPORT} in it ({error}); give the folder of a run") from error
    if not isinstance(report, dict) or "complete" not in report:
        raise InputError(f"{folder / REPORT}: not the report of a run")
    data = RunData(folder, report)
    if (folder / CONFIG).is_file():
        data.config_text = (folder / CONFIG).read_text(errors="replace")
    try:
        data.run = read_run(folder)
    except InputError as error:
        data.notes.append(str(error))
    n_frames = amount(report.get("n_frames"))
    if data.run is not None and not data.has_all_statuses and n_frames is not None:
        data.notes.append(f"{STATUS} has {len(data.run.frames.frame_ids)} rows for {n_frames:.0f} frames: it is not "
                          "whole, and how many frames have a pose is not known")  # fmt: skip
    for name in PLOTS:
        if (folder / "plots" / name).is_file():
            data.plots[name] = (folder / "plots" / name).read_bytes()
    return data


OPTIONS = {"source": "kind"}  # fields of `run` that the source's options call otherwise


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
