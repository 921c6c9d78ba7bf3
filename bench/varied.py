"""Recordings as another camera would have made them, or given with another calibration."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from bench.hard_images import DISPLAY_GAMMA, exposed, moved, noisy
from vgslam.evaluation.association import default_max_difference_s
from vgslam.geometry.camera import Camera
from vgslam.types import Array, Image, Trajectory

HUNT_STOPS, HUNT_PERIOD = 0.5, 20  # steps by which an exposure that hunts is off at most, and frames of one period
JUMP_STOPS, JUMP_EVERY = (0.0, -1.0, 0.0, 1.0, -2.0), 15
"""Steps of the exposures that follow one another, and frames of each."""
FLICKER, FLICKER_PERIODS, FLICKER_STEP = 0.15, 1.5, 0.37
"""Amplitude of a lamp that a rolling shutter sees flicker, its periods in an image, and from image to image."""
NOISE, LESS_NOISE, LEAST_NOISE = 15.0, 10.0, 5.0  # deviations of the noise, in grey values
JPEG_QUALITY, BETTER_JPEG_QUALITY = 20, 30
BLUR_SHARE, BLUR_EVERY, BLURRED = 0.03, 30, 8
"""Path of a motion blur as a share of the width, and so many frames in a row of every so many."""
MISSING = 20  # frames that are missing in the middle, where the clock goes on
COVERED = 30  # frames in the middle for which the lens is covered
BARS = 0.13  # height of each of two black bars, as a share of the image's
CROP = 0.2  # share of the width on the left, and half of it of the height at the bottom, that is cut off
VIGNETTE = 0.7  # share of the light that is missing in the corners
DARK, DARK_STOPS = 40, -12.0  # frames at the beginning that are dark, and their exposure
GAMMA, GAMMA_PERIOD = 0.6, 100
"""Exponent of grey values that a tone curve drifts to and back from, and frames of one period."""
K1 = -0.2  # radial distortion of a barrel, k1 of OpenCV
STANDS, STILL_NOISE = 40, 2.0
"""Frames for which the camera stands still, and the deviation of the noise that its images differ by."""
RATE_CHANGES = 25  # frames after which the rate changes: all of them are there, then every 2nd, then every 3rd
FROZEN, FROZEN_EVERY = 10, 50
"""Frames for which the image is frozen, of so many, after which the recording goes on where it would be."""
BURSTS = ((0.15, 5), (0.3, 8), (0.45, 11), (0.6, 13), (0.75, 15))
"""Bursts of frames that are missing: where they begin, as a share of the recording, and how many."""

BLACK = -1  # number of an image that is black

Look = Callable[[Image, int, np.random.Generator], Image]


@dataclass(frozen=True)
class Variant:
    """What is done to a recording."""

    look: Look
    """A changed image of an image, its number and random numbers."""
    camera: Callable[[Camera], Camera] = lambda camera: camera
    """The camera of the changed images; with distortion, they are bent as it says."""
    told: Callable[[Camera], Camera | None] = lambda camera: camera
    """What the run is told of that camera; None: nothing."""
    R_cam_changed: Array | None = None
    """Rotation, or reflection, from the axes of the changed images to those of the others; None: they are the same."""
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


def _as_jpeg(image: Image, quality: int) -> Image:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
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


def _doubled(image: Image, _i: int, _: np.random.Generator) -> Image:
    return np.asarray(cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)


def _cropped(image: Image, _i: int, _: np.random.Generator) -> Image:
    return image[: len(image) - int(CROP / 2 * len(image)), int(CROP * image.shape[1]) :]


def _cropped_camera(camera: Camera) -> Camera:
    left, bottom = int(CROP * camera.width), int(CROP / 2 * camera.height)
    return replace(camera, cx=camera.cx - left, width=camera.width - left, height=camera.height - bottom)


def _vignetted(image: Image, _i: int, _: np.random.Generator) -> Image:
    h, w = image.shape[:2]
    v, u = np.indices((h, w))
    squared = ((u - (w - 1) / 2) ** 2 + (v - (h - 1) / 2) ** 2) / (((w - 1) ** 2 + (h - 1) ** 2) / 4)
    return _grey(image * ((1.0 - VIGNETTE * squared) ** (1 / DISPLAY_GAMMA))[..., None])


def _drifting(image: Image, i: int, _: np.random.Generator) -> Image:
    return _grey(255.0 * (image / 255.0) ** (1.0 + (GAMMA - 1.0) * np.sin(np.pi * i / GAMMA_PERIOD) ** 2))


def _rounded(image: Image, _i: int, _: np.random.Generator) -> Image:
    """Round corners, as a film of a screen has them."""
    h, w = image.shape[:2]
    r = h // 8
    shown = np.zeros((h, w), np.uint8)
    cv2.rectangle(shown, (r, 0), (w - 1 - r, h - 1), 1, -1)
    cv2.rectangle(shown, (0, r), (w - 1, h - 1 - r), 1, -1)
    for x in (r, w - 1 - r):
        for y in (r, h - 1 - r):
            cv2.circle(shown, (x, y), r, 1, -1)
    return image * shown[..., None]


def _barrel_camera(camera: Camera) -> Camera:
    """The camera with K1, and so much longer a focal length that its corners show what the camera's show at most."""
    x = max(camera.cx, camera.width - 1 - camera.cx) / camera.fx
    y = max(camera.cy, camera.height - 1 - camera.cy) / camera.fy
    longer = 1.0 / (1.0 + K1 * (x**2 + y**2))
    return replace(camera, fx=camera.fx * longer, fy=camera.fy * longer, distortion=(K1, 0.0, 0.0, 0.0))


