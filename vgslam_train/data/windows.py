"""Windows of a few frames, drawn from clips with augmentation: what a network is trained and validated on.

Sizes change by averaging over areas, which keeps pixel (0,0) = centre of the top-left pixel: u' = (u + 0.5) s - 0.5.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vgslam.errors import ConfigError
from vgslam.geometry import se3, torch_se3
from vgslam_train.data.cell_flow import cell_flow
from vgslam_train.data.clips import Clip, ClipSet

Float32 = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]
_TRIES = 50
REACH, WIDE_REACH = 3, 6
"""Most frames of the clip in a step of a window; and of one with a wide baseline."""
WIDE_FLOW = 1.5


@dataclass(frozen=True)
class WindowBatch:
    """B windows of S frames of one size, all on one device."""

    images: Tensor  # (B,S,3,H,W) float32 in [0,1]
    depth: Tensor  # (B,S,H,W) float32, metres along the optical axis, 0 where unknown or sky
    T_world_cam: Tensor  # (B,S,4,4) float64, the first of every window the identity
    K: Tensor  # (B,3,3) float64, pixel (0,0) the centre of the top-left pixel

    def to(self, device: torch.device) -> "WindowBatch":
        """The same on a device; from pinned memory without waiting for the copy."""
        return WindowBatch(*(x.to(device, non_blocking=True) for x in vars(self).values()))

    def pin_memory(self) -> "WindowBatch":
        """The same in page-locked memory, from which a GPU reads beside other work."""
        return WindowBatch(*(x.pin_memory() for x in vars(self).values()))


@dataclass(frozen=True)
class WindowConfig:
    """How windows are drawn from clips."""

    batch_size: int = 16
    n_frames: int = 4
    sizes: tuple[tuple[int, int, float], ...] = ((48, 64, 0.65), (40, 72, 0.12), (32, 96, 0.13), (64, 48, 0.1))
    """(height, width, weight) of the windows; all windows of a batch have one size."""
    min_overlap: float = 0.3
    """Share of a frame that the first and the previous one see."""
    max_flow: float = 0.33
    """Median flow from both, as a share of the window's width."""
    wide_share: float = 0.0
    """Share of the windows with a wide baseline: half the overlap, WIDE_FLOW times the flow and WIDE_REACH frames in a
    step are allowed."""
    seed: int = 0
    augment: bool = True
    """Vary colours, noise and crops, flip, and reverse time."""


