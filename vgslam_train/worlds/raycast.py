"""Which surface each pixel's ray meets first, and at which depth; batched over frames, on any device."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from vgslam_train.worlds.projection import PlaneForms, QuadricForms

_TILES_PX = (6, 12, 24, 48)  # planes that fit a square of such a size are cast together, larger ones one by one
_FARTHEST = 1e-12  # inverse depth in 1/m
_OVERLAP = 1.0 - 2e-6  # planes reach this much further than their outline: no pinholes where two of them meet


@dataclass(frozen=True)
class Hits:
    """What the rays of N images meet first."""

    inverse_depth: torch.Tensor
    """(N,H,W) float32 in 1/m along the optical axis, 0 where nothing is met."""
    surface: torch.Tensor
    """(N,H,W) int64: planes are numbered first, then quadrics, then the terrain; -1 where nothing is met."""


@dataclass(frozen=True)
class _Canvas:
    """Buffers of one batch of frames; `surface` holds small whole numbers as float, which torch compares faster."""

    u: torch.Tensor
    v: torch.Tensor
    inverse_depth: torch.Tensor
    surface: torch.Tensor

    def keep_nearest(self, box: tuple[slice, slice], candidate: torch.Tensor, index: int) -> None:
        """candidate: inverse depth over the box, 0 or less where the surface is not met."""
        best, owner = self.inverse_depth[:, box[0], box[1]], self.surface[:, box[0], box[1]]
        nearer = torch.empty_like(candidate)
        torch.gt(candidate, best, out=nearer)
        torch.maximum(best, candidate, out=best)
        owner.lerp_(owner.new_tensor(float(index)), nearer)


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
    for tiles in _tiles(canvas, planes.box, is_disc):
        values = tiles.evaluate(forms[tiles.frame, tiles.surface])
        _cast_tiles(canvas, tiles, _meet_plane(values, tiles.is_round), 0)
    for p, box in _boxes(planes.box, _TILES_PX[-1]):
        w = _meet_plane(_evaluate(canvas, box, forms[:, p]), bool(is_disc[p]))
        canvas.keep_nearest(box, w, p)
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
    """M squares of T x T pixels, each for one surface in one frame."""

    frame: torch.Tensor
    """(M,) int64."""
    surface: torch.Tensor
    """(M,) int64."""
    u: torch.Tensor
    """(M,T) int64: columns; at the image edge some are repeated."""
    v: torch.Tensor
    """(M,T) int64: rows; at the image edge some are repeated."""
    is_round: bool
    """True if all are discs or all are cylinders; False if none is round."""

    def evaluate(self, form: torch.Tensor) -> list[torch.Tensor]:
        """Linear forms (M,F,3) on the pixels: F tensors (M,T,T), rows first."""
        line = form[:, :, 0:1] * self.u[:, None].float() + form[:, :, 2:3]
        column = form[:, :, 1:2] * self.v[:, None].float()
        return [line[:, k, None, :] + column[:, k, :, None] for k in range(form.shape[1])]


def _tiles(
    canvas: _Canvas, box: npt.NDArray[np.int64], is_round: npt.NDArray[np.bool_]
) -> Iterator[_Tiles]:  # fmt: skip
    """The small boxes among box (N,S,4), grouped by size and by is_round (S,)."""
    device = canvas.u.device
    height, width = canvas.inverse_depth.shape[1:]
    side = _side(box)
    level = np.searchsorted((0, *_TILES_PX), side)  # 0: hidden, 1, 2, ...: sizes, then the large ones
    for k, size in enumerate(_TILES_PX, 1):
        for flag in (False, True):
            frame, surface = np.nonzero((level == k) & (is_round == flag))
            if len(frame) == 0:
                continue
            corner = torch.from_numpy(box[frame, surface]).to(device)
            step = torch.arange(size, device=device)
            u = (corner[:, 0:1] + step).clamp_(max=width - 1)
            v = (corner[:, 1:2] + step).clamp_(max=height - 1)
            yield _Tiles(torch.from_numpy(frame).to(device), torch.from_numpy(surface).to(device), u, v, flag)


def _evaluate(canvas: _Canvas, box: tuple[slice, slice], form: torch.Tensor) -> list[torch.Tensor]:
    """Linear forms (N,F,3) on the pixels of a box: F tensors (N,h,w)."""
    line = form[:, :, 0:1] * canvas.u[box[1]]
    column = torch.addcmul(form[:, :, 2:3], form[:, :, 1:2], canvas.v[box[0]])
    return [line[:, k, None, :] + column[:, k, :, None] for k in range(form.shape[1])]


def _meet_plane(forms: list[torch.Tensor], is_disc: bool) -> torch.Tensor:
    """Inverse depth (M,h,w), 0 or less where not met, from s w, t w and w on the pixels, which are overwritten."""
    s, t, w = forms
    if is_disc:
        reach, limit = s.square_().addcmul_(t, t), w * w
    else:
        reach, limit = torch.maximum(s.abs_(), t.abs_(), out=s), w
    torch.le(reach, limit, out=t)
    return w.mul_(t)


def _cast_tiles(canvas: _Canvas, tiles: _Tiles, inverse_depth: torch.Tensor, first: int) -> None:
    """Keep the nearest of the surfaces in all tiles at once; `first` is added to their numbers."""
    height, width = canvas.inverse_depth.shape[1:]
    best, owner = canvas.inverse_depth.view(-1), canvas.surface.view(-1)
    pixel = ((tiles.frame[:, None] * height + tiles.v) * width)[:, :, None] + tiles.u[:, None, :]
    pixel, candidate = pixel.view(-1), inverse_depth.view(-1)
    chosen = (candidate >= best.index_select(0, pixel).clamp_(min=_FARTHEST)).nonzero()[:, 0]
    pixel, candidate = pixel.index_select(0, chosen), candidate.index_select(0, chosen)
    best.scatter_reduce_(0, pixel, candidate, "amax")
    nearest = (candidate >= best.index_select(0, pixel)).nonzero()[:, 0]
    tile = chosen.index_select(0, nearest) // (tiles.u.shape[1] * tiles.v.shape[1])
    surface = tiles.surface.index_select(0, tile).add_(first).float()
    owner.scatter_(0, pixel.index_select(0, nearest), surface)


def _cast_quadrics(canvas: _Canvas, quadrics: QuadricForms, is_cylinder: npt.NDArray[np.bool_], first: int) -> None:
    columns = np.concatenate([quadrics.meet, quadrics.origin[..., 2:]], 2)
    rows = torch.from_numpy(columns.astype(np.float32)).to(canvas.u.device)
    for tiles in _tiles(canvas, quadrics.box, is_cylinder):
        row = rows[tiles.frame, tiles.surface]
        _cast_tiles(canvas, tiles, _meet_quadric(row, tiles.u.float(), tiles.v.float(), tiles.is_round), first)
    for q, box in _boxes(quadrics.box, _TILES_PX[-1]):
        w = _meet_quadric(rows[:, q], canvas.u[None, box[1]], canvas.v[None, box[0]], bool(is_cylinder[q]))
        canvas.keep_nearest(box, w, first + q)


def _meet_quadric(row: torch.Tensor, u: torch.Tensor, v: torch.Tensor, is_cylinder: bool) -> torch.Tensor:
    """Inverse depth (M,h,w), 0 or less where not met, of quadrics with rows (M,15): `QuadricForms.meet` and o_z.

    u (M,w) or (1,w), v (M,h) or (1,h): columns and rows of the pixels.
    """
    m, n, q_xx, q_xy, q_yy, q_x, q_y, q_1, p_x, p_y, p_1, h_x, h_y, h_1, o_z = row.T[:, :, None].unbind()
    x, y = u - m, v - n
    q = (x * (q_xx * x + q_x))[:, None, :] + (y * (q_yy * y + q_y) + q_1)[:, :, None]
    q.addcmul_(x[:, None, :], (q_xy * y)[:, :, None])
    met = torch.empty_like(q)
    torch.gt(q, 0.0, out=met)
    w = q.clamp_(min=1e-20).sqrt_()
    w.sub_((p_x * x)[:, None, :]).sub_((p_y * y + p_1)[:, :, None]).mul_(met)
    if is_cylinder:
        height = (h_x * x)[:, None, :] + (h_y * y + h_1)[:, :, None]
        height.addcmul_(o_z[:, None], w).abs_()
        torch.le(height, w, out=met)
        w.mul_(met)
    return w
