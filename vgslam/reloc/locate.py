"""The pose of an image against one keyframe, from wide-baseline matches and then the keyframe's own landmarks."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.config import ABOVE_ZERO
from vgslam.frontend.features import FeatureConfig, Gray, Pixels, track_flow
from vgslam.frontend.matching import ImageFeatures, MatcherConfig, match
from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH, Camera
from vgslam.geometry.plane_distances import squared_distances
from vgslam.map.paged_keyframe import gray_of
from vgslam.map.slam_map import SlamMap
from vgslam.multiview.pnp import PoseFit, PosePoints, ransac_pose, refine_pose
from vgslam.multiview.two_view import rotation_between
from vgslam.types import Array, Ids

MIN_EPIPOLAR = 8
"""Least matches for a fundamental matrix: seven determine it, and one more can disagree."""
CONFIDENCE, MAX_SAMPLES = 0.999, 2000
"""Probability of a good sample at which the search for it stops, and samples at most: enough where 45 % of the matches
are right (w^7 each)."""
MIN_KNOWN = 8
"""With at least this many landmarks of measured depth in a keyframe, guessed ones are not used for depths nearby."""
MIN_AHEAD = 5
"""Least landmarks in front of a keyframe; with fewer its depth is unknown, 1 with a deviation of 1."""
N_NEAREST = 3
"""Landmarks that give the depth between them: the corners of a triangle."""
SOFTENING_PX = 2.0
"""Distance in px within which nearer landmarks do not count more."""
SIGMA_PER_GAP, LEAST_REL_SIGMA = 4.0, 0.02
"""Relative deviation of a depth for each image width to the nearest landmark, and its least: surfaces are not flat."""
SURE_REL_SIGMA, MIN_SURE = 0.3, 12
"""RANSAC takes only points with less than this relative deviation of depth, if there are at least this many."""
RANSAC_SIGMAS = 5.0
"""Its inlier distance, in standard deviations of a matched feature: wide, as these depths are interpolated."""
ITERATIONS = 15
"""Steps to a pose: a wide baseline starts farther away than the next frame of a video."""
BORDER_PX = 8
"""Landmarks closer to the image's edge are not searched for: the window of optical flow would lie half outside."""
ENLARGEMENT_STEP = 1.3
"""Landmarks whose surroundings are enlarged by the same to within half such a factor are searched for in one warped
image: optical flow bears a tenth or two, and a step ahead along a road enlarges what is near by much more than what is
far."""
REFIND_LEVELS = 3
"""Pyramid levels of that search: as between frames, since a pose from matches leaves a few px to find."""


@dataclass(frozen=True)
class LocateConfig:
    """Conditions on a pose that was found by matching."""

    min_inliers: int = 30
    """Least number of matches that agree with the pose."""
    min_ratio: float = 0.6
    """Least share of them among the matches that obey the epipolar geometry."""
    min_refound: int = 15
    """Least number of the keyframe's landmarks found where the pose predicts them."""
    sigma_px: Annotated[float, ABOVE_ZERO] = 1.2
    """Standard deviation of a matched feature, in px."""
    refound_sigma_px: Annotated[float, ABOVE_ZERO] = 1.0
    """Standard deviation of a landmark found again, in px."""
    min_rel_sigma: float = 0.0
    """Least relative deviation of depth that landmarks are granted: over a long way the map is not as exact as within
    its windows."""
    enlargements: int = 0
    """Other enlargements, to both sides of the median one, at which landmarks are looked for. More places are found
    with them, from wider apart, and so less exactly."""


@dataclass(frozen=True)
class Recovered:
    """The pose of an image in the map, with the landmarks seen in it."""

    T_world_cam: Array
    covariance: Array
    """(6,6), as in `PoseFit`."""
    ids: Ids
    pixels: Pixels
    keyframe_id: int
    """The keyframe that the landmarks were found from."""
    ratio: float
    """The share of the landmarks found that agrees with the pose."""
    share: float = 0.0
    """The share of the landmarks expected in the image that was found and agrees."""


def epipolar_matches(
    a: ImageFeatures, b: ImageFeatures, matcher: MatcherConfig, threshold_px: float = 1.5
) -> tuple[Array, Array]:
    """Pixels (N,2) of a and b that match and obey one fundamental matrix; empty when none is found."""
    ia, ib = match(a, b, matcher)
    return epipolar_inliers(a.pixels[ia], b.pixels[ib], threshold_px)


def epipolar_inliers(px_a: Array, px_b: Array, threshold_px: float = 1.5) -> tuple[Array, Array]:
    """Those of matched pixels (N,2) and (N,2) that obey one fundamental matrix; empty when none is found."""
    keep = obey_epipolar(px_a, px_b, threshold_px)
    return px_a[keep], px_b[keep]


