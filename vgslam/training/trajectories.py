"""Camera paths: T_world_cam (N,4,4) float64 by kind and seed, in the world axes of the worlds (z up)."""

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
