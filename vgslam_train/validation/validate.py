"""The validation table: a network's poses and depths on fixed windows, each figure beside that of a trivial guess.

Baselines: the identity pose, motion straight ahead, each window's own median depth, and corners with the essential
matrix at the same resolution. Every figure is over windows that were never trained on.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vgslam.geometry import torch_se3
from vgslam_train.data.clips import ClipSet
from vgslam_train.data.real_windows import REAL_SETS, real_windows
from vgslam_train.data.windows import WindowBatch, WindowConfig, WindowSampler
from vgslam_train.validation.calibration import Calibration, calibration, log_depth_errors
from vgslam_train.validation.classical import classical_poses
from vgslam_train.validation.pose_measures import (
    PoseScore,
    Statistics,
    as_numbers,
    constant_depth,
    depth_score,
    forward_poses,
    identity_poses,
    pose_score,
)

_BATCH = 32


@dataclass(frozen=True)
class WindowGuess:
    """A network's answers for a batch. In both poses the world is at camera 0."""

    T_cam_world: Tensor
    """(B,S,4,4), from its pose head."""
    T_solver: Tensor | None
    """(B,S,4,4), T_cam_world from the solver read-out; None without one."""
    depth: Tensor
    """(B,S,H,W) in any unit."""
    depth_scale: Tensor | None = None
    """(B,S,H,W): scale of the Laplace distribution of the error of log depth; None: nothing is stated."""


Predictor = Callable[[WindowBatch], WindowGuess]


@dataclass(frozen=True)
class ValidationSet:
    """A name and fixed windows, all of one number of frames."""

    name: str
    batches: list[WindowBatch]

    @property
    def n_windows(self) -> int:
        return sum(len(b.images) for b in self.batches)

    @property
    def n_frames(self) -> int:
        return self.batches[0].images.shape[1] if self.batches else 0


