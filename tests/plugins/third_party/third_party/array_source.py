"""A source kind: all images in one file, frames.npy (N,H,W,3), with the field of view that they were taken with."""

import json
from functools import partial
from pathlib import Path

import numpy as np

from vgslam import Camera
from vgslam.sources.recording import RawImage, Recording


def matches(path: Path) -> bool:
    return (path / "frames.npy").is_file()


def open(path: Path, options) -> Recording:
    images = np.load(path / "frames.npy")
    camera = Camera(**json.loads((path / "camera.json").read_text()))

    def stream():
        for i, image in enumerate(images):
            yield RawImage(f"image {i}", 10.0 + i / 30, partial(np.array, image))

    return Recording("array", path.name, stream, (images.shape[2], images.shape[1]), len(images), camera)