def obey_epipolar(px_a: Array, px_b: Array, threshold_px: float = 1.5) -> npt.NDArray[np.bool_]:
    """(N,): which of matched pixels (N,2) and (N,2) obey one fundamental matrix; none where none is found."""
    nothing = np.zeros(len(px_a), bool)
    if len(px_a) < MIN_EPIPOLAR:
        return nothing
    cv2.setRNGSeed(0)
    try:
        _, mask = cv2.findFundamentalMat(px_a, px_b, cv2.USAC_MAGSAC, threshold_px, CONFIDENCE, MAX_SAMPLES)
    except cv2.error:  # degenerate matches: the solver asserts instead of returning nothing
        return nothing
    return nothing if mask is None else np.asarray(mask[:, 0] > 0)


def depth_near(slam_map: SlamMap, k: int, pixels: Array) -> tuple[Array, Array]:
    """Depth of pixels (N,2) of keyframe k in world units, from its landmarks nearby, with relative deviation."""
    m = slam_map
    ids, px = m.observed[k]
    known = m.landmarks.is_triangulated[ids]
    if known.sum() < MIN_KNOWN:
        known = np.ones(len(ids), bool)
    S = m.keyframes[k].S_world_keyframe
    z = S.inverse().apply(m.landmarks_world(ids[known]))[:, 2] * S.s
    ahead = z > 1e-6
    if ahead.sum() < MIN_AHEAD:
        return np.ones(len(pixels)), np.full(len(pixels), 1.0)
    z, px = z[ahead], px[known][ahead]
    d2 = squared_distances(pixels, px)
    nearest = np.argpartition(d2, N_NEAREST - 1, axis=1)[:, :N_NEAREST]
    inverse = 1.0 / z[nearest]
    weight = 1.0 / (np.take_along_axis(d2, nearest, 1) + SOFTENING_PX**2)
    mean = (weight * inverse).sum(1) / weight.sum(1)
    spread = np.sqrt((weight * (inverse - mean[:, None]) ** 2).sum(1) / weight.sum(1)) / mean
    gap = np.sqrt(d2.min(axis=1)) / m.keyframes[k].camera.width
    return 1.0 / mean, np.clip(spread + SIGMA_PER_GAP * gap, LEAST_REL_SIGMA, 1.0)


def evened(gray: Gray, radius_px: int = 12) -> Gray:
    """A grey image whose windows of 2 radius_px + 1 px all have the same mean and contrast, so that patches compare
    across exposures; windows without contrast stay flat."""
    size = (2 * radius_px + 1,) * 2
    x = gray.astype(np.float32)
    mean = cv2.blur(x, size)
    deviation = cv2.blur(x * x, size)
    deviation -= mean * mean  # in place from here on: an image is large, and to write a new one costs more than a sum
    np.sqrt(np.maximum(deviation, 1.0, out=deviation), out=deviation)
    x -= mean
    x *= 40.0
    x /= np.add(deviation, 4.0, out=deviation)
    x += 128.0
    return np.asarray(np.clip(x, 0, 255, out=x), np.uint8)


@dataclass(frozen=True)
class Target:
    """The image whose pose is asked for, and its camera."""

    gray: Gray
    camera: Camera

    @cached_property
    def even(self) -> Gray:
        """The image with its exposure evened out."""
        return evened(self.gray)


def _is_inside(pixels: Array, camera: Camera) -> npt.NDArray[np.bool_]:
    """(N,): which of pixels (N,2) have the window of optical flow in the image."""
    size = np.array([camera.width, camera.height])
    return np.asarray(((pixels > BORDER_PX) & (pixels < size - 1 - BORDER_PX)).all(1))


def _by_enlargement(factors: Array, most_steps: int) -> list[Ids]:
    """Indices into factors (N,) of those that are about the same, in groups up to most_steps from the median."""
    logs = np.log(np.maximum(factors, MIN_DEPTH)) / np.log(ENLARGEMENT_STEP)
    steps = (logs - np.median(logs)).round().clip(-most_steps, most_steps)
    return [np.flatnonzero(steps == step) for step in np.unique(steps)]


