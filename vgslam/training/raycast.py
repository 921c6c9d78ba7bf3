"""Which surface each pixel's ray meets first, and at which depth; batched over frames, on any device."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from vgslam.training.projection import PlaneForms, QuadricForms

_TILES_PX = (6, 12, 24, 48)  # planes that fit a square of such a size are cast together, larger ones one by one
_OVERLAP = 1.0 - 2e-6  # planes reach this much further than their outline: no pinholes where two of them meet


@dataclass(frozen=True)
class Hits:
    """inverse_depth (N,H,W) float32 in 1/m along the optical axis, 0 where nothing is met; surface (N,H,W) int64.

    Surfaces are numbered planes first, then quadrics, then the terrain; -1 where nothing is met.
    """

    inverse_depth: torch.Tensor
    surface: torch.Tensor


@dataclass(frozen=True)
class _Canvas:
    """Buffers of one batch of frames; `surface` holds small whole numbers as float, which torch compares faster."""

    u: torch.Tensor
    v: torch.Tensor
    inverse_depth: torch.Tensor
    surface: torch.Tensor

    def keep_nearest(self, box: tuple[slice, slice], candidate: torch.Tensor, index: int) -> None:
        """candidate: inverse depth over the box, 0 where the surface is not met."""
        best, owner = self.inverse_depth[:, box[0], box[1]], self.surface[:, box[0], box[1]]
        nearer = torch.empty_like(candidate)
        torch.gt(candidate, best, out=nearer)
        torch.maximum(best, candidate, out=best)
        owner.addcmul_(nearer, float(index) - owner)


def cast(
    planes: PlaneForms, is_disc: npt.NDArray[np.bool_], quadrics: QuadricForms, is_cylinder: npt.NDArray[np.bool_],
    size: tuple[int, int], device: torch.device, ground: torch.Tensor | None = None,
) -> Hits:  # fmt: skip
    """First hits of N frames of `size` (height, width). The forms are copied to `device` once, as float32.

    ground (N,H,W): inverse depth of a terrain, numbered after the quadrics.
    """
    n = planes.forms.shape[0]
    canvas = _Canvas(
        torch.arange(size[1], dtype=torch.float32, device=device),
        torch.arange(size[0], dtype=torch.float32, device=device),
        torch.zeros((n, *size), device=device),
        torch.full((n, *size), -1.0, device=device),
    )
    scale = np.array([_OVERLAP, _OVERLAP, 1.0])[:, None]
    forms = torch.from_numpy((planes.forms * scale).astype(np.float32)).to(device)
    discs = torch.from_numpy(is_disc).to(device)
    for tiles in _tiles(canvas, planes.box):
        _cast_tiles(canvas, tiles, _meet_planes(tiles, forms, discs), 0)
    for p, box in _boxes(planes.box, _TILES_PX[-1]):
        _cast_plane(canvas, box, forms[:, p], p, bool(is_disc[p]))
    if quadrics.ray.shape[1]:
        _cast_quadrics(canvas, quadrics, is_cylinder, planes.forms.shape[1])
    if ground is not None:
        everywhere = (slice(0, size[0]), slice(0, size[1]))
        canvas.keep_nearest(everywhere, ground, planes.forms.shape[1] + quadrics.ray.shape[1])
    return Hits(canvas.inverse_depth.abs_(), canvas.surface.long())


def _side(box: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Longer side of boxes (...,4) in pixels."""
    return np.maximum(box[..., 2] - box[..., 0], box[..., 3] - box[..., 1])


def _boxes(box: npt.NDArray[np.int64], larger_than_px: int) -> list[tuple[int, tuple[slice, slice]]]:
    """Per surface that is large in some frame: its index, and the rows and columns that it covers in any of those."""
    seen = _side(box) > larger_than_px
    low = np.where(seen[..., None], box[..., :2], 1 << 30).min(0, initial=1 << 30)
    high = np.where(seen[..., None], box[..., 2:], 0).max(0, initial=0)
    return [
        (int(p), (slice(int(low[p, 1]), int(high[p, 1])), slice(int(low[p, 0]), int(high[p, 0]))))
        for p in np.flatnonzero(seen.any(0))
    ]


@dataclass(frozen=True)
class _Tiles:
    """M squares of T x T pixels, each for one surface in one frame.

    frame, surface (M,) int64; u, v (M,T) columns and rows (at the image edge some are repeated).
    """

    frame: torch.Tensor
    surface: torch.Tensor
    u: torch.Tensor
    v: torch.Tensor

    def evaluate(self, form: torch.Tensor) -> list[torch.Tensor]:
        """Linear forms (M,F,3) on the pixels: F tensors (M,T,T), rows first."""
        line = form[:, :, 0:1] * self.u[:, None].float() + form[:, :, 2:3]
        column = form[:, :, 1:2] * self.v[:, None].float()
        return [line[:, k, None, :] + column[:, k, :, None] for k in range(form.shape[1])]


