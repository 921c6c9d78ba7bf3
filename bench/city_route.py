"""The drive through the city: which streets, how fast, and the camera's pose in every frame."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vgslam.types import Array
from vgslam_train.worlds.city import CityPlan
from vgslam_train.worlds.trajectories import look, sway

RATE_HZ = 15.0
FULL_LENGTH = 5000  # frames of the whole drive; fewer are its beginning, at the same speed
LANE_M, CORNER_M, HEIGHT_M = 1.8, 7.0, 1.6
"""Distance of the lane from the middle of the street, radius of the turns, height of the camera."""
CORNER_SPEED = 0.45  # speed in a turn, as a share of that on the straight
BRAKING_M = 12.0  # distance over which a car slows down before a turn and speeds up after it
SMOOTH_M = 1.5  # a driver turns the wheel over about this distance
GRAIN_M = 0.1

NODES = (
    (0, 0), (4, 0), (4, 3), (1, 3), (1, 1), (3, 1), (3, 4), (0, 4), (0, 0),
    (4, 0), (4, 3), (2, 3), (2, 2), (0, 2), (0, 0), (1, 0),
)  # fmt: skip
"""Crossings at which the drive turns: a round through the whole city that crosses itself, then its first 690 m once
more in the same direction, another way back, and the first street a third time. It begins and ends in mid-street."""
BEGIN_SHARE, END_SHARE = 0.25, 0.75  # where on the first and last stretch between two crossings


@dataclass(frozen=True)
class Drive:
    """N frames of a drive."""

    T_world_cam: Array  # (N,4,4)
    timestamps_s: Array  # (N,)

    @property
    def length_m(self) -> float:
        return float(np.linalg.norm(np.diff(self.T_world_cam[:, :3, 3], axis=0), axis=1).sum())


def city_drive(plan: CityPlan, n_frames: int, seed: int) -> Drive:
    """The first n_frames of the drive of FULL_LENGTH frames; RATE_HZ a second. ValueError for more than there are."""
    if not 1 <= n_frames <= FULL_LENGTH:
        raise ValueError(f"the drive has {FULL_LENGTH} frames, {n_frames} were asked for")
    rng = np.random.default_rng([seed, 19])
    line, curvature = _smooth_line(plan)
    s = _stations(curvature, rng)[:n_frames]
    grid = np.arange(len(line)) * GRAIN_M
    direction = np.gradient(line, axis=0)
    yaw = np.unwrap(np.arctan2(direction[:, 1], direction[:, 0]))
    heading = np.interp(s, grid, yaw)
    aside = 0.12 * sway(FULL_LENGTH, RATE_HZ, rng, 0.02, 0.1)[:n_frames]
    position = np.stack([np.interp(s, grid, line[:, k]) for k in range(2)], -1)
    position += aside[:, None] * np.stack([-np.sin(heading), np.cos(heading)], -1)
    bumps = 0.008 * sway(FULL_LENGTH, RATE_HZ, rng, 0.5, 2.5)[:n_frames]
    pitch, roll = (np.radians(0.25) * sway(FULL_LENGTH, RATE_HZ, rng, 0.3, 2.5)[:n_frames] for _ in range(2))
    T = look(np.column_stack([position, HEIGHT_M + bumps]), heading, pitch - np.radians(1), roll)
    return Drive(T, np.arange(n_frames) / RATE_HZ)


def _lane(plan: CityPlan) -> list[Array]:
    """Corners (2,) of the lane: on the right of each street, from the begin to the end."""
    nodes = [plan.crossing(*node) for node in NODES]
    ways = [(b - a) / np.linalg.norm(b - a) for a, b in pairwise(nodes)]
    right = [LANE_M * np.array([way[1], -way[0]]) for way in ways]
    pitch = [float(np.abs(way) @ np.array(plan.pitch_m)) for way in ways]
    begin = nodes[0] + BEGIN_SHARE * pitch[0] * ways[0] + right[0]
    end = nodes[-2] + END_SHARE * pitch[-1] * ways[-1] + right[-1]
    # where two lanes meet, each lends its offset across itself: streets are perpendicular
    turns = [nodes[i] + right[i - 1] + right[i] for i in range(1, len(ways))]
    return [begin, *turns, end]


def _smooth_line(plan: CityPlan) -> tuple[Array, Array]:
    """The lane with rounded turns, (M,2) every GRAIN_M, and its curvature (M,) in 1/m."""
    corners = _lane(plan)
    parts = [corners[0][None]]
    for before, at, after in zip(corners[:-2], corners[1:-1], corners[2:], strict=True):
        come, go = (at - before) / np.linalg.norm(at - before), (after - at) / np.linalg.norm(after - at)
        angle = np.linspace(0, np.pi / 2, 64)[:, None]
        centre = at - CORNER_M * come + CORNER_M * go
        parts.append(centre + CORNER_M * (np.sin(angle) * come - np.cos(angle) * go))
    points = np.concatenate([*parts, corners[-1][None]])
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    s = np.arange(0.0, length[-1], GRAIN_M)
    line = np.stack([_smoothed(np.interp(s, length, points[:, k]), SMOOTH_M) for k in range(2)], -1)
    step = np.gradient(line, axis=0)
    yaw = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
    return line, np.gradient(yaw) / np.linalg.norm(step, axis=1)


def _smoothed(x: Array, width_m: float) -> Array:
    """Gaussian mean over a width; a straight end stays straight."""
    reach = round(4 * width_m / GRAIN_M)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * GRAIN_M / width_m) ** 2)
    low, high = 2 * x[0] - x[reach:0:-1], 2 * x[-1] - x[-2 : -reach - 2 : -1]
    return np.convolve(np.concatenate([low, x, high]), kernel / kernel.sum(), "valid")


def _stations(curvature: Array, rng: np.random.Generator) -> Array:
    """Distance along the line (FULL_LENGTH,) at every frame, slower in turns and before them."""
    is_turn = np.abs(curvature) > 0.3 / CORNER_M
    slow = np.clip(2.5 * _smoothed(is_turn.astype(float), BRAKING_M / 2), 0, 1)
    wave = sway(len(curvature), 1 / GRAIN_M, rng, 0.004, 0.02)
    speed = (1 - (1 - CORNER_SPEED) * slow) * (1 + 0.06 * np.clip(wave, -2, 2))
    time = np.concatenate([[0.0], np.cumsum(GRAIN_M / speed[:-1])])
    return np.interp(np.linspace(0.0, time[-1], FULL_LENGTH), time, np.arange(len(curvature)) * GRAIN_M)
