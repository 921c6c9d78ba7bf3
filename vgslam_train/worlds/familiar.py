"""Images of worlds of the kinds that the small networks were trained on, for rehearsal while they adapt."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from vgslam.network.config import VggtConfig

WORLDS = (
    ("room", "walk"), ("clutter", "orbit"), ("street", "drive"), ("corridor", "walk"), ("room", "orbit"),
    ("clutter", "drone"), ("street", "walk"), ("clutter", "walk"),
)  # fmt: skip
"""Kinds and motions, as of training."""
ROUNDS = 8
"""So many worlds of each."""
WINDOWS_A_WORLD = 2
FRAMES = 4
FIRST_SEED = 800_000
"""Worlds from here on: neither those that networks were trained on nor those of any measurement."""
RATE_HZ = 6.0


def familiar_windows(network: "VggtConfig", seed: int) -> "list[Tensor]":
    """Windows of images (4,3,H,W) in [0,1], rendered at the network's size through lenses of 35 to 110 degrees, and
    mirrored; none for a network that was not trained on such worlds."""
    import torch

    from vgslam_train.worlds.sequences import Shot, random_camera, render_sequence
    from vgslam_train.worlds.textures import TextureBank

    if not network.keeps_area:
        return []
    height = round(0.75 * network.image_size / network.patch_size) * network.patch_size
    bank, found = TextureBank(FIRST_SEED + seed), []
    shot = Shot(rate_hz=RATE_HZ, supersample=2, imaging=0.5)
    for i, (kind, motion) in enumerate(WORLDS * ROUNDS):
        k = FIRST_SEED + 100 * seed + i
        camera = random_camera(network.image_size, height, k)
        film = render_sequence(kind, motion, FRAMES * WINDOWS_A_WORLD, k, camera, shot, bank)
        images = torch.from_numpy(film.images).permute(0, 3, 1, 2).float() / 255.0
        found += [view for window in images.split(FRAMES) for view in (window, window.flip(-1))]
    return found
