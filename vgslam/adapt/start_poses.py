"""Another start for bundle adjustment than the network's poses, which may lead into a wrong minimum in a new domain."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.adapt.windows import PointMatches, nearest_pixel

Array = npt.NDArray[np.float64]


def essential_poses(matches: Sequence[PointMatches], depth_first: Array, K: Array, sigma_px: float) -> Array:
    """T_cam_first (S,4,4) of frame 0 and the matches' frames 1.., each from its essential matrix (Nister 2004), with
    the length of translation that the depth (H,W) of frame 0 says. A frame without one stays where the one before
    is."""
    T = [np.eye(4)]
    for m in matches:
        E, _ = cv2.findEssentialMat(m.first_px, m.other_px, K, cv2.RANSAC, 0.999, 2 * sigma_px)
        if E is None or E.shape != (3, 3):
            T.append(T[-1])
            continue
        _, R, t, _ = cv2.recoverPose(E, m.first_px, m.other_px, K)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = R, t.ravel() * _length(m, depth_first, K, R, t.ravel())
        T.append(pose)
    return np.stack(T)


def _length(m: PointMatches, depth: Array, K: Array, R: Array, t: Array) -> float:
    """Median s of (z R p + s t) x q = 0 over the points, p and q their rays."""
    p, q = (np.column_stack([x, np.ones(len(x))]) @ np.linalg.inv(K).T for x in (m.first_px, m.other_px))
    a, b = np.cross(t, q), -np.cross(p @ R.T * depth[nearest_pixel(m.first_px, depth.shape)][:, None], q)
    return max(float(np.median((a * b).sum(1) / np.maximum((a * a).sum(1), 1e-12))), 1e-3)
