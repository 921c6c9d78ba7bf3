"""Heaps of simple objects: boxes, balls and cylinders on a table top, a floor or hills, under the sky or in a hall."""

from dataclasses import dataclass

import numpy as np

from vgslam_train.worlds.furniture import Palette
from vgslam_train.worlds.lighting import Lighting, bake
from vgslam_train.worlds.motion import Motion
from vgslam_train.worlds.shading import Sky
from vgslam_train.worlds.surfaces import SceneBuilder
from vgslam_train.worlds.terrain import Terrain
from vgslam_train.worlds.textures import TextureBank
from vgslam_train.worlds.trajectories import Region
from vgslam_train.worlds.world import World

_KINDS = "rough wallpaper shapes bricks tiles wood planks fabric rug letters painting book_row facade plaster"


def clutter(
    seed: int, bank: TextureBank, variants: int = 3, shadow_rays: int = 0, grid: int = 8, moving: int = 0
) -> World:
    """15-35 objects of 0.2-1.2 m within 3 m of the middle, on a flat textured floor, inside four far walls or under
    the sky. `moving` of them swing and turn."""
    rng = np.random.default_rng([seed, 4])
    builder = SceneBuilder(rng)
    palette = Palette(bank, rng, variants)
    extent = rng.uniform(6, 10)
    builder.plane((0, 0, 0), (extent, 0, 0), (0, extent, 0), palette.paint("planks tiles rough rug asphalt grass", 2.0))
    outdoors = rng.random() < 0.5
    if not outdoors:
        for k in range(4):
            out = np.round([np.cos(k * np.pi / 2), np.sin(k * np.pi / 2), 0.0])
            right = np.array([out[1], -out[0], 0.0])
            builder.plane(out * extent + (0, 0, 2.5), right * extent, (0, 0, 2.5), palette.paint(_KINDS, 2.5))
        builder.plane((0, 0, 5.0), (extent, 0, 0), (0, -extent, 0), palette.paint("plaster tiles wood", 2.0))
    for _ in range(int(rng.integers(15, 36))):
        _object(builder, palette, _spot(rng, 3.0), 0.0)
    motions = [_moving_object(builder, palette) for _ in range(moving)]
    return _finish("clutter", seed, builder, bank, _Surroundings(shadow_rays, grid, outdoors, variants, tuple(motions)))


def hills(seed: int, bank: TextureBank, variants: int = 3, shadow_rays: int = 0, grid: int = 8) -> World:
    """A height field with some objects on it, under the sky."""
    rng = np.random.default_rng([seed, 5])
    builder = SceneBuilder(rng)
    palette = Palette(bank, rng, variants)
    terrain = Terrain.draw(rng, palette.paint("grass rough shapes asphalt", rng.uniform(2, 4)))
    for _ in range(int(rng.integers(6, 16))):
        at = _spot(rng, 6.0)
        _object(builder, palette, at, float(terrain.height(at[None])[0]) - 0.1)
    return _finish("hills", seed, builder, bank, _Surroundings(shadow_rays, grid, True, variants, terrain=terrain))


@dataclass(frozen=True)
class _Surroundings:
    shadow_rays: int
    grid: int
    outdoors: bool
    variants: int
    motions: tuple[Motion, ...] = ()
    terrain: Terrain | None = None


def _finish(kind: str, seed: int, builder: SceneBuilder, bank: TextureBank, around: _Surroundings) -> World:
    rng = builder.rng
    azimuth, height = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(30, 80))
    lighting = Lighting(
        ambient_up=np.full(3, rng.uniform(0.5, 0.7)), ambient_down=np.full(3, rng.uniform(0.3, 0.45)),
        sun=np.array([np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)]),
        sun_colour=rng.uniform(0.2, 0.6) * rng.uniform(0.85, 1.0, 3),
    )  # fmt: skip
    sky = Sky(bank.material("sky", int(rng.integers(around.variants)))) if around.outdoors else None
    planes, quadrics = builder.planes(), builder.quadrics()
    light_map = bake(planes, quadrics, lighting, around.grid, around.shadow_rays, seed)
    low = 0.6 if around.terrain is None else around.terrain.highest + 0.5
    free = Region(np.array([-5.0, -5.0, low]), np.array([5.0, 5.0, low + 2.4]), np.array([0.0, 0.0, 0.5]))
    scene = (planes, quadrics, builder.looks(), lighting, light_map, bank, free, sky)
    return World(kind, seed, *scene, motions=around.motions, terrain=around.terrain)


def _spot(rng: np.random.Generator, reach: float) -> np.ndarray:
    """A point (2,) within `reach` of the middle, denser near it."""
    angle, radius = rng.uniform(0, 2 * np.pi), reach * rng.uniform(0.1, 1.0)
    return np.array([radius * np.cos(angle), radius * np.sin(angle)])


def _object(builder: SceneBuilder, palette: Palette, at: np.ndarray, floor: float) -> None:
    rng = palette.rng
    size = rng.uniform(0.2, 1.2)
    paint = palette.paint(_KINDS, max(0.4, size), (0.75, 1.2))
    kind = rng.random()
    if kind < 0.5:
        shape = size * rng.uniform(0.4, 1.4, 3)
        builder.box((*at, floor + shape[2] / 2), shape, paint, rng.uniform(0, np.pi), skip="bottom")
    elif kind < 0.75:
        radii = 0.5 * size * rng.uniform(0.7, 1.2, 3)
        builder.ellipsoid((*at, floor + 0.8 * radii[2]), radii, paint)
    else:
        height = size * rng.uniform(0.5, 1.8)
        builder.cylinder((*at, floor + height / 2), 0.35 * size, height, paint)


def _moving_object(builder: SceneBuilder, palette: Palette) -> Motion:
    rng = palette.rng
    builder.body += 1
    at = _spot(rng, 3.0)
    _object(builder, palette, at, 0.0)
    swing = np.array([*rng.uniform(-1.0, 1.0, 2), 0.0])
    return Motion(np.array([*at, 0.0]), swing=swing, swing_hz=rng.uniform(0.1, 0.4), turn_rad_s=rng.uniform(-1, 1))
