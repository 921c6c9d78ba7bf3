"""Measures on held-out windows before and after a round, and whether the round may be committed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vgslam.adapt.bundle import SparseGeometry, in_unit_of
from vgslam.adapt.losses import LossConfig, unmasked_photometric
from vgslam.adapt.served import Guess, guess
from vgslam.adapt.windows import PointMatches, Window
from vgslam.network.vggt import Vggt

MAX_EPIPOLAR_PX = 2.0


@dataclass(frozen=True)
class Measures:
    """How well a model does on the windows held back."""

    photometric: float
    """Mean error of all pixels (`unmasked_photometric`) with the poses of the matched points, so that it judges depth
    alone."""
    epipolar_px: float
    """Median matched-point error of the served poses, truncated so that no window decides alone; mean over windows and
    frames."""
    guesses: tuple[Guess, ...]
    """The model's answer for each window."""


@dataclass(frozen=True)
class Limits:
    """A round is committed only within these. Poses that are served must not jump."""

    scale_drift: float = 0.05
    """Largest change of the scale of depth, as its natural logarithm."""
    rotation_deg: float = 5.0
    """Largest mean change of the served rotations, in degrees."""
    translation: float = 0.3
    """Largest mean change of the served translations, as a share of their mean length."""
    tolerance: float = 0.0
    """Relative rise of an error that still counts as none."""
    min_probes: int = 4
    """Least number of windows held back."""


OFFLINE = Limits(rotation_deg=10.0, translation=1.0)
"""Nobody is tracking with the network while it learns from a recording: poses may change further in a round."""


def epipolar_error_px(matches: PointMatches, T_cam_first: Tensor, K: Tensor) -> float:
    """Median Sampson distance in px (Hartley and Zisserman, eq. 11.9); infinite for a pose without translation."""
    T = T_cam_first[matches.frame].double().numpy()
    length = float(np.linalg.norm(T[:3, 3]))
    if not np.isfinite(T).all() or length < 1e-9:
        return float("inf")
    x, y, z = T[:3, 3] / length
    K_inverse = np.linalg.inv(K.double().numpy())
    F = K_inverse.T @ np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ T[:3, :3] @ K_inverse
    p, q = (np.column_stack([m, np.ones(len(m))]) for m in (matches.first_px, matches.other_px))
    Fp, Fq = p @ F.T, q @ F
    slope = Fp[:, 0] ** 2 + Fp[:, 1] ** 2 + Fq[:, 0] ** 2 + Fq[:, 1] ** 2
    return float(np.median(np.abs((q * Fp).sum(1)) / np.sqrt(slope + 1e-24)))


@dataclass(frozen=True)
class Probe:
    """A window held back, and the geometry of its matched points, if any: the same for all models."""

    window: Window
    geometry: SparseGeometry | None


def measure(model: Vggt, probes: Sequence[Probe], config: LossConfig) -> Measures:
    """Measures a model on all probes; each frame is the target once. A probe without geometry takes the served
    poses."""
    photometric, epipolar, guesses = [], [], []
    for probe in probes:
        window = probe.window
        g = guess(model, window)
        T = g.T_cam_first
        if probe.geometry is not None:
            T = torch.from_numpy(in_unit_of(probe.geometry, g.depth.double().numpy()).T_cam_first).float()
        photometric.append(unmasked_photometric(window.images, g.depth, T, window.K, config))
        errors = [epipolar_error_px(m, g.T_cam_first, window.K) for m in window.matches]
        epipolar.append(float(np.mean(np.minimum(errors, MAX_EPIPOLAR_PX))))
        guesses.append(g)
    return Measures(float(np.mean(photometric)), float(np.mean(epipolar)), tuple(guesses))


def scale_drift(before: Measures, after: Measures) -> float:
    """|log of how much larger the scene has become|: median over windows of the log ratio of their median depths. A
    single window may well get another median, where its depth was wrong; a common change is drift."""
    logs = [
        float((a.depth.median() / b.depth.median()).log()) for a, b in zip(after.guesses, before.guesses, strict=True)
    ]
    return abs(float(np.median(logs)))


def pose_change(before: Measures, after: Measures) -> tuple[float, float]:
    """Mean rotation in degrees, and mean change of translation as a share of the mean translation."""
    a, b = (torch.stack([g.T_cam_first[1:] for g in m.guesses]).double() for m in (after, before))
    cosine = ((a[..., :3, :3].mT @ b[..., :3, :3]).diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    angle = torch.rad2deg(cosine.clamp(-1, 1).acos()).mean()
    moved = (a[..., :3, 3] - b[..., :3, 3]).norm(dim=-1).mean() / b[..., :3, 3].norm(dim=-1).mean().clamp(min=1e-9)
    return float(angle), float(moved)


def objections(start: Measures, served: Measures, after: Measures, limits: Limits) -> tuple[str, ...]:
    """Why a round must not be committed; empty when it may. Drift is against the start model, the rest against the
    served."""
    drift, (angle, moved) = scale_drift(start, after), pose_change(served, after)
    room = 1 + limits.tolerance
    checks = {
        f"photometric loss {served.photometric:.4g} -> {after.photometric:.4g}":
            after.photometric < served.photometric * room,
        f"epipolar error {served.epipolar_px:.3f} -> {after.epipolar_px:.3f} px":
            after.epipolar_px <= served.epipolar_px * room and np.isfinite(after.epipolar_px),
        f"scale drift {drift:.3f}": drift < limits.scale_drift,
        f"rotations change by {angle:.2f} deg": angle < limits.rotation_deg,
        f"translations change by {100 * moved:.0f} %": moved < limits.translation,
    }  # fmt: skip
    return tuple(reason for reason, ok in checks.items() if not ok)
