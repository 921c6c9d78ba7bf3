"""Images of worlds of the kinds that the small networks were trained on, for rehearsal while they adapt.

They come with the package as one picture, a film in each row; `tools/familiar_worlds.py` renders it.
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from vgslam.errors import InputError
from vgslam.network.config import VggtConfig

PICTURE = Path(__file__).parents[1] / "assets" / "familiar.webp"
WIDTH, HEIGHT = 128, 96
"""Pixels of a frame; it is resized to what a network takes."""
FRAMES_A_FILM = 8
FRAMES_A_WINDOW = 4


def familiar_windows(network: VggtConfig) -> list[Tensor]:
    """Windows of images (4,3,H,W) in [0,1] at the network's size, and mirrored; none for a network not trained on such
    worlds. InputError."""
    if not network.keeps_area:
        return []
    height = round(0.75 * network.image_size / network.patch_size) * network.patch_size
    found = []
    for film in _films():
        sized = np.stack([cv2.resize(x, (network.image_size, height), interpolation=cv2.INTER_AREA) for x in film])
        images = torch.from_numpy(sized).permute(0, 3, 1, 2).float() / 255.0
        found += [view for window in images.split(FRAMES_A_WINDOW) for view in (window, window.flip(-1))]
    return found


def _films() -> np.ndarray:
    """(N,8,H,W,3) uint8."""
    picture = cv2.imread(str(PICTURE), cv2.IMREAD_COLOR_RGB)
    if picture is None or picture.shape[0] % HEIGHT or picture.shape[1] != FRAMES_A_FILM * WIDTH:
        raise InputError(f"{PICTURE}: missing or damaged; install vgslam again, or adapt with --no-rehearse")
    return picture.reshape(-1, HEIGHT, FRAMES_A_FILM, WIDTH, 3).transpose(0, 2, 1, 3, 4)