def _bent(image: Image, camera: Camera, bent: Camera) -> Image:
    """The image of a camera without distortion as one with it, in the same place, has it."""
    v, u = np.indices((bent.height, bent.width))
    pixels = np.stack([u, v], axis=-1).reshape(-1, 1, 2).astype(np.float64)
    rays = cv2.undistortPoints(pixels, bent.K, np.array(bent.distortion), P=camera.K)
    at = rays.reshape(bent.height, bent.width, 2).astype(np.float32)
    return np.asarray(cv2.remap(image, at, None, cv2.INTER_LINEAR), np.uint8)


def _turned(image: Image, _i: int, _: np.random.Generator) -> Image:
    return np.asarray(cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE), np.uint8)


def _turned_camera(camera: Camera) -> Camera:
    c = camera
    return Camera(c.fy, c.fx, c.height - 1 - c.cy, c.cx, c.height, c.width)


QUARTER_TURN = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""R_cam_changed of images turned clockwise: what was to the right is below."""
HALF_TURN, MIRROR = np.diag([-1.0, -1.0, 1.0]), np.diag([-1.0, 1.0, 1.0])
"""R_cam_changed of images upside down, and of those with left and right exchanged."""


def _flipped(axis: int) -> Look:
    return lambda image, _i, _: np.asarray(cv2.flip(image, axis), np.uint8)


def _mirrored_camera(camera: Camera) -> Camera:
    return replace(camera, cx=camera.width - 1 - camera.cx)


def _upside_down_camera(camera: Camera) -> Camera:
    return replace(camera, cx=camera.width - 1 - camera.cx, cy=camera.height - 1 - camera.cy)


def _wrong_focal(factor: float) -> Callable[[Camera], Camera]:
    return lambda camera: replace(camera, fx=factor * camera.fx, fy=factor * camera.fy)


def _nothing(_: Camera) -> None:
    return None


def _grey(x: npt.NDArray) -> Image:
    return np.clip(x, 0, 255).round().astype(np.uint8)


def _plain(image: Image, _i: int, _: np.random.Generator) -> Image:
    return image


def _is_in(i: int, n: int, length: int) -> bool:
    """Whether the i-th of n is among `length` in the middle."""
    return (n - length) // 2 <= i < (n + length) // 2


def _stands(first: Callable[[int], int]) -> Callable[[int, int], int]:
    """The image shown where the camera stands still from the frame first(n) on."""
    return lambda i, n: i - min(max(i - first(n), 0), STANDS)


def _in_burst(i: int, n: int) -> bool:
    return any(int(share * n) <= i < int(share * n) + length for share, length in BURSTS)


def _noise(sigma: float) -> Look:
    return lambda image, _, rng: noisy(image, sigma, rng)


VARIANTS: dict[str, Variant] = {
    "as it is": Variant(_plain),
    "exposure hunts": Variant(_hunting),
    "exposure jumps": Variant(_jumping),
    "lamps flicker": Variant(_flickering),
    "tone drifts": Variant(_drifting),
    "dark first": Variant(lambda image, i, rng: noisy(exposed(image, DARK_STOPS), 1.0, rng) if i < DARK else image),
    "noise": Variant(_noise(NOISE)),
    "less noise": Variant(_noise(LESS_NOISE)),
    "least noise": Variant(_noise(LEAST_NOISE)),
    "compressed": Variant(lambda image, _i, _: _as_jpeg(image, JPEG_QUALITY)),
    "less compressed": Variant(lambda image, _i, _: _as_jpeg(image, BETTER_JPEG_QUALITY)),
    "motion blur": Variant(_blurred),
    "frames missing": Variant(_plain, shows=lambda i, n: None if _is_in(i, n, MISSING) else i),
    "bursts missing": Variant(_plain, shows=lambda i, n: None if _in_burst(i, n) else i),
    "every 2nd": Variant(_plain, shows=lambda i, n: None if i % 2 else i),
    "every 3rd": Variant(_plain, shows=lambda i, n: None if i % 3 else i),
    "rate changes": Variant(_plain, shows=lambda i, n: None if i % (1 + i // RATE_CHANGES % 3) else i),
    "frames repeated": Variant(_plain, shows=lambda i, n: i - 1 if i % 3 == 2 else i),
    "frozen": Variant(_plain, shows=lambda i, n: i - max(i % FROZEN_EVERY - (FROZEN_EVERY - 1 - FROZEN), 0)),
    "stands first": Variant(_noise(STILL_NOISE), shows=_stands(lambda n: 0)),
    "stands in the middle": Variant(_noise(STILL_NOISE), shows=_stands(lambda n: n // 2)),
    "stands last": Variant(_noise(STILL_NOISE), shows=_stands(lambda n: n - 1 - STANDS)),
    "backwards": Variant(_plain, shows=lambda i, n: n - 1 - i),
    "lens covered": Variant(_plain, shows=lambda i, n: BLACK if _is_in(i, n, COVERED) else i),
    "clock and logo": Variant(_overlaid),
    "round corners": Variant(_rounded),
    "vignette": Variant(_vignetted),
    "black bars": Variant(_barred, _barred_camera),
    "cropped": Variant(_cropped, _cropped_camera),
    "half the size": Variant(_halved, lambda camera: camera.resized(camera.width // 2, camera.height // 2)),
    "twice the size": Variant(_doubled, lambda camera: camera.resized(camera.width * 2, camera.height * 2)),
    "turned by 90 degrees": Variant(_turned, _turned_camera, R_cam_changed=QUARTER_TURN),
    "upside down": Variant(_flipped(-1), _upside_down_camera, R_cam_changed=HALF_TURN),
    "mirrored": Variant(_flipped(1), _mirrored_camera, R_cam_changed=MIRROR),
    "barrel": Variant(_plain, _barrel_camera),
    "barrel untold": Variant(_plain, _barrel_camera, Camera.undistorted),
    "barrel, no calibration": Variant(_plain, _barrel_camera, _nothing),
    "no calibration": Variant(_plain, told=_nothing),
    "focal length 3 % off": Variant(_plain, told=_wrong_focal(1.03)),
    "focal length 10 % off": Variant(_plain, told=_wrong_focal(1.1)),
    "focal length -10 % off": Variant(_plain, told=_wrong_focal(0.9)),
    "middle 10 px off": Variant(_plain, told=lambda camera: replace(camera, cx=camera.cx + 10)),
}
"""Each variant by name."""


def write_variant(variant: Variant, images: Sequence[Image], times_s: Array, camera: Camera, folder: Path) -> None:
    """The changed recording as a folder with images/, times.txt and calib.json (if a camera is told); images (N), RGB,
    and times_s (N,) are those of the whole recording, without distortion."""
    (folder / "images").mkdir(parents=True)
    rng, n, kept = np.random.default_rng(0), len(images), []
    of_images = variant.camera(camera)
    for i in range(n):
        shown = variant.shows(i, n)
        if shown is None:
            continue
        image = np.zeros_like(images[0]) if shown == BLACK else variant.look(images[shown], i, rng)
        if of_images.is_distorted:
            image = _bent(image, camera, of_images)
        changed = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / "images" / f"{i:06d}.png"), changed, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        kept.append(times_s[i])
    (folder / "times.txt").write_text("".join(f"{t:.6f}\n" for t in kept))
    told = variant.told(of_images)
    if told is not None:
        figures = {name: getattr(told, name) for name in ("width", "height", "fx", "fy", "cx", "cy", "distortion")}
        (folder / "calib.json").write_text(json.dumps(figures))


def varied_truth(variant: Variant, truth: Trajectory, times_s: Array) -> Trajectory:
    """Poses of the changed images' camera, for a recording with images at times_s (N,): where it shows another image,
    the pose nearest in time to that one's."""
    shown = np.array([variant.shows(i, len(times_s)) for i in range(len(times_s))], dtype=object)
    is_other = any(of not in (i, None, BLACK) for i, of in enumerate(shown))
    if is_other:
        truth = _replayed(shown, truth, times_s)
    if variant.R_cam_changed is None:
        return truth
    world = MIRROR if np.linalg.det(variant.R_cam_changed) < 0 else np.eye(3)
    T = truth.T_world_cam.copy()
    T[:, :3, :3] = world @ T[:, :3, :3] @ variant.R_cam_changed
    T[:, :3, 3] = T[:, :3, 3] @ world.T
    return replace(truth, T_world_cam=T)


def _replayed(shown: Array, truth: Trajectory, times_s: Array) -> Trajectory:
    """The truth at times_s (N,), where the image `shown` (N,) is seen; frames without a pose near in time have none."""
    reach_s = default_max_difference_s(times_s, truth.timestamps_s)
    at, poses = [], []
    for t, of in zip(times_s, shown, strict=True):
        if of is not None and of != BLACK:
            near = np.abs(truth.timestamps_s - times_s[of])
            if near.min() <= reach_s:
                at.append(t)
                poses.append(truth.T_world_cam[near.argmin()])
    return Trajectory(np.array(at), np.array(poses), is_metric=truth.is_metric)
