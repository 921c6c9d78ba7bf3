"""Learn the place vocabulary that ships with the package, on rendered worlds only.

    python tools/make_vocabulary.py [--out vgslam/assets/places.npz]

The same seeds give the same images; about three minutes on one core.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.frontend.matching import describe_quick
from vgslam.reloc.vocabulary import Vocabulary
from vgslam.types import Float32
from vgslam_train.worlds.sequences import render_sequence

WORLDS = (("room", "walk"), ("corridor", "walk"), ("street", "drive"), ("clutter", "orbit"), ("hills", "drone"))
SEEDS = range(100, 112)
N_WORDS, N_DIMS = 32, 64


def world_images() -> list[npt.NDArray[np.uint8]]:
    """Two grey images of each world."""
    images = []
    for seed in SEEDS:
        for kind, motion in WORLDS:
            views = render_sequence(kind, motion, 4, seed).images
            images += [cv2.cvtColor(views[i], cv2.COLOR_RGB2GRAY) for i in (0, 3)]
        print(f"seed {seed}: {len(images)} images", flush=True)
    return images


def k_means(points: Float32, k: int, iterations: int = 15) -> Float32:
    """Lloyd's algorithm from random points; a word without points starts again."""
    rng = np.random.default_rng(1)
    centres = points[rng.choice(len(points), k, replace=False)].copy()
    for _ in range(iterations):
        word = (points @ centres.T - 0.5 * (centres**2).sum(1)).argmax(1)
        for i in range(k):
            mine = word == i
            centres[i] = points[mine].mean(0) if mine.any() else points[rng.integers(len(points))]
    return centres


def learn(images: list[npt.NDArray[np.uint8]]) -> Vocabulary:
    per_image = [describe_quick(image).descriptors for image in images]
    descriptors = np.concatenate(per_image)
    mean = descriptors.mean(0)
    projection = np.linalg.svd(np.cov((descriptors - mean).T))[0][:, :N_DIMS].astype(np.float32)
    centres = k_means((descriptors - mean) @ projection, N_WORDS)
    plain = Vocabulary(mean, projection, centres, np.zeros(centres.size, np.float32))
    middle = np.median([plain.aggregate(d) for d in per_image], axis=0).astype(np.float32)
    return Vocabulary(mean, projection, centres, middle)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("vgslam/assets/places.npz"))
    out: Path = parser.parse_args().out
    v = learn(world_images())
    np.savez_compressed(out, mean=v.mean, projection=v.projection, centres=v.centres, middle=v.middle)
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
