"""A city: blocks of houses between two families of streets, as large as one likes, of which a view needs little.

Every block is closed all round and so is the row of houses around the city, and houses are higher than the camera
sees over: whoever is in a street sees that street from end to end, those that cross it close by, and the sky.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from vgslam_train.worlds.furniture import Palette, Place
from vgslam_train.worlds.lighting import Lighting, LightMap, bake
from vgslam_train.worlds.shading import Sky
from vgslam_train.worlds.streets import ROAD_M, WALK_M, car, lamp_post, shop, tree
from vgslam_train.worlds.surfaces import Looks, Paint, Planes, Quadrics, SceneBuilder
from vgslam_train.worlds.textures import TextureBank
from vgslam_train.worlds.trajectories import Region
from vgslam_train.worlds.world import World

Array = npt.NDArray[np.float64]

FRONT_M = ROAD_M / 2 + WALK_M
"""Distance of the house fronts from the middle of their street."""
HOUSE_DEPTH_M, HOUSE_WIDTH_M, HOUSE_HEIGHT_M = 7.0, (7.0, 13.0), (6.0, 15.0)
LARGEST_SETBACK_M = 0.8
PAVED_M = WALK_M + LARGEST_SETBACK_M
PATCH_M = 8.0
"""Length of a piece of road or pavement that shows a part of a texture of its own."""
CLEAR_M = 14.0
"""No car, tree or lamp post stands nearer to the middle of a crossing."""
IN_STREET_M = FRONT_M + 5.0
"""A camera this near to the middle of a street sees all of it."""
STRIP_M = 12.0
"""What is seen far down a street through a crossing lies within this distance of its middle: see `City.seen_from`."""
NEAR_M = 50.0
"""Everything nearer than this to the camera is kept."""


@dataclass(frozen=True)
class CityPlan:
    """Where the streets are: `shape` of them along y and along x, `pitch_m` apart, the first two crossing at (0, 0)."""

    shape: tuple[int, int] = (5, 5)
    pitch_m: tuple[float, float] = (80.0, 70.0)

    def middles(self, axis: int) -> Array:
        """Coordinate on `axis` (0: x, 1: y) of the middle of each street that runs along the other axis."""
        return np.arange(self.shape[axis], dtype=np.float64) * self.pitch_m[axis]

    def crossing(self, i: int, j: int) -> Array:
        """Middle (2,) of a crossing."""
        return np.array([i * self.pitch_m[0], j * self.pitch_m[1]])


@dataclass(frozen=True)
class City:
    """A city and the means to render a part of it."""

    plan: CityPlan
    world: World
    """All of it."""
    centre: Array
    """(S,2): middle of every surface on the ground plan, planes first."""
    reach_m: Array
    """(S,): radius around it that holds the surface."""

    def seen_from(self, positions: Array) -> npt.NDArray[np.bool_]:
        """Surfaces (S,) that cameras in the streets at positions (N,2) may see, and some more.

        A ray from a street either stays in it until it ends at a house, or leaves it at a crossing. If that crossing
        begins D metres ahead, the ray came from within 9.5 m of its corner across the road, so it gains at most
        9.5 / D a metre, and a house stops it 15 m further on: from D = 100 m on that is within STRIP_M of the street's
        middle, down to D = 5 m within NEAR_M of the camera; nearer still, the other street is the camera's own too.
        """
        seen = np.zeros(len(self.centre), bool)
        for x, y in positions:
            away = np.hypot(self.centre[:, 0] - x, self.centre[:, 1] - y) - self.reach_m
            seen |= away <= NEAR_M
            for axis, at in enumerate((x, y)):
                for middle in self.plan.middles(axis):
                    if abs(at - middle) <= IN_STREET_M:
                        seen |= np.abs(self.centre[:, axis] - middle) - self.reach_m <= STRIP_M
        return seen

    def part(self, positions: Array) -> World:
        """The world of the surfaces that cameras at positions (N,2) may see."""
        w, seen = self.world, self.seen_from(positions)
        n = len(w.planes.center)
        chosen, curved = np.flatnonzero(seen[:n]), np.flatnonzero(seen[n:])
        looks = Looks(w.looks.material[seen], w.looks.tint[seen], w.looks.emission[seen])
        light = LightMap(w.light_map.nodes[chosen])
        return replace(
            w, planes=_planes_at(w.planes, chosen), quadrics=_quadrics_at(w.quadrics, curved), looks=looks,
            light_map=light, _appearances={},
        )  # fmt: skip


def city(seed: int, plan: CityPlan, bank: TextureBank, variants: int = 12, grid: int = 4) -> City:
    """The city of a seed, the same for the same arguments on any machine.

    variants: tiles of each kind of texture; no two houses show the same part of one in the same tint.
    """
    rng = np.random.default_rng([seed, 17])
    builder = SceneBuilder(rng)
    palette = Palette(bank, rng, variants)
    for i in range(plan.shape[0] - 1):
        for j in range(plan.shape[1] - 1):
            middle = 0.5 * (plan.crossing(i, j) + plan.crossing(i + 1, j + 1))
            _rows(builder, palette, middle, 0.5 * np.array(plan.pitch_m) - FRONT_M, -1)
    extent = plan.crossing(plan.shape[0] - 1, plan.shape[1] - 1)
    _rows(builder, palette, 0.5 * extent, 0.5 * extent + FRONT_M, +1)
    for axis in (0, 1):
        for middle in plan.middles(axis):
            _street(builder, palette, plan, axis, float(middle))
    planes, quadrics = builder.planes(), builder.quadrics()
    lighting = Lighting(
        ambient_up=np.array([0.62, 0.66, 0.74]), ambient_down=np.array([0.42, 0.40, 0.38]),
        sun=np.array([0.48, 0.36, 0.8]), sun_colour=np.array([0.35, 0.33, 0.3]),
    )  # fmt: skip
    sky = Sky(bank.material("sky", int(rng.integers(variants))))
    free = Region(np.array([0.0, 0.0, 1.3]), np.array([*extent, 1.9]), np.array([*0.5 * extent, 4.0]))
    light = bake(planes, quadrics, lighting, grid, 0, seed)
    world = World("city", seed, planes, quadrics, builder.looks(), lighting, light, bank, free, sky)
    centre = np.concatenate([planes.center, quadrics.center])[:, :2]
    return City(plan, world, centre, np.concatenate([planes.radius_m, quadrics.radius_m]))


def _rows(builder: SceneBuilder, palette: Palette, middle: Array, half: Array, side: int) -> None:
    """Houses on the four sides of a rectangle with the half sizes `half`, inside it facing out (side -1) or outside it
    facing in (+1)."""
    x, y = float(half[0]), float(half[1])
    for yaw, along, away in ((0.0, x, y), (-np.pi / 2, y, x), (np.pi, x, y), (np.pi / 2, y, x)):
        place = Place(builder, palette, np.array([*middle, 0.0]), yaw)
        _row(place, along + (HOUSE_DEPTH_M if side > 0 else 0.0), away, side)


def _row(place: Place, along: float, front: float, side: int) -> None:
    """Houses without a gap along x in -along..along with their fronts at about y = front, standing towards side * y.
    Backs and roofs are left out: nobody sees them."""
    rng, x = place.rng, -along
    while x < along:
        width = rng.uniform(*HOUSE_WIDTH_M)
        if along - x - width < HOUSE_WIDTH_M[0]:
            width = along - x
        height, setback = rng.uniform(*HOUSE_HEIGHT_M), rng.uniform(0.02, LARGEST_SETBACK_M)
        wall = place.palette.paint("facade facade facade bricks", rng.uniform(7, 10), (0.75, 1.25))
        stone = place.palette.paint("bricks", 5.0, (0.7, 1.1))
        hidden = "bottom top front" if side < 0 else "bottom top back"
        face = {"back" if side < 0 else "front": wall}
        y = front + side * (HOUSE_DEPTH_M / 2 + setback)
        place.box((x + width / 2, y, height / 2), (width, HOUSE_DEPTH_M, height), stone, hidden, **face)
        shop(place.moved((x + width / 2, front + side * setback, 0), 0.0 if side > 0 else np.pi), width)
        x += width


def _street(builder: SceneBuilder, palette: Palette, plan: CityPlan, axis: int, middle: float) -> None:
    """Road, pavements, cars, trees and lamp posts of the street at coordinate `middle` on `axis`, in its own frame: x
    along it, y = 0 in its middle. The streets along x (axis 1) pave the crossings and the corners of the pavements."""
    if axis == 1:
        place = Place(builder, palette, np.array([0.0, middle, 0.0]), 0.0)
    else:
        place = Place(builder, palette, np.array([middle, 0.0, 0.0]), np.pi / 2)
    crossings, first, last = plan.middles(1 - axis), 0.0, plan.middles(axis)[-1]
    outside = {(-1 if axis == 1 else 1): middle == first, (1 if axis == 1 else -1): middle == last}
    kerb, wall = ROAD_M / 2, ROAD_M / 2 + PAVED_M
    for begin, end in pairwise(crossings):
        _road(place, begin + kerb, end - kerb)
        for sign in (-1, 1):
            _kerbside(place, begin + CLEAR_M, end - CLEAR_M, sign)
            if not outside[sign]:
                corner = kerb if axis == 1 else wall
                _pavement(place, begin + corner, end - corner, sign)
    for sign in (-1, 1):
        if outside[sign]:
            corner = wall if axis == 1 else kerb
            _pavement(place, crossings[0] - corner, crossings[-1] + corner, sign)
    if axis == 1:
        for at in crossings:
            _road(place, at - kerb, at + kerb, is_marked=False)


def _road(place: Place, begin: float, end: float, is_marked: bool = True) -> None:
    """Asphalt in pieces, two across, and a broken line in the middle."""
    edges = np.linspace(begin, end, max(1, round((end - begin) / PATCH_M)) + 1)
    for low, high in pairwise(edges):
        for sign in (-1, 1):
            paint = place.palette.paint("asphalt", place.rng.uniform(3, 5), (0.75, 1.1))
            _flat(place, (low, high), (min(0, sign * ROAD_M / 2), max(0, sign * ROAD_M / 2)), 0.0, paint)
        if is_marked:
            line = place.palette.paint("plaster rough", 2.0, (1.0, 1.2))
            x = low + 0.3 * (high - low)
            _flat(place, (x, x + 2.5), (-0.08, 0.08), 0.006, line)


def _pavement(place: Place, begin: float, end: float, sign: int) -> None:
    """Slabs in pieces, up to below the houses, with a kerb of 0.12 m towards the road."""
    edges = np.linspace(begin, end, max(1, round((end - begin) / PATCH_M)) + 1)
    for low, high in pairwise(edges):
        paint = place.palette.paint("tiles", place.rng.uniform(2, 3.5), (0.8, 1.15))
        middle, size = ((low + high) / 2, sign * (ROAD_M + PAVED_M) / 2, 0.06), (high - low, PAVED_M, 0.12)
        hidden = "bottom back" if sign > 0 else "bottom front"
        place.box(middle, size, place.palette.paint("rough", 1.5), hidden, top=paint)


def _flat(place: Place, x: tuple[float, float], y: tuple[float, float], z: float, paint: Paint) -> None:
    """A level rectangle seen from above."""
    centre = place.at((sum(x) / 2, sum(y) / 2, z))
    half_x, half_y = place.turn(((x[1] - x[0]) / 2, 0, 0)), place.turn((0, (y[1] - y[0]) / 2, 0))
    place.builder.plane(centre, half_x, half_y, paint)


def _kerbside(place: Place, begin: float, end: float, sign: int) -> None:
    """Parked cars at the kerb, trees and lamp posts on the pavement of one side."""
    rng = place.rng
    for x in np.arange(begin, end, 6.5):
        if rng.random() < 0.45:
            car(place.moved((x + rng.uniform(-0.8, 0.8), sign * (ROAD_M / 2 - 1.1), 0), 0.0 if sign < 0 else np.pi))
        choice = rng.random()
        spot = (x + rng.uniform(-1, 1), sign * (ROAD_M / 2 + 0.7), 0.1)
        if choice < 0.25:
            tree(place.moved(spot))
        elif choice < 0.4:
            lamp_post(place.moved(spot))


def _planes_at(planes: Planes, chosen: npt.NDArray[np.int64]) -> Planes:
    return Planes(*(getattr(planes, name)[chosen] for name in (
        "center", "axis_a", "axis_b", "normal", "uv", "tiles_per_m", "is_disc", "body",
    )))  # fmt: skip


def _quadrics_at(quadrics: Quadrics, chosen: npt.NDArray[np.int64]) -> Quadrics:
    return Quadrics(*(getattr(quadrics, name)[chosen] for name in (
        "center", "to_unit", "is_cylinder", "tiles_per_m", "radius_m", "body",
    )))  # fmt: skip
