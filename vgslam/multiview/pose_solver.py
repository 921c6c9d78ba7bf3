"""Camera poses of a window solved from flow and depth: robust Gauss-Newton beside (or instead of) the camera head.

Every cell of frame i with depth d is a point X_i = d * ray. With T_0_i (coordinates of camera i to camera 0) the point
lies at pi(K T_0_i X_i) in frame 0 and at pi(K T_0_{i-1}^-1 T_0_i X_i) in the frame before; the flow says where it was
seen. The S - 1 poses minimise, jointly,

    sum over i, reference r of  mean over cells of rho(sqrt(w) |e| / s_ir)  +  lambda sum over i of |t_i / d_m|^2

with e the reprojection error in px, w the weight of the cell, s_ir the robust scale of that frame's whitened errors
(1.4826 times the weighted median of their magnitude per axis), rho Cauchy's loss (Hartley and Zisserman,
Multiple View Geometry, A6.8), d_m the window's median depth. Levenberg-Marquardt with iteratively reweighted least
squares; the update is T <- exp(xi) T with xi = (rotation, translation) (Sola et al., arXiv 1812.01537). Scale: that of
the depth. Knows nothing of networks: tensors in, tensors out, float64 inside, no gradients.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vgslam.geometry import torch_se3

_MIN_DEPTH_SHARE = 0.05
"""Points that a trial pose brings nearer than this share of the median depth are projected as if they were there."""
_MAX_DAMPING = 1e9
_CONVERGED = 1e-7
_MAX_STEP = 1.0
"""Largest change of one coordinate in a step: rad, or median depths."""


@dataclass(frozen=True)
class SolverConfig:
    """How poses are solved. Raises ValueError for a value out of range."""

    iterations: int = 10
    """Steps of the solver at most."""
    tuning: float = 0.6
    """Where the loss leaves the quadratic, in robust standard deviations."""
    translation_damping: float = 3.0
    """Lambda above: 0 is none, a large value solves for the rotation only."""
    floor_px: float = 0.01
    """Smallest robust scale, in px."""
    min_cells: int = 6
    """Every frame needs this many usable cells, its own or those of the next frame matched with it."""
    initial_damping: float = 1e-3
    """Levenberg-Marquardt damping of the first step."""

    def __post_init__(self) -> None:
        for name in ("iterations", "tuning", "floor_px", "min_cells", "initial_damping"):
            if not getattr(self, name) > 0:
                raise ValueError(f"solver {name} must be positive, got {getattr(self, name)}")
        if not self.translation_damping >= 0:
            raise ValueError(f"solver translation_damping must be 0 or more, got {self.translation_damping}")


@dataclass(frozen=True)
class SolverResult:
    """Poses of B windows of S frames."""

    T_cam_world: Tensor
    """(B,S,4,4) float64, frame 0 the identity."""
    is_valid: Tensor
    """(B,): False where the window could not be solved; T_cam_world is then T_init, or identities without one."""
    residual_px: Tensor
    """(B,S): weighted median error of each frame's cells at the solution, over both references; 0 for frame 0 and where
    not valid."""


def cell_centres(rows: int, cols: int, stride: int = 4, device: torch.device | None = None) -> Tensor:
    """Pixel positions (rows*cols,2) float64 of the cells' centres, row-major: (stride c + (stride - 1)/2, ...)."""
    middle = (stride - 1) / 2
    v = torch.arange(rows, dtype=torch.float64, device=device) * stride + middle
    u = torch.arange(cols, dtype=torch.float64, device=device) * stride + middle
    return torch.stack([u.expand(rows, cols), v[:, None].expand(rows, cols)], dim=-1).reshape(-1, 2)


