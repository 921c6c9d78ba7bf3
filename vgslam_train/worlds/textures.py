"""A bank of mip-mapped texture tiles, and the band-limited lookup into it.

Textures are sampled trilinearly from a pyramid (Williams, "Pyramidal Parametrics", SIGGRAPH 1983), so that a surface
shows no more detail than the pixels can carry and does not flicker when the camera moves.
"""

import zlib
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch

from vgslam_train.worlds.texture_kinds import KINDS


@dataclass(frozen=True)
class TextureTable:
    """All tiles of a bank on one device."""

    texels: torch.Tensor
    """(T,4) float32 in 0..1 (red, green, blue, unused), all levels of all tiles, finest level first."""
    level_offset: torch.Tensor
    """(L,) int32: first row of a level."""
    level_size: torch.Tensor
    """(L,) int32: side of a tile at that level in texels."""

    @property
    def finest_size(self) -> int:
        return 1 << (len(self.level_size) - 1)


class TextureBank:
    """Tiles of `size` x `size` texels, made on demand from (seed, kind, variant) and therefore the same on any machine.

    Worlds may share one bank (then a variant is a number below the bank's intended diversity) or have their own.
    Raises ValueError for a size that is not a power of two.
    """

    def __init__(self, seed: int, size: int = 256) -> None:
        if size < 4 or size & (size - 1):
            raise ValueError(f"texture size must be a power of two of at least 4, got {size}")
        self.seed, self.size = seed, size
        self._tiles: list[npt.NDArray[np.float32]] = []
        self._index: dict[tuple[str, int], int] = {}
        self._tables: dict[str, tuple[int, TextureTable]] = {}

    def __len__(self) -> int:
        return len(self._tiles)

    def material(self, kind: str, variant: int = 0) -> int:
        """Index of the tile of this kind and variant. Raises ValueError for an unknown kind."""
        if kind not in KINDS:
            raise ValueError(f"unknown texture kind '{kind}', known: {', '.join(sorted(KINDS))}")
        key = (kind, variant)
        if key not in self._index:
            rng = np.random.default_rng([self.seed, variant, zlib.crc32(kind.encode())])
            tile = np.clip(KINDS[kind](self.size, rng), 0.0, 1.0).astype(np.float32)
            self._index[key] = len(self._tiles)
            self._tiles.append(_soften(tile))
        return self._index[key]

    def fill(self, variants: int) -> None:
        """Make `variants` tiles of every kind now, so that the table does not grow while worlds are drawn from it."""
        for kind in KINDS:
            for variant in range(variants):
                self.material(kind, variant)

    def tile(self, material: int) -> npt.NDArray[np.float32]:
        """The finest level (S,S,3) of a tile."""
        return self._tiles[material]

    def table(self, device: torch.device) -> TextureTable:
        """The bank on `device`; kept until a tile is added."""
        cached = self._tables.get(str(device))
        if cached is None or cached[0] != len(self._tiles):
            cached = (len(self._tiles), _build_table(self._tiles, device))
            self._tables[str(device)] = cached
        return cached[1]


def _soften(tile: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Low-pass a periodic tile slightly: bilinear lookup needs a signal below half the texel rate."""
    pad = 4
    wrapped = cv2.copyMakeBorder(tile, pad, pad, pad, pad, cv2.BORDER_WRAP)
    return cv2.GaussianBlur(wrapped, (0, 0), 0.7)[pad:-pad, pad:-pad].copy()


def _build_table(tiles: list[npt.NDArray[np.float32]], device: torch.device) -> TextureTable:
    level = np.stack(tiles)
    levels = []
    while True:
        levels.append(level)
        if level.shape[1] == 1:
            break
        level = 0.25 * (level[:, ::2, ::2] + level[:, 1::2, ::2] + level[:, ::2, 1::2] + level[:, 1::2, 1::2])
    flat = np.concatenate([lv.reshape(-1, 3) for lv in levels])
    texels = np.concatenate([flat, np.zeros((len(flat), 1), np.float32)], 1)
    offsets = np.cumsum([0] + [lv.shape[0] * lv.shape[1] * lv.shape[2] for lv in levels[:-1]])
    sizes = np.array([lv.shape[1] for lv in levels])
    return TextureTable(
        torch.from_numpy(texels).to(device),
        torch.from_numpy(offsets.astype(np.int32)).to(device),
        torch.from_numpy(sizes.astype(np.int32)).to(device),
    )


def sample(
    table: TextureTable, material: torch.Tensor, u: torch.Tensor, v: torch.Tensor, footprint: torch.Tensor
) -> torch.Tensor:
    """Trilinear lookup, colours (P,4) in 0..1 (red, green, blue, unused).

    material (P,), whole numbers; u, v (P,) float32 in tiles (periodic; texel i of a level of n texels has its centre at
    (i + 0.5) / n); footprint (P,): size of a pixel on the surface, in tiles.
    """
    n_levels = len(table.level_size)
    lod = torch.log2(footprint * table.finest_size).clamp_(0.0, n_levels - 1.001)
    low = lod.floor()
    blend = lod - low
    rows = torch.empty((8, len(u)), dtype=torch.int32, device=u.device)
    weights = torch.empty((8, len(u)), device=u.device)
    tile = (u - u.floor(), v - v.floor())
    low_level, tile_index = low.int(), material.int()
    for k, (level, weight) in enumerate(((low_level, 1.0 - blend), (low_level + 1, blend))):
        _taps(table, tile_index, tile, (level, weight), (rows[4 * k : 4 * k + 4], weights[4 * k : 4 * k + 4]))
    return torch.nn.functional.embedding_bag(
        rows.T.contiguous(), table.texels, per_sample_weights=weights.T.contiguous(), mode="sum"
    )


def _taps(
    table: TextureTable, material: torch.Tensor, tile: tuple[torch.Tensor, torch.Tensor],
    at: tuple[torch.Tensor, torch.Tensor], out: tuple[torch.Tensor, torch.Tensor],
) -> None:  # fmt: skip
    """Rows (4,P) int32 of the four texels around (u, v) in 0..1 of a level, and their bilinear weights (4,P) times the
    weight of the level; at: (level, weight), out: (rows, weights)."""
    (level, weight), (rows, weights) = at, out
    size = table.level_size.index_select(0, level)
    mask = size - 1
    scale = size.float()
    x, y = (tile[0] * scale).sub_(0.5), (tile[1] * scale).sub_(0.5)
    x_floor, y_floor = x.floor(), y.floor()
    x_low, y_low = x_floor.int(), y_floor.int()
    x_high = (x_low + 1).bitwise_and_(mask)
    y_high = (y_low + 1).bitwise_and_(mask)
    base = (material * size).mul_(size).add_(table.level_offset.index_select(0, level))
    below = torch.addcmul(base, y_low.bitwise_and_(mask), size)
    above = base.addcmul_(y_high, size)
    x_low.bitwise_and_(mask)
    torch.add(below, x_low, out=rows[0])
    torch.add(below, x_high, out=rows[1])
    torch.add(above, x_low, out=rows[2])
    torch.add(above, x_high, out=rows[3])
    above_weight = y.sub_(y_floor).mul_(weight)
    below_weight = weight - above_weight
    x.sub_(x_floor)
    torch.mul(below_weight, x, out=weights[1])
    torch.sub(below_weight, weights[1], out=weights[0])
    torch.mul(above_weight, x, out=weights[3])
    torch.sub(above_weight, weights[3], out=weights[2])