class WindowSampler:
    """Implements `loop.Batches`: batch(step) follows from the seed and the step alone."""

    def __init__(self, clips: ClipSet, config: WindowConfig) -> None:
        """ConfigError if the clips are smaller than a window."""
        for height, width, _ in config.sizes:
            if height > clips.config.height or width > clips.config.width:
                raise ConfigError(
                    f"windows of {width}x{height} px do not fit into clips of {clips.config.width}x"
                    f"{clips.config.height} px: render larger clips or take smaller windows"
                )
        self._clips, self.config = clips, config

    def batch(self, step: int) -> WindowBatch:
        """ValueError when the clips hold no window of that many frames."""
        c = self.config
        rng = np.random.default_rng([c.seed, step])
        weights = np.array([s[2] for s in c.sizes])
        height, width, _ = c.sizes[int(rng.choice(len(c.sizes), p=weights / weights.sum()))]
        windows = [self._window(rng, height, width) for _ in range(c.batch_size)]
        images, depth, T, K = (np.stack(x) for x in zip(*windows, strict=True))
        images = np.ascontiguousarray(images.transpose(0, 1, 4, 2, 3))
        return WindowBatch(*(torch.from_numpy(x) for x in (images, np.ascontiguousarray(depth), T, K)))

    def _window(self, rng: np.random.Generator, height: int, width: int) -> tuple[Float32, Float32, Array, Array]:
        for _ in range(_TRIES):
            clip = self._clips[int(rng.integers(len(self._clips)))]
            chosen = self._choose(clip, rng)
            if chosen is not None:
                return _cut(clip, chosen, height, width, rng, self.config.augment)
        raise ValueError(f"no windows of {self.config.n_frames} overlapping frames were found in the clips")

    def _choose(self, clip: Clip, rng: np.random.Generator) -> list[int] | None:
        """Frames of a window: random steps in either direction, all overlapping enough with the first and the last."""
        c, n = self.config, len(clip.images)
        is_wide = c.wide_share > 0 and rng.random() < c.wide_share
        overlap, flow = (c.min_overlap / 2, WIDE_FLOW * c.max_flow) if is_wide else (c.min_overlap, c.max_flow)
        reach = max(1, min(WIDE_REACH if is_wide else REACH, (n - 1) // (c.n_frames - 1)))
        steps = rng.integers(1, reach + 1, c.n_frames - 1)
        path = np.concatenate([[0], np.cumsum(steps)])
        if path[-1] > n - 1:
            return None
        frames = path + int(rng.integers(0, n - path[-1]))
        if c.augment and rng.random() < 0.5:
            frames = frames[::-1]
        most = flow * clip.images.shape[2]
        for reference in (np.full(c.n_frames - 1, frames[0]), frames[:-1]):
            if (clip.overlap[frames[1:], reference] < overlap).any():
                return None
            if (clip.flow_px[frames[1:], reference] > most).any():
                return None
        return [int(f) for f in frames]


def _cut(
    clip: Clip, frames: list[int], height: int, width: int, rng: np.random.Generator, augment: bool
) -> tuple[Float32, Float32, Array, Array]:
    """Images (S,h,w,3), depth (S,h,w), T_first_cam (S,4,4) and K (3,3) of a window cut from a clip."""
    order = np.argsort(frames)
    back = np.argsort(order)
    chosen = np.asarray(frames)[order]
    images = clip.images[chosen][back]
    inverse = clip.inverse_depth[chosen][back]
    rows, cols = _crop(images.shape[1:3], height, width, rng, augment)
    images, inverse = images[:, rows, cols], inverse[:, rows, cols]
    sx, sy = width / images.shape[2], height / images.shape[1]
    fx, fy, cx, cy = clip.K
    cx, cy = (cx - cols.start + 0.5) * sx - 0.5, (cy - rows.start + 0.5) * sy - 0.5
    K = np.array([[fx * sx, 0, cx], [0, fy * sy, cy], [0, 0, 1.0]])
    small = np.stack([_shrink(x, width, height) for x in images]).astype(np.float32) / 255.0
    depth = np.stack([shrink_depth(x.astype(np.float32), width, height) for x in inverse])
    T = np.asarray(clip.T_world_cam)[frames]
    T = se3.inverse(T[0]) @ T
    if augment:
        small = _recolour(small, rng)
        if rng.random() < 0.5:
            small, depth, T, K = mirrored(small, depth, T, K)
    return small, depth, T, K


def _crop(
    size: tuple[int, ...], height: int, width: int, rng: np.random.Generator, augment: bool
) -> tuple[slice, slice]:
    """A part of the image that is reduced to height x width by one factor on both axes, within rounding."""
    full_height, full_width = size[:2]
    least = max(height / full_height, width / full_width)
    scale = float(rng.uniform(least, 1.0)) if augment and rng.random() < 0.6 else least
    h, w = min(full_height, round(height / scale)), min(full_width, round(width / scale))
    shift = np.clip(0.5 + rng.normal(0, 0.15, 2), 0, 1) if augment else np.array([0.5, 0.5])
    top, left = int((full_height - h) * shift[0]), int((full_width - w) * shift[1])
    return slice(top, top + h), slice(left, left + w)


def _shrink(image: np.ndarray, width: int, height: int) -> np.ndarray:
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))


def shrink_depth(inverse: Float32, width: int, height: int) -> Float32:
    """Inverse depth (H,W), 0 unknown, averaged over areas -> depth (h,w): exact on planes; 0 where any is unknown."""
    known = _shrink((inverse > 0).astype(np.float32), width, height) > 0.999
    mean = _shrink(inverse, width, height)
    return np.where(known, 1 / np.maximum(mean, 1e-6), 0.0).astype(np.float32)


