"""The pose back after the features were lost: wide-baseline matches against the keyframes that look alike."""

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.backend.map import SlamMap
from vgslam.frontend.features import Pixels, track_flow
from vgslam.frontend.guide import Guide
from vgslam.frontend.matching import ImageFeatures, MatcherConfig, describe, match
from vgslam.frontend.pnp import PoseFit, PosePoints, ransac_pose, refine_pose
from vgslam.frontend.tracker import Tracker, View
from vgslam.frontend.two_view import rotation_between
from vgslam.geometry import se3
from vgslam.types import Array, Ids


@dataclass(frozen=True)
class RecoveryConfig:
    """n_recent: last keyframes tried, n_similar: keyframes whose thumbnails look most alike; n_nearby:
    keyframes considered, when the pose is known, for one that looks the same way; a pose needs min_inliers
    matches, which are at least min_ratio of those that obey the epipolar geometry."""

    matcher: MatcherConfig = field(default_factory=MatcherConfig)
    n_recent: int = 3
    n_similar: int = 5
    n_nearby: int = 12
    min_inliers: int = 30
    min_ratio: float = 0.6
    min_refound: int = 15


@dataclass(frozen=True)
class Recovered:
    """Pose of a lost view, the landmarks seen in it, and the keyframe that they were found from."""

    T_world_cam: Array
    covariance: Array
    ids: Ids
    pixels: Pixels
    keyframe_id: int
    ratio: float


