"""Windows of frames as the adapter takes them: which are worth learning from, and their matched points."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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

MAX_CORNERS = 800
"""Most corners in a window's first frame: enough to teach the network's small depth and flow maps nearly everywhere."""
MAX_BACK_ERROR_PX = 0.5  # how far from where it began a corner may end when it is followed forth and back
LEAST_MATCHES, LEAST_AGREEING = 15, 0.6  # for a fundamental matrix, and the share of them that has to agree with it


class Skip(StrEnum):
    """Why a window is not learned from."""

    DARK = "dark"
    UNMATCHED = "unmatched"
    STATIC = "static"
    ROTATION_ONLY = "rotation only"


@dataclass(frozen=True)
class ScreenConfig:
    """Which windows are accepted. Lengths are px of images at most `match_width_px` wide."""

    min_brightness: float = 20.0
    """Least mean grey value, of 255."""
    min_contrast: float = 6.0
    """Least standard deviation of the grey values, of 255."""
    min_matches: int = 25
    """Least number of matched points."""
    min_motion_px: float = 1.0
    """Least median motion, in px."""
    min_parallax_px: float = 1.0
    """Least motion that no rotation explains, in px."""
    match_width_px: int = 320
    """Points are matched in images at most this wide, in px."""


@dataclass(frozen=True)
class PointMatches:
    """Points seen in frame 0, in the frame before `frame` and in `frame`, (M,2) each, px of the network's images."""

    frame: int
    first_px: Array
    previous_px: Array
    other_px: Array

    def mapped(self, move: Callable[[Array], Array]) -> "PointMatches":
        """The same points in another image's pixels."""
        return PointMatches(self.frame, move(self.first_px), move(self.previous_px), move(self.other_px))


@dataclass(frozen=True)
class Window:
    """Frames that the network learns from together."""

    frame_ids: tuple[int, ...]
    images: Tensor
    """(S,3,H,W) float32 in [0,1], the network's input."""
    K: Tensor
    """(3,3) float32: intrinsics of these images."""
    matches: tuple[PointMatches, ...]
    """From frame 0 to the others."""
    match_px: float = 1.0
    """Width of one pixel of these images, in pixels of the images in which the points were matched."""

    def to(self, device: torch.device) -> "Window":
        """The same with its tensors on a device."""
        return replace(self, images=self.images.to(device), K=self.K.to(device))

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
    grey = [_grey(image, screen.match_width_px) for image in images]
    if any(g.mean() < screen.min_brightness or g.std() < screen.min_contrast for g in grey):
        return Skip.DARK
    height, width = grey[0].shape
    matches = [m for m in _match(grey) if len(m.first_px) >= screen.min_matches]
    if len(matches) < len(grey) - 1:
        return Skip.UNMATCHED
    if max(float(np.median(np.linalg.norm(m.other_px - m.first_px, axis=1))) for m in matches) < screen.min_motion_px:
        return Skip.STATIC
    if max(parallax_px(m, camera.resized(width, height).K) for m in matches) < screen.min_parallax_px:
        return Skip.ROTATION_ONLY
    to_source = (camera.width / width, camera.height / height)

    def to_network(px: Array) -> Array:
        return ready.maps[0].to_network((px + 0.5) * to_source - 0.5)

    images_ = torch.from_numpy(ready.images)
    K = torch.from_numpy(ready.maps[0].camera_to_network(camera).K).float()
    match_px = ready.maps[0].scale[0] * to_source[0]
    return Window(tuple(frame_ids), images_, K, tuple(m.mapped(to_network) for m in matches), match_px)


def _grey(image: Image, max_width_px: int) -> Image:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    if width > max_width_px:
        size = (max_width_px, round(height * max_width_px / width))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.asarray(grey, np.uint8)


def _match(grey: list[Image]) -> list[PointMatches]:
    """Corners of frame 0 followed frame by frame (Lucas-Kanade), back within 0.5 px, and consistent with an epipolar
    geometry."""
    points = cv2.goodFeaturesToTrack(grey[0], MAX_CORNERS, 0.002, max(3, grey[0].shape[1] // 80))
    if points is None:
        return []
    start = points.reshape(-1, 1, 2).astype(np.float32)
    now, ok, found_matches = start, np.ones(len(start), bool), []
    for frame, (a, b) in enumerate(pairwise(grey), start=1):
        then, found, _ = cv2.calcOpticalFlowPyrLK(a, b, now, now.copy(), winSize=(13, 13), maxLevel=4)
        back, returned, _ = cv2.calcOpticalFlowPyrLK(b, a, then, then.copy(), winSize=(13, 13), maxLevel=4)
        ok &= (found.ravel() > 0) & (returned.ravel() > 0)
        ok &= np.linalg.norm(back - now, axis=2).ravel() < MAX_BACK_ERROR_PX
        p, m, q = (x[ok, 0].astype(np.float64) for x in (start, now, then))
        keep = _on_epipolar_lines(p, q)
        found_matches.append(PointMatches(frame, p[keep], m[keep], q[keep]))
        now = then
    return found_matches


def nearest_pixel(px: Array, shape: tuple[int, ...]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows (N,) and columns (N,) of a map of `shape` (rows, columns) nearest to pixels (N,2)."""
    v, u = (np.clip(np.rint(px[:, k]).astype(int), 0, n - 1) for k, n in ((1, shape[0]), (0, shape[1])))
    return v, u


def _on_epipolar_lines(p: Array, q: Array) -> npt.NDArray[np.bool_]:
    """Which matches agree with a common fundamental matrix; none where hardly more than half do."""
    if len(p) < LEAST_MATCHES:
        return np.zeros(len(p), bool)
    _, inlier = cv2.findFundamentalMat(p, q, cv2.FM_RANSAC, 1.0, 0.999, 1000)
    keep = np.zeros(len(p), bool) if inlier is None else inlier.ravel() > 0
    return keep if keep.mean() > LEAST_AGREEING else np.zeros(len(p), bool)


def parallax_px(matches: PointMatches, K: Array) -> float:
    """Median distance of the matched points that the best rotation about the camera's centre leaves (Kabsch on rays,
    twice)."""
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