def solve_poses(
    depth: Tensor, flow: Tensor, weight: Tensor, K: Tensor, T_init: Tensor | None = None,
    config: SolverConfig = SolverConfig(), stride: int = 4,
) -> SolverResult:  # fmt: skip
    """Poses of B windows of S >= 1 frames from a network's depth and flow for h x w cells of `stride` px.

    depth (B,S,h,w) along the optical axis at the cells' centres; flow (B,S,2,h,w,2): where a cell's point is seen in
    the references (frame 0, the frame before), minus the cell's centre, px; weight (B,S,2,h,w) >= 0: inverse variances
    up to a factor, 0: do not use; K (B,3,3), pixel (0,0) the centre of the top-left pixel; T_init (B,S,4,4) start,
    T_cam_world with frame 0 the identity (identities without it). Cells whose depth is not positive, or with anything
    not finite, are left out. Values of frame 0 are not used. Raises ValueError when shapes do not agree.
    """
    b, s, rows, cols = depth.shape
    if flow.shape != (b, s, 2, rows, cols, 2) or weight.shape != flow.shape[:-1]:
        raise ValueError(f"flow {tuple(flow.shape)}, weight {tuple(weight.shape)}, depth {tuple(depth.shape)} disagree")
    cells = cell_centres(rows, cols, stride, depth.device)
    matches = CellMatches(cells, depth.flatten(2), flow.flatten(3, 4), weight.flatten(3, 4))
    return solve_cells(matches, K, T_init, config)


@dataclass(frozen=True)
class CellMatches:
    """N cells of each frame. The order of the cells has no meaning."""

    cells_px: Tensor
    """(N,2)."""
    depth: Tensor
    """(B,S,N)."""
    flow: Tensor
    """(B,S,2,N,2) px, for the references (first, previous)."""
    weight: Tensor
    """(B,S,2,N), likewise."""

    def __post_init__(self) -> None:
        b, s, n = self.depth.shape
        if self.cells_px.shape != (n, 2) or self.flow.shape != (b, s, 2, n, 2) or self.weight.shape != (b, s, 2, n):
            raise ValueError(
                f"cells {tuple(self.cells_px.shape)}, depth {tuple(self.depth.shape)}, flow {tuple(self.flow.shape)} "
                f"and weight {tuple(self.weight.shape)} do not agree"
            )


def robust_weights(error_px: Tensor, weight: Tensor, config: SolverConfig = SolverConfig()) -> Tensor:
    """The weights (...,N) in 1/px^2 that the solver gives N matches of a frame in a reference, at given poses. error_px
    (...,N,2): reprojection errors there; weight (...,N) >= 0: inverse variances up to a factor. Each is the inverse
    variance, over the square of the robust scale of the whitened errors, times Cauchy's 1 / (1 + e^2 / c^2)."""
    whitened = error_px * weight.sqrt()[..., None]
    scale = _robust_scale(whitened, weight, config)[..., None]
    e2 = (whitened / scale[..., None]).square().sum(-1)
    return weight / scale.square() * _cauchy_weight(e2, config)


def _robust_scale(whitened: Tensor, weight: Tensor, config: SolverConfig) -> Tensor:
    """Robust deviation (...) of whitened errors (...,N,2) with weights (...,N)."""
    size = whitened.abs()
    spread = 1.4826 * _median(size.flatten(-2), weight[..., None].expand_as(size).flatten(-2))
    mean_weight = weight.square().sum(-1) / weight.sum(-1).clamp(min=1e-300)
    return torch.maximum(spread, config.floor_px * mean_weight.sqrt()).clamp(min=1e-150)


def _cauchy_weight(e2: Tensor, config: SolverConfig) -> Tensor:
    return 1 / (1 + e2 / config.tuning**2)