def mirrored(images: Float32, depth: Float32, T: Array, K: Array) -> tuple[Float32, Float32, Array, Array]:
    """The window seen in a mirror: x axis reversed in images (S,h,w,3), depth (S,h,w), poses (S,4,4) and K (3,3)."""
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    K = K.copy()
    K[0, 2] = images.shape[2] - 1 - K[0, 2]
    return np.ascontiguousarray(images[:, :, ::-1]), np.ascontiguousarray(depth[:, :, ::-1]), flip @ T @ flip, K


def _recolour(images: Float32, rng: np.random.Generator) -> Float32:
    """One change of brightness, white balance, contrast and perhaps to grey for the window, noise for each frame."""
    tint = rng.uniform(0.7, 1.3) * rng.uniform(0.9, 1.1, 3)
    out = np.clip(images * tint + rng.normal(0, 0.05), 0, 1)
    out = np.clip((out - 0.5) * rng.uniform(0.7, 1.3) + 0.5, 0, 1)
    if rng.random() < 0.12:
        out = np.repeat(out.mean(-1, keepdims=True), 3, -1)
    noise = rng.standard_normal(out.shape, dtype=np.float32) * np.float32(rng.uniform(0, 0.02))
    return np.clip(out.astype(np.float32) + noise, 0, 1)


def true_flow(batch: WindowBatch, reference: str) -> tuple[Tensor, Tensor]:
    """Flow (B,S,h,w,2) px of every frame's 4 px cells to frame 0 ("first") or the frame before ("previous"), and where
    the point is seen there (B,S,h,w). Frame 0 is its own reference. ValueError for another reference."""
    if reference not in ("first", "previous"):
        raise ValueError(f"reference must be first or previous, got {reference}")
    b, s = batch.depth.shape[:2]
    at = torch.zeros(s, dtype=torch.long) if reference == "first" else torch.arange(-1, s - 1).clamp(min=0)
    T, T_reference = batch.T_world_cam, batch.T_world_cam[:, at]
    flow, visible = cell_flow(
        batch.depth.flatten(0, 1), (torch_se3.inverse(T_reference) @ T).flatten(0, 1),
        batch.K.repeat_interleave(s, dim=0), batch.depth[:, at].flatten(0, 1),
    )  # fmt: skip
    return flow.unflatten(0, (b, s)), visible.unflatten(0, (b, s))


def true_tracks(batch: WindowBatch, queries: Tensor) -> tuple[Tensor, Tensor]:
    """Where points of frame 0, queries (B,N,2) px, lie in every frame (B,S,N,2), and whether they are seen (B,S,N).

    The depth of a query is that of its nearest pixel.
    """
    height, width = batch.depth.shape[-2:]
    nearest = queries.round().long()
    u, v = nearest[..., 0].clamp(0, width - 1), nearest[..., 1].clamp(0, height - 1)
    z = batch.depth[:, 0].flatten(1).gather(1, v * width + u).double()
    fx, fy, cx, cy = (batch.K[:, i, j, None].double() for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    q = queries.double()
    X = torch.stack([(q[..., 0] - cx) / fx * z, (q[..., 1] - cy) / fy * z, z], dim=-1)
    T = torch_se3.inverse(batch.T_world_cam.double())
    Y = torch.einsum("bsij,bnj->bsni", T[..., :3, :3], X) + T[..., None, :3, 3]
    there = Y[..., 2]
    safe = there.clamp(min=1e-3)
    px = torch.stack([fx[:, None] * Y[..., 0] / safe + cx[:, None], fy[:, None] * Y[..., 1] / safe + cy[:, None]], -1)
    size = torch.tensor([width - 1.0, height - 1.0], device=px.device, dtype=px.dtype)
    inside = (z[:, None] > 0) & (there > 1e-3) & ((px >= 0) & (px <= size)).all(-1)
    iu, iv = px[..., 0].round().long().clamp(0, width - 1), px[..., 1].round().long().clamp(0, height - 1)
    found = batch.depth.flatten(2).gather(2, iv * width + iu).double()
    visible = inside & ((found / safe - 1).abs() < 0.05)
    return px.float(), visible
