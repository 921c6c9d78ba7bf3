"""Which surface each pixel's ray meets first, and at which depth; batched over frames, on any device."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from vgslam.training.projection import PlaneForms, QuadricForms

_OVERLAP = 1.0 - 2e-6  # planes reach this much further than their outline: no pinholes where two of them meet


@dataclass(frozen=True)
class Hits:
    """inverse_depth (N,H,W) float32 in 1/m along the optical axis, 0 where nothing is met; surface (N,H,W) int64.

    Surfaces are numbered planes first, then quadrics; -1 where nothing is met.
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
    size: tuple[int, int], device: torch.device,
) -> Hits:  # fmt: skip
    """First hits of N frames of `size` (height, width). The forms are copied to `device` once, as float32."""
    n = planes.forms.shape[0]
    canvas = _Canvas(
        torch.arange(size[1], dtype=torch.float32, device=device),
        torch.arange(size[0], dtype=torch.float32, device=device),
        torch.zeros((n, *size), device=device),
        torch.full((n, *size), -1.0, device=device),
    )
    scale = np.array([_OVERLAP, _OVERLAP, 1.0])[:, None]
    forms = torch.from_numpy((planes.forms * scale).astype(np.float32)).to(device)
    for p, box in _boxes(planes.box):
        _cast_plane(canvas, box, forms[:, p], p, bool(is_disc[p]))
    if quadrics.ray.shape[1]:
        _cast_quadrics(canvas, quadrics, is_cylinder, planes.forms.shape[1])
    return Hits(canvas.inverse_depth, canvas.surface.long())


def _boxes(box: npt.NDArray[np.int64]) -> list[tuple[int, tuple[slice, slice]]]:
    """Per visible surface: its index, and rows and columns that it may cover in any frame."""
    seen = box[..., 2] > box[..., 0]
    low = np.where(seen[..., None], box[..., :2], 1 << 30).min(0, initial=1 << 30)
    high = box[..., 2:].max(0, initial=0)
    return [
        (int(p), (slice(int(low[p, 1]), int(high[p, 1])), slice(int(low[p, 0]), int(high[p, 0]))))
        for p in np.flatnonzero(seen.any(0))
    ]


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


def _cast_quadrics(canvas: _Canvas, quadrics: QuadricForms, is_cylinder: npt.NDArray[np.bool_], first: int) -> None:
    """|o + z r|² = 1 in the unit frame (cylinders: x and y only): with w = 1/z, c w² + 2 b w + a = 0."""
    device = canvas.u.device
    rays = torch.from_numpy(quadrics.ray.astype(np.float32)).to(device)
    origins = torch.from_numpy(quadrics.origin.astype(np.float32)).to(device)
    for q, box in _boxes(quadrics.box):
        r = _evaluate(canvas, box, rays[:, q])
        o = origins[:, q, :, None, None]
        n = 2 if is_cylinder[q] else 3
        a = sum(r[k] * r[k] for k in range(n))
        b = sum(o[:, k] * r[k] for k in range(n))
        c = (o[:, :n] ** 2).sum(1) - 1.0
        discriminant = b * b - a * c
        w = (discriminant.clamp(min=0).sqrt() - b) / c.clamp(min=1e-9)
        hit = (discriminant > 0) & (w > 0) & (c > 0)
        if is_cylinder[q]:
            hit &= (o[:, 2] * w + r[2]).abs() <= w
        canvas.keep_nearest(box, w * hit, first + q)