@torch.no_grad()
def solve_cells(
    matches: CellMatches, K: Tensor, T_init: Tensor | None = None, config: SolverConfig = SolverConfig()
) -> SolverResult:
    """Like `solve_poses`, for cells at any positions. K (B,3,3), T_init (B,S,4,4) or None."""
    b, s = matches.depth.shape[:2]
    if K.shape != (b, 3, 3) or (T_init is not None and T_init.shape != (b, s, 4, 4)):
        raise ValueError(f"K {tuple(K.shape)} or T_init does not fit {b} windows of {s} frames")
    start = torch.eye(4, dtype=torch.float64, device=K.device).repeat(b, s, 1, 1)
    if T_init is not None:
        usable = torch.isfinite(T_init).all(-1).all(-1)[..., None, None]
        start = torch.where(usable, T_init.double(), start)
    if s == 1:
        return SolverResult(start, torch.ones(b, dtype=torch.bool, device=K.device), start.new_zeros(b, 1))
    problem = _Problem.build(matches, K, config)
    T, is_determined = _minimise(problem, _with_unit(torch_se3.inverse(start)[:, 1:], 1 / problem.unit), config)
    solved = torch.cat([start[:, :1], torch_se3.inverse(_with_unit(T, problem.unit))], dim=1)
    finite = torch.isfinite(solved).flatten(1).all(1)
    is_valid = problem.is_usable & is_determined & finite
    residual = problem.median_error_px(problem.view(T)).masked_fill(~is_valid[:, None], 0.0)
    T_cam_world = torch.where(is_valid[:, None, None, None], solved, start)
    return SolverResult(T_cam_world, is_valid, torch.cat([residual.new_zeros(b, 1), residual], dim=1))


def _minimise(problem: "_Problem", T: Tensor, config: SolverConfig) -> tuple[Tensor, Tensor]:
    """Levenberg-Marquardt, every window with its own damping. Poses (B,S-1,4,4) and whether all are determined (B,)."""
    damping = torch.full((len(T),), config.initial_damping, dtype=T.dtype, device=T.device)
    is_done = torch.zeros(len(T), dtype=torch.bool, device=T.device)
    for _ in range(config.iterations):
        view = problem.view(T)
        scale = problem.scale(view)
        H, g = problem.normal_equations(view, scale)
        diagonal = H.diagonal(dim1=1, dim2=2).clamp(min=1e-12)
        step, info = torch.linalg.solve_ex(H + torch.diag_embed(diagonal * damping[:, None]), -g)
        step = torch.where((info == 0)[:, None], torch.nan_to_num(step, 0.0, 0.0, 0.0), 0.0)
        trial = torch_se3.exp(step.unflatten(1, (-1, 6)).clamp(-_MAX_STEP, _MAX_STEP)) @ T
        is_better = problem.cost(problem.view(trial), scale) < problem.cost(view, scale)
        T = torch.where((is_better & ~is_done)[:, None, None, None], trial, T)
        damping = torch.where(is_better, damping * 0.2, damping * 10.0).clamp(1e-9, _MAX_DAMPING)
        is_done |= step.abs().amax(1) < _CONVERGED  # each window on its own: a batch equals its windows
        if is_done.all():
            break
    view = problem.view(T)
    H, _ = problem.normal_equations(view, problem.scale(view))
    return T, _is_determined(H)


def _is_determined(H: Tensor) -> Tensor:
    """Whether each (N,D,D) system, scaled to a unit diagonal, is far from singular."""
    diagonal = H.diagonal(dim1=1, dim2=2)
    has_all = (diagonal > 1e-9).all(1)
    root = diagonal.clamp(min=1e-12).rsqrt()
    scaled = root[:, :, None] * H * root[:, None, :]
    eye = torch.eye(H.shape[1], dtype=H.dtype, device=H.device)
    scaled = torch.where((has_all & torch.isfinite(scaled).flatten(1).all(1))[:, None, None], scaled, eye)
    return has_all & (torch.linalg.eigvalsh(scaled)[:, 0] > 1e-9)


