"""Landmarks of one keyframe found in others that see the same place and were not followed there.

Tracking follows a landmark until it is lost; when the camera comes back, its place is seen through other landmarks, and
nothing but a few edges of the graph ties both visits. Here the landmarks of one keyframe are projected into another,
its image is warped to look like the other, and each landmark is searched for near its projection by optical flow,
forward and back. What is found counts if one pose of the other keyframe explains it: landmarks that both share.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from vgslam import beside
from vgslam.frontend.features import FeatureConfig, Gray, track_flow
from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH
from vgslam.multiview.pnp import PosePoints, refine_pose
from vgslam.refine.problem import Mask, Problem, project
from vgslam.reloc.locate import evened
from vgslam.reloc.nearby import MAX_APART, MIN_FACING
from vgslam.types import Array, Ids

GrayOf = Callable[[int], Gray]
"""The grey image of a keyframe, by its id."""

N_PARTNERS = 1
"""Keyframes whose landmarks are searched for in each. A second one costs as much again, and gained little."""
LEAST_GAP, BETWEEN_PARTNERS = 3, 4
"""Neighbours within the first number share what they see already; of partners within the second, one is enough."""
MOST_SHARED = 0.5
"""Keyframes that share more than this part of the landmarks of either have nothing to gain."""
LEAST_FOUND, LEAST_AGREEING = 20, 0.6
"""Landmarks that have to be found, and the share of them that one pose explains."""
SIGMA_PX, REL_SIGMA = 2.0, 0.03
"""Deviation of a pixel and of a depth across which they agree: the map has not been adjusted to them yet."""
MOST_WANTED = 150
"""Landmarks that are searched for in one image."""
N_KEPT = 24
"""Images kept: partners are mostly keyframes that were looked at shortly before or will be shortly after."""
FLAT = 128
"""The grey of an evened image where nothing is to be seen."""
LEVELS, BORDER_PX = 3, 8
"""Pyramid levels of the search, and the strip along the edge where windows would lie half outside."""


@dataclass(frozen=True)
class _Found:
    """Landmarks of the problem that were found in a keyframe."""

    cam: int  # the keyframe
    point: Ids  # (n,): the landmarks
    pixels: Array  # (n,2): where it sees them


def with_shared_landmarks(problem: Problem, others: Mask, gray_of: GrayOf, features: FeatureConfig) -> Problem:
    """The problem with what pairs of keyframes see of each other's landmarks as additional observations at the end.
    others (C,): keyframes that take no part. Merges nothing: a landmark that was followed under another number near
    there stays, as both are measured on their own."""
    pairs = partners(problem, others)
    search = _Search(problem, gray_of, features)
    found = beside.results(lambda pair: search.find(*pair), pairs)
    return with_observations(problem, [f for f in found if f is not None])


def with_observations(p: Problem, found: list[_Found]) -> Problem:
    """The problem with more observations, each of a keyframe and a landmark once."""
    if not found:
        return p
    cam = np.concatenate([np.full(len(f.point), f.cam) for f in found])
    point, pixels = np.concatenate([f.point for f in found]), np.concatenate([f.pixels for f in found])
    n = len(p.points)
    key, first = np.unique(cam * n + point, return_index=True)
    rows = np.sort(first[~np.isin(key, p.cam * n + p.point)])
    return replace(
        p, cam=np.concatenate([p.cam, cam[rows]]), point=np.concatenate([p.point, point[rows]]),
        pixels=np.concatenate([p.pixels, pixels[rows]]),
        in_use=np.concatenate([p.in_use, np.ones(len(rows), bool)]),
    )  # fmt: skip


def partners(p: Problem, others: Mask) -> list[tuple[int, int]]:
    """Pairs (j, k) of keyframes that look the same way at the same place and share few landmarks: those of j are to be
    looked for in k. Pairs with the same k follow one another, the nearest j first. Of those beside one another every
    second is left out."""
    T = p.T_world_cam()
    centres, axes = T[:, :3, 3], T[:, :3, 2]
    rows = p.rows_by_keyframe()
    z = p.local_points()[:, 2]
    depth = np.array([np.median(z[r]) if len(r) else 0.0 for r in rows])
    numbers = np.arange(len(T))
    found: list[tuple[int, int]] = []
    for k in np.flatnonzero(~others & (depth > MIN_DEPTH)).tolist():
        cosine = axes @ axes[k]
        apart = np.linalg.norm(centres - centres[k], axis=1) / depth[k]
        may = (apart < MAX_APART) & (cosine > MIN_FACING) & (np.abs(numbers - k) >= LEAST_GAP) & ~others
        candidates = np.flatnonzero(may)
        unlike = apart[candidates] + np.arccos(np.clip(cosine[candidates], -1.0, 1.0))
        pairs = _apart(p, rows, k, candidates[np.argsort(unlike, kind="stable")].tolist())
        found += [pair for pair in pairs if not is_beside_one(pair, found)]
    return found


def is_beside_one(pair: tuple[int, int], found: list[tuple[int, int]]) -> bool:
    """Whether the keyframes before a pair's second, and beside its first, are a pair already: both show the same."""
    j, k = pair
    return any((i, k - 1) in found[-N_PARTNERS:] for i in (j - 1, j, j + 1))


