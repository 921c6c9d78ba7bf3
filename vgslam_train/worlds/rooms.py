"""Indoor scenes: a furnished room, a bare one and a corridor."""

import numpy as np

from vgslam_train.worlds.furniture import WALL_PIECES, Palette, Piece, Place, corner_plant, doorway, table
from vgslam_train.worlds.lighting import Lighting, bake
from vgslam_train.worlds.surfaces import Paint, SceneBuilder
from vgslam_train.worlds.textures import TextureBank
from vgslam_train.worlds.trajectories import Region
from vgslam_train.worlds.world import World

_WALL_YAWS = (0.0, -np.pi / 2, np.pi, np.pi / 2)  # the wall at +y, +x, -y, -x


def room(seed: int, bank: TextureBank, variants: int = 3, shadow_rays: int = 0, grid: int = 8) -> World:
    """A room with furniture along the walls, pictures, a rug and a low table in the middle."""
    rng = np.random.default_rng([seed, 1])
    builder = SceneBuilder(rng)
    palette = Palette(bank, rng, variants)
    size = np.array([rng.uniform(5.0, 6.6), rng.uniform(4.6, 5.6), rng.uniform(2.5, 2.8)])
    _shell(builder, palette, size)
    order = [WALL_PIECES[k] for k in rng.permutation(len(WALL_PIECES))] * 3
    for yaw in _WALL_YAWS:
        length, reach = (size[0], size[1]) if abs(np.sin(yaw)) < 0.5 else (size[1], size[0])
        order = _furnish(Place(builder, palette, np.zeros(3), yaw), length, reach, order)
    rug = palette.paint("rug")
    builder.box((0, 0, 0.006), (2.6, 1.9, 0.012), rug, rng.uniform(-0.2, 0.2))
    table(Place(builder, palette, np.zeros(3), rng.uniform(-0.2, 0.2)), rng.uniform(0.8, 1.0))
    planes, quadrics = builder.planes(), builder.quadrics()
    lighting = _lighting(rng, size)
    light_map = bake(planes, quadrics, lighting, grid, shadow_rays, seed)
    half = size / 2
    free = Region(np.array([1.0 - half[0], 1.0 - half[1], 0.9]), np.array([half[0] - 1.0, half[1] - 1.0, 1.9]),
                np.array([0.0, 0.0, 1.2]))  # fmt: skip
    return World("room", seed, planes, quadrics, builder.looks(), lighting, light_map, bank, free)


def bare_room(seed: int, bank: TextureBank, variants: int = 3, shadow_rays: int = 0, grid: int = 8) -> World:
    """A room with hardly any texture: plain walls, floor and ceiling, at most four pieces of furniture and three
    pictures, plain boxes on the floor."""
    rng = np.random.default_rng([seed, 6])
    builder = SceneBuilder(rng)
    palette = Palette(bank, rng, variants)
    size = np.array([rng.uniform(3.5, 8.0), rng.uniform(3.5, 6.5), rng.uniform(2.4, 3.2)])
    half = size / 2
    builder.plane((0, 0, 0), (half[0], 0, 0), (0, half[1], 0), _plain(palette, 0.5, 0.9))
    builder.plane((0, 0, size[2]), (half[0], 0, 0), (0, -half[1], 0), _plain(palette, 0.9, 1.15))
    wall = _plain(palette, 0.7, 1.1)
    _walls(builder, half, [wall if rng.random() < 0.7 else _plain(palette, 0.5, 1.1) for _ in _WALL_YAWS])
    for _ in range(int(rng.integers(0, 5))):
        piece, width = WALL_PIECES[int(rng.integers(len(WALL_PIECES)))]
        place, length = _along_a_wall(builder, palette, size)
        piece(place.moved((rng.uniform(-0.5, 0.5) * (length - width - 0.3), 0, 0)), width)
    for _ in range(int(rng.integers(0, 4))):
        place, length = _along_a_wall(builder, palette, size)
        at = (rng.uniform(-0.4, 0.4) * length, 0, rng.uniform(1.3, 1.8))
        place.picture(at, rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), "letters painting shapes plaster", 0.02)
    for _ in range(int(rng.integers(1, 6))):
        edge = rng.uniform(0.15, 0.9, 3)
        spot = rng.uniform(-0.3, 0.3, 2) * size[:2]
        builder.box((*spot, edge[2] / 2), edge, _plain(palette, 0.4, 1.2), rng.uniform(0, np.pi), skip="bottom")
    planes, quadrics = builder.planes(), builder.quadrics()
    lighting = _lighting(rng, size)
    light_map = bake(planes, quadrics, lighting, grid, shadow_rays, seed)
    free = Region(np.array([0.7 - half[0], 0.7 - half[1], 0.9]), np.array([half[0] - 0.7, half[1] - 0.7, 1.9]),
                np.array([0.0, 0.0, 1.2]))  # fmt: skip
    return World("bare", seed, planes, quadrics, builder.looks(), lighting, light_map, bank, free)


