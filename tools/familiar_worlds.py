"""Renders what `vgslam adapt` rehearses on: films of worlds of the kinds that the small networks were trained on.

    python tools/familiar_worlds.py [FILE]

Writes one picture, a film in each row, that `vgslam/adapt/rehearsal.py` reads.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.adapt.rehearsal import FRAMES_A_FILM, HEIGHT, PICTURE, WIDTH
from vgslam_train.worlds.sequences import Shot, random_camera, render_sequence
from vgslam_train.worlds.textures import TextureBank

WORLDS = (
    ("room", "walk"), ("clutter", "orbit"), ("street", "drive"), ("corridor", "walk"), ("room", "orbit"),
    ("clutter", "drone"), ("street", "walk"), ("clutter", "walk"),
)  # fmt: skip
"""Kinds and motions, as of training."""
ROUNDS = 8
"""Number of worlds of each kind."""
FIRST_SEED = 800_000
"""Worlds from here on: neither those that networks were trained on nor those of any measurement."""
SHOT = Shot(rate_hz=6.0, supersample=2, imaging=0.5)
QUALITY = 90


def films() -> npt.NDArray[np.uint8]:
    """(N films, frames, H, W, 3), seen through lenses of 35 to 110 degrees."""
    bank, found = TextureBank(FIRST_SEED), []
    for i, (kind, motion) in enumerate(WORLDS * ROUNDS):
        camera = random_camera(WIDTH, HEIGHT, FIRST_SEED + i)
        film = render_sequence(kind, motion, FRAMES_A_FILM, FIRST_SEED + i, camera, SHOT, bank)
        found.append(film.images)
    return np.stack(found)


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    images = films()
    rows = images.transpose(0, 2, 1, 3, 4).reshape(len(images) * HEIGHT, FRAMES_A_FILM * WIDTH, 3)
    ok, data = cv2.imencode(".webp", cv2.cvtColor(rows, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    if not ok:
        sys.exit("the picture cannot be encoded")
    path.write_bytes(data.tobytes())
    print(path, len(data), "bytes")


if __name__ == "__main__":
    main()
