"""Camera paths: T_world_cam (N,4,4) float64 by kind and seed, in the world axes of the worlds (z up)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def look(position: Array, yaw: Array, pitch: Array, roll: Array) -> Array:
    """Camera-to-world poses (N,4,4) from angles in rad.

    yaw: heading of the optical axis about z, from x towards y. pitch > 0: looking up. roll > 0: the camera turns
    clockwise about its optical axis as seen from behind it.
    """
    cos_p = np.cos(pitch)
    forward = np.stack([cos_p * np.cos(yaw), cos_p * np.sin(yaw), np.sin(pitch)], -1)
    level = np.stack([np.sin(yaw), -np.cos(yaw), np.zeros_like(yaw)], -1)
    down = np.cross(forward, level)
    c, s = np.cos(roll)[..., None], np.sin(roll)[..., None]
    T = np.zeros((*yaw.shape, 4, 4))
    T[..., :3, 0] = c * level + s * down
    T[..., :3, 1] = c * down - s * level
    T[..., :3, 2] = forward
    T[..., :3, 3] = position
    T[..., 3, 3] = 1.0
    return T


def sway(n: int, rate_hz: float, rng: np.random.Generator, low_hz: float = 0.2, high_hz: float = 2.0) -> Array:
    """Smooth random motion (n,) with deviation 1: eight sines between two frequencies, the slow ones stronger."""
    t = np.arange(n) / rate_hz
    hz = np.exp(rng.uniform(np.log(low_hz), np.log(high_hz), 8))
    phase = rng.uniform(0, 2 * np.pi, 8)
    amplitude = 1 / np.sqrt(hz)
    amplitude *= np.sqrt(2) / np.linalg.norm(amplitude)
    return (amplitude[:, None] * np.sin(2 * np.pi * hz[:, None] * t + phase[:, None])).sum(0)


@dataclass(frozen=True)
class HandHeld:
    """How a person shakes the camera: deviations of position (m) and angles (deg), and of the steps when walking."""

    position_m: float = 0.012
    angle_deg: float = 1.2
    step_m: float = 0.015
    step_hz: float = 1.8

    def shake(self, n: int, rate_hz: float, rng: np.random.Generator) -> tuple[Array, Array]:
        """Offsets of position (n,3) and of yaw, pitch, roll in rad (n,3)."""
        position = self.position_m * np.stack([sway(n, rate_hz, rng) for _ in range(3)], -1)
        angles = np.radians(self.angle_deg) * np.stack([sway(n, rate_hz, rng) for _ in range(3)], -1)
        phase = 2 * np.pi * self.step_hz * np.arange(n) / rate_hz + rng.uniform(0, 2 * np.pi)
        position[:, 2] += self.step_m * np.sin(phase)
        position[:, 0] += 0.5 * self.step_m * np.sin(0.5 * phase)
        return position, angles


def room_loop(n: int, rate_hz: float, rng: np.random.Generator, radii_m: tuple[float, float], height_m: float,
              hand: HandHeld = HandHeld()) -> Array:  # fmt: skip
    """A walk around a table: an ellipse with the camera looking ahead and across the room, once round and a little
    more, so that the last frames see again what the first ones saw."""
    turn = np.linspace(0, 2 * np.pi * 1.02, n) + rng.uniform(0, 2 * np.pi)
    wobble = 0.05 * sway(n, rate_hz, rng, 0.1, 0.4)
    position = np.stack([radii_m[0] * np.cos(turn), radii_m[1] * np.sin(turn), np.full(n, height_m)], -1)
    position *= 1 + wobble[:, None] * (1, 1, 0)
    yaw = turn + np.radians(90 + 45) + np.radians(6) * sway(n, rate_hz, rng, 0.1, 0.5)
    pitch = np.radians(-13) + np.radians(3) * sway(n, rate_hz, rng, 0.1, 0.5)
    offset, angles = hand.shake(n, rate_hz, rng)
    return look(position + offset, yaw + angles[:, 0], pitch + angles[:, 1], angles[:, 2])


@dataclass(frozen=True)
class Region:
    """Where a camera may be: a box."""

    low: Array
    """(3,): least coordinates in metres."""
    high: Array
    """(3,): greatest coordinates in metres."""
    focus: Array
    """(3,): a point of interest."""

    @property
    def center(self) -> Array:
        return 0.5 * (self.low + self.high)

    @property
    def half(self) -> Array:
        return 0.5 * (self.high - self.low)


def _wander(n: int, rate_hz: float, rng: np.random.Generator, region: Region, speed_m_s: float) -> Array:
    """A smooth path (n,3) inside a region at about the given mean speed, never leaving it."""
    t = np.arange(n) / rate_hz
    position = np.empty((n, 3))
    for axis in range(3):
        half = region.half[axis]
        hz = speed_m_s / (2 * np.pi * max(half, 0.3)) * rng.uniform(0.6, 1.2, 3) * (1.0, 1.7, 2.6)
        wave = np.sin(2 * np.pi * hz * t[:, None] + rng.uniform(0, 2 * np.pi, 3)) @ np.array([0.6, 0.27, 0.13])
        position[:, axis] = region.center[axis] + half * wave
    return position


def _towards(position: Array, target: Array) -> tuple[Array, Array]:
    """Yaw and pitch (n,) of the direction from positions (n,3) to a target (3,) or (n,3)."""
    d = target - position
    return np.arctan2(d[:, 1], d[:, 0]), np.arctan2(d[:, 2], np.hypot(d[:, 0], d[:, 1]))


def _walk(n: int, rate_hz: float, rng: np.random.Generator, region: Region) -> Array:
    """Hand-held: wander at walking pace, looking about."""
    position = _wander(n, rate_hz, rng, region, rng.uniform(0.4, 1.0))
    yaw = rng.uniform(-np.pi, np.pi) + np.radians(50) * sway(n, rate_hz, rng, 0.05, 0.3)
    pitch = np.radians(-7) + np.radians(7) * sway(n, rate_hz, rng, 0.05, 0.4)
    offset, angles = HandHeld().shake(n, rate_hz, rng)
    return look(position + offset, yaw + angles[:, 0], pitch + angles[:, 1], 2 * angles[:, 2])


def _drone(n: int, rate_hz: float, rng: np.random.Generator, region: Region) -> Array:
    """Faster than a walk, with changes of height, looking about and down, leaning over."""
    position = _wander(n, rate_hz, rng, region, rng.uniform(1.0, 2.5))
    heading = rng.uniform(-np.pi, np.pi) + np.radians(70) * sway(n, rate_hz, rng, 0.03, 0.2)
    pitch = np.radians(-15) + np.radians(8) * sway(n, rate_hz, rng, 0.1, 0.6)
    roll = np.radians(8) * sway(n, rate_hz, rng, 0.1, 0.8)
    return look(position, heading, pitch, roll)


def _orbit(n: int, rate_hz: float, rng: np.random.Generator, region: Region) -> Array:
    """Around the focus, looking at it; once round in 8 to 16 s."""
    direction = rng.choice([-1, 1])
    turn = rng.uniform(0, 2 * np.pi) + direction * 2 * np.pi * np.arange(n) / rate_hz / rng.uniform(8, 16)
    radius = rng.uniform(0.6, 0.95) * min(region.half[0], region.half[1])
    height = region.center[2] + 0.8 * region.half[2] * np.sin(turn * rng.uniform(0.3, 0.8))
    position = np.stack([radius * np.cos(turn), radius * np.sin(turn), height], -1)
    position[:, :2] += region.focus[:2]
    offset, angles = HandHeld(step_m=0.0).shake(n, rate_hz, rng)
    yaw, pitch = _towards(position, region.focus)
    return look(position + offset, yaw + angles[:, 0], pitch + angles[:, 1], angles[:, 2])


def _rotate(n: int, rate_hz: float, rng: np.random.Generator, region: Region) -> Array:
    """Hand-held in place: looking all around at 20 to 45 deg/s; the optical centre does not move at all."""
    pace = np.radians(rng.uniform(20, 45)) * rng.choice([-1, 1])
    t = np.arange(n) / rate_hz
    yaw = rng.uniform(0, 2 * np.pi) + pace * t + np.radians(3) * sway(n, rate_hz, rng, 0.2, 0.8)
    _, angles = HandHeld().shake(n, rate_hz, rng)
    pitch = np.radians(-5) + np.radians(6) * sway(n, rate_hz, rng, 0.1, 0.5)
    position = np.tile(region.center + 0.3 * region.half * rng.uniform(-1, 1, 3), (n, 1))
    return look(position, yaw, pitch + angles[:, 1], 2 * angles[:, 2])


def _static(n: int, rate_hz: float, rng: np.random.Generator, region: Region) -> Array:
    """A camera on a tripod: one and the same pose."""
    position = region.center + 0.5 * region.half * rng.uniform(-1, 1, 3)
    yaw = np.full(n, rng.uniform(0, 2 * np.pi))
    return look(np.tile(position, (n, 1)), yaw, np.full(n, np.radians(-5.0)), np.zeros(n))


def _loop(n: int, rate_hz: float, rng: np.random.Generator, region: Region) -> Array:
    """Hand-held walk along an ellipse once round and a little more, over n frames whatever the pace."""
    radii = (rng.uniform(0.7, 0.95) * region.half[0], rng.uniform(0.7, 0.95) * region.half[1])
    T = room_loop(n, rate_hz, rng, radii, region.center[2])
    T[:, :2, 3] += region.center[:2]
    return T


def _drive(n: int, rate_hz: float, rng: np.random.Generator, region: Region) -> Array:
    """A car around a rectangle with rounded corners at 6 to 13 m/s, looking ahead; long drives close the loop."""
    corner = min(6.0, 0.5 * float(region.half[:2].min()))
    outline = _rounded_rectangle(region, corner)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(outline, axis=0), axis=1))])
    speed = rng.uniform(6, 13) * (1 + 0.15 * sway(n, rate_hz, rng, 0.02, 0.1))
    s = np.mod(rng.uniform(0, length[-1]) + np.cumsum(speed) / rate_hz, length[-1])
    path = np.stack([np.interp(s, length, outline[:, k]) for k in range(2)], -1)
    step = 0.5
    ahead = np.stack([np.interp(np.mod(s + step, length[-1]), length, outline[:, k]) for k in range(2)], -1)
    yaw = np.unwrap(np.arctan2(*(ahead - path).T[::-1]))
    height = region.low[2] + 0.2 + 0.01 * sway(n, rate_hz, rng, 1.0, 3.0)
    shake = np.radians(0.25) * np.stack([sway(n, rate_hz, rng, 0.5, 4.0) for _ in range(2)], -1)
    return look(np.column_stack([path, height]), yaw, shake[:, 0] - np.radians(1), shake[:, 1])


def _rounded_rectangle(region: Region, corner: float) -> Array:
    """Outline (M,2), closed, anticlockwise."""
    arc = np.linspace(0, np.pi / 2, 24)
    half = region.half[:2] - corner
    parts = []
    for k, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        angle = arc + k * np.pi / 2
        parts.append(half * (sx, sy) + corner * np.stack([np.cos(angle), np.sin(angle)], -1))
    outline = np.concatenate([*parts, parts[0][:1]])
    return outline + region.center[:2]


Path = Callable[[int, float, np.random.Generator, Region], Array]

MOTIONS: dict[str, Path] = {
    "walk": _walk, "drone": _drone, "orbit": _orbit, "rotate": _rotate, "static": _static, "loop": _loop,
    "drive": _drive,
}  # fmt: skip


def trajectory(kind: str, n_frames: int, seed: int, region: Region, rate_hz: float = 30.0) -> Array:
    """T_world_cam (N,4,4) of a kind of camera motion (see MOTIONS) within a region, `rate_hz` frames a second.

    "rotate" is a pure rotation: all positions are equal. Raises ValueError for an unknown kind or n_frames < 1.
    """
    if kind not in MOTIONS:
        raise ValueError(f"unknown camera motion '{kind}', known: {', '.join(MOTIONS)}")
    if n_frames < 1:
        raise ValueError(f"n_frames must be at least 1, got {n_frames}")
    return MOTIONS[kind](n_frames, rate_hz, np.random.default_rng([seed, 11]), region)
