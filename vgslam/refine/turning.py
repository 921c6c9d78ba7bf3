"""The adjustment of a component whose camera turned on the spot and reads its images row by row.

While a camera turns, a rolling shutter bends its images by more than its own small motion does: tracks follow the
bend, landmarks get depths that explain it, and the map drifts, so that an adjustment of what it has ends nearby. Here
the read-out time is found from matches of keyframes in which the camera turned differently (`multiview/shutter.py`).
If it is clear, everything is taken to the middle row, the matches become landmarks as well, and all is solved again
from the rotations alone: positions begin in one point, landmarks at one distance. A part of the matches is kept back;
the outcome is used only if they contradict its rotations clearly less than those of the map.
"""

from dataclasses import dataclass, replace

import numpy as np

from vgslam.geometry import se3
from vgslam.map.slam_map import SlamMap
from vgslam.multiview.shutter import (
    FacingMatches,
    ReadOut,
    between,
    contradiction,
    levelled,
    levelled_rays,
    read_out,
)
from vgslam.refine.adjust import LEAST_OBSERVATIONS, ROUGH, Adjusted, CalibrationOutcome, RefineConfig, Watch
from vgslam.refine.apply import Aligned, aligned
from vgslam.refine.ceres import SolverOptions, solve
from vgslam.refine.facing import Facing, facing_pairs, matched, velocities
from vgslam.refine.points import cleaned, weakly_seen
from vgslam.refine.problem import Problem, gather
from vgslam.reloc.places import Places
from vgslam.types import Array, Ids

MAX_ARM = 0.2
"""Way of a camera that turns on the spot, as a share of the depth for each radian: an arm's length in a room. One that
is carried or driven has several times as much."""
LEAST_PAIRS = 12
"""Pairs of keyframes that have to face the same way."""
LEAST_AGREEING = 0.5
"""Share of the matches that a rotation explains, if the camera only turned."""
CLEAR_SIGMAS, LEAST_READOUT_S = 5.0, 0.004
"""A read-out time counts if it is this many of its deviations, and this long, at least; real ones are .008 to .03 s."""
CLEARLY_LESS = 0.9
"""What contradicts a read-out time, or the rotations that come of it, has to be less than this share of before."""
HELD_OUT = 4
"""One in this many pairs is kept back: these decide on the read-out time and on the outcome."""
MAX_PARALLAX_PX = 15.0
"""Error of a match against a rotation up to which it may be parallax."""
LEAST_TRACKS, LEAST_SHARE = 20, 0.3
"""A pair adds landmarks if this many of its matches, and this share of them, agree with a rotation."""
GATES_PX = (20.0, 8.0, 4.0)
"""Largest error of an observation that stays, after each round but the last."""
MAX_TURN_DEG = 10.0
"""Largest difference between how far a step between neighbouring keyframes turns and how far it was tracked to turn."""


@dataclass(frozen=True)
class Turning:
    """An adjusted component of a camera that turned, and what speaks against it."""

    result: tuple[Adjusted, Aligned]
    readout_s: float
    refused: str
    """Why it is not used; empty if it is."""


