"""Scale, place and shape of a component from measured positions of its camera, as GPS or odometry give them."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vgslam.errors import GraphError, InputError
from vgslam.geometry.robust_similarity import MAD_TO_SIGMA, Fit, fit_similarity
from vgslam.geometry.sim3 import Sim3
from vgslam.graph.position_fixes import HeldRoll, PositionFix, bend
from vgslam.map.slam_map import SlamMap
from vgslam.metric.gravity import roll_fixed, upright
from vgslam.metric.measured import LEAST_REL_SIGMA, Gravity, Scale, SessionView
from vgslam.sources.position_file import Fixes
from vgslam.types import Array, Edge, Ids, Keyframe

MIN_FIXES = 3
MAX_GAP_INTERVALS = 3.0  # positions are interpolated between two that are at most this many usual intervals apart
MAX_ROLL_SIGMA_DEG = 10.0
"""Where positions leave the roll about their straight line open by more than this, the cameras know it better."""
ROLL_OPEN = (
    "the positions lie on a straight line, which leaves the roll about it open: it is taken from the camera being "
    "upright on average"
)
MAX_SIGMAS = 6.0  # a position that is further off the graph than this contradicts the rest
LEAST_SIGMA_FRACTION = 1e-3
"""Least deviation of positions that give none, as a share of the path's extent: no receiver is better by itself."""
LEAST_EXTENT_M = 1e-6  # positions that lie within this of one another are one: nothing measures such a path
MAX_SCALE_REL_SIGMA = 0.3  # a scale that is less sure than this is not taken


@dataclass(frozen=True)
class MatchedFixes:
    """Keyframes that a position belongs to."""

    ids: Ids  # (n,)
    positions: Array  # (n,3)
    sigmas: Array | None  # (n,3)


@dataclass(frozen=True)
class Georeferenced:
    """The outcome for one component."""

    S_new_old: Sim3
    """Takes the component to the axes and metres of the file."""
    poses: dict[int, Sim3]
    """S_world_keyframe of all its keyframes there, bent by the positions."""
    scale: Scale
    residual_rms_m: float
    """Distances of the positions in use from their keyframes."""
    roll_sigma_deg: float | None
    """Deviation of the roll about a straight path, which comes from the cameras; None where positions give it."""


def match(keyframes: list[Keyframe], fixes: Fixes) -> MatchedFixes:
    """Positions at the times of keyframes, linearly interpolated; none across gaps of the file or beyond its ends."""
    t, f = np.array([k.timestamp_s for k in keyframes]), fixes.times_s
    if len(f) < 2 or not len(t):
        return MatchedFixes(np.zeros(0, np.int64), np.zeros((0, 3)), None)
    right = np.clip(np.searchsorted(f, t), 1, len(f) - 1)
    gap = f[right] - f[right - 1]
    ok = (t >= f[0]) & (t <= f[-1]) & (gap <= MAX_GAP_INTERVALS * np.median(np.diff(f)))
    at = np.stack([np.interp(t[ok], f, fixes.positions_m[:, i]) for i in range(3)], axis=1)
    sigmas = None
    if fixes.sigmas_m is not None:
        sigmas = np.stack([np.interp(t[ok], f, fixes.sigmas_m[:, i]) for i in range(3)], axis=1)
    return MatchedFixes(np.array([k.id for k in keyframes], np.int64)[ok], at, sigmas)


def check_overlap(view: SessionView, fixes: Fixes) -> None:
    """Raises InputError, saying both spans of time, when fewer than three keyframes have a position."""
    keyframes = view.keyframes()
    n = len(match(keyframes, fixes).ids)
    if n >= MIN_FIXES:
        return
    t = [k.timestamp_s for k in keyframes] or [np.nan]
    raise InputError(
        f"{n} of {len(keyframes)} keyframes have a position, {MIN_FIXES} are needed: keyframes are at {min(t):.3f} to "
        f"{max(t):.3f} s, positions at {fixes.times_s[0]:.3f} to {fixes.times_s[-1]:.3f} s; are both of one clock?"
    )


def georeference(slam_map: SlamMap, component: int, found: MatchedFixes, sigma_m: float | None) -> Georeferenced:
    """The component in the axes and metres of the positions. Raises InputError when they do not determine its scale."""
    if float(np.ptp(found.positions, axis=0).max()) < LEAST_EXTENT_M:
        raise InputError(f"component {component}: its positions are one place, which determines no scale")
    try:
        fit = fit_similarity(found.positions, slam_map.centres(found.ids))
    except ValueError as error:
        raise InputError(f"component {component}: positions do not determine the scale: {error}") from error
    sigmas = _sigmas(found, fit, slam_map, sigma_m)
    scale = _scale(fit, found, sigmas)
    if scale.rel_sigma > MAX_SCALE_REL_SIGMA:
        raise InputError(
            f"component {component}: {scale.n} positions leave the scale open by {100 * scale.rel_sigma:.0f} %; the "
            "camera has to move further than they are off"
        )
    S, held, roll_sigma_deg = _roll(slam_map, component, found, fit, sigmas)
    nodes = {k.id: S @ k.S_world_keyframe for k in slam_map.keyframes if k.component_id == component}
    poses, used, notes = _bent(nodes, list(slam_map.edges.values()), found, sigmas, held)
    notes = [*([ROLL_OPEN] if held is not None else []), *notes]
    at = np.stack([poses[int(k)].t for k in found.ids[used]])
    rms = float(np.sqrt(((at - found.positions[used]) ** 2).sum(axis=1).mean()))
    return Georeferenced(S, poses, replace(scale, n=int(used.sum()), notes=tuple(notes)), rms, roll_sigma_deg)


