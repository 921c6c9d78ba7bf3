"""Worlds by name and seed."""

from collections.abc import Callable

from vgslam_train.worlds.clutter import clutter, hills
from vgslam_train.worlds.rooms import bare_room, corridor, room
from vgslam_train.worlds.streets import street
from vgslam_train.worlds.textures import TextureBank
from vgslam_train.worlds.world import World

WORLD_KINDS: dict[str, Callable[..., World]] = {
    "room": room, "corridor": corridor, "street": street, "clutter": clutter, "hills": hills,
    "bare": bare_room,
}  # fmt: skip


def generate(
    kind: str, seed: int, bank: TextureBank | None = None, variants: int = 3, shadow_rays: int = 0, moving: int = 0
) -> World:
    """A world of a kind (see WORLD_KINDS), the same for the same arguments on any machine.

    bank: share one between many worlds to save making textures; `variants` tiles of each kind are used of it.
    shadow_rays: soft shadows with this number of rays per lamp (slow: seconds to minutes); 0: light without shadows.
    moving: number of moving objects (street, clutter).
    Raises ValueError for an unknown kind, or moving objects if there are none.
    """
    if kind not in WORLD_KINDS:
        raise ValueError(f"unknown world '{kind}', known: {', '.join(WORLD_KINDS)}")
    bank = TextureBank(seed) if bank is None else bank
    if kind == "street":
        return street(seed, bank, variants, shadow_rays, traffic=moving)
    if kind == "clutter":
        return clutter(seed, bank, variants, shadow_rays, moving=moving)
    if moving:
        raise ValueError(f"world '{kind}' has no moving objects; use street or clutter")
    return WORLD_KINDS[kind](seed, bank, variants, shadow_rays)
