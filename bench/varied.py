"""Recordings as another camera would have made them: exposure, lamps, noise, blur, frames missing, overlays."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from bench.hard_images import exposed, moved, noisy
from vgslam.geometry.camera import Camera
from vgslam.types import Array, Image, Trajectory

HUNT_STOPS, HUNT_PERIOD = 0.5, 20
"""Steps by which an exposure that hunts is off at most, and frames of one period."""
JUMP_STOPS, JUMP_EVERY = (0.0, -1.0, 0.0, 1.0, -2.0), 15
"""Steps of the exposures that follow one another, and frames of each."""
FLICKER, FLICKER_PERIODS, FLICKER_STEP = 0.15, 1.5, 0.37
"""Amplitude of a lamp that a rolling shutter sees flicker, its periods in an image, and from image to image."""
NOISE = 15.0
"""Deviation of the noise, in grey values."""
JPEG_QUALITY = 20
BLUR_SHARE, BLUR_EVERY, BLURRED = 0.03, 30, 8
"""Path of a motion blur as a share of the width, and so many frames in a row of every so many."""
MISSING = 20
"""Frames that are missing in the middle, where the clock goes on."""
COVERED = 30
"""Frames in the middle for which the lens is covered."""
BARS = 0.13
"""Height of each of two black bars, as a share of the image's."""

BLACK = -1
"""Number of an image that is black."""

Look = Callable[[Image, int, np.random.Generator], Image]


@dataclass(frozen=True)
class Variant:
    """What is done to a recording."""

    look: Look
    """A changed image of an image, its number and random numbers."""
    camera: Callable[[Camera], Camera] = lambda camera: camera
    """The camera of the changed images."""
    R_cam_changed: Array | None = None
    """Rotation from the axes of the changed images to those of the others; None: they are the same."""
    shows: Callable[[int, int], int | None] = lambda i, n: i
    """Which of n images is shown as the i-th; BLACK: none of them; None: the i-th is missing."""


def _hunting(image: Image, i: int, _: np.random.Generator) -> Image:
    return exposed(image, HUNT_STOPS * np.sin(2 * np.pi * i / HUNT_PERIOD))