def _plain(palette: Palette, low: float, high: float) -> Paint:
    """A nearly even paint of any colour, `low` to `high` times as bright as its tile."""
    paint = palette.paint("plaster", palette.rng.uniform(1.5, 4.0), (low, high))
    if palette.rng.random() < 0.3:
        return Paint(paint.material, paint.tile_m, tuple(np.asarray(paint.tint) * palette.rng.uniform(0.5, 1.0, 3)))
    return paint


def _along_a_wall(builder: SceneBuilder, palette: Palette, size: np.ndarray) -> tuple[Place, float]:
    """The middle of a random wall's foot, and the length of the wall."""
    side = int(palette.rng.integers(4))
    length, away = (size[0], size[1]) if side % 2 == 0 else (size[1], size[0])
    return Place(builder, palette, np.zeros(3), _WALL_YAWS[side]).moved((0, away / 2, 0)), float(length)


def corridor(seed: int, bank: TextureBank, variants: int = 3, shadow_rays: int = 0, grid: int = 8) -> World:
    """A straight corridor along x with doors, notices, benches and ceiling lamps; in one of three, plain walls."""
    rng = np.random.default_rng([seed, 2])
    builder = SceneBuilder(rng)
    palette = Palette(bank, rng, variants)
    length, width, height = rng.uniform(12, 20), rng.uniform(1.8, 3.0), rng.uniform(2.3, 2.8)
    kinds = "plaster" if rng.random() < 1 / 3 else "plaster rough wallpaper bricks"
    walls = [palette.paint(kinds, 1.5) for _ in _WALL_YAWS]
    half = np.array([length, width, height]) / 2
    _walls(builder, half, walls)
    builder.plane((0, 0, 0), (half[0], 0, 0), (0, half[1], 0), palette.paint("tiles planks", 1.5))
    builder.plane((0, 0, height), (half[0], 0, 0), (0, -half[1], 0), palette.paint("plaster tiles", 1.8))
    lamp = palette.paint("plaster", 1.0)
    spots = np.arange(-half[0] + 1.5, half[0], 3.0)
    for x in spots:
        glow = Paint(lamp.material, 1.0, (1.0, 1.0, 0.95), 0.9)
        builder.box((x, 0, height - 0.04), (0.9, 0.25, 0.08), glow, skip="top")
    for yaw in (0.0, np.pi):
        _line_corridor(Place(builder, palette, np.zeros(3), yaw), length, half[1])
    end = Place(builder, palette, np.array([half[0], 0, 0]), -np.pi / 2)
    doorway(end)
    corner_plant(Place(builder, palette, np.array([-half[0], 0, 0]), np.pi / 2))
    planes, quadrics = builder.planes(), builder.quadrics()
    lighting = Lighting(
        ambient_up=np.full(3, 0.6), ambient_down=np.array([0.5, 0.49, 0.47]),
        lamps=np.stack([spots, np.zeros_like(spots), np.full_like(spots, height - 0.3)], 1)[::2],
        lamp_colours=np.full((len(spots[::2]), 3), rng.uniform(0.6, 1.0)),
    )  # fmt: skip
    light_map = bake(planes, quadrics, lighting, grid, shadow_rays, seed)
    reach = np.array([half[0] - 0.8, half[1] - 0.65, 0.0])
    up = np.array([0.0, 0.0, 1.0])
    free = Region(1.2 * up - reach, 1.8 * up + reach, 1.4 * up)
    return World("corridor", seed, planes, quadrics, builder.looks(), lighting, light_map, bank, free)