def _tiles(canvas: _Canvas, box: npt.NDArray[np.int64]) -> Iterator[_Tiles]:
    """The small boxes among box (N,S,4), grouped by size."""
    device = canvas.u.device
    height, width = canvas.inverse_depth.shape[1:]
    side, smaller = _side(box), 0
    for size in _TILES_PX:
        frame, surface = np.nonzero((side > smaller) & (side <= size))
        smaller = size
        if len(frame) == 0:
            continue
        corner = torch.from_numpy(box[frame, surface]).to(device)
        step = torch.arange(size, device=device)
        u = (corner[:, 0:1] + step).clamp_(max=width - 1)
        v = (corner[:, 1:2] + step).clamp_(max=height - 1)
        yield _Tiles(torch.from_numpy(frame).to(device), torch.from_numpy(surface).to(device), u, v)


def _evaluate(canvas: _Canvas, box: tuple[slice, slice], form: torch.Tensor) -> list[torch.Tensor]:
    """Linear forms (N,F,3) on the pixels of a box: F tensors (N,h,w)."""
    line = form[:, :, 0:1] * canvas.u[box[1]]
    column = torch.addcmul(form[:, :, 2:3], form[:, :, 1:2], canvas.v[box[0]])
    return [line[:, k, None, :] + column[:, k, :, None] for k in range(form.shape[1])]


def _cast_plane(canvas: _Canvas, box: tuple[slice, slice], form: torch.Tensor, index: int, is_disc: bool) -> None:
    s, t, w = _evaluate(canvas, box, form)
    if is_disc:
        reach = torch.hypot(s, t)
    else:
        reach = torch.maximum(s.abs_(), t.abs_(), out=s)
    inside = torch.empty_like(w)
    torch.le(reach, w, out=inside)
    canvas.keep_nearest(box, inside.mul_(w), index)


def _meet_planes(tiles: _Tiles, forms: torch.Tensor, is_disc: torch.Tensor) -> torch.Tensor:
    """Inverse depth (M,T,T), 0 where a plane is not met."""
    s, t, w = tiles.evaluate(forms[tiles.frame, tiles.surface])
    disc = is_disc[tiles.surface][:, None, None]
    reach = torch.where(disc, torch.hypot(s, t), torch.maximum(s.abs(), t.abs()))
    return w * (reach <= w)


def _cast_tiles(canvas: _Canvas, tiles: _Tiles, inverse_depth: torch.Tensor, first: int) -> None:
    """Keep the nearest of the surfaces in all tiles at once; `first` is added to their numbers."""
    height, width = canvas.inverse_depth.shape[1:]
    m, row, col = (inverse_depth > 0).nonzero(as_tuple=True)
    candidate = inverse_depth[m, row, col]
    at = (tiles.frame[m] * height + tiles.v[m, row]) * width + tiles.u[m, col]
    best, owner = canvas.inverse_depth.view(-1), canvas.surface.view(-1)
    best.scatter_reduce_(0, at, candidate, "amax")
    nearest = (candidate >= best[at]).nonzero()[:, 0]
    owner[at[nearest]] = (tiles.surface[m[nearest]] + first).float()


def _cast_quadrics(canvas: _Canvas, quadrics: QuadricForms, is_cylinder: npt.NDArray[np.bool_], first: int) -> None:
    device = canvas.u.device
    rays = torch.from_numpy(quadrics.ray.astype(np.float32)).to(device)
    origins = torch.from_numpy(quadrics.origin.astype(np.float32)).to(device)
    cylinder = torch.from_numpy(is_cylinder).to(device)
    for tiles in _tiles(canvas, quadrics.box):
        pick = (tiles.frame, tiles.surface)
        flag = cylinder[tiles.surface].float()[:, None, None]
        w = _meet_quadrics(tiles.evaluate(rays[pick]), origins[pick][..., None, None], flag)
        _cast_tiles(canvas, tiles, w, first)
    for q, box in _boxes(quadrics.box, _TILES_PX[-1]):
        w = _meet_quadrics(
            _evaluate(canvas, box, rays[:, q]), origins[:, q, :, None, None], cylinder[q].float()[None, None, None]
        )
        canvas.keep_nearest(box, w, first + q)


def _meet_quadrics(ray: list[torch.Tensor], origin: torch.Tensor, cylinder: torch.Tensor) -> torch.Tensor:
    """Inverse depth (M,h,w), 0 where not met: |o + z r|² = 1, for cylinders of x and y only.

    With w = 1/z: c w² + 2 b w + a = 0. ray: three (M,h,w); origin (M,3,1,1); cylinder (M,1,1): 1 or 0.
    """
    x, y, z = ray
    upright = (1.0 - cylinder) * z
    a = (x * x).addcmul_(y, y).addcmul_(upright, z)
    b = (origin[:, 0] * x).addcmul_(origin[:, 1], y).addcmul_(origin[:, 2], upright)
    c = (origin[:, :2] ** 2).sum(1) + (1.0 - cylinder) * origin[:, 2] ** 2 - 1.0
    discriminant = b * b - a * c
    w = (discriminant.clamp(min=0).sqrt() - b) / c.clamp(min=1e-9)
    height = (origin[:, 2] * w + z).abs() * cylinder
    return w * ((discriminant > 0) & (w > 0) & (c > 0) & (height <= w))
