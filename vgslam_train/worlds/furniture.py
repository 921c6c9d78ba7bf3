"""Furniture for rooms: each piece is built in its own frame (x to the right, y towards the wall behind, z up)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgslam_train.worlds.surfaces import Paint, SceneBuilder
from vgslam_train.worlds.texture_kinds import PICTURE_KINDS, colour
from vgslam_train.worlds.textures import TextureBank

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Palette:
    """Paints drawn at random from a bank; `variants` tiles of each kind are in use."""

    bank: TextureBank
    rng: np.random.Generator
    variants: int

    def paint(self, kinds: str, tile_m: float = 1.0, bright: tuple[float, float] = (0.85, 1.15)) -> Paint:
        """A paint of one of the `kinds` (separated by blanks), slightly tinted. Pictures span their surface."""
        kind = str(self.rng.choice(kinds.split()))
        material = self.bank.material(kind, int(self.rng.integers(self.variants)))
        tint = self.rng.uniform(*bright) * self.rng.uniform(0.93, 1.07, 3)
        return Paint(material, None if kind in PICTURE_KINDS else tile_m, tuple(tint))

    def dyed(self, kinds: str, tile_m: float = 1.0) -> Paint:
        """Like `paint`, in a strong random colour."""
        plain = self.paint(kinds, tile_m)
        return Paint(plain.material, plain.tile_m, tuple(1.6 * colour(self.rng, 0.4, 0.9, 1.0)))


@dataclass(frozen=True)
class Place:
    """A frame of reference on the floor or against a wall."""

    builder: SceneBuilder
    palette: Palette
    origin: Array
    """(3,)."""
    yaw: float
    """Turn about z in rad."""

    @property
    def rng(self) -> np.random.Generator:
        return self.palette.rng

    def at(self, local: npt.ArrayLike) -> Array:
        """World coordinates of local ones (3,)."""
        return self.origin + self.turn(local)

    def turn(self, local: npt.ArrayLike) -> Array:
        x, y, z = np.asarray(local, np.float64)
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([c * x - s * y, s * x + c * y, z])

    def moved(self, local: npt.ArrayLike, turn: float = 0.0) -> "Place":
        return Place(self.builder, self.palette, self.at(local), self.yaw + turn)

    def box(self, center: npt.ArrayLike, size: npt.ArrayLike, paint: Paint, skip: str = "",
            **faces: Paint) -> None:  # fmt: skip
        self.builder.box(self.at(center), size, paint, self.yaw, faces, skip)

    def picture(self, center: npt.ArrayLike, width: float, height: float, kinds: str, depth: float = 0.03) -> None:
        """A picture on the wall behind y = 0, of some thickness, facing -y."""
        x, _, z = np.asarray(center, np.float64)
        edge = self.palette.paint("wood", 0.5)
        self.box((x, -depth / 2, z), (width, depth, height), edge, "back", front=self.palette.paint(kinds))


def bookshelf(place: Place, width: float) -> None:
    rng = place.rng
    height, depth, board = rng.uniform(1.7, 2.15), 0.32, 0.03
    wood = place.palette.paint("wood", 0.8)
    place.box((0, -0.01, height / 2), (width, 0.02, height), wood, "back bottom")
    for side in (-1, 1):
        place.box((side * (width - board) / 2, -depth / 2, height / 2), (board, depth, height), wood, "back bottom")
    levels = int(rng.integers(4, 6))
    gap = (height - board) / levels
    for level in range(levels + 1):
        z = board / 2 + level * gap
        place.box((0, -depth / 2, z), (width - 2 * board, depth, board), wood, "back left right")
        if level < levels:
            _shelf_content(place, width - 2 * board, z + board / 2, gap - board)


def _shelf_content(place: Place, width: float, floor: float, gap: float) -> None:
    rng = place.rng
    books = width * rng.uniform(0.55, 0.97)
    side = rng.choice([-1, 1])
    x = side * (width - books) / 2
    tall = gap * rng.uniform(0.82, 0.97)
    rest = width - books
    cloth = place.palette.dyed("rough fabric", 0.4)
    spines = place.palette.paint("book_row")
    place.box((x, -0.14, floor + tall / 2), (books, 0.22, tall), cloth, "back bottom", front=spines)
    if rest > 0.16:
        radius = min(0.35 * rest, 0.32 * gap, 0.09)
        center = place.at((-side * (width - rest) / 2, -0.15, floor + radius))
        if rng.random() < 0.5:
            place.builder.ellipsoid(center, radius, place.palette.dyed("shapes rough fabric", 0.25))
        else:
            place.builder.cylinder(center, radius * 0.8, 2 * radius, place.palette.dyed("shapes fabric", 0.25))


def chest(place: Place, width: float) -> None:
    """A chest of drawers with things on it and a picture above."""
    rng = place.rng
    height, depth = rng.uniform(0.7, 1.05), rng.uniform(0.4, 0.5)
    wood = place.palette.paint("wood", 0.8)
    drawers = place.palette.paint("drawers")
    place.box((0, -depth / 2, height / 2), (width, depth, height - 0.04), wood, "back", front=drawers)
    place.box((0, -depth / 2, height), (width + 0.05, depth + 0.04, 0.04), place.palette.paint("wood", 0.6), "back")
    _table_lamp(place.moved((-0.3 * width, -depth / 2, height + 0.02)))
    _stack_of_books(place.moved((0.1 * width, -depth / 2, height + 0.02), rng.uniform(-0.5, 0.5)))
    _plant(place.moved((0.36 * width, -depth / 2, height + 0.02)), 0.5)
    place.picture((0, 0, min(height + 0.75, 1.9)), width * 0.6, 0.55, "painting letters shapes")


def sofa(place: Place, width: float) -> None:
    rng = place.rng
    cloth = place.palette.paint("fabric wallpaper", rng.uniform(0.4, 0.8))
    seat, depth = 0.42, 0.85
    place.box((0, -depth / 2, seat / 2), (width, depth, seat), cloth, "back bottom")
    place.box((0, -0.11, 0.43), (width, 0.22, 0.86), cloth, "back bottom")
    for side in (-1, 1):
        place.box((side * (width / 2 - 0.09), -depth / 2, 0.31), (0.18, depth + 0.02, 0.62), cloth, "back bottom")
    for k in range(3):
        x = (k - 1) * (width - 0.4) / 3
        cushion = place.palette.paint("fabric shapes wallpaper", 0.35)
        place.moved((x, -0.32, seat + 0.2), rng.uniform(-0.2, 0.2)).box((0, 0, 0), (0.4, 0.14, 0.38), cushion)
    place.picture((0, 0, 1.55), width * 0.55, 0.6, "painting shapes letters")


def desk(place: Place, width: float) -> None:
    """A desk with a monitor, books, and a chair before it."""
    wood = place.palette.paint("wood", 0.9)
    depth, height = 0.7, 0.74
    place.box((0, -depth / 2, height), (width, depth, 0.04), wood)
    for side in (-1, 1):
        place.box((side * (width / 2 - 0.03), -depth / 2, height / 2 - 0.01), (0.05, depth - 0.06, height - 0.02), wood)
    dark = Paint(wood.material, 0.5, (0.25, 0.25, 0.28))
    screen = place.palette.paint("letters painting")
    glow = Paint(screen.material, None, (1.0, 1.0, 1.0), 0.25)
    place.box((0, -0.2, height + 0.3), (0.62, 0.04, 0.38), dark, front=glow)
    place.box((0, -0.2, height + 0.06), (0.08, 0.06, 0.1), dark)
    _stack_of_books(place.moved((-0.38 * width, -0.35, height + 0.02), 0.3))
    _table_lamp(place.moved((0.4 * width, -0.25, height + 0.02)))
    place.picture((-0.2 * width, 0, 1.75), 0.5, 0.65, "letters")
    place.picture((0.28 * width, 0, 1.7), 0.45, 0.45, "painting shapes")
    chair(place.moved((0.05, -0.95, 0.0), np.pi + place.rng.uniform(-0.5, 0.5)))


def chair(place: Place, _: float = 0.5) -> None:
    wood, seat = place.palette.paint("wood", 0.6), place.palette.paint("fabric wood", 0.4)
    place.box((0, 0, 0.45), (0.44, 0.44, 0.05), seat)
    for x in (-0.19, 0.19):
        for y in (-0.19, 0.19):
            place.box((x, y, 0.21), (0.04, 0.04, 0.43), wood, "top bottom")
        place.box((x, 0.2, 0.7), (0.04, 0.03, 0.5), wood, "bottom")
    place.box((0, 0.2, 0.82), (0.42, 0.03, 0.2), seat)


def table(place: Place, width: float) -> None:
    wood = place.palette.paint("wood", 0.9)
    depth, height = 0.62 * width, place.rng.uniform(0.4, 0.5)
    place.box((0, 0, height), (width, depth, 0.04), wood)
    for x in (-1, 1):
        for y in (-1, 1):
            corner = (x * (width / 2 - 0.05), y * (depth / 2 - 0.05), height / 2 - 0.01)
            place.box(corner, (0.06, 0.06, height - 0.02), wood, "top bottom")
    _stack_of_books(place.moved((-0.22 * width, 0.05, height + 0.02), 0.4))
    bowl = place.palette.dyed("shapes tiles", 0.3)
    place.builder.cylinder(place.at((0.2 * width, 0.0, height + 0.07)), 0.09, 0.1, bowl)
    place.builder.ellipsoid(place.at((0.2 * width, 0.0, height + 0.13)), 0.065, place.palette.dyed("rough", 0.3))


def wall_unit(place: Place, width: float) -> None:
    """A tall cupboard with two painted doors."""
    height, depth = place.rng.uniform(1.9, 2.2), 0.55
    wood = place.palette.paint("wood", 0.9)
    for side in (-1, 1):
        leaf = place.palette.paint("door")
        size = (width / 2 - 0.005, depth, height)
        place.box((side * width / 4, -depth / 2, height / 2), size, wood, "back", front=leaf)
    box = place.palette.dyed("letters fabric", 0.4)
    place.box((0.1, -depth / 2, height + 0.12), (0.45, 0.35, 0.24), box)


def corner_plant(place: Place, _: float = 0.5) -> None:
    _plant(place.moved((0, -0.35, 0)), 1.0)
    place.picture((0, 0, 1.75), 0.5, 0.7, "letters painting")


def doorway(place: Place, _: float = 1.0) -> None:
    wood = place.palette.paint("wood", 0.7)
    place.box((0, -0.02, 1.02), (0.9, 0.04, 2.04), wood, "back bottom", front=place.palette.paint("door"))
    for side in (-1, 1):
        place.box((side * 0.5, -0.03, 1.05), (0.1, 0.06, 2.1), wood, "back bottom")
    place.box((0, -0.03, 2.1), (1.1, 0.06, 0.1), wood, "back")


def window_bench(place: Place, width: float) -> None:
    """A window with curtains above a low bench with cushions."""
    cloth = place.palette.paint("fabric", 0.5)
    view = place.palette.paint("window")
    bright = Paint(view.material, None, (0.85, 0.85, 0.85))
    place.box((0, -0.02, 1.55), (width * 0.66, 0.04, 1.15), place.palette.paint("wood", 0.5), "back", front=bright)
    for side in (-1, 1):
        for k in range(3):
            x = side * (0.36 + 0.045 * k) * width
            place.box((x, -0.06 - 0.03 * (k % 2), 1.35), (0.05 * width, 0.06, 2.0), cloth, "back")
    place.box((0, -0.22, 0.22), (width, 0.4, 0.44), place.palette.paint("wood", 0.8), "back bottom")
    for x in (-0.3, 0.02, 0.31):
        pad = place.palette.paint("fabric shapes", 0.4)
        place.box((x * width, -0.22, 0.49), (0.27 * width, 0.36, 0.1), pad, "bottom")


def _table_lamp(place: Place) -> None:
    stem, shade = place.palette.dyed("rough", 0.3), place.palette.paint("fabric wallpaper", 0.3, (1.0, 1.2))
    place.builder.cylinder(place.at((0, 0, 0.015)), 0.08, 0.03, stem)
    place.builder.cylinder(place.at((0, 0, 0.14)), 0.015, 0.25, stem)
    glowing = Paint(shade.material, shade.tile_m, (1.1, 1.0, 0.8), 0.5)
    place.builder.cylinder(place.at((0, 0, 0.34)), 0.13, 0.2, glowing)


def _stack_of_books(place: Place) -> None:
    z = 0.0
    for _ in range(int(place.rng.integers(2, 5))):
        thick = place.rng.uniform(0.025, 0.05)
        size = (place.rng.uniform(0.18, 0.26), place.rng.uniform(0.14, 0.2), thick)
        cover = place.palette.paint("letters painting shapes", 0.3)
        side = place.palette.dyed("rough", 0.3)
        place.moved((0, 0, z + thick / 2), place.rng.uniform(-0.4, 0.4)).box((0, 0, 0), size, side, "bottom", top=cover)
        z += thick


def _plant(place: Place, scale: float) -> None:
    pot = place.palette.dyed("tiles rough shapes", 0.3)
    place.builder.cylinder(place.at((0, 0, 0.14 * scale)), 0.15 * scale, 0.28 * scale, pot)
    place.builder.cylinder(place.at((0, 0, 0.45 * scale)), 0.02 * scale, 0.5 * scale, place.palette.paint("wood", 0.3))
    leaf = place.palette.paint("grass", 0.5, (0.9, 1.3))
    for _ in range(7):
        spread = place.rng.normal(0, 0.1, 3) * scale
        radii = place.rng.uniform(0.1, 0.22, 3) * scale * (1, 1, 0.8)
        place.builder.ellipsoid(place.at((0, 0, 0.55 * scale)) + spread * (1, 1, 1.6), radii, leaf)


Piece = Callable[[Place, float], None]

WALL_PIECES: tuple[tuple[Piece, float], ...] = (
    (bookshelf, 1.2), (chest, 1.2), (sofa, 1.9), (desk, 1.5), (wall_unit, 1.1), (corner_plant, 0.7), (doorway, 1.1),
    (window_bench, 1.6),
)  # fmt: skip
"""Furniture that may stand against a wall, and how much of the wall's length it takes in metres."""