@dataclass(frozen=True)
class _View:
    """The points as poses T (B,n,4,4) place them."""

    T: Tensor
    first: Tensor
    """(B,n,N,3): in frame 0."""
    seen: Tensor
    """(B,n,2,N,3): in each reference."""
    R_previous: Tensor
    """(B,n,3,3): rotations from frame 0 to the frame before."""
    error: Tensor
    """(B,n,2,N,2), whitened."""


@dataclass(frozen=True)
class _Problem:
    """What B windows say of their frames 1..n. Poses T (B,n,4,4) are T_0_i in units of the median depth."""

    points: Tensor  # (B,n,N,3) in that unit
    target_px: Tensor  # (B,n,2,N,2)
    weight: Tensor  # (B,n,2,N)
    focal: Tensor  # (B,2)
    center: Tensor  # (B,2): principal points
    unit: Tensor  # (B,): the median depth
    is_usable: Tensor
    config: SolverConfig

    @staticmethod
    def build(matches: CellMatches, K: Tensor, config: SolverConfig) -> "_Problem":
        depth, flow = matches.depth[:, 1:].double(), matches.flow[:, 1:].double()
        cells = matches.cells_px.to(depth)
        good = torch.isfinite(depth) & (depth > 0)
        weight = matches.weight[:, 1:].double()
        fine = good[:, :, None] & torch.isfinite(flow).all(-1) & torch.isfinite(weight) & (weight > 0)
        weight = torch.where(fine, weight, 0.0)
        flow = torch.where(fine[..., None], flow, 0.0)
        unit = _median(torch.where(good, depth, 0.0).flatten(1), good.flatten(1).double()).clamp(min=1e-12)
        depth = torch.where(good, depth / unit[:, None, None], 1.0)
        K = K.double()
        K_ok = torch.isfinite(K).flatten(1).all(1) & (K[:, 0, 0] > 0) & (K[:, 1, 1] > 0)
        K = torch.where(K_ok[:, None, None], K, torch.eye(3).to(K))
        focal, center = K[:, (0, 1), (0, 1)], K[:, :2, 2]
        ray = (cells - center[:, None]) / focal[:, None]
        ray = torch.cat([ray, torch.ones_like(ray[..., :1])], dim=-1)
        points = ray[:, None] * depth[..., None]
        count = fine.any(2).sum(-1)
        count[:, :-1] += fine[:, 1:, 1].sum(-1)  # the next frame was matched with this one
        enough = (count >= config.min_cells).all(1)
        return _Problem(points, cells + flow, weight, focal, center, unit, enough & K_ok, config)

    def view(self, T: Tensor) -> _View:
        R, t = T[..., :3, :3], T[..., :3, 3]
        first = self.points @ R.mT + t[..., None, :]
        eye = torch.eye(3).to(R).expand(len(T), 1, 3, 3)
        R_previous = torch.cat([eye, R[:, :-1]], dim=1).mT
        t_previous = torch.cat([torch.zeros_like(t[:, :1]), t[:, :-1]], dim=1)
        previous = (first - t_previous[..., None, :]) @ R_previous.mT
        seen = torch.stack([first, previous], dim=2)
        z = seen[..., 2:].clamp(min=_MIN_DEPTH_SHARE)
        px = seen[..., :2] / z * self.focal[:, None, None, None] + self.center[:, None, None, None]
        return _View(T, first, seen, R_previous, (px - self.target_px) * self.weight.sqrt()[..., None])

    def scale(self, view: _View) -> Tensor:
        """Robust deviation (B,n,2) of the whitened errors of each frame and reference."""
        return _robust_scale(view.error, self.weight, self.config)

    def cost(self, view: _View, scale: Tensor) -> Tensor:
        """The sum in the heading (B,)."""
        e2 = (view.error / scale[..., None, None]).square().sum(-1)
        c2 = self.config.tuning**2
        rho = c2 * torch.log1p(e2 / c2)
        prior = view.T[..., :3, 3].square().sum((1, 2))
        return rho.mean(-1).sum((1, 2)) + self.config.translation_damping * prior

    def normal_equations(self, view: _View, scale: Tensor) -> tuple[Tensor, Tensor]:
        """H (B,6n,6n) and gradient (B,6n) (both halved) for xi = (rotation, translation in median depths)."""
        e = view.error / scale[..., None, None]
        robust = _cauchy_weight(e.square().sum(-1), self.config)
        J = self._jacobian(view) * (self.weight.sqrt() / scale[..., None])[..., None, None]
        weighted = J * (robust / e.shape[-2])[..., None, None]
        h = torch.einsum("bnrkei,bnrkej->bnrij", weighted, J)
        v = torch.einsum("bnrkei,bnrke->bnri", weighted, e)
        return self._assemble(view.T[..., :3, 3], h, v)

    def _jacobian(self, view: _View) -> Tensor:
        """Derivative (B,n,2,N,2,6) of the projections by the xi of the frame itself."""
        seen = view.seen
        z = seen[..., 2].clamp(min=_MIN_DEPTH_SHARE)
        is_ahead = (seen[..., 2] > _MIN_DEPTH_SHARE).to(z)
        f = self.focal[:, None, None, None] / z[..., None]
        zero = torch.zeros_like(z)
        rows = [
            torch.stack([f[..., 0], zero, -f[..., 0] * seen[..., 0] / z * is_ahead], dim=-1),
            torch.stack([zero, f[..., 1], -f[..., 1] * seen[..., 1] / z * is_ahead], dim=-1),
        ]
        to_px = torch.stack(rows, dim=-2)
        to_px = torch.stack([to_px[:, :, 0], to_px[:, :, 1] @ view.R_previous[:, :, None]], dim=2)
        turn = torch.linalg.cross(view.first[:, :, None, :, None].expand_as(to_px), to_px)  # row a: -a [X]x = X x a
        return torch.cat([turn, to_px], dim=-1)

    def _assemble(self, t: Tensor, h: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Blocks h (B,n,2,6,6), v (B,n,2,6) and the prior on the translations t (B,n,3). A match with the frame before
        depends on both poses, oppositely."""
        b, n = h.shape[:2]
        H, g = h.new_zeros(b, n, 6, n, 6), v.sum(2)
        prior = torch.cat([torch_se3.skew(-t), torch.eye(3).to(t).expand(b, n, 3, 3)], dim=-1)
        own = h.sum(2) + self.config.translation_damping * prior.mT @ prior
        g = g + self.config.translation_damping * (prior.mT @ t[..., None])[..., 0]
        for i in range(n):
            H[:, i, :, i] += own[:, i]
            if i:
                H[:, i - 1, :, i - 1] += h[:, i, 1]
                H[:, i, :, i - 1] -= h[:, i, 1]
                H[:, i - 1, :, i] -= h[:, i, 1]
                g[:, i - 1] -= v[:, i, 1]
        return H.reshape(b, 6 * n, 6 * n), g.flatten(1)

    def median_error_px(self, view: _View) -> Tensor:
        """Weighted median length (B,n) of the errors in px, over both references."""
        whitened = view.error.square().sum(-1)
        size = (whitened / self.weight.clamp(min=1e-300)).sqrt()
        return _median(size.flatten(2), self.weight.flatten(2))


def _median(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted lower median over the last axis; 0 where all weights are 0."""
    order = values.argsort(-1)
    total = weights.gather(-1, order).cumsum(-1)
    index = (total < 0.5 * total[..., -1:]).sum(-1, keepdim=True).clamp(max=values.shape[-1] - 1)
    median = values.gather(-1, order).gather(-1, index)[..., 0]
    return torch.where(total[..., -1] > 0, median, 0.0)


def _with_unit(T: Tensor, factor: Tensor) -> Tensor:
    """Poses (B,n,4,4) with their translations times factor (B,)."""
    out = T.clone()
    out[..., :3, 3] *= factor[:, None, None]
    return out