def procedural_sets(
    clips: ClipSet, n_frames: Sequence[int] = (2, 4, 8), n_windows: int = 128, size: tuple[int, int] = (48, 64)
) -> list[ValidationSet]:
    """Fixed windows of rendered clips, one set for each number of frames; size: (height, width) px.

    They follow from the clips and their number alone, so open the same number each time (`ClipSet.open`).
    """
    sets = []
    for n in n_frames:
        config = WindowConfig(min(n_windows, _BATCH), n, ((*size, 1.0),), augment=False)
        sampler = WindowSampler(clips, config)
        batches = [sampler.batch(step) for step in range(-(-n_windows // config.batch_size))]
        sets.append(ValidationSet(f"procedural, {n} frames", batches))
    return sets


def real_sets(root: Path, n_frames: int = 4, n_windows: int = 64, size_px: int = 64) -> list[ValidationSet]:
    """Windows of the recorded sequences in `root` (`real_windows.REAL_SETS`); those that are not there are left out."""
    present = [chosen for chosen in REAL_SETS if (root / chosen.folder).is_dir()]
    return [ValidationSet(c.name, [real_windows(root, c, n_frames, n_windows, size_px)]) for c in present]


@dataclass(frozen=True)
class ValidationRow:
    """Scores of one set; None: not asked for."""

    name: str
    n_windows: int
    n_frames: int
    head: PoseScore | None
    solver: PoseScore | None
    identity: PoseScore
    forward: PoseScore
    classical: PoseScore | None
    classical_found: float | None
    """Share of the poses that tracks and essential matrix gave; the others count as the identity."""
    depth: Statistics | None
    constant_depth: Statistics
    calibration: Calibration | None = None


@dataclass(frozen=True)
class ValidationTable:
    rows: list[ValidationRow]

    def to_markdown(self) -> str:
        """One line a set. Angles in degrees, "median / mean"; directions "all / not forward", medians."""
        lines = ["| " + " | ".join(_HEADINGS) + " |", "|---" * len(_HEADINGS) + "|"]
        lines += ["| " + " | ".join(_cells(row)) + " |" for row in self.rows]
        return "\n".join(lines) + "\n"

    def to_json(self) -> str:
        """All scores; what is not defined is null."""
        return json.dumps([_numbers(row) for row in self.rows], indent=1) + "\n"


def validate(
    predict: Predictor | None, windows: Sequence[ValidationSet], with_classical: bool = True
) -> ValidationTable:
    """Scores of `predict` (None: of the baselines alone) on each set; the classical baseline costs about 5 ms a pose.

    The guess has the batch's shapes and may be on any device. A guess that is not finite counts as the worst possible.
    Raises ValueError, naming the set, when it is empty or the predictor's shapes do not fit.
    """
    return ValidationTable([_row(predict, chosen, with_classical) for chosen in windows])


def _row(predict: Predictor | None, chosen: ValidationSet, with_classical: bool) -> ValidationRow:
    batches = chosen.batches
    if not chosen.n_windows or chosen.n_frames < 2:
        raise ValueError(f"validation set '{chosen.name}' has no windows of 2 or more frames")
    head = solver = depth = classical = found = stated = None
    if predict is not None:
        guesses = [_checked(predict(b), b, chosen.name) for b in batches]
        head = pose_score(batches, [torch_se3.inverse(g.T_cam_world.double()) for g in guesses])
        solved = [torch_se3.inverse(g.T_solver.double()) for g in guesses if g.T_solver is not None]
        solver = pose_score(batches, solved) if len(solved) == len(batches) else None
        depth = depth_score(batches, [g.depth for g in guesses])
        stated = _calibration(batches, guesses)
    if with_classical:
        poses = [classical_poses(b) for b in batches]
        classical = pose_score(batches, [p.T_first_cam for p in poses])
        found = float(torch.cat([p.is_found[:, 1:].flatten().double().cpu() for p in poses]).mean())
    return ValidationRow(
        chosen.name, chosen.n_windows, chosen.n_frames, head, solver,
        identity=pose_score(batches, [identity_poses(b) for b in batches]),
        forward=pose_score(batches, [forward_poses(b) for b in batches]),
        classical=classical, classical_found=found, depth=depth,
        constant_depth=depth_score(batches, [constant_depth(b) for b in batches]), calibration=stated,
    )  # fmt: skip


def _calibration(batches: list[WindowBatch], guesses: list[WindowGuess]) -> Calibration | None:
    """None where the predictor states no deviation, or no depth is known."""
    pairs = [(b, g, g.depth_scale) for b, g in zip(batches, guesses, strict=True) if g.depth_scale is not None]
    if not pairs:
        return None
    errors = np.concatenate([log_depth_errors(b.depth, g.depth) for b, g, _ in pairs])
    scales = np.concatenate([scale[b.depth > 0].cpu().double().numpy() for b, _, scale in pairs])
    found = calibration(errors, scales)
    return found if found.count else None


def _checked(guess: WindowGuess, batch: WindowBatch, name: str) -> WindowGuess:
    """The guess on the device of the batch."""
    expected = tuple(batch.T_world_cam.shape)
    poses = [guess.T_cam_world] + ([] if guess.T_solver is None else [guess.T_solver])
    maps = [guess.depth] + ([] if guess.depth_scale is None else [guess.depth_scale])
    if any(tuple(T.shape) != expected for T in poses) or any(x.shape != batch.depth.shape for x in maps):
        shapes = ", ".join(str(tuple(x.shape)) for x in [*poses, *maps])
        raise ValueError(f"validation set '{name}': guesses {shapes} do not fit poses {expected}")
    device = batch.T_world_cam.device
    T_solver = None if guess.T_solver is None else guess.T_solver.to(device)
    scale = None if guess.depth_scale is None else guess.depth_scale.to(device)
    return WindowGuess(guess.T_cam_world.to(device), T_solver, guess.depth.to(device), scale)


_HEADINGS = (
    "set", "windows x frames", "poses", "rotation: head", "solver", "identity", "LK+E (found)", "direction: head",
    "solver", "forward", "LK+E", "poses with direction (not forward)", "AbsRel: network", "window median",
    "depth's deviation: calibration error", "error of the surer half / of all",
)  # fmt: skip


def _cells(row: ValidationRow) -> list[str]:
    counts = row.identity
    return [
        row.name, f"{row.n_windows} x {row.n_frames}", str(counts.rotation_deg.count),
        _rotation(row.head), _rotation(row.solver), _rotation(row.identity),
        _rotation(row.classical) + ("" if row.classical_found is None else f" ({row.classical_found:.0%})"),
        _direction(row.head), _direction(row.solver), _direction(row.forward), _direction(row.classical),
        f"{counts.direction_deg.count} ({counts.direction_sideways_deg.count})",
        _pair(row.depth, 3), _pair(row.constant_depth, 3),
        "-" if row.calibration is None else f"{row.calibration.expected_error:.3f}",
        "-" if row.calibration is None else f"{row.calibration.surer_half:.2f}",
    ]  # fmt: skip


def _rotation(score: PoseScore | None) -> str:
    return "-" if score is None else _pair(score.rotation_deg, 2)


def _direction(score: PoseScore | None) -> str:
    if score is None:
        return "-"
    both = (score.direction_deg, score.direction_sideways_deg)
    return " / ".join(f"{s.median:.1f}" if s.count else "-" for s in both)


def _pair(score: Statistics | None, digits: int) -> str:
    return f"{score.median:.{digits}f} / {score.mean:.{digits}f}" if score is not None and score.count else "-"


def _numbers(row: ValidationRow) -> dict[str, object]:
    out: dict[str, object] = {}
    for name, value in vars(row).items():
        out[name] = as_numbers(value) if isinstance(value, PoseScore | Statistics | Calibration) else value
    return out