def _jumping(image: Image, i: int, _: np.random.Generator) -> Image:
    return exposed(image, JUMP_STOPS[i // JUMP_EVERY % len(JUMP_STOPS)])


def _flickering(image: Image, i: int, _: np.random.Generator) -> Image:
    rows = np.arange(len(image)) / len(image)
    light = 1.0 + FLICKER * np.sin(2 * np.pi * (FLICKER_PERIODS * rows + FLICKER_STEP * i))
    return _grey(image * light[:, None, None])


def _compressed(image: Image, _i: int, _rng: np.random.Generator) -> Image:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _blurred(image: Image, i: int, rng: np.random.Generator) -> Image:
    angle = rng.uniform(0.0, np.pi)
    return moved(image, BLUR_SHARE * image.shape[1], angle) if i % BLUR_EVERY < BLURRED else image


def _overlaid(image: Image, i: int, _: np.random.Generator) -> Image:
    """A clock in a box, and a logo in the corner opposite."""
    out = image.copy()
    h, w = image.shape[:2]
    cv2.rectangle(out, (w // 50, int(0.92 * h)), (w // 2, int(0.99 * h)), (0, 0, 0), -1)
    at, size = (w // 33, int(0.975 * h)), w / 1450
    text, font = f"2026-03-14 12:00:{i / 30:06.3f} CAM1", cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(out, text, at, font, size, (255,) * 3, 1, cv2.LINE_AA)
    logo = np.random.default_rng(5).integers(0, 2, (6, 9), np.uint8) * 255
    logo = cv2.resize(logo, (w // 7, h // 8), interpolation=cv2.INTER_NEAREST)
    out[h // 30 : h // 30 + h // 8, w - w // 6 : w - w // 6 + w // 7] = logo[..., None]
    return out


def _barred(image: Image, _i: int, _: np.random.Generator) -> Image:
    bar = int(BARS * len(image))
    return np.asarray(cv2.copyMakeBorder(image, bar, bar, 0, 0, cv2.BORDER_CONSTANT, value=(0, 0, 0)), np.uint8)


def _barred_camera(camera: Camera) -> Camera:
    bar = int(BARS * camera.height)
    return replace(camera, cy=camera.cy + bar, height=camera.height + 2 * bar)


def _halved(image: Image, _i: int, _: np.random.Generator) -> Image:
    size = image.shape[1] // 2, image.shape[0] // 2
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _turned(image: Image, _i: int, _: np.random.Generator) -> Image:
    return np.asarray(cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE), np.uint8)


def _turned_camera(camera: Camera) -> Camera:
    c = camera
    return Camera(c.fy, c.fx, c.height - 1 - c.cy, c.cx, c.height, c.width)


QUARTER_TURN = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""R_cam_changed of images turned clockwise: what was to the right is below."""


def _grey(x: npt.NDArray) -> Image:
    return np.clip(x, 0, 255).round().astype(np.uint8)


def _plain(image: Image, _i: int, _: np.random.Generator) -> Image:
    return image


def _is_in(i: int, n: int, length: int) -> bool:
    """Whether the i-th of n is among `length` in the middle."""
    return (n - length) // 2 <= i < (n + length) // 2


VARIANTS: dict[str, Variant] = {
    "as it is": Variant(_plain),
    "exposure hunts": Variant(_hunting),
    "exposure jumps": Variant(_jumping),
    "lamps flicker": Variant(_flickering),
    "noise": Variant(lambda image, _, rng: noisy(image, NOISE, rng)),
    "compressed": Variant(_compressed),
    "motion blur": Variant(_blurred),
    "frames missing": Variant(_plain, shows=lambda i, n: None if _is_in(i, n, MISSING) else i),
    "frames repeated": Variant(_plain, shows=lambda i, n: i - 1 if i % 3 == 2 else i),
    "lens covered": Variant(_plain, shows=lambda i, n: BLACK if _is_in(i, n, COVERED) else i),
    "clock and logo": Variant(_overlaid),
    "black bars": Variant(_barred, _barred_camera),
    "half the size": Variant(_halved, lambda camera: camera.resized(camera.width // 2, camera.height // 2)),
    "turned by 90 degrees": Variant(_turned, _turned_camera, QUARTER_TURN),
}
"""Each variant by name."""


def write_variant(variant: Variant, images: Sequence[Image], times_s: Array, camera: Camera, folder: Path) -> None:
    """The changed recording as a folder with images/, times.txt and calib.json; images (N), RGB, and times_s (N,) are
    those of the whole recording, without distortion."""
    (folder / "images").mkdir(parents=True)
    rng, n, kept = np.random.default_rng(0), len(images), []
    for i in range(n):
        shown = variant.shows(i, n)
        if shown is None:
            continue
        image = np.zeros_like(images[0]) if shown == BLACK else images[shown]
        changed = cv2.cvtColor(variant.look(image, i, rng), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / "images" / f"{i:06d}.png"), changed, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        kept.append(times_s[i])
    (folder / "times.txt").write_text("".join(f"{t:.6f}\n" for t in kept))
    c = variant.camera(camera)
    figures = {name: getattr(c, name) for name in ("width", "height", "fx", "fy", "cx", "cy")}
    (folder / "calib.json").write_text(json.dumps(figures))


def varied_truth(variant: Variant, truth: Trajectory) -> Trajectory:
    """Poses of the changed images' camera."""
    if variant.R_cam_changed is None:
        return truth
    T = truth.T_world_cam.copy()
    T[:, :3, :3] = T[:, :3, :3] @ variant.R_cam_changed
    return replace(truth, T_world_cam=T)
