"""Images as a worse camera would have taken them: other exposure, colours and tone curve, motion blur, noise."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.types import Image

DISPLAY_GAMMA = 2.2  # exponent that takes grey values to light
STOPS, DARK_NOISE = 2.0, 2.0
"""Steps of exposure, each a factor of two of the light, and the deviation of a dark image's noise (grey values)."""
CAST = 0.35  # deviation of the log gains of a colour cast
BLUR_PX = (5.0, 15.0)
"""Shortest and longest path of a motion blur, in px of an image of BLUR_WIDTH_PX; of narrower ones less."""
BLUR_WIDTH_PX = 640
NOISE = (10.0, 25.0)  # least and greatest deviation of noise, in grey values

Change = Callable[[Image, np.random.Generator], Image]


def exposed(image: Image, stops: float) -> Image:
    """The image with 2^stops times the light; what is brighter than white is white."""
    light = (image.astype(np.float32) / 255.0) ** DISPLAY_GAMMA * 2.0**stops
    return _grey(255.0 * np.minimum(light, 1.0) ** (1.0 / DISPLAY_GAMMA))


def noisy(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """The image with independent normal noise of a deviation, in grey values."""
    return _grey(image + rng.normal(0.0, sigma, image.shape).astype(np.float32))


def coloured(image: Image, rng: np.random.Generator) -> Image:
    """A colour cast and another tone curve."""
    gains = np.exp(CAST * rng.normal(size=3))
    gamma = 2.0 ** rng.choice([-0.8, 0.8])
    return _grey(255.0 * np.clip(image / 255.0 * gains / gains.mean(), 0, 1) ** gamma)


def moved(image: Image, length_px: float, angle_rad: float) -> Image:
    """The image of a camera that moved along a line while the shutter was open."""
    half = int(np.ceil(length_px / 2)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    for s in np.linspace(-0.5, 0.5, 8 * half):
        x, y = half + s * length_px * np.cos(angle_rad), half + s * length_px * np.sin(angle_rad)
        kernel[round(float(y)), round(float(x))] += 1.0
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT), np.uint8)


def _dark(image: Image, rng: np.random.Generator) -> Image:
    return noisy(exposed(image, -STOPS), DARK_NOISE, rng)


def _blurred(image: Image, rng: np.random.Generator) -> Image:
    return moved(image, _scaled(image, rng.uniform(*BLUR_PX)), rng.uniform(0, np.pi))


def _scaled(image: Image, length_px: float) -> float:
    return length_px * image.shape[1] / BLUR_WIDTH_PX


def _mixed(image: Image, rng: np.random.Generator) -> Image:
    """A little of everything."""
    x = exposed(coloured(image, rng), rng.choice([-1.0, 1.0]))
    return noisy(moved(x, _scaled(x, rng.uniform(5.0, 9.0)), rng.uniform(0, np.pi)), 8.0, rng)


def _grey(x: npt.NDArray) -> Image:
    return np.clip(x, 0, 255).round().astype(np.uint8)


CHANGES: dict[str, Change] = {
    "as it is": lambda image, _: image,
    "dark": _dark,
    "bright": lambda image, _: exposed(image, STOPS),
    "colour": coloured,
    "blur": _blurred,
    "noise": lambda image, rng: noisy(image, rng.uniform(*NOISE), rng),
    "mixed": _mixed,
}
"""What is done to an image, by name: -2 and +2 stops, colour cast with another tone curve, motion blur, noise."""
