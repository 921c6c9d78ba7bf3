"""How far guessed poses and depths of windows are from the truth, and the scores of guesses that ignore the images.

Poses here are T_first_cam (B,S,4,4), frame 0 the identity; errors are of frames 1..S-1. Errors are NaN where they are
not defined. Trivial guesses: the identity pose, motion straight ahead, and each window's own median depth everywhere.
"""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vgslam_train.data.windows import WindowBatch
from vgslam_train.validation.calibration import Calibration

Array = npt.NDArray[np.float64]

MIN_TRANSLATION = 0.02
"""Motions below this share of the window's median depth have no direction worth measuring."""
UNKNOWN_DEPTH_M = 10.0
"""Median depth assumed of windows without any."""
FORWARD_DEG = 45.0
"""Motions within this angle of the optical axis count as forward."""
NO_DIRECTION_DEG = 90.0
"""Error of a guess that says there is no translation: that of a direction drawn blindly, in the median."""


@dataclass(frozen=True)
class Statistics:
    """Median and mean over `count` errors; NaN when there are none."""

    median: float
    mean: float
    count: int


def statistics(errors: Array) -> Statistics:
    """Summarises the errors that are not NaN."""
    known = errors[~np.isnan(errors)]
    if not len(known):
        return Statistics(float("nan"), float("nan"), 0)
    return Statistics(float(np.median(known)), float(known.mean()), len(known))


def rotation_errors_deg(T_true: Tensor, T_guess: Tensor) -> Array:
    """Angle (B,S-1) of R_true^T R_guess, accurate near zero; 180 for a guess that is not finite."""
    R = T_true[:, 1:, :3, :3].double().mT @ T_guess[:, 1:, :3, :3].double()
    skew = R - R.mT
    sine = 0.5 * torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], dim=-1).norm(dim=-1)
    cosine = 0.5 * (R.diagonal(dim1=-2, dim2=-1).sum(-1) - 1)
    return np.nan_to_num(_numpy(torch.rad2deg(torch.atan2(sine, cosine))), nan=180.0)


def direction_errors_deg(T_true: Tensor, T_guess: Tensor, median_depth_m: Array) -> Array:
    """Angle (B,S-1) between true and guessed translation, from camera 0 to camera i in the axes of camera 0.

    NaN where the true one is shorter than MIN_TRANSLATION of the window's median depth (B,); NO_DIRECTION_DEG where the
    guess has none, 180 where it is not finite.
    """
    t_true, t_guess = T_true[:, 1:, :3, 3].double(), T_guess[:, 1:, :3, 3].double()
    angle = _angle_deg(t_true, t_guess)
    angle = angle.masked_fill(t_guess.norm(dim=-1) < 1e-12, NO_DIRECTION_DEG)
    is_short = _numpy(t_true.norm(dim=-1)) < MIN_TRANSLATION * median_depth_m[:, None]
    return np.where(is_short, np.nan, np.nan_to_num(_numpy(angle), nan=180.0))


def is_forward(T_true: Tensor) -> npt.NDArray[np.bool_]:
    """Which true motions (B,S-1) are within FORWARD_DEG of the optical axis of frame 0."""
    t = T_true[:, 1:, :3, 3].double()
    return np.asarray(_numpy(_angle_deg(t, _ahead(t))) <= FORWARD_DEG)


def window_median_depth_m(depth: Tensor) -> Array:
    """Median (B,) of the known depths of each window (B,S,H,W); UNKNOWN_DEPTH_M where none is known."""
    windows = _numpy(depth).reshape(len(depth), -1)
    return np.array([np.median(d[d > 0]) if (d > 0).any() else UNKNOWN_DEPTH_M for d in windows])


def depth_errors(depth_true: Tensor, depth_guess: Tensor) -> Array:
    """AbsRel (B,): mean |s guess - true| / true over a window's known pixels (B,S,H,W), s the ratio of the medians.

    NaN for windows without known depth, infinite for guesses that are not finite and positive somewhere it is known.
    """
    errors = np.full(len(depth_true), np.nan)
    for k, (true, guess) in enumerate(zip(_numpy(depth_true), _numpy(depth_guess), strict=True)):
        known = true > 0
        if not known.any():
            continue
        t, g = true[known], guess[known]
        if not (np.isfinite(g).all() and (g > 0).all()):
            errors[k] = np.inf
            continue
        errors[k] = np.mean(np.abs(g * (np.median(t) / np.median(g)) - t) / t)
    return errors


@dataclass(frozen=True)
class PoseScore:
    """rotation_deg, and direction_deg over all motions long enough and over those that are not forward."""

    rotation_deg: Statistics
    direction_deg: Statistics
    direction_sideways_deg: Statistics


def pose_score(batches: list[WindowBatch], guesses: list[Tensor]) -> PoseScore:
    """Over the poses of all windows; guesses: T_first_cam (B,S,4,4) of each batch."""
    rotation, direction, forward = [], [], []
    for batch, T in zip(batches, guesses, strict=True):
        rotation.append(rotation_errors_deg(batch.T_world_cam, T).ravel())
        median_m = window_median_depth_m(batch.depth)
        direction.append(direction_errors_deg(batch.T_world_cam, T, median_m).ravel())
        forward.append(is_forward(batch.T_world_cam).ravel())
    angles, ahead = _joined(direction), np.concatenate([*forward, np.zeros(0, bool)])
    return PoseScore(statistics(_joined(rotation)), statistics(angles), statistics(angles[~ahead]))


def depth_score(batches: list[WindowBatch], guesses: list[Tensor]) -> Statistics:
    """AbsRel over all windows; guesses: depth (B,S,H,W) of each batch."""
    return statistics(_joined([depth_errors(b.depth, d) for b, d in zip(batches, guesses, strict=True)]))


def identity_poses(batch: WindowBatch) -> Tensor:
    """No motion: T_first_cam (B,S,4,4)."""
    return torch.eye(4, dtype=torch.float64, device=batch.T_world_cam.device).expand_as(batch.T_world_cam)


def forward_poses(batch: WindowBatch) -> Tensor:
    """Straight ahead: T_first_cam (B,S,4,4), a unit along the optical axis a frame."""
    T = identity_poses(batch).clone()
    T[..., 2, 3] = torch.arange(T.shape[1], dtype=T.dtype, device=T.device)
    return T


def constant_depth(batch: WindowBatch) -> Tensor:
    """Each window's own median depth everywhere: (B,S,H,W)."""
    median_m = torch.from_numpy(window_median_depth_m(batch.depth)).to(batch.depth)
    return median_m[:, None, None, None].expand_as(batch.depth)


def as_numbers(score: PoseScore | Statistics | Calibration) -> dict[str, object]:
    """Plain types for JSON; NaN and infinity become None."""
    return {k: _plain(v) for k, v in asdict(score).items()}


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _angle_deg(a: Tensor, b: Tensor) -> Tensor:
    """Angle between vectors (...,3)."""
    return torch.rad2deg(torch.atan2(torch.linalg.cross(a, b).norm(dim=-1), (a * b).sum(-1)))


def _ahead(t: Tensor) -> Tensor:
    return torch.tensor([0.0, 0.0, 1.0], dtype=t.dtype, device=t.device).expand_as(t)


def _joined(parts: list[Array]) -> Array:
    return np.concatenate([p.ravel() for p in parts] + [np.zeros(0)])


def _numpy(x: Tensor) -> Array:
    return np.asarray(x.detach().cpu().numpy(), np.float64)
