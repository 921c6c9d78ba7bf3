"""Which way is up: from how the cameras were held, or from accelerations in their axes."""

import numpy as np

from vgslam.errors import InputError
from vgslam.geometry import se3
from vgslam.metric.measured import Gravity
from vgslam.types import Array

ROLL_SIGMA_DEG = 5.0  # how far a camera that is held upright rolls
PITCH_SIGMA_DEG = 20.0
"""How far it looks up or down on average. That is a habit: it counts once, however many keyframes there are."""
MOST_INDEPENDENT = 12  # views that count as independent: how a camera is held changes slowly
ACCELERATION_SIGMA_DEG = 1.0
"""What accelerometers have in common: bias, and that they are not quite in the camera's axes."""
LEAST_COMMON = 0.5  # length of the median of unit vectors below which they contradict one another
VERTICAL = 0.1  # sine of the angle to the vertical below which a view shows no direction ahead


def upright(R_world_cam: Array) -> Gravity:
    """Up from cameras (N,3,3) that are held upright on average. Raises InputError for none. The x axes of all cameras
    are level up to some roll, and the mean y axis points down up to some pitch: least squares for the unit vector
    `down` of sum (down . x)^2 / roll^2 + |down - mean y|^2 / pitch^2. Where the camera turns, the first term decides;
    where it looks one way, the pitch is left to the second, and the deviation says so."""
    if not len(R_world_cam):
        raise InputError("--gravity upright: the component has no keyframe")
    x, y = R_world_cam[:, :, 0], R_world_cam[:, :, 1].mean(axis=0)
    n = min(len(x), MOST_INDEPENDENT)
    y = y / max(float(np.linalg.norm(y)), 1e-12)
    roll, pitch = np.radians(ROLL_SIGMA_DEG), np.radians(PITCH_SIGMA_DEG)
    down = y
    information = np.eye(3)
    for _ in range(3):
        roll_seen = float(np.sqrt(np.mean((x @ down) ** 2)))
        information = n * (x.T @ x) / len(x) / max(roll, roll_seen) ** 2 + np.eye(3) / pitch**2
        down = np.linalg.solve(information, y / pitch**2)
        down /= np.linalg.norm(down)
    tangent = np.linalg.svd(down[None])[2][1:]
    worst = float(np.linalg.eigvalsh(np.linalg.inv(tangent @ information @ tangent.T)).max())
    sigma_deg = float(np.degrees(np.sqrt(worst)))
    notes = []
    if sigma_deg > 0.7 * PITCH_SIGMA_DEG:
        notes.append("the camera looks one way: how far it looks up or down is not known, gravity may be off by that")
    return Gravity(-down, sigma_deg, len(x), "the camera being upright on average", tuple(notes))


def from_accelerations(R_world_cam: Array, acceleration_cam: Array) -> Gravity:
    """Up from accelerations (N,3) in the axes of cameras (N,3,3): at rest an accelerometer reads what holds it up.
    Raises InputError for fewer than three, or if they contradict one another."""
    norm = np.linalg.norm(acceleration_cam, axis=1)
    used = norm > 0
    if used.sum() < 3:
        raise InputError(f"--gravity accelerometer: {int(used.sum())} keyframes have an acceleration, 3 are needed")
    directions = np.einsum("nij,nj->ni", R_world_cam[used], acceleration_cam[used] / norm[used, None])
    up = np.median(directions, axis=0)
    if np.linalg.norm(up) < LEAST_COMMON:
        raise InputError("--gravity accelerometer: the directions contradict one another; are they in the axes of the "
                         "camera (x right, y down, z forward)?")  # fmt: skip
    up = up / np.linalg.norm(up)
    angles = np.degrees(np.arccos(np.clip(directions @ up, -1.0, 1.0)))
    n = min(len(directions), MOST_INDEPENDENT)
    sigma = float(np.hypot(np.median(angles) / 1.177 / np.sqrt(n), ACCELERATION_SIGMA_DEG))
    return Gravity(up, sigma, len(directions), "accelerations")


def levelled(up_world: Array, T_world_first: Array) -> Array:
    """Rotation (3,3) to axes with z up, x along the first camera's view (its top if that is vertical)."""
    z = up_world / np.linalg.norm(up_world)
    forward, top = T_world_first[:3, 2], -T_world_first[:3, 1]
    ahead = forward if np.linalg.norm(np.cross(z, forward)) > VERTICAL else top
    x = ahead - z * float(ahead @ z)
    x /= np.linalg.norm(x)
    return se3.orthonormalize(np.stack([x, np.cross(z, x), z]))


def roll_fixed(R_new_old: Array, line: Array, up_old: Array) -> Array:
    """R_new_old (3,3) turned about a line (3,), a unit vector in the new axes, so that up_old (3,) comes nearest to
    z."""
    up = R_new_old @ up_old
    z = np.array([0.0, 0.0, 1.0])
    a, b = up - line * float(line @ up), z - line * float(line @ z)
    angle = float(np.arctan2(line @ np.cross(a, b), a @ b))
    return se3.orthonormalize(se3.so3_exp(angle * line) @ R_new_old)


def turned_to_z(up: Array) -> Array:
    """The smallest rotation (3,3) that takes up (3,) to z."""
    up = up / np.linalg.norm(up)
    axis = np.cross(up, [0.0, 0.0, 1.0])
    sine = float(np.linalg.norm(axis))
    if sine < 1e-12:
        return np.eye(3) if up[2] > 0 else np.diag([1.0, -1.0, -1.0])
    return se3.so3_exp(axis / sine * float(np.arctan2(sine, up[2])))
