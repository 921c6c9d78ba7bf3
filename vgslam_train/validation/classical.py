"""The classical answer at the network's resolution, as a yardstick: tracked corners and the essential matrix.

Pyramidal Lucas-Kanade from frame 0 to each frame (OpenCV), checked backwards, then RANSAC on the essential matrix with
the true intrinsics and the decomposition in front of which most points lie (OpenCV's recoverPose).
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vgslam.geometry import se3
from vgslam_train.data.windows import WindowBatch

Array = npt.NDArray[np.float64]
Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class LucasKanade:
    """How corners are tracked and an essential matrix is fitted."""

    max_corners: int = 300
    """Most corners."""
    quality: float = 0.005
    """Least quality of a corner, as a share of the best one's."""
    distance_px: float = 2.0
    """Least distance between corners."""
    window_px: int = 7
    """Side of the tracking window."""
    levels: int = 3
    """Levels of halved size above the image."""
    back_px: float = 0.5
    """Corners that come back farther than this from their start are dropped."""
    threshold_px: float = 0.2
    """Inlier threshold of RANSAC for the essential matrix."""
    min_matches: int = 8
    """Fewest matches for an essential matrix."""


@dataclass(frozen=True)
class ClassicalPoses:
    """Poses from two-view geometry."""

    T_first_cam: Tensor
    """(B,S,4,4) float64 on the batch's device, translations of length 1."""
    is_found: Tensor
    """(B,S): False where matches or model failed; the pose is then the identity."""


def classical_poses(batch: WindowBatch, settings: LucasKanade = LucasKanade()) -> ClassicalPoses:
    """Each frame of each window against frame 0; the same for the same images."""
    b, s = batch.images.shape[:2]
    T = np.tile(np.eye(4), (b, s, 1, 1))
    is_found = np.zeros((b, s), bool)
    is_found[:, 0] = True
    K = batch.K.detach().cpu().double().numpy()
    for k in range(b):
        grey = [_grey(image) for image in batch.images[k]]
        corners = _corners(grey[0], settings)
        for i in range(1, s):
            pose = two_view_pose(*tracked(grey[0], grey[i], corners, settings), K[k], settings)
            if pose is not None:
                T[k, i], is_found[k, i] = pose, True
    device = batch.images.device
    return ClassicalPoses(torch.from_numpy(T).to(device), torch.from_numpy(is_found).to(device))


def tracked(first: Grey, other: Grey, corners: Array, settings: LucasKanade = LucasKanade()) -> tuple[Array, Array]:
    """Positions (M,2) in both images (H,W) of those corners (N,2) that are found again, and found back."""
    if not len(corners):
        return np.zeros((0, 2)), np.zeros((0, 2))
    window = (settings.window_px, settings.window_px)
    start = corners.astype(np.float32).reshape(-1, 1, 2)
    there, ok, _ = cv2.calcOpticalFlowPyrLK(first, other, start, None, winSize=window, maxLevel=settings.levels)
    back, ok_back, _ = cv2.calcOpticalFlowPyrLK(other, first, there, None, winSize=window, maxLevel=settings.levels)
    moved = there.reshape(-1, 2)
    error = np.linalg.norm((back - start).reshape(-1, 2), axis=1)
    inside = ((moved >= 0) & (moved <= (first.shape[1] - 1, first.shape[0] - 1))).all(1)
    good = (ok.ravel() == 1) & (ok_back.ravel() == 1) & (error < settings.back_px) & inside
    return corners[good], moved[good].astype(np.float64)


def two_view_pose(
    first_px: Array, other_px: Array, K: Array, settings: LucasKanade = LucasKanade()
) -> npt.NDArray[np.float64] | None:
    """T_first_other (4,4) from matches (M,2), translation of length 1; None when there are too few or no model."""
    if len(first_px) < settings.min_matches:
        return None
    E, mask = cv2.findEssentialMat(other_px, first_px, K, cv2.RANSAC, 0.999, settings.threshold_px)
    if E is None or E.shape != (3, 3) or int(mask.sum()) < settings.min_matches - 2:
        return None
    _, R, t, _ = cv2.recoverPose(E, other_px, first_px, K, mask=mask.copy())
    if not (np.isfinite(R).all() and np.isfinite(t).all()):
        return None
    return se3.from_rt(R, t.ravel())


def _corners(grey: Grey, settings: LucasKanade) -> Array:
    found = cv2.goodFeaturesToTrack(grey, settings.max_corners, settings.quality, settings.distance_px, blockSize=3)
    return np.zeros((0, 2)) if found is None else found.reshape(-1, 2).astype(np.float64)


def _grey(image: Tensor) -> Grey:
    """(3,H,W) in [0,1] -> (H,W) uint8."""
    rgb = image.detach().cpu().permute(1, 2, 0).numpy()
    return np.asarray(cv2.cvtColor((rgb * 255 + 0.5).clip(0, 255).astype(np.uint8), cv2.COLOR_RGB2GRAY), np.uint8)