def turning(
    m: SlamMap, members: Ids, places: Places, config: RefineConfig, watch: Watch
) -> Turning | None:  # fmt: skip
    """Keyframes `members` of one component adjusted; None if its camera did not turn on the spot, or has no rolling
    shutter that its images show. The map stays as it is. Raises InterruptedRefinementError."""
    problem = gather(m, members)
    velocity = velocities(m, members)
    if not len(problem.cam) or not _turns_on_the_spot(problem):
        return None
    pairs = facing_pairs(problem.T_world_cam()[:, :3, :3], velocity)
    velocity = np.nan_to_num(velocity)
    held_out = matched(places, members, pairs[::HELD_OUT]).matches
    found = _shutter(problem, held_out, velocity)
    if found is None:
        return None
    watch.check()
    watch.say(f"the camera turns, and reads an image in {1e3 * found.seconds:.0f} ms: adjusting with that in mind")
    shared = matched(places, members, [p for n, p in enumerate(pairs) if n % HELD_OUT])
    start = _from_one_point(_with_tracks(problem, shared, velocity, found.seconds))
    after = _solved(start, config, watch)
    n_points, n_rows = len(problem.points), len(problem.cam)
    after = replace(
        after, landmark_ids=problem.landmark_ids, points=after.points[:n_points], has_point=after.has_point[:n_points],
        cam=problem.cam, point=problem.point, pixels=after.pixels[:n_rows], in_use=after.in_use[:n_rows],
    )  # fmt: skip
    weak = weakly_seen(after, LEAST_OBSERVATIONS)
    kept = CalibrationOutcome(False, False, config.focal_rel_sigma, config.k1_sigma)
    done = Adjusted(problem, after, weak, kept, watch.is_over)
    placed = aligned(done)
    return Turning((done, placed), found.seconds, _why_refused(placed, problem, held_out, velocity, found.seconds))


def _turns_on_the_spot(p: Problem) -> bool:
    """Whether the camera hardly moved for what it turned. Steps are compared with the depth at their own ends, as the
    scale of such a map drifts."""
    T = p.T_world_cam()
    z = p.local_points()[:, 2]
    order = np.argsort(p.cam, kind="stable")
    parts = np.split(z[order], np.searchsorted(p.cam[order], np.arange(1, len(T))))
    depth = np.array([np.median(x) if len(x) else np.nan for x in parts])
    step = np.linalg.norm(np.diff(T[:, :3, 3], axis=0), axis=1) / np.maximum(depth[1:], 1e-9)
    turn = np.radians([se3.angle_deg(a.T @ b) for a, b in zip(T[:-1, :3, :3], T[1:, :3, :3], strict=True)])
    ratio = step / np.maximum(turn, 1e-3)
    return bool(np.nanmedian(ratio) < MAX_ARM) if np.isfinite(ratio).any() else False


def _shutter(p: Problem, matches: FacingMatches, velocity: Array) -> ReadOut | None:
    """The read-out time, None if there is none or it is not clear."""
    if len(matches.a) < LEAST_PAIRS or not len(matches.pixels_a):
        return None
    R_b_a = between(matches, p.T_world_cam())[:, :3, :3]
    found = read_out(p.camera, matches, R_b_a, velocity)
    if found.agreeing < LEAST_AGREEING or abs(found.seconds) < max(LEAST_READOUT_S, CLEAR_SIGMAS * found.sigma_s):
        return None
    at_once = read_out(p.camera, matches, R_b_a, velocity, 0.0)
    return found if found.cost < CLEARLY_LESS * at_once.cost else None


def _with_tracks(p: Problem, shared: Facing, velocity: Array, seconds: float) -> Problem:
    """The problem at the middle row, with matched features as landmarks after its own."""
    matches = shared.matches
    fit = read_out(p.camera, matches, between(matches, p.T_world_cam())[:, :3, :3], velocity, seconds)
    near = np.bincount(matches.pair, fit.errors_px < 0.5 * MAX_PARALLAX_PX, minlength=len(matches.a))
    sound = (near >= LEAST_TRACKS) & (near >= LEAST_SHARE * np.diff(matches.begins))
    rows = np.flatnonzero(sound[matches.pair] & (fit.errors_px < MAX_PARALLAX_PX))
    cam, track, pixels = _tracks(shared, rows)
    n = int(track.max()) + 1 if len(track) else 0
    cam, pixels = np.concatenate([p.cam, cam]), np.concatenate([p.pixels, pixels])
    return replace(
        p, landmark_ids=np.concatenate([p.landmark_ids, p.landmark_ids.max() + 1 + np.arange(n)]),
        points=np.concatenate([p.points, np.zeros((n, 3))]), has_point=np.ones(len(p.points) + n, bool),
        cam=cam, point=np.concatenate([p.point, len(p.points) + track]),
        pixels=levelled(p.camera, pixels, velocity[cam], seconds), in_use=np.ones(len(cam), bool),
    )  # fmt: skip