class Recovery:
    """Finds a view's pose in the map without any guess of it."""

    def __init__(
        self, slam_map: SlamMap, tracker: Tracker, config: RecoveryConfig, guide: Guide | None = None
    ) -> None:
        self.map, self.tracker, self.config, self.guide = slam_map, tracker, config, guide
        self._features: dict[int, ImageFeatures] = {}
        self._signatures: list[npt.NDArray[np.float32]] = []

    def recover(self, view: View) -> Recovered | None:
        """Pose of `view` from the recent and the most similar keyframes, of whatever component, or None."""
        here = describe(view.gray, self.config.matcher)
        if len(here.pixels) < self.config.min_inliers:
            return None
        for k in self._candidates(view):
            found = self._against(k, view, here)
            if found is not None:
                return found
        return None

    def look_again(self, view: View, T_world_cam: Array, component_id: int) -> Recovered | None:
        """The landmarks of a nearby keyframe of the component in a view whose pose is roughly known, or None."""
        m = self.map
        mine = np.array([k.id for k in m.keyframes if k.component_id == component_id], np.int64)
        T = m.T_world_keyframes(mine)
        facing = T[:, :3, 2] @ T_world_cam[:3, 2]
        distance = np.linalg.norm(T[:, :3, 3] - T_world_cam[:3, 3], axis=1)
        nearest = np.argsort(distance)[: self.config.n_nearby]
        order = nearest[np.argsort(-facing[nearest], kind="stable")]
        for k in mine[order][: self.config.n_recent].tolist():
            fit = PoseFit(se3.inverse(T_world_cam), np.zeros(0, bool), np.eye(6), 0.0)
            found = self._confirm(k, view, fit)
            if found is not None:
                return found
        return None

    def _candidates(self, view: View) -> list[int]:
        for k in range(len(self._signatures), len(self.map.keyframes)):
            keyframe = self.map.keyframes[k]
            self._signatures.append(self._signature_of(keyframe.frame_id, keyframe.image))
        n = len(self.map.keyframes)
        recent = list(range(n - 1, max(-1, n - 1 - self.config.n_recent), -1))
        rest = n - len(recent)
        if rest == 0:
            return recent
        likeness = np.stack(self._signatures[:rest]) @ self._signature_of(view.frame_id, view.image)
        similar: list[int] = []
        for j in np.argsort(-likeness, kind="stable").tolist():
            if len(similar) < self.config.n_similar and all(abs(j - s) > 2 for s in similar):
                similar.append(j)
        return recent + similar

    def _signature_of(self, frame_id: int, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The network's descriptor where it is asked for them, else the thumbnail."""
        if self.guide is not None and self.guide.use.descriptors:
            return self.guide.descriptor(frame_id, image)
        return _signature(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))

    def _features_of(self, k: int) -> ImageFeatures:
        if k not in self._features:
            if len(self._features) > 64:
                self._features.pop(next(iter(self._features)))
            gray = cv2.cvtColor(self.map.keyframes[k].image, cv2.COLOR_RGB2GRAY)
            self._features[k] = describe(gray, self.config.matcher)
        return self._features[k]

    def _against(self, k: int, view: View, here: ImageFeatures) -> Recovered | None:
        c, camera = self.config, self.tracker.camera
        there = self._features_of(k)
        ia, ib = match(there, here, c.matcher)
        if len(ia) < c.min_inliers:
            return None
        a, b = there.pixels[ia], here.pixels[ib]
        cv2.setRNGSeed(0)
        _, mask = cv2.findFundamentalMat(a, b, cv2.USAC_MAGSAC, 1.5, 0.999, 2000)
        if mask is None or mask.sum() < c.min_inliers:
            return None
        keep = mask[:, 0] > 0
        depth, rel_sigma = self._depth_at(k, a[keep])
        T_world_k = self.map.keyframes[k].S_world_keyframe.pose
        direction = (camera.rays(a[keep]) * depth[:, None]) @ T_world_k[:3, :3].T
        points = PosePoints(direction + T_world_k[:3, 3], b[keep], direction, rel_sigma)
        R_cam_k, _ = rotation_between(camera, b[keep], a[keep])
        fit = self._fit(points, se3.from_rt(R_cam_k, np.zeros(3)) @ se3.inverse(T_world_k))
        if fit is None:
            return None
        return self._confirm(k, view, fit)

    def _fit(self, points: PosePoints, T_start: Array) -> PoseFit | None:
        c, camera = self.config, self.tracker.camera
        starts = [T_start]
        sure = points.rel_sigma < 0.3
        if sure.sum() >= 12:
            found = ransac_pose(camera, points.select(sure), 6.0)
            if found is not None:
                starts.insert(0, found)
        fits = [refine_pose(camera, T, points, 1.2, iterations=15) for T in starts]
        best = max(fits, key=lambda f: int(f.inliers.sum()))
        good = best.inliers.sum() >= c.min_inliers and best.inliers.mean() >= c.min_ratio
        return best if good else None

    def _depth_at(self, k: int, pixels: Array) -> tuple[Array, Array]:
        """Depth of pixels (N,2) of a keyframe, from its landmarks nearby, in world units, with relative deviation."""
        m = self.map
        ids, px = m.observed_ids[k], m.observed_px[k]
        known = m.landmarks.is_triangulated[ids]
        if known.sum() < 8:
            known = np.ones(len(ids), bool)
        S = m.keyframes[k].S_world_keyframe
        z = S.inverse().apply(m.landmarks_world(ids[known]))[:, 2] * S.s
        ahead = z > 1e-6
        if ahead.sum() < 5:
            return np.ones(len(pixels)), np.full(len(pixels), 1.0)
        z, px = z[ahead], px[known][ahead]
        d2 = ((pixels[:, None, :] - px[None]) ** 2).sum(2)
        nearest = np.argpartition(d2, 2, axis=1)[:, :3]
        inverse = 1.0 / z[nearest]
        weight = 1.0 / (np.take_along_axis(d2, nearest, 1) + 4.0)
        mean = (weight * inverse).sum(1) / weight.sum(1)
        spread = np.sqrt((weight * (inverse - mean[:, None]) ** 2).sum(1) / weight.sum(1)) / mean
        gap = np.sqrt(d2.min(axis=1)) / self.tracker.camera.width
        return 1.0 / mean, np.clip(spread + 4.0 * gap, 0.02, 1.0)

    def _confirm(self, k: int, view: View, fit: PoseFit) -> Recovered | None:
        """Find the keyframe's own landmarks where the pose says they are; their agreement is the proof."""
        c, m, camera = self.config, self.map, self.tracker.camera
        ids, px = m.observed_ids[k], m.observed_px[k]
        T_world_k = m.keyframes[k].S_world_keyframe.pose
        warped, at_warped = self._warp(k, px, fit.T_cam_world @ T_world_k)
        Xc = se3.transform(fit.T_cam_world, m.landmarks_world(ids))
        at = np.full_like(px, -1.0)
        ahead = Xc[:, 2] > 1e-3
        at[ahead] = camera.project(Xc[ahead])
        size = np.array([camera.width, camera.height])
        inside = ((at > 8) & (at < size - 9) & (at_warped > 8) & (at_warped < size - 9)).all(1)
        if inside.sum() < c.min_refound:
            return None
        found, ok = track_flow(
            warped, view.gray, at_warped[inside].astype(np.float32), at[inside].astype(np.float32),
            self.tracker.config.features, 3,
        )  # fmt: skip
        ids, found = ids[inside][ok], found[ok]
        if len(ids) < c.min_refound:
            return None
        final = refine_pose(camera, fit.T_cam_world, self.tracker.pose_points(ids, found), 1.0)
        sure = m.landmarks.is_triangulated[ids]
        voters = sure if sure.sum() >= c.min_refound else np.ones(len(ids), bool)
        ratio = float(final.inliers[voters].mean())
        if final.inliers.sum() < c.min_refound or ratio < c.min_ratio:
            return None
        keep = final.inliers
        return Recovered(se3.inverse(final.T_cam_world), final.covariance, ids[keep], found[keep], k, ratio)

    def _warp(self, k: int, px: Array, T_cam_k: Array) -> tuple[npt.NDArray[np.uint8], Array]:
        """The keyframe's image as the lost view would see it if it were a plane at the median depth."""
        camera = self.tracker.camera
        depth, _ = self._depth_at(k, px)
        normal_over_depth = np.array([0.0, 0.0, 1.0 / float(np.median(depth))])
        H = camera.K @ (T_cam_k[:3, :3] + np.outer(T_cam_k[:3, 3], normal_over_depth)) @ np.linalg.inv(camera.K)
        gray = cv2.cvtColor(self.map.keyframes[k].image, cv2.COLOR_RGB2GRAY)
        warped = cv2.warpPerspective(gray, H, (camera.width, camera.height))
        return warped, cv2.perspectiveTransform(px[None], H)[0]


def _signature(gray: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """A blurred 40x30 thumbnail, zero mean and unit norm, so that a dot product is the correlation."""
    small = cv2.GaussianBlur(cv2.resize(gray, (40, 30), interpolation=cv2.INTER_AREA), (0, 0), 1.5).astype(np.float32)
    small -= small.mean()
    return (small / (np.linalg.norm(small) + 1e-6)).reshape(-1)
