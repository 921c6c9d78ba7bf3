"""Outdoor scenes: a city block with a street all around it."""

import numpy as np

from vgslam_train.worlds.furniture import Palette, Place
from vgslam_train.worlds.lighting import Lighting, bake
from vgslam_train.worlds.motion import Motion
from vgslam_train.worlds.shading import Sky
from vgslam_train.worlds.surfaces import Paint, SceneBuilder
from vgslam_train.worlds.textures import TextureBank
from vgslam_train.worlds.trajectories import Region
from vgslam_train.worlds.world import World

ROAD_M = 9.0  # from kerb to kerb
WALK_M = 3.0  # width of a pavement


def street(
    seed: int, bank: TextureBank, variants: int = 3, shadow_rays: int = 0, grid: int = 8, traffic: int = 0
) -> World:
    """A block of houses in the middle, houses on the far side of the street around it, parked cars, trees, lamp posts,
    hills in the distance, sky. Cameras drive around the block. `traffic` cars drive along the first street."""
    rng = np.random.default_rng([seed, 3])
    builder = SceneBuilder(rng)
    palette = Palette(bank, rng, variants)
    half = np.array([rng.uniform(24, 40), rng.uniform(16, 28)])  # of the block, pavement included
    _ground(builder, palette, half)
    _houses(builder, palette, half)
    for yaw, along, away in _streets(half):
        _street_side(Place(builder, palette, np.zeros(3), yaw), along, away)
    _hills(builder, palette)
    motions = [_moving_car(builder, palette, half) for _ in range(traffic)]
    planes, quadrics = builder.planes(), builder.quadrics()
    azimuth, height = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(25, 65))
    sun = np.array([np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)])
    lighting = Lighting(
        ambient_up=np.array([0.62, 0.66, 0.74]), ambient_down=np.array([0.42, 0.40, 0.38]), sun=sun,
        sun_colour=rng.uniform(0.1, 0.6) * np.array([1.0, 0.95, 0.85]),
    )  # fmt: skip
    light_map = bake(planes, quadrics, lighting, grid, shadow_rays, seed)
    lane = half + ROAD_M * 0.5
    free = Region(np.array([*-lane, 1.3]), np.array([*lane, 1.9]), np.array([0.0, 0.0, 4.0]))
    sky = Sky(bank.material("sky", int(rng.integers(variants))))
    scene = (planes, quadrics, builder.looks(), lighting, light_map, bank, free, sky)
    return World("street", seed, *scene, motions=tuple(motions))


def _streets(half: np.ndarray) -> list[tuple[float, float, float]]:
    """Per side of the block: turn of a frame whose y points away from it, half length, distance of its kerb."""
    x, y = float(half[0]), float(half[1])
    return [(0.0, x, y), (-np.pi / 2, y, x), (np.pi, x, y), (np.pi / 2, y, x)]


def _ground(builder: SceneBuilder, palette: Palette, half: np.ndarray) -> None:
    """Road, grass behind the houses, raised pavements on both sides of the street."""
    builder.plane((0, 0, -0.02), (250, 0, 0), (0, 250, 0), palette.paint("grass", 4.0))
    outer = half + ROAD_M + WALK_M
    builder.plane((0, 0, 0), (outer[0], 0, 0), (0, outer[1], 0), palette.paint("asphalt", 3.0))
    paving = palette.paint("tiles rough", 1.6)
    builder.box((0, 0, 0.05), (2 * half[0], 2 * half[1], 0.12), paving, skip="bottom")
    for yaw, along, away in _streets(half):
        place = Place(builder, palette, np.zeros(3), yaw)
        length = 2 * (along + ROAD_M + WALK_M)
        place.box((0, away + ROAD_M + WALK_M / 2, 0.05), (length, WALK_M, 0.12), paving, "bottom")
        line = palette.paint("plaster", 2.0)
        for x in np.arange(-along, along, 6.0):
            place.box((x, away + ROAD_M / 2, 0.004), (2.5, 0.15, 0.008), line, "bottom front back left right")


def _houses(builder: SceneBuilder, palette: Palette, half: np.ndarray) -> None:
    """Rows of houses: the block's own, facing outwards, and those across the street, facing the block."""
    for yaw, along, away in _streets(half):
        place = Place(builder, palette, np.zeros(3), yaw)
        _row(place, along - WALK_M, away - WALK_M, -1)
        _row(place, along + ROAD_M + WALK_M, away + ROAD_M + WALK_M, +1)


def _row(place: Place, along: float, front: float, side: int) -> None:
    """Houses along x in -along..along with their fronts at y = front, standing towards side * y."""
    rng, depth, x = place.rng, 7.0, -along
    while x < along - 3:
        width = min(rng.uniform(6, 13), along - x)
        if rng.random() < (0.12 if side > 0 else 0.0):
            x += width
            continue
        height = rng.uniform(5, 14)
        setback = rng.uniform(0, 0.8)
        y = front + side * (depth / 2 + setback)
        wall = place.palette.paint("facade facade bricks", rng.uniform(5, 8), (0.8, 1.2))
        roof = place.palette.paint("tiles rough", 3.0)
        place.box((x + width / 2, y, height / 2), (width - 0.02, depth, height), wall, "bottom", top=roof)
        shop(place.moved((x + width / 2, front + side * setback, 0), 0.0 if side > 0 else np.pi), width)
        x += width


