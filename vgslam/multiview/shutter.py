"""Rolling shutter of a camera that turns: how long an image takes to be read, and rays as they were at one moment.

A row at height s of the image, -0.5 at the top to 0.5 at the bottom, is exposed s * read-out after the middle row. A
camera that turns at w (rad/s, in its own axes) is then at R exp(w s r), so a ray x of that row is exp(w s r) x in the
camera of the middle row (Forssen and Ringaby, "Rectifying rolling shutter video from hand-held devices", CVPR 2010).
Between two images in which the camera turned differently the same r explains all differences; that is how it is found.
"""

from dataclasses import dataclass

import numpy as np

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.geometry.powers import so3_exp_many
from vgslam.types import Array, Ids

WIDTHS_PX = (40.0, 40.0, 20.0, 20.0, 10.0, 10.0, 5.0, 5.0, 5.0, 5.0)
"""Width of the loss in each step (Geman-McClure): from the drift of a map to the parallax of a camera that turns."""
BLOCK = 8
"""Keyframes whose pairs are one voice: they share images, so that their errors are alike."""
NO_BASELINE = 1e-9
"""Distance, in units of the map, below which two cameras stand in the same place."""
LEAST_MATCHES = 12
"""Pairs with fewer matches say nothing."""


@dataclass(frozen=True)
class FacingMatches:
    """Matches of P pairs of images a, b; those of pair i are rows begins[i] to begins[i + 1]."""

    a: Ids
    """(P,)."""
    b: Ids
    """(P,), ascending."""
    begins: Ids
    """(P + 1,)."""
    pixels_a: Array
    """(M,2)."""
    pixels_b: Array
    """(M,2)."""

    @property
    def pair(self) -> Ids:
        """(M,): the pair of each match."""
        return np.repeat(np.arange(len(self.a)), np.diff(self.begins))


@dataclass(frozen=True)
class ReadOut:
    """How long an image takes to be read, as matches say if the camera only turned."""

    seconds: float
    """From the first row to the last; negative: from the last to the first."""
    sigma_s: float
    cost: float
    """Mean loss of the matches, 0 to 1, at the last width."""
    errors_px: Array
    """(M,): distance of each match from where the rotation of its pair puts it."""

    @property
    def agreeing(self) -> float:
        """Share of matches within the last width."""
        return float((self.errors_px < WIDTHS_PX[-1]).mean())


def levelled_rays(camera: Camera, pixels: Array, velocity: Array, seconds: float) -> Array:
    """Rays (M,3), z = 1, in the camera of the middle row, of pixels (M,2) seen while it turned at velocity (M,3)
    rad/s."""
    rays = camera.rays(pixels)
    if not seconds:
        return rays
    delay = _height(camera, pixels) * seconds
    x = np.matmul(so3_exp_many(velocity * delay[:, None]), rays[:, :, None])[:, :, 0]
    return np.asarray(x / x[:, 2:])


def levelled(camera: Camera, pixels: Array, velocity: Array, seconds: float) -> Array:
    """Pixels (M,2) as `levelled_rays`."""
    return camera.project(levelled_rays(camera, pixels, velocity, seconds)) if seconds else pixels


def between(matches: FacingMatches, T_world_cam: Array) -> Array:
    """T_b_a (P,4,4) of pairs of images with poses (C,4,4)."""
    return np.asarray(np.matmul(se3.inverse(T_world_cam[matches.b]), T_world_cam[matches.a]))


def read_out(
    camera: Camera, matches: FacingMatches, R_b_a: Array, velocity: Array, seconds: float | None = None
) -> ReadOut:
    """The read-out time that matches agree on best, with the rotation of each pair free (Gauss-Newton, the rotations
    eliminated). R_b_a (P,3,3): where rotations start. velocity (C,3) of all images, rad/s. seconds: keeps it there. The
    deviation comes from how blocks of keyframes contradict one another (clustered sandwich). ValueError for no
    matches."""
    if not len(matches.pixels_a):
        raise ValueError("no matches to find a read-out time from")
    fit = _Fit(camera, matches, velocity)
    R, r = R_b_a.copy(), 0.0 if seconds is None else seconds
    for width in WIDTHS_PX:
        e, J, Jr = fit.linearized(R, r)
        step, dr = fit.step(e, J, Jr, width, seconds is None)
        R, r = np.matmul(so3_exp_many(step), R), r + dr
    e, J, Jr = fit.linearized(R, r)
    return ReadOut(r, fit.deviation(e, J, Jr, WIDTHS_PX[-1]), _loss(e), np.linalg.norm(e, axis=1))