def _apart(p: Problem, rows: list[Ids], k: int, candidates: list[int]) -> list[tuple[int, int]]:
    """The first candidates that share little with keyframe k, none close to another."""
    taken: list[int] = []
    mine = p.point[rows[k]]
    for j in candidates:
        if len(taken) == N_PARTNERS:
            break
        if any(abs(j - i) <= BETWEEN_PARTNERS for i in taken) or len(rows[j]) < LEAST_FOUND:
            continue
        if np.isin(p.point[rows[j]], mine).mean() <= MOST_SHARED:
            taken.append(j)
    return [(j, k) for j in taken]


class _Search:
    """Looks for landmarks of one keyframe in another. Keeps the images that were used last."""

    def __init__(self, p: Problem, gray_of: GrayOf, features: FeatureConfig) -> None:
        self.p, self._features = p, features
        self._rows = p.rows_by_keyframe()
        self._evened = lru_cache(N_KEPT)(lambda n: evened(gray_of(int(p.keyframe_ids[n]))))

    def find(self, j: int, k: int) -> _Found | None:
        """Landmarks of keyframe j in keyframe k, None if one pose does not explain what is found."""
        p, rows = self.p, self._wanted(j, k)
        if len(rows) < LEAST_FOUND:
            return None
        T_k_j = p.T_cam_world[k] @ se3.inverse(p.T_cam_world[j])
        X_j = p.local_points_of(rows)
        H = _plane_homography(p, T_k_j, float(np.median(X_j[:, 2])))
        start = cv2.perspectiveTransform(p.pixels[rows][None], H)[0]
        X_k = se3.transform(T_k_j, X_j)
        ahead = X_k[:, 2] > MIN_DEPTH
        guess = np.full_like(start, -1.0)
        guess[ahead] = project(p.camera, p.k1, X_k[ahead])
        inside = self._inside(start) & self._inside(guess)
        if inside.sum() < LEAST_FOUND:
            return None
        images = self._images(j, k, H)
        if images is None:
            return None
        at, near = start[inside].astype(np.float32), guess[inside].astype(np.float32)
        followed, ok = track_flow(*images, at, near, self._features, LEVELS)
        point, pixels = p.point[rows[inside][ok]], followed[ok].astype(np.float64)
        return self._agreeing(j, k, point, pixels) if len(point) >= LEAST_FOUND else None

    def _wanted(self, j: int, k: int) -> Ids:
        """Observations of keyframe j whose landmarks k does not see; evenly spread ones of too many."""
        rows = self._rows[j]
        rows = rows[~np.isin(self.p.point[rows], self.p.point[self._rows[k]])]
        if len(rows) <= MOST_WANTED:
            return rows
        return rows[np.linspace(0, len(rows) - 1, MOST_WANTED).round().astype(np.int64)]

    def _inside(self, pixels: Array) -> Mask:
        size = np.array([self.p.camera.width, self.p.camera.height])
        return np.asarray(((pixels > BORDER_PX) & (pixels < size - 1 - BORDER_PX)).all(1))

    def _images(self, j: int, k: int, H: Array) -> tuple[Gray, Gray] | None:
        """Keyframe j warped by H, and keyframe k, both with even contrast; None for images of another size than that
        of the camera, in which its pixels say nothing."""
        size = (self.p.camera.width, self.p.camera.height)
        seen_from, searched = self._evened(j), self._evened(k)
        if seen_from.shape[::-1] != size or searched.shape[::-1] != size:
            return None
        warped = cv2.warpPerspective(seen_from, H, size, borderMode=cv2.BORDER_CONSTANT, borderValue=FLAT)
        return np.asarray(warped, np.uint8), searched

    def _agreeing(self, j: int, k: int, point: Ids, pixels: Array) -> _Found | None:
        p = self.p
        direction = p.points[point] - p.T_world_cam()[j, :3, 3]
        points = PosePoints(p.points[point], pixels, direction, np.full(len(point), REL_SIGMA))
        inliers = refine_pose(p.camera, p.T_cam_world[k], points, SIGMA_PX).inliers
        if inliers.sum() < LEAST_FOUND or inliers.mean() < LEAST_AGREEING:
            return None
        return _Found(k, point[inliers], pixels[inliers])


def _plane_homography(p: Problem, T_k_j: Array, depth: float) -> Array:
    """(3,3): pixels of j to those of k, of a plane that faces j at a depth."""
    plane = T_k_j[:3, :3] + np.outer(T_k_j[:3, 3], [0.0, 0.0, 1.0 / depth])
    K = p.camera.K
    return K @ plane @ np.linalg.inv(K)
