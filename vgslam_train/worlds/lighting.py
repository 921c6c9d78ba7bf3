"""Fixed light of a scene: matt surfaces only, so that a point looks the same from everywhere.

Light on planes is computed once per world on a grid of nodes per plane (a light map), with or without shadows.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from vgslam_train.worlds.surfaces import Planes, Quadrics

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Lighting:
    """The light in a scene. Colours (3,) are factors on the texture."""

    ambient_up: Array
    """Light on surfaces that face up; between up and down the normal blends the two."""
    ambient_down: Array
    """Light on surfaces that face down."""
    sun: Array = field(default_factory=lambda: np.array([0.0, 0.0, 1.0]))
    """(3,): direction from the scene to the sun, unit length."""
    sun_colour: Array = field(default_factory=lambda: np.zeros(3))
    """(3,)."""
    lamps: Array = field(default_factory=lambda: np.zeros((0, 3)))
    """(L,3): positions in metres."""
    lamp_colours: Array = field(default_factory=lambda: np.zeros((0, 3)))
    """(L,3): value at 1 m, falling off as 1 / (0.5 + 0.5 d²)."""
    lamp_radius_m: float = 0.25
    """Sets the softness of the lamps' shadows."""

    def ambient(self, normals: torch.Tensor) -> torch.Tensor:
        """Light from all around on surfaces with normals (...,3): (...,3)."""
        up = 0.5 + 0.5 * normals[..., 2:]
        return up * _like(self.ambient_up, normals) + (1 - up) * _like(self.ambient_down, normals)

    def lamp(self, k: int, points: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
        """Light of lamp k without shadow at points (...,3): (...,3)."""
        to_lamp = _like(self.lamps[k], points) - points
        d2 = (to_lamp * to_lamp).sum(-1, keepdim=True)
        cosine = ((to_lamp * normals).sum(-1, keepdim=True) / d2.sqrt().clamp(min=1e-6)).clamp(min=0)
        return cosine / (0.5 + 0.5 * d2) * _like(self.lamp_colours[k], points)

    def sunlight(self, normals: torch.Tensor) -> torch.Tensor:
        cosine = (normals * _like(self.sun, normals)).sum(-1, keepdim=True).clamp(min=0)
        return cosine * _like(self.sun_colour, normals)

    def unshadowed(self, points: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
        """All light at points (...,3) with unit normals (...,3): (...,3)."""
        up = torch.full_like(normals[..., 2], 0.5).add_(normals[..., 2], alpha=0.5)
        facing = torch.stack([torch.ones_like(up), up, (normals @ _like(self.sun, normals)).clamp_(min=0)], -1)
        colours = np.stack([self.ambient_down, self.ambient_up - self.ambient_down, self.sun_colour])
        total = facing @ _like(colours, normals)
        for k in range(len(self.lamps)):
            total = total + self.lamp(k, points, normals)
        return total


def _like(x: Array, other: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(x, dtype=other.dtype, device=other.device)


@dataclass(frozen=True)
class LightMap:
    """nodes (P,G,G,3) float32: light on plane p at s, t = -1 + 2 i / (G - 1), first index along t."""

    nodes: npt.NDArray[np.float32]

    @property
    def grid(self) -> int:
        return int(self.nodes.shape[1])


_SMALL_M = 0.35  # planes with both half-axes below this get a coarse light map
_COARSE = 4


def bake(planes: Planes, quadrics: Quadrics, lighting: Lighting, grid: int, shadow_rays: int, seed: int) -> LightMap:
    """Light map with `grid` nodes a side. shadow_rays = 0: no shadows; otherwise that many rays per lamp, for the
    sun, and for the share of ambient light that reaches a node (objects within 1 m take it away).

    With shadows, planes under 0.7 m are computed on a grid of 4 nodes and interpolated.
    """
    if shadow_rays == 0:
        points, normals = _nodes(planes, np.arange(len(planes.center)), grid)
        return LightMap(lighting.unshadowed(points, normals).numpy())
    occluders = _Occluders(planes, quadrics)
    out = np.zeros((len(planes.center), grid, grid, 3), np.float32)
    half = np.maximum(np.linalg.norm(planes.axis_a, axis=1), np.linalg.norm(planes.axis_b, axis=1))
    for chosen, nodes in ((half >= _SMALL_M, grid), (half < _SMALL_M, min(grid, _COARSE))):
        points, normals = _nodes(planes, np.flatnonzero(chosen), nodes)
        light = _shadowed(occluders, lighting, points.reshape(-1, 3), normals.reshape(-1, 3), shadow_rays, seed)
        image = light.view(-1, nodes, nodes, 3).permute(0, 3, 1, 2)
        image = torch.nn.functional.interpolate(image, (grid, grid), mode="bilinear", align_corners=True)
        out[chosen] = image.permute(0, 2, 3, 1).numpy()
    return LightMap(out)


def _nodes(planes: Planes, chosen: npt.NDArray[np.int64], grid: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points and normals (n,G,G,3) float32 of the light map nodes of the chosen planes."""
    axis = np.clip(np.linspace(-1, 1, grid), -0.98, 0.98)
    s, t = np.meshgrid(axis, axis)
    points = (
        planes.center[chosen, None, None]
        + s[..., None] * planes.axis_a[chosen, None, None]
        + t[..., None] * planes.axis_b[chosen, None, None]
    )
    normals = np.broadcast_to(planes.normal[chosen, None, None], points.shape)
    return torch.from_numpy(points.astype(np.float32)), torch.from_numpy(normals.astype(np.float32))


class _Occluders:
    """All surfaces as obstacles for straight segments."""

    def __init__(self, planes: Planes, quadrics: Quadrics) -> None:
        def cast(x: Array) -> torch.Tensor:
            return torch.from_numpy(x.astype(np.float32))

        self.normal = cast(planes.normal).T
        self.dual = [cast(x / (x * x).sum(1, keepdims=True)).T for x in (planes.axis_a, planes.axis_b)]
        self.offset = [cast((planes.center * x.numpy().T).sum(1)) for x in (self.normal, *self.dual)]
        self.is_disc = torch.from_numpy(planes.is_disc)
        self.center, self.to_unit = cast(quadrics.center), cast(quadrics.to_unit)

    def reached(self, start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
        """Segments (M,3) to (M,3): 1 where free, 0 where something is in between, (M,)."""
        return torch.cat([self._free(a, b) for a, b in zip(start.split(4096), end.split(4096), strict=True)])

    def _free(self, start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
        way = end - start
        depth = (self.offset[0] - start @ self.normal) / _nonzero(way @ self.normal)
        s = start @ self.dual[0] - self.offset[1] + depth * (way @ self.dual[0])
        t = start @ self.dual[1] - self.offset[2] + depth * (way @ self.dual[1])
        inside = torch.where(self.is_disc, torch.hypot(s, t), torch.maximum(s.abs(), t.abs())) < 1
        blocked = (inside & (depth > 1e-3) & (depth < 0.999)).any(1)
        for center, to_unit in zip(self.center, self.to_unit, strict=True):
            o, r = (start - center) @ to_unit.T, way @ to_unit.T
            nearest = o - r * ((o * r).sum(1) / (r * r).sum(1).clamp(min=1e-9))[:, None]
            along = -(o * r).sum(1) / (r * r).sum(1).clamp(min=1e-9)
            blocked |= ((nearest * nearest).sum(1) < 0.98) & (along > 0) & (along < 1) & ((o * o).sum(1) > 1.02)
        return (~blocked).float()


def _nonzero(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x.abs() < 1e-9, torch.full_like(x, 1e-9), x)


def _shadowed(
    occluders: _Occluders, lighting: Lighting, points: torch.Tensor, normals: torch.Tensor, rays: int, seed: int
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    start = points + 2e-3 * normals
    # the same few offsets for every node: stripes would show less than noise does
    jitter = torch.nn.functional.normalize(torch.randn(rays, 3, generator=generator), dim=1)
    total = lighting.ambient(normals) * _openness(occluders, start, normals, rays, generator)[:, None]
    for k in range(len(lighting.lamps)):
        lamp = _like(lighting.lamps[k], points)
        ends = [(lamp + lighting.lamp_radius_m * j).expand_as(start) for j in jitter]
        total = total + lighting.lamp(k, points, normals) * _share(occluders, start, ends)
    sun = _like(lighting.sun, points)
    if np.any(lighting.sun_colour > 0):
        ends = [start + 200.0 * (sun + 0.02 * j) for j in jitter]
        total = total + lighting.sunlight(normals) * _share(occluders, start, ends)
    return total


def _share(occluders: _Occluders, start: torch.Tensor, ends: list[torch.Tensor]) -> torch.Tensor:
    """Share 0..1 of the `ends`, each (M,3), that are in sight of `start` (M,3): (M,1)."""
    return torch.stack([occluders.reached(start, end) for end in ends]).mean(0)[:, None]


def _openness(
    occluders: _Occluders, start: torch.Tensor, normals: torch.Tensor, rays: int, generator: torch.Generator
) -> torch.Tensor:
    """Cosine-weighted share 0..1 of directions in which nothing is nearer than 1 m."""
    total = torch.zeros(len(start))
    count = 3 * rays
    for _ in range(count):
        direction = torch.nn.functional.normalize(torch.randn(1, 3, generator=generator), dim=1)
        way = torch.nn.functional.normalize(normals * 1.001 + direction, dim=1)
        total += occluders.reached(start, start + way)
    return 0.35 + 0.65 * total / count