def contradiction(camera: Camera, matches: FacingMatches, T_b_a: Array, velocity: Array, seconds: float) -> float:
    """Mean loss of matches, 0 to 1, at poses T_b_a (P,4,4) of the pairs and a read-out time: from their distances to
    the epipolar lines in image b, which ask for no depth; of pairs without a baseline, to where the rotation puts them.
    """
    pair = matches.pair
    T = T_b_a[pair]
    xa = levelled_rays(camera, matches.pixels_a, velocity[matches.a[pair]], seconds)
    xb = levelled_rays(camera, matches.pixels_b, velocity[matches.b[pair]], seconds)
    y = np.matmul(T[:, :3, :3], xa[:, :, None])[:, :, 0]
    line = np.cross(T[:, :3, 3], y)
    size = np.linalg.norm(line[:, :2], axis=1, keepdims=True)
    away = (y - xb * y[:, 2:])[:, :2]
    away[size[:, 0] > NO_BASELINE] = 0.0
    return _loss(camera.fx * np.concatenate([(line * xb).sum(1, keepdims=True) / np.maximum(size, 1e-12), away], 1))


def _loss(e: Array) -> float:
    e2 = (e * e).sum(1)
    return float((e2 / (e2 + WIDTHS_PX[-1] ** 2)).mean())


def _height(camera: Camera, pixels: Array) -> Array:
    return np.asarray((pixels[:, 1] + 0.5) / camera.height - 0.5)


class _Fit:
    """Residuals (M,2) px of matches in image b, and their derivatives by the rotation of the pair and by r."""

    def __init__(self, camera: Camera, matches: FacingMatches, velocity: Array) -> None:
        self.camera, self.matches, self.pair = camera, matches, matches.pair
        self.velocity_a, self.velocity_b = velocity[matches.a[self.pair]], velocity[matches.b[self.pair]]
        self.height_a, self.height_b = _height(camera, matches.pixels_a), _height(camera, matches.pixels_b)
        counts = np.bincount(self.pair, minlength=len(matches.a))
        self.is_used = (counts >= LEAST_MATCHES)[self.pair]

    def linearized(self, R_b_a: Array, r: float) -> tuple[Array, Array, Array]:
        """(M,2), (M,2,3) and (M,2)."""
        m, f = self.matches, self.camera.fx
        xa = levelled_rays(self.camera, m.pixels_a, self.velocity_a, r)
        xb = levelled_rays(self.camera, m.pixels_b, self.velocity_b, r)
        R = R_b_a[self.pair]
        y = np.matmul(R, xa[:, :, None])[:, :, 0]
        z = np.where(y[:, 2] > 0.1, y[:, 2], np.inf)
        u, v = y[:, 0] / z, y[:, 1] / z
        D = np.zeros((len(y), 2, 3))
        D[:, 0, 0] = D[:, 1, 1] = f / z
        D[:, 0, 2], D[:, 1, 2] = -f * u / z, -f * v / z
        by_r = np.matmul(R, (np.cross(self.velocity_a, xa) * self.height_a[:, None])[:, :, None])
        moved_b = np.cross(self.velocity_b, xb) * self.height_b[:, None]
        back = f * (moved_b[:, :2] - xb[:, :2] * moved_b[:, 2:])
        e = f * (np.stack([u, v], 1) - xb[:, :2])
        return e, np.matmul(D, -se3.skew(y)), np.matmul(D, by_r)[:, :, 0] - back

    def step(
        self, e: Array, J: Array, Jr: Array, width: float, is_free: bool
    ) -> tuple[Array, float]:  # fmt: skip
        """Rotation vectors (P,3) of the pairs, and the change of r."""
        H, h, g, Hr, gr = self._sums(e, J, Jr, width)
        both = np.linalg.solve(H, np.stack([g, h], axis=2))
        information = float((Hr - (h * both[:, :, 1]).sum(1)).sum())
        gradient = float((gr - (h * both[:, :, 0]).sum(1)).sum())
        dr = -gradient / information if is_free and information > 0 else 0.0
        return -both[:, :, 0] - both[:, :, 1] * dr, dr

    def deviation(self, e: Array, J: Array, Jr: Array, width: float) -> float:
        """Standard deviation of r."""
        H, h, g, Hr, gr = self._sums(e, J, Jr, width)
        both = np.linalg.solve(H, np.stack([g, h], axis=2))
        information = Hr - (h * both[:, :, 1]).sum(1)
        gradient = gr - (h * both[:, :, 0]).sum(1)
        blocks = np.bincount(self.matches.b // BLOCK, gradient)
        total = float(information.sum())
        return float(np.sqrt((blocks**2).sum()) / total) if total > 0 else float("inf")

    def _sums(self, e: Array, J: Array, Jr: Array, width: float) -> tuple[Array, Array, Array, Array, Array]:
        """Normal equations of each pair: (P,3,3), (P,3), (P,3), (P,), (P,)."""
        e2 = (e * e).sum(1)
        w = self.is_used / (1.0 + e2 / width**2) ** 2
        A = np.concatenate([J, Jr[:, :, None], e[:, :, None]], axis=2)
        products = np.matmul(np.swapaxes(A * w[:, None, None], 1, 2), A)
        begins = np.minimum(self.matches.begins[:-1], len(e) - 1)
        S = np.add.reduceat(products, begins, axis=0)
        S[np.diff(self.matches.begins) == 0] = 0.0
        S[:, range(3), range(3)] += 1.0  # an empty pair stays where it is
        return S[:, :3, :3], S[:, :3, 3], S[:, :3, 4], S[:, 3, 3], S[:, 3, 4]
