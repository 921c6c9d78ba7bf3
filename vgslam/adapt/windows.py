"""Windows of frames as the adapter takes them: which are worth learning from, and their matched points."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vgslam.geometry.camera import Camera
from vgslam.network.config import VggtConfig
from vgslam.network.preprocess import ResizeMode, preprocess

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]


class Skip(StrEnum):
    """Why a window is not learned from."""

    DARK = "dark"
    UNMATCHED = "unmatched"
    STATIC = "static"
    ROTATION_ONLY = "rotation only"


@dataclass(frozen=True)
class ScreenConfig:
    """Grey values in 0..255; lengths in px of the network's images."""

    min_brightness: float = 20.0
    min_contrast: float = 6.0
    min_matches: int = 24
    min_motion_px: float = 1.0
    min_parallax_px: float = 1.0


@dataclass(frozen=True)
class Matches:
    """Points of frame 0 and of frame `frame`, (M,2) each, px of the network's images."""

    frame: int
    first_px: Array
    other_px: Array


@dataclass(frozen=True)
class Window:
    """images (S,3,H,W) float32 in [0,1], the network's input; K (3,3) float32 of them; matches from frame 0."""

    frame_ids: tuple[int, ...]
    images: Tensor
    K: Tensor
    matches: tuple[Matches, ...]

    def n_bytes(self) -> int:
        return self.images.numel() * self.images.element_size()


def make_window(
    images: Sequence[Image], frame_ids: Sequence[int], camera: Camera, network: VggtConfig,
    screen: ScreenConfig | None = None,
) -> Window | Skip:  # fmt: skip
    """A window from S images (H,W,3) of `camera`, or why it is of no use."""
    screen = screen or ScreenConfig()
    mode = ResizeMode.AREA if network.keeps_area else ResizeMode.CROP
    ready = preprocess(images, mode, network.image_size, network.patch_size)
    K = ready.maps[0].camera_to_network(camera).K
    grey = [cv2.cvtColor((255 * x.transpose(1, 2, 0)).astype(np.uint8), cv2.COLOR_RGB2GRAY) for x in ready.images]
    if any(g.mean() < screen.min_brightness or g.std() < screen.min_contrast for g in grey):
        return Skip.DARK
    matches = tuple(m for m in (_match(grey, i) for i in range(1, len(grey))) if len(m.first_px) >= screen.min_matches)
    if len(matches) < len(grey) - 1:
        return Skip.UNMATCHED
    if max(float(np.median(np.linalg.norm(m.other_px - m.first_px, axis=1))) for m in matches) < screen.min_motion_px:
        return Skip.STATIC
    if max(parallax_px(m, K) for m in matches) < screen.min_parallax_px:
        return Skip.ROTATION_ONLY
    images_ = torch.from_numpy(ready.images)
    return Window(tuple(frame_ids), images_, torch.from_numpy(K).float(), matches)


def _match(grey: list[Image], other: int) -> Matches:
    """Corners of frame 0 followed frame by frame (Lucas-Kanade), there and back within 1 px, and consistent with an
    epipolar geometry."""
    points = cv2.goodFeaturesToTrack(grey[0], 200, 0.01, 3)
    if points is None:
        return Matches(other, np.zeros((0, 2)), np.zeros((0, 2)))
    start = points.reshape(-1, 1, 2).astype(np.float32)
    now, ok = start, np.ones(len(start), bool)
    for a, b in pairwise(grey[: other + 1]):
        then, found, _ = cv2.calcOpticalFlowPyrLK(a, b, now, now.copy(), winSize=(11, 11), maxLevel=3)
        back, returned, _ = cv2.calcOpticalFlowPyrLK(b, a, then, then.copy(), winSize=(11, 11), maxLevel=3)
        ok &= (found.ravel() > 0) & (returned.ravel() > 0) & (np.linalg.norm(back - now, axis=2).ravel() < 1.0)
        now = then
    p, q = start[ok, 0].astype(np.float64), now[ok, 0].astype(np.float64)
    if len(p) >= 8:
        _, inlier = cv2.findFundamentalMat(p, q, cv2.USAC_MAGSAC, 1.0, 0.999, 1000)
        keep = np.zeros(len(p), bool) if inlier is None else inlier.ravel() > 0
        keep = keep if keep.mean() > 0.5 else np.zeros(len(p), bool)
        p, q = p[keep], q[keep]
    return Matches(other, p, q)


def parallax_px(matches: Matches, K: Array) -> float:
    """Median distance of the matched points that the best rotation about the camera's centre leaves (Kabsch on rays,
    twice, the second time without the worse half)."""
    a, b = (np.column_stack([p, np.ones(len(p))]) @ np.linalg.inv(K).T for p in (matches.first_px, matches.other_px))
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    use, error = np.ones(len(a), bool), np.zeros(len(a))
    for _ in range(2):
        U, _, Vt = np.linalg.svd(b[use].T @ a[use])
        R = U @ np.diag([1, 1, np.linalg.det(U @ Vt)]) @ Vt
        x = a @ R.T @ K.T
        error = np.linalg.norm(x[:, :2] / x[:, 2:] - matches.other_px, axis=1)
        use = error <= np.median(error)
    return float(np.median(error))
