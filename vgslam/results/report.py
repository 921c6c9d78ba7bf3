"""The report of a run: `report.json`."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from vgslam.errors import InputError
from vgslam.guards.documents import read_json
from vgslam.results.environment import Machine, describe_machine, git_commit, package_version

WITHOUT_NETWORK = "sfm"  # the report's name for geometry from feature tracks alone
UNFINISHED = "still running, or killed"  # `stopped_by` until all is written


@dataclass
class RunReport:
    """The outcome of a run, for people and for `vgslam bench`. All times are of the whole run."""

    command: list[str] = field(default_factory=list)
    version: str = field(default_factory=package_version)
    commit: str | None = field(default_factory=git_commit)
    machine: Machine = field(default_factory=describe_machine)
    complete: bool = False
    """Whether the whole input was processed and all results are written; otherwise `stopped_by` says why not. A live
    source that was ended by hand is complete."""
    stopped_by: str | None = UNFINISHED
    """What ended the run before its input did; `Ctrl-C` or `SIGTERM` for a live source that was ended by hand."""
    source_kind: str = ""
    source_name: str = ""
    warnings: list[str] = field(default_factory=list)
    n_frames: int = 0
    """Frames processed."""
    n_source_frames: int | None = None
    """Frames of the input, if known in advance."""
    n_keyframes: int = 0
    """Keyframes that the run added."""
    n_poses: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    """Number of frames by status."""
    n_losses: int = 0
    """How often tracking was lost."""
    transitions: list[dict[str, Any]] = field(default_factory=list)
    """Every change of the state of tracking: frame_id, timestamp_s, before, after (INITIALIZING, TRACKED, UNSURE, LOST,
    RELOCALIZED, NEW_COMPONENT), lost_s (seconds without a pose that ended there), component, trust of a
    relocalization."""
    lost_s: float = 0.0
    """Sum of the transitions' lost_s."""
    n_components: int = 0
    loops: list[dict[str, Any]] = field(default_factory=list)
    """Those that were closed: frame_a, frame_b, shift of the later one in map units, joined (the component that it
    joined, or null)."""
    n_loops_refused: int = 0
    """Loops that the graph contradicted."""
    cpu_s: float = 0.0
    """CPU seconds of all threads."""
    wall_s: float = 0.0
    stage_cpu_s: dict[str, float] = field(default_factory=dict)
    """CPU seconds by stage."""
    frames_per_cpu_s: float | None = None
    """n_frames / cpu_s."""
    frames_per_wall_s: float | None = None
    peak_memory_mib: float = 0.0
    camera: dict[str, Any] | None = None
    """fx, fy, cx, cy in px, width, height, fov_x_deg, is_estimated."""
    mask: str | None = None
    """The picture given as --mask."""
    static_share: float = 0.0
    """Share of the image that was found never to move while the rest does, and was ignored (static_mask.png)."""
    model_id: str = ""
    weights: dict[str, Any] | None = None
    """The network's, if one may be asked: model_id, sha256, files, n_parameters, is_random, licence, whether the
    licence allows commercial use; was_asked: where not, the weights had no part in the result; poses_from, once it was
    opened."""
    network: dict[str, Any] | None = None
    """What the network was asked, if there is one: n_asked, n_believed; asked, believed and late by reason (start,
    lost, depth); starts (component, frame_id, solved_at: the frame at which what it began was solved again
    without it, or null); cpu_s of opening and asking; is_torch_loaded; trouble, why it could not be asked; line,
    the same for people."""
    refinement: dict[str, Any] | None = None
    """The adjustment of the whole map: cpu_s, wall_s, is_interrupted, and for each component whether it is_kept, the
    reprojection error before and after, the keyframes that moved, the calibration before and after; lines: the same
    for people."""
    adaptation: dict[str, Any] | None = None
    """For a network that learned during the run: the model_id and step served last, n_commits, n_rollbacks, n_skips,
    n_drops, and the events."""
    world: list[dict[str, Any]] = field(default_factory=list)
    """For each component that --scale-from or --gravity looked at: component, is_metric, is_upright, scale_from,
    metres_per_unit (metres in what was a map unit), scale_sigma_percent, n_measurements, spread_percent (of one
    measurement), residual_rms_m (of positions), gravity_from, gravity_sigma_deg, notes."""
    world_failure: str | None = None
    """Why lengths are not metres, or z is not up, though it was asked for."""
    map: dict[str, Any] | None = None
    """The saved map that the run worked on: path, is_localizing, session, n_keyframes_before, n_keyframes."""
    pieces: dict[str, Any] | None = None
    """For a recording that was mapped in pieces (--pieces): n, overlap_frames, engine, calibration (where it comes
    from), what became of each piece, and of the joins of neighbours: whether they are joined or why not, the frame from
    which the second's poses are taken, the frames that agree and how well; n_joined_by_places."""
    live: dict[str, Any] | None = None
    """For a source that does not wait: n_captured, n_dropped, dropped (by reason), n_damaged, n_reconnects;
    latency_p50_ms, latency_p95_ms, latency_p99_ms, latency_max_ms from a frame's arrival to its pose;
    n_pose_lines_dropped for slow readers; mapping: n_keyframes made beside tracking, n_searches for the camera,
    n_frames_keyframe_waited, most_lag_frames, most_lag_s, or null with one lane."""
    end_to_start_percent: float | None = None
    evaluation: dict[str, Any] | None = None
    """`Evaluation.to_dict()`."""
    evaluations: dict[str, Any] = field(default_factory=dict)
    """Further evaluations, such as against a second reference, by name."""

    def set_timing(self, cpu_s: float, wall_s: float) -> None:
        """Sets times and the frame rates that follow from n_frames."""
        self.cpu_s, self.wall_s = cpu_s, wall_s
        self.frames_per_cpu_s = self.n_frames / cpu_s if cpu_s > 0 else None
        self.frames_per_wall_s = self.n_frames / wall_s if wall_s > 0 else None

    def finish(self, stopped_by: str | None = None, is_usual_end: bool = False) -> None:
        """Marks the run complete, or stopped by what `stopped_by` says; complete too if that is its usual end."""
        self.complete, self.stopped_by = stopped_by is None or is_usual_end, stopped_by

    def to_json(self) -> str:
        """Strict JSON: a number that is not finite becomes null."""
        return json.dumps(_plain(asdict(self)), indent=2, allow_nan=False) + "\n"

    @staticmethod
    def read(path: Path) -> "RunReport":
        """Reads `report.json`. Raises InputError when it is missing, damaged or of another program."""
        try:
            data = read_json(path)
            if not isinstance(data, dict) or not isinstance(data.get("machine"), dict):
                raise InputError(f"{path}: not a report of a run (incomplete)")
            known = {f.name for f in fields(RunReport)}
            unknown = set(data) - known
            if unknown or "complete" not in data:
                raise InputError(f"{path}: not a report of this version ({', '.join(sorted(unknown)) or 'incomplete'})")
            return RunReport(**{**data, "machine": Machine(**data["machine"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path}: not a readable report ({error})") from error


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