def shop(place: Place, width: float) -> None:
    """Door, sign and shop window on a house front at y = 0 facing -y."""
    rng = place.rng
    if rng.random() < 0.6:
        board = place.palette.paint("letters")
        size = (width * rng.uniform(0.4, 0.8), 0.2, 0.8)
        place.box((0, -0.1, rng.uniform(2.9, 3.4)), size, board, "back", front=board)
    leaf = place.palette.paint("door")
    place.box((rng.uniform(-0.3, 0.3) * width, -0.05, 1.15), (1.2, 0.1, 2.3), leaf, "back bottom", front=leaf)
    pane = place.palette.paint("window painting")
    place.box((rng.choice([-0.32, 0.32]) * width, -0.05, 1.5), (0.25 * width, 0.1, 1.6), pane, "back", front=pane)


def _street_side(place: Place, along: float, away: float) -> None:
    """Parked cars at both kerbs, trees and lamp posts on the pavements."""
    rng = place.rng
    for x in np.arange(-along + 4, along - 4, 6.5):
        for y, turn in ((away + 1.1, 0.0), (away + ROAD_M - 1.1, np.pi)):
            if rng.random() < 0.4:
                car(place.moved((x + rng.uniform(-0.8, 0.8), y, 0), turn))
        for y in (away - 0.7, away + ROAD_M + 0.7):
            choice = rng.random()
            if choice < 0.3:
                tree(place.moved((x + rng.uniform(-1, 1), y, 0.1)))
            elif choice < 0.45:
                lamp_post(place.moved((x + rng.uniform(-1, 1), y, 0.1)))


def car(place: Place) -> None:
    """A car of boxes along x, wheels on the ground at z = 0."""
    length, width = place.rng.uniform(3.8, 4.6), 1.75
    paint = place.palette.dyed("plaster rough", 2.0)
    glass = Paint(place.palette.bank.material("window", 0), None, (0.35, 0.4, 0.45))
    dark = Paint(paint.material, 1.0, (0.1, 0.1, 0.1))
    place.box((0, 0, 0.6), (length, width, 0.6), paint, "bottom")
    place.box((-0.1 * length, 0, 1.15), (0.52 * length, width - 0.2, 0.5), glass, "bottom", top=paint)
    for x in (-0.3, 0.3):
        for y in (-1, 1):
            place.builder.plane(
                place.at((x * length, y * (width / 2 + 0.01), 0.32)),
                place.turn((-y * 0.32, 0, 0)), (0, 0, 0.32), dark, is_disc=True,
            )  # fmt: skip
    place.box((length / 2, 0, 0.55), (0.04, width * 0.95, 0.18), place.palette.paint("letters"), "left bottom")


def tree(place: Place) -> None:
    height = place.rng.uniform(2.2, 3.2)
    trunk = place.rng.uniform(0.1, 0.2)
    place.builder.cylinder(place.at((0, 0, height / 2)), trunk, height, place.palette.paint("wood", 0.6))
    leaf = place.palette.paint("grass", 1.6, (0.7, 1.2))
    for _ in range(3):
        offset = place.rng.normal(0, 0.5, 3)
        place.builder.ellipsoid(place.at((0, 0, height + 0.9)) + offset, place.rng.uniform(0.8, 1.5, 3), leaf)


def lamp_post(place: Place) -> None:
    place.builder.cylinder(place.at((0, 0, 2.2)), 0.07, 4.4, place.palette.dyed("rough", 0.5))
    place.builder.ellipsoid(place.at((0, 0, 4.5)), 0.22, place.palette.paint("plaster", 1.0))


def _hills(builder: SceneBuilder, palette: Palette) -> None:
    """A ring of far hills: large ellipsoids half in the ground."""
    for angle in np.arange(12) * np.pi / 6 + palette.rng.uniform(0, 0.3):
        distance = palette.rng.uniform(170, 220)
        radii = palette.rng.uniform((40, 40, 12), (80, 80, 40))
        center = (distance * np.cos(angle), distance * np.sin(angle), 0.0)
        builder.ellipsoid(center, radii, palette.paint("grass rough", 30.0, (0.8, 1.1)))


def _moving_car(builder: SceneBuilder, palette: Palette, half: np.ndarray) -> Motion:
    rng = palette.rng
    builder.body += 1
    start = np.array([rng.uniform(-half[0], half[0]), half[1] + ROAD_M * 0.62, 0.0])
    car(Place(builder, palette, start, 0.0))
    return Motion(pivot=start, velocity=np.array([rng.uniform(-9, 9), 0.0, 0.0]))