def _line_corridor(place: Place, length: float, reach: float) -> None:
    """Doors, notices, a bench now and then along one side of a corridor."""
    rng = place.rng
    x = -length / 2 + rng.uniform(0.8, 1.6)
    while x < length / 2 - 0.8:
        spot = place.moved((x, reach, 0))
        choice = rng.random()
        if choice < 0.4:
            doorway(spot)
        elif choice < 0.75:
            for _ in range(int(rng.integers(1, 4))):
                at = (rng.uniform(-0.5, 0.5), 0, rng.uniform(1.2, 1.8))
                spot.picture(at, rng.uniform(0.25, 0.7), rng.uniform(0.25, 0.7), "letters painting shapes", 0.02)
        elif choice < 0.9:
            wood = spot.palette.paint("wood fabric", 0.8)
            spot.box((0, -0.17, 0.22), (1.0, 0.34, 0.44), wood, "back bottom")
        x += rng.uniform(1.2, 2.2)


def _walls(builder: SceneBuilder, half: np.ndarray, paints: list[Paint]) -> None:
    """Four walls around the origin, seen from inside; half (3,) is half of length, width and height."""
    for yaw, paint in zip(_WALL_YAWS, paints, strict=True):
        out = np.round([-np.sin(yaw), np.cos(yaw), 0.0])
        right = np.round([np.cos(yaw), np.sin(yaw), 0.0])
        along, away = abs(right @ half) + 0.05, abs(out @ half)
        builder.plane(out * away + (0, 0, half[2]), right * along, (0, 0, half[2] + 0.05), paint)


def _shell(builder: SceneBuilder, palette: Palette, size: np.ndarray) -> None:
    """Floor, ceiling with beams, four walls with skirting boards."""
    x, y, z = size / 2
    over = 0.05
    builder.plane((0, 0, 0), (x + over, 0, 0), (0, y + over, 0), palette.paint("planks tiles planks", 1.6))
    ceiling = palette.paint("plaster rough", 2.5)
    builder.plane((0, 0, 2 * z), (x + over, 0, 0), (0, -y - over, 0), Paint(ceiling.material, 2.5, (1.1, 1.08, 1.04)))
    beam = palette.paint("wood", 1.2)
    for at in np.linspace(-0.8, 0.8, 5) * x:
        builder.box((at, 0, 2 * z - 0.07), (0.12, 2 * y, 0.14), beam, skip="top front back")
    skirting = palette.paint("wood", 0.8)
    kinds = ["bricks", "wallpaper", "rough", "wallpaper"]
    wall_paint = {k: palette.paint(k, 1.1 if k == "bricks" else 1.7) for k in dict.fromkeys(kinds)}
    shift = int(palette.rng.integers(4))
    _walls(builder, size / 2, [wall_paint[kinds[(k + shift) % 4]] for k in range(4)])
    for k, yaw in enumerate(_WALL_YAWS):
        along, away = (x, y) if k % 2 == 0 else (y, x)
        place = Place(builder, palette, np.zeros(3), yaw)
        place.box((0, away - 0.01, 0.05), (2 * along, 0.02, 0.1), skirting, "back bottom")


def _furnish(place: Place, length: float, reach: float, order: list[tuple[Piece, float]]) -> list[tuple[Piece, float]]:
    """Fill one wall from left to right, leaving the corners free; returns the pieces not used."""
    left, end = -length / 2 + 0.75, length / 2 - 0.75
    rest = list(order)
    for piece in order:
        build, width = piece
        if left + width > end + 0.25:
            continue
        rest.remove(piece)
        build(place.moved((left + width / 2, reach / 2, 0)), width)
        left += width + place.rng.uniform(0.1, 0.3)
    return rest


def _lighting(rng: np.random.Generator, size: np.ndarray) -> Lighting:
    warm = np.array([1.0, 0.93, 0.82])
    lamps = np.array([[-0.22, 0.1, 1.0], [0.25, -0.12, 1.0]]) * size - (0, 0, 0.35)
    strength = rng.uniform(1.1, 1.5, (2, 1))
    return Lighting(
        ambient_up=np.array([0.72, 0.72, 0.75]), ambient_down=np.array([0.60, 0.57, 0.54]),
        lamps=lamps, lamp_colours=strength * warm,
    )  # fmt: skip