class Locator:
    """Poses of images against keyframes of `slam_map`; pixels are followed as `features` says."""

    def __init__(self, slam_map: SlamMap, config: LocateConfig, features: FeatureConfig) -> None:
        self.map, self.config, self.features = slam_map, config, features

    def locate(self, k: int, px_k: Array, target: Target, px: Array) -> Recovered | None:
        """Pose from pixels px_k (N,2) of keyframe k matched to px (N,2) of the target, None if it does not hold."""
        fit = self.from_matches(k, px_k, target, px)
        return None if fit is None else self.confirm(k, target, fit.T_cam_world)

    def from_matches(self, k: int, px_k: Array, target: Target, px: Array) -> PoseFit | None:
        """The pose that the matches alone give, None if too few agree."""
        if len(px) < self.config.min_inliers:
            return None
        points = self.matched_points(k, px_k, px)
        camera_k = self.map.keyframes[k].camera
        T_world_k = self.map.keyframes[k].S_world_keyframe.pose
        R_cam_k, _ = rotation_between(target.camera, px, target.camera.project(camera_k.rays(px_k)))
        return self._fit(points, se3.from_rt(R_cam_k, np.zeros(3)) @ se3.inverse(T_world_k), target.camera)

    def matched_points(self, k: int, px_k: Array, px: Array) -> PosePoints:
        """Pixels px_k (N,2) of keyframe k in the world, at the depth of its landmarks nearby, seen at px (N,2)."""
        depth, rel_sigma = depth_near(self.map, k, px_k)
        T_world_k = self.map.keyframes[k].S_world_keyframe.pose
        direction = (self.map.keyframes[k].camera.rays(px_k) * depth[:, None]) @ T_world_k[:3, :3].T
        return PosePoints(direction + T_world_k[:3, 3], px, direction, rel_sigma)

    def _fit(self, points: PosePoints, T_start: Array, camera: Camera) -> PoseFit | None:
        c = self.config
        starts = [T_start]
        sure = points.rel_sigma < SURE_REL_SIGMA
        if sure.sum() >= MIN_SURE:
            found = ransac_pose(camera, points.select(sure), RANSAC_SIGMAS * c.sigma_px)
            if found is not None:
                starts.insert(0, found)
        fits = [refine_pose(camera, T, points, c.sigma_px, iterations=ITERATIONS) for T in starts]
        best = max(fits, key=lambda f: int(f.inliers.sum()))
        good = best.inliers.sum() >= c.min_inliers and best.inliers.mean() >= c.min_ratio
        return best if good else None

    def confirm(self, k: int, target: Target, T_cam_world: Array) -> Recovered | None:
        """Find the keyframe's own landmarks where the pose puts them; their agreement is the proof."""
        ids, found, n_inside = self._refind(k, target, T_cam_world)
        c, m = self.config, self.map
        if len(ids) < max(c.min_refound, 6):
            return None
        final = refine_pose(target.camera, T_cam_world, self.pose_points(ids, found), c.refound_sigma_px)
        sure = m.landmarks.is_triangulated[ids]
        voters = sure if sure.sum() >= c.min_refound else np.ones(len(ids), bool)
        ratio = float(final.inliers[voters].mean())
        if final.inliers.sum() < c.min_refound or ratio < c.min_ratio:
            return None
        keep = final.inliers
        share = float(keep.sum()) / max(n_inside, 1)
        T_world_cam = se3.inverse(final.T_cam_world)
        return Recovered(T_world_cam, final.covariance, ids[keep], found[keep], k, ratio, share)

    def _refind(self, k: int, target: Target, T_cam_world: Array) -> tuple[Ids, Pixels, int]:
        """The landmarks (n,) of keyframe k that are found in the target near where the pose says, their pixels (n,2),
        and how many the pose puts inside the image."""
        m, camera = self.map, target.camera
        ids, px = m.observed[k]
        nothing = ids[:0], np.zeros((0, 2), np.float32), 0
        if len(ids) < self.config.min_refound:
            return nothing
        T_cam_k = T_cam_world @ m.keyframes[k].S_world_keyframe.pose
        Xc = se3.transform(T_cam_world, m.landmarks_world(ids))
        at = np.full_like(px, -1.0)
        ahead = Xc[:, 2] > MIN_DEPTH
        at[ahead] = camera.project(Xc[ahead])
        inside = np.flatnonzero(_is_inside(at, camera))
        if len(inside) < self.config.min_refound:
            return nothing
        z_k = se3.transform(se3.inverse(T_cam_k), Xc[inside])[:, 2]
        found, ok, n_inside = at.astype(np.float32), np.zeros(len(ids), bool), 0
        for group in _by_enlargement(z_k / Xc[inside, 2], self.config.enlargements):
            warped, at_warped = self._warp(k, px[inside[group]], T_cam_k, camera)
            shown = _is_inside(at_warped, camera)
            these, start = inside[group[shown]], at_warped[shown].astype(np.float32)
            found[these], ok[these] = track_flow(
                evened(warped), target.even, start, found[these], self.features, REFIND_LEVELS
            )
            n_inside += len(these)
        return (ids[ok], found[ok], n_inside) if n_inside >= self.config.min_refound else nothing

    def pose_points(self, ids: Ids, pixels: npt.NDArray) -> PosePoints:
        m = self.map
        landmarks = m.landmarks_world(ids)
        direction = landmarks - m.centres(m.landmarks.host[ids])
        rel_sigma = np.maximum(m.landmarks.rel_sigma[ids], self.config.min_rel_sigma)
        return PosePoints(landmarks, np.asarray(pixels, np.float64), direction, rel_sigma)

    def _warp(self, k: int, px: Array, T_cam_k: Array, camera: Camera) -> tuple[Gray, Array]:
        """The keyframe's image as the target would see it if it were a plane at the median depth."""
        depth, _ = depth_near(self.map, k, px)
        keyframe = self.map.keyframes[k]
        normal_over_depth = np.array([0.0, 0.0, 1.0 / float(np.median(depth))])
        plane = T_cam_k[:3, :3] + np.outer(T_cam_k[:3, 3], normal_over_depth)
        H = camera.K @ plane @ np.linalg.inv(keyframe.camera.K)
        warped = cv2.warpPerspective(gray_of(keyframe), H, (camera.width, camera.height))
        return warped, cv2.perspectiveTransform(px[None], H)[0]
