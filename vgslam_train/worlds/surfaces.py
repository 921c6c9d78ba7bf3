"""The surfaces of a procedural scene: textured rectangles and discs, ellipsoids and cylinder walls.

World axes: x and y horizontal, z up, metres. A surface belongs to a body; body 0 is the static scene, further bodies
may move. Surfaces are single-sided: seen from the side to which their normal points.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Vector = npt.ArrayLike

WHITE = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Paint:
    """How a surface looks."""

    material: int
    """A tile of the texture bank."""
    tile_m: float | None = 1.0
    """Side of a tile in metres; None: one tile spans the whole surface (pictures)."""
    tint: Vector = WHITE
    """A colour factor."""
    emission: float = 0.0
    """Added to the light that falls on the surface."""


@dataclass(frozen=True)
class Planes:
    """P flat surfaces, point = center + s axis_a + t axis_b with s, t in -1..1 (discs: s² + t² <= 1), in the axes of
    the body."""

    center: Array
    axis_a: Array
    axis_b: Array
    normal: Array
    """axis_a x axis_b, unit length."""
    uv: Array
    """(P,2,3): tile coordinates = uv[:, :, :2] @ (s, t) + uv[:, :, 2]."""
    tiles_per_m: Array
    """(P,): converts a length on the surface to tiles."""
    is_disc: npt.NDArray[np.bool_]
    body: npt.NDArray[np.int64]

    @cached_property
    def corners(self) -> Array:
        """Corners (P,4,3) in order around the outline (of a disc: of the square around it)."""
        signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float64)
        return self.center[:, None] + signs[:, :1] * self.axis_a[:, None] + signs[:, 1:] * self.axis_b[:, None]

    @cached_property
    def radius_m(self) -> Array:
        """Radius (P,) of the sphere around each centre that holds the corners."""
        return np.sqrt(np.sum(self.axis_a**2 + self.axis_b**2, axis=1))


@dataclass(frozen=True)
class Quadrics:
    """C curved surfaces."""

    center: Array
    to_unit: Array
    """(C,3,3): maps (X - center) to a unit sphere, or to the unit cylinder |z| <= 1."""
    is_cylinder: npt.NDArray[np.bool_]
    tiles_per_m: Array
    radius_m: Array
    """(C,): radius of a bounding sphere."""
    body: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Looks:
    """How surfaces look, planes first."""

    material: npt.NDArray[np.int64]
    """(S,) int64."""
    tint: Array
    """(S,3)."""
    emission: Array
    """(S,)."""


@dataclass
class SceneBuilder:
    """Collects surfaces; `rng` shifts each texture so that no two surfaces show the same part."""

    rng: np.random.Generator
    body: int = 0
    _planes: list[tuple[Array, Array, Array, Array, float, bool, int]] = field(default_factory=list)
    _quadrics: list[tuple[Array, Array, bool, float, float, int]] = field(default_factory=list)
    _plane_paint: list[Paint] = field(default_factory=list)
    _quadric_paint: list[Paint] = field(default_factory=list)

    def plane(self, center: Vector, axis_a: Vector, axis_b: Vector, paint: Paint, is_disc: bool = False) -> None:
        """Add a rectangle (or disc) with perpendicular half-axes a and b, visible from the side of a x b.

        Pictures: the image's x runs along a and its y (downwards) along -b.
        """
        c, a, b = (np.asarray(x, np.float64) for x in (center, axis_a, axis_b))
        half_a, half_b = np.linalg.norm(a), np.linalg.norm(b)
        if paint.tile_m is None:
            uv = np.array([[0.5, 0.0, 0.5], [0.0, -0.5, 0.5]])
            tiles_per_m = max(0.5 / float(half_a), 0.5 / float(half_b))
        else:
            shift = self.rng.uniform(0, 1, 2)
            uv = np.array([[half_a / paint.tile_m, 0, shift[0]], [0, -half_b / paint.tile_m, shift[1]]])
            tiles_per_m = 1 / paint.tile_m
        self._planes.append((c, a, b, uv, float(tiles_per_m), is_disc, self.body))
        self._plane_paint.append(paint)

    def box(self, center: Vector, size: Vector, paint: Paint, yaw: float = 0.0, faces: dict[str, Paint] | None = None,
            skip: str = "") -> None:  # fmt: skip
        """Add a box of full `size` (3,), turned by `yaw` rad about z.

        Faces are named by the box's own axes: front (-y), back (+y), left (-x), right (+x), top, bottom; `faces`
        overrides the paint of some, `skip` lists names (separated by blanks) of faces to leave out.
        """
        c, half = np.asarray(center, np.float64), 0.5 * np.asarray(size, np.float64)
        ex = np.array([np.cos(yaw), np.sin(yaw), 0.0])
        ey = np.array([-np.sin(yaw), np.cos(yaw), 0.0])
        ez = np.array([0.0, 0.0, 1.0])
        sides = {
            "front": (-ey * half[1], ex * half[0], ez * half[2]),
            "back": (ey * half[1], -ex * half[0], ez * half[2]),
            "left": (-ex * half[0], -ey * half[1], ez * half[2]),
            "right": (ex * half[0], ey * half[1], ez * half[2]),
            "top": (ez * half[2], ex * half[0], ey * half[1]),
            "bottom": (-ez * half[2], ex * half[0], -ey * half[1]),
        }
        for name, (offset, a, b) in sides.items():
            if name not in skip.split():
                self.plane(c + offset, a, b, (faces or {}).get(name, paint))

    def ellipsoid(self, center: Vector, radii: Vector, paint: Paint) -> None:
        """Add an axis-parallel ellipsoid with three radii in metres."""
        r = np.broadcast_to(np.asarray(radii, np.float64), (3,))
        self._add_quadric(center, np.diag(1 / r), False, paint, float(r.max()))

    def cylinder(self, center: Vector, radius_m: float, height_m: float, paint: Paint) -> None:
        """Add an upright closed cylinder."""
        half = 0.5 * height_m
        to_unit = np.diag([1 / radius_m, 1 / radius_m, 1 / half])
        self._add_quadric(center, to_unit, True, paint, float(np.hypot(radius_m, half)))
        c = np.asarray(center, np.float64)
        for sign in (1.0, -1.0):
            axis_b = (0.0, sign * radius_m, 0.0)
            self.plane(c + np.array([0, 0, sign * half]), (radius_m, 0, 0), axis_b, paint, is_disc=True)

    def _add_quadric(self, center: Vector, to_unit: Array, is_cylinder: bool, paint: Paint, radius_m: float) -> None:
        tiles_per_m = 1.0 if paint.tile_m is None else 1 / paint.tile_m
        self._quadrics.append(
            (np.asarray(center, np.float64), to_unit, is_cylinder, tiles_per_m, radius_m, self.body)
        )
        self._quadric_paint.append(paint)

    def planes(self) -> Planes:
        rows = self._planes
        a, b = _stack(rows, 1, (3,)), _stack(rows, 2, (3,))
        normal = np.cross(a, b)
        return Planes(
            center=_stack(rows, 0, (3,)), axis_a=a, axis_b=b,
            normal=normal / np.linalg.norm(normal, axis=1, keepdims=True),
            uv=_stack(rows, 3, (2, 3)), tiles_per_m=_stack(rows, 4, ()),
            is_disc=np.array([r[5] for r in rows], bool), body=np.array([r[6] for r in rows], np.int64),
        )  # fmt: skip

    def quadrics(self) -> Quadrics:
        rows = self._quadrics
        return Quadrics(
            center=_stack(rows, 0, (3,)), to_unit=_stack(rows, 1, (3, 3)),
            is_cylinder=np.array([r[2] for r in rows], bool), tiles_per_m=_stack(rows, 3, ()),
            radius_m=_stack(rows, 4, ()), body=np.array([r[5] for r in rows], np.int64),
        )  # fmt: skip

    def looks(self) -> Looks:
        paints = self._plane_paint + self._quadric_paint
        return Looks(
            np.array([p.material for p in paints], np.int64),
            np.array([np.broadcast_to(np.asarray(p.tint, np.float64), (3,)) for p in paints]).reshape(-1, 3),
            np.array([p.emission for p in paints], np.float64),
        )


def _stack(rows: list, column: int, shape: tuple[int, ...]) -> Array:
    return np.array([r[column] for r in rows], np.float64).reshape(len(rows), *shape)