def _tracks(shared: Facing, rows: Ids) -> tuple[Ids, Ids, Array]:
    """Matches `rows` joined to tracks: keyframe (n,), track (n,) and pixel (n,2) of each observation. Tracks with two
    features of one keyframe are left out."""
    m, pair = shared.matches, shared.matches.pair[rows]
    cam = np.concatenate([m.a[pair], m.b[pair]])
    feature = np.concatenate([shared.feature_a[rows], shared.feature_b[rows]])
    pixels = np.concatenate([m.pixels_a[rows], m.pixels_b[rows]])
    key = cam * (int(feature.max(initial=0)) + 1) + feature
    _, first, node = np.unique(key, return_index=True, return_inverse=True)
    node = node.reshape(-1)
    label = np.arange(len(first))
    a, b = node[: len(rows)], node[len(rows) :]
    while True:  # labels sink to the least of each track
        least = np.minimum(label[a], label[b])
        before = label.copy()
        np.minimum.at(label, a, least)
        np.minimum.at(label, b, least)
        label = label[label]
        if np.array_equal(label, before):
            break
    _, track = np.unique(label, return_inverse=True)
    track = track.reshape(-1)
    n_cams = int(cam.max(initial=0)) + 1
    cells, n_in_cell = np.unique(track * n_cams + cam[first], return_counts=True)
    bad = np.unique(cells[n_in_cell > 1] // n_cams)
    good = ~np.isin(track, bad)
    _, number = np.unique(track[good], return_inverse=True)
    return cam[first][good], number.reshape(-1), pixels[first][good]


def _from_one_point(p: Problem) -> Problem:
    """All keyframes in the origin, all landmarks at unit distance in the mean direction of their rays."""
    T = p.T_world_cam()
    T[:, :3, 3] = 0.0
    still = np.zeros((len(p.cam), 3))
    rays = levelled_rays(p.camera, p.pixels, still, 0.0)
    rays = np.matmul(T[p.cam, :3, :3], rays[:, :, None])[:, :, 0]
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    sums = np.stack([np.bincount(p.point, rays[:, i], minlength=len(p.points)) for i in range(3)], axis=1)
    points = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return replace(p, T_cam_world=se3.inverse(T), points=points)


def _solved(p: Problem, config: RefineConfig, watch: Watch) -> Problem:
    for gate in GATES_PX:
        if watch.is_over:
            break
        p = solve(p, SolverOptions(config.max_iterations, config.loss_px, ROUGH, watch.left_s))
        watch.check()
        p = replace(p, in_use=p.errors_px() < gate)
    p = solve(p, SolverOptions(config.max_iterations, config.loss_px, ROUGH, watch.left_s))
    return cleaned(p, config.tests)


def _why_refused(placed: Aligned, before: Problem, held_out: FacingMatches, velocity: Array, seconds: float) -> str:
    """A reason why the outcome is not used, empty if there is none."""
    after = placed.problem
    if not (np.isfinite(after.T_cam_world).all() and np.isfinite(after.points[after.has_point]).all()):
        return "the adjustment did not come to a finite end"
    Ta, Tb = before.T_world_cam(), after.T_world_cam()
    steps = zip(np.matmul(se3.inverse(Ta[:-1]), Ta[1:]), np.matmul(se3.inverse(Tb[:-1]), Tb[1:]), strict=True)
    most = max(se3.angle_deg(a[:3, :3].T @ b[:3, :3]) for a, b in steps)
    if most > MAX_TURN_DEG:
        return f"a step between keyframes would turn by {most:.0f} degrees more or less"
    old = contradiction(before.camera, held_out, between(held_out, Ta), velocity, 0.0)
    new = contradiction(before.camera, held_out, between(held_out, Tb), velocity, seconds)
    if new > CLEARLY_LESS * old:
        return f"matches that were kept back would contradict it as much ({old:.2f} -> {new:.2f})"
    return ""