def _roll(
    slam_map: SlamMap, component: int, found: MatchedFixes, fit: Fit, sigmas: Array
) -> tuple[Sim3, HeldRoll | None, float | None]:
    """The similarity, with the roll about a straight path from the cameras; the roll to be held; its deviation in
    degrees."""
    _, D, Vt = np.linalg.svd(found.positions - found.positions.mean(axis=0), full_matrices=False)
    if np.degrees(np.median(sigmas) / max(float(D[1]), 1e-12)) < MAX_ROLL_SIGMA_DEG:
        return fit.S, None, None
    ids = np.array([k.id for k in slam_map.keyframes if k.component_id == component], np.int64)
    up = upright(slam_map.T_world_keyframes(ids)[:, :3, :3])
    R = roll_fixed(fit.S.R, Vt[0], up.up_world)
    middle = slam_map.centres(ids).mean(axis=0)
    S = Sim3(R, fit.S.apply(middle[None])[0] - fit.S.s * R @ middle, fit.S.s)
    return S, HeldRoll(int(ids[len(ids) // 2]), Vt[0]), up.sigma_deg


def _bent(
    nodes: dict[int, Sim3], edges: list[Edge], found: MatchedFixes, sigmas: Array, held: HeldRoll | None
) -> tuple[dict[int, Sim3], npt.NDArray[np.bool_], list[str]]:
    """Nodes bent by the positions, twice: the second time without those that contradict the rest. Which are used."""
    used = np.ones(len(found.ids), bool)
    poses, notes = nodes, []
    try:
        for _ in range(2):
            fixes = [PositionFix(int(found.ids[i]), found.positions[i], sigmas[i]) for i in np.flatnonzero(used)]
            poses = bend(nodes, edges, fixes, held)
            off = (np.stack([poses[int(k)].t for k in found.ids]) - found.positions) / sigmas
            used = np.linalg.norm(off, axis=1) < MAX_SIGMAS
            if used.all() or used.sum() < MIN_FIXES:
                break
    except GraphError as error:
        notes.append(f"positions gave the scale, but did not bend the path: {error}")
    if used.sum() < MIN_FIXES:
        used[:] = True
    if not used.all():
        notes.append(f"{len(used) - int(used.sum())} of {len(used)} positions contradict the rest: left out")
    return poses, used, notes


def _sigmas(found: MatchedFixes, fit: Fit, slam_map: SlamMap, sigma_m: float | None) -> Array:
    """Deviations (n,3): given, or the file's, or by how neighbouring residuals differ, which shows little drift."""
    if sigma_m is not None:
        return np.full((len(found.ids), 3), sigma_m)
    if found.sigmas is not None:
        return found.sigmas
    residual = found.positions - fit.S.apply(slam_map.centres(found.ids))
    steps = np.abs(np.diff(residual, axis=0)).ravel()
    measured = MAD_TO_SIGMA * float(np.median(steps)) / np.sqrt(2.0) if len(steps) else 0.0
    extent = float(np.linalg.norm(np.ptp(found.positions, axis=0)))
    return np.full((len(found.ids), 3), max(measured, LEAST_SIGMA_FRACTION * extent))


def _scale(fit: Fit, found: MatchedFixes, sigmas: Array) -> Scale:
    """The deviation of Umeyama's scale: that of one coordinate over the root of the sum of squares about the mean. The
    larger of the stated deviations and of what the positions are off counts."""
    used = fit.weights > 0
    about = found.positions[used] - found.positions[used].mean(axis=0)
    one = max(float(np.median(sigmas)), fit.sigma)
    rel = one / max(float(np.sqrt((about**2).sum())), 1e-12)
    spread = one * np.sqrt(used.sum()) / max(float(np.sqrt((about**2).sum())), 1e-12)
    return Scale(fit.S.s, float(np.hypot(rel, LEAST_REL_SIGMA)), int(used.sum()), float(spread), "positions")


def gravity_of_positions(found: Georeferenced, slam_map: SlamMap, ids: Ids) -> Gravity:
    """Up is the z axis of the file. Its deviation: how far the positions, by what they are off, let the path tilt."""
    at = slam_map.centres(ids)
    S = found.S_new_old
    across = float(np.linalg.svd(at - at.mean(axis=0), compute_uv=False)[1]) * S.s
    measured = min(90.0, float(np.degrees(found.residual_rms_m / np.sqrt(3.0) / max(across, 1e-12))))
    sigma = measured if found.roll_sigma_deg is None else found.roll_sigma_deg
    return Gravity(S.R.T @ np.array([0.0, 0.0, 1.0]), sigma, len(ids), "the z axis of the positions")
