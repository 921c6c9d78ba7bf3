"""The pose of every frame: features are followed from frame to frame, and give it against the map's landmarks."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.config import ABOVE_ZERO
from vgslam.frontend.exposure import track_exposed
from vgslam.frontend.features import FeatureConfig, Gray, Pixels, detect_corners
from vgslam.frontend.guessed import stays, with_unknown_position
from vgslam.frontend.image_mask import ImageMask
from vgslam.frontend.local_map import TrackedMap
from vgslam.frontend.moving_points import MovingPoints
from vgslam.frontend.prepared import Preparation
from vgslam.frontend.rotation_guess import RotationGuess, Thumbnail
from vgslam.frontend.second_motion import OLD_KEYFRAMES, Followed, static_fit
from vgslam.frontend.turn_or_move import better_pose
from vgslam.geometry import se3
from vgslam.geometry.camera import MIN_DEPTH, MIN_RAY_Z, Camera
from vgslam.geometry.radial import Straightener
from vgslam.map.enlarged import enlarged
from vgslam.multiview.pnp import CentrePrior, PoseFit, PosePoints, ransac_pose, refine_pose
from vgslam.types import Array, Ids

MIN_TO_FIT = 8
"""Fewest followed features for a pose: a few more than it needs, so that some can disagree."""
SURE_REL_SIGMA, MIN_SURE = 0.2, 20
"""RANSAC takes its landmarks to be exact. So it gets those with less than this relative deviation of depth, and only if
there are enough of them that a chance agreement of outliers does not win."""
RANSAC_SIGMAS = 3.0
"""Inlier distance of RANSAC, in standard deviations of a tracked pixel (99 % of true ones)."""
MAX_GUESS_SHARE = 0.5
"""A predicted displacement by more than this share of the image's longer side is not believed."""
MIN_VOTERS = 30
"""With at least this many followed landmarks of measured depth, they alone decide whether a frame is lost."""
SUDDEN_DROP = 0.65
"""A share of inliers below this times that of the frame before has dropped too suddenly for a change of view."""
LEAST_SHARE = 0.25
"""Where a part of the image is ignored, corners in the rest are found closer together, down to half the distance: the
square root of this share."""
NEIGHBOURHOOD = 0.1
"""Distance within which corners are neighbours, as a share of the image's width."""
SECOND_PASS_LEVELS = 2
"""Pyramid levels of the second pass, which starts near where a pose puts the features."""


@dataclass(frozen=True)
class TrackerConfig:
    """How features are followed, and when a pose counts."""

    features: FeatureConfig = field(default_factory=FeatureConfig)
    """Corners and optical flow."""
    sigma_px: Annotated[float, ABOVE_ZERO] = 0.7
    """Standard deviation of a tracked pixel, in px."""
    gate: Annotated[float, ABOVE_ZERO] = 3.5
    """Largest distance of an inlier, in standard deviations."""
    min_inliers: int = 15
    """A frame with fewer landmarks that agree with its pose is lost."""
    min_inlier_ratio: float = 0.4
    """A frame is lost when a smaller share of the followed landmarks are inliers."""
    suspicious_ratio: float = 0.55
    """Below this share of inliers a frame is lost if the share has also dropped by a third in one frame."""
    ransac_below: float = 0.7
    """With a smaller share of inliers the pose is computed again by RANSAC."""
    second_pass_below: float = 0.75
    """With a smaller share of inliers features are followed a second time."""


@dataclass(frozen=True)
class View:
    """One frame, prepared for tracking."""

    frame_id: int
    timestamp_s: float
    raw: npt.NDArray[np.uint8]
    """The RGB frame as it came."""
    gray: Gray
    thumbnail: Thumbnail
    straightener: Straightener | None = None
    """Takes out the distortion that `gray` is already without."""

    @cached_property
    def image(self) -> npt.NDArray[np.uint8]:
        """The RGB image as large as the grey one, without distortion, made when it is asked for: most views need only
        their grey image."""
        raw = enlarged(self.raw, self.gray.shape[::-1])
        return raw if self.straightener is None else self.straightener(raw)


@dataclass(frozen=True)
class TrackState:
    """A view that tracking goes on from: its pose, and the landmarks that are seen in it."""

    view: View
    ids: Ids
    """(n,): landmark ids."""
    pixels: Pixels
    """(n,2): where they are in `view`."""
    T_world_cam: Array
    """Pose of `view`."""
    motion: Array | None = None
    """T_cam_previous of the last step; None after a break."""
    ratio: float = 1.0
    """The inlier ratio of the last step."""


@dataclass(frozen=True)
class TrackResult:
    """Outcome for one view."""

    is_lost: bool
    """Whether the view counts as lost."""
    T_world_cam: Array
    covariance: Array
    """(6,6), as in `PoseFit`."""
    ids: Ids
    """The inliers."""
    pixels: Pixels
    """Where the inliers are."""
    n_inliers: int
    ratio: float
    survived: float
    rotation_only: bool = False
    """Whether only the rotation is measured: the position is that of the frame before."""

    def state(self, view: View, before: TrackState | None) -> TrackState:
        """What to go on from; its motion is that since `before`, if the camera was followed from there."""
        motion = None if before is None else se3.inverse(self.T_world_cam) @ before.T_world_cam
        return TrackState(view, self.ids, self.pixels, self.T_world_cam, motion, self.ratio)


class Tracker:
    """Follows the landmarks of `slam_map` through consecutive views."""

    def __init__(
        self, camera: Camera, slam_map: TrackedMap, config: TrackerConfig, mask: ImageMask | None = None
    ) -> None:  # fmt: skip
        self.camera, self.config = camera, config
        self.map = slam_map
        """The landmarks that are followed: the map, or a snapshot of a part of it while others change the map."""
        self.mask = mask or ImageMask(camera.width, camera.height)
        """Where the image carries no features."""
        self.moving = MovingPoints(
            config.features, NEIGHBOURHOOD * camera.width, camera.width, camera.height
        )
        """Corners on things that move on their own, in the newest view."""
        self._rotation: RotationGuess | None = None
        self._preparation = Preparation()

    def view(self, frame_id: int, timestamp_s: float, image: npt.NDArray[np.uint8]) -> View:
        """An RGB frame with its grey image and thumbnail, without the distortion that the map's adjustment has found in
        the camera. Raises ValueError for an image that is not of the size of the camera's frames."""
        (h, w), frames = image.shape[:2], self.camera.of_frames
        if (w, h) != (frames.width, frames.height):
            raise ValueError(f"frame {frame_id} is {w}x{h}, the camera {frames.width}x{frames.height}")
        made = self._preparation.of(image, self.camera)
        return View(frame_id, timestamp_s, image, made.gray, made.thumbnail, made.straightener)

    def prepare(self, image: npt.NDArray[np.uint8]) -> None:
        """Do the work of `view` ahead of time, on any thread, for an image that it will soon be called with."""
        self._preparation.ahead(image, self.camera)

    def take_camera(self, camera: Camera) -> None:
        """Go on with another calibration of the same camera. Views that were made before are out of date."""
        self.camera, self._rotation = camera, None

    def take_map(self, slam_map: TrackedMap) -> None:
        """Follow the landmarks of this map, or snapshot of it, from now on."""
        self.map = slam_map

    def detect(self, view: View, existing: Pixels) -> Pixels:
        """New corners of a view, away from existing ones."""
        features = self.config.features
        n_wanted = features.max_features - len(existing)
        if self.mask.is_empty and len(self.moving.pixels) == 0:
            return detect_corners(view.gray, existing, n_wanted, features)
        # as many corners as the whole image would have, in what is left of it
        distance = features.min_distance_px * np.sqrt(max(LEAST_SHARE, 1.0 - self.mask.share))
        closer = replace(features, min_distance_px=max(1, round(float(distance))))
        return detect_corners(view.gray, existing, n_wanted, closer, lambda pixels: self._allows(view, pixels))

    def _allows(self, view: View, pixels: npt.NDArray) -> npt.NDArray[np.bool_]:
        """Whether each of pixels (N,2) may become a corner."""
        return self.mask.allows(pixels) & ~self.moving.covers(view.frame_id, pixels)

    def follow(
        self, before: Gray, current: Gray, pixels: Pixels, guess: Pixels, levels: int | None = None
    ) -> tuple[Pixels, npt.NDArray[np.bool_]]:
        """As `track_exposed`; a feature that ends up where the image carries none is lost."""
        found, ok = track_exposed(before, current, pixels, guess, self.config.features, levels)
        return found, ok & self.mask.allows(found)

    def rotation(self, previous: View, current: View, motion: Array | None) -> Array:
        """R_cur_prev from the thumbnails, searched from rest and from the last motion."""
        if self._rotation is None:
            h, w = previous.thumbnail.image.shape
            self._rotation = RotationGuess(previous.thumbnail.camera, h, w)
        starts = [np.eye(3)] if motion is None else [np.eye(3), motion[:3, :3]]
        return self._rotation.estimate(previous.thumbnail, current.thumbnail, starts)

    def rotate_pixels(self, pixels: Pixels, R: Array) -> Pixels:
        """Where pixels (N,2) move when the camera turns by R_cur_prev."""
        p = self.camera.rays(pixels) @ R.T
        p[:, 2] = np.maximum(p[:, 2], MIN_RAY_Z)
        return self.camera.project(p).astype(np.float32)

    def pose_points(self, ids: Ids, pixels: npt.NDArray) -> PosePoints:
        """Landmarks ids (N,) seen at pixels (N,2), as the input of PnP."""
        landmarks = self.map.landmarks_world(ids)
        host = self.map.landmarks.host[ids]
        return PosePoints(
            landmarks, np.asarray(pixels, np.float64), landmarks - self.map.centres(host),
            self.map.landmarks.rel_sigma[ids],
        )  # fmt: skip

    def track(self, state: TrackState, view: View, motion: Array | None = None) -> TrackResult:
        """Pose of `view` from the features of `state` that are found in it. motion: T_view_previous (4,4) in world
        units, where it is known from elsewhere; patches are then turned by it before they are looked for."""
        T_cam_world = se3.inverse(state.T_world_cam)
        predicted = self._predicted(state, view) if motion is None else motion @ T_cam_world
        points = self.pose_points(state.ids, state.pixels)
        guess = self._displaced(points, T_cam_world, predicted, state.pixels, is_sure=motion is not None)
        before, at = state.view.gray, state.pixels
        if motion is not None:
            before, at = self._turned(before, at, motion[:3, :3])
        pixels, ok = self.follow(before, view.gray, at, guess)
        after_s = abs(view.timestamp_s - state.view.timestamp_s)
        still = stays(self.map, state.ids, state.T_world_cam[:3, 3], after_s)
        fit = self._fit(points, pixels, ok, predicted, still)
        if ok.mean() < self.config.second_pass_below and fit is not None and fit.inliers.sum() >= MIN_TO_FIT:
            pixels, ok = self._second_pass(state, view, points, pixels, ok, fit)
            fit = self._fit(points, pixels, ok, fit.T_cam_world, still)
        moving = np.zeros(len(points), bool)
        if fit is not None and still is not None:
            fit = self._turned_or_moved(state, points.seen_at(pixels), ok, fit, still)
        if fit is not None:
            fit, moving = self._without_moving(state, view, points.seen_at(pixels), ok, fit)
        result = self._judge(state, points, pixels, ok & ~moving, fit)
        return result if still is None else self._with_rotation_only(result)

    def _turned_or_moved(
        self, state: TrackState, points: PosePoints, ok: np.ndarray, fit: PoseFit, still: CentrePrior
    ) -> PoseFit:
        """The pose of a view that lacks depth, or another one that explains it clearly better. Without a few known
        depths nothing says how far the camera went, and that it stayed is as good an answer."""
        if self.map.landmarks.is_triangulated[state.ids[ok]].sum() < MIN_TO_FIT:
            return fit
        before = state.pixels[ok].astype(np.float64)
        other = better_pose(
            self.camera, se3.inverse(state.T_world_cam), before, points.select(ok), fit.T_cam_world, still
        )
        if other is None:
            return fit
        own = other.as_pose(self.config.gate)
        inliers = np.zeros(len(points), bool)
        inliers[np.flatnonzero(ok)[own.inliers]] = True
        return replace(own, inliers=inliers)

    def _without_moving(
        self, state: TrackState, view: View, points: PosePoints, ok: np.ndarray, fit: PoseFit
    ) -> tuple[PoseFit, np.ndarray]:
        """The pose from what does not move on its own, and which of the points (N,) do."""
        self.moving.follow(state.view.frame_id, state.view.gray, view.frame_id, view.gray)
        marks, rows = self.map.landmarks, np.flatnonzero(ok)
        age = len(self.map.keyframes) - 1 - marks.host[state.ids]
        is_old = (age >= OLD_KEYFRAMES) & marks.is_triangulated[state.ids]
        followed = Followed(points.select(ok), is_old[ok], self.moving.pixels, self.moving.radius_px)
        c = self.config
        found = static_fit(self.camera, followed, replace(fit, inliers=fit.inliers[ok]), c.sigma_px, c.gate)
        inliers, moving = np.zeros(len(points), bool), np.zeros(len(points), bool)
        inliers[rows[found.fit.inliers]] = True
        at = rows[found.moving]
        if self.moving.add(state.pixels[at], points.pixels[at].astype(np.float32)):
            moving[at] = True
        seen = inliers & ~moving
        motion = found.fit.T_cam_world @ state.T_world_cam
        self.moving.judge(self.camera, motion, state.ids[seen], points.pixels[seen].astype(np.float32))
        return replace(found.fit, inliers=inliers), moving

    def _predicted(self, state: TrackState, view: View) -> Array:
        """T_cam_world of `view`, from the last velocity and the rotation that the thumbnails show."""
        R = self.rotation(state.view, view, state.motion)
        T_cam_world = se3.inverse(state.T_world_cam)
        predicted = (state.motion if state.motion is not None else np.eye(4)) @ T_cam_world
        predicted = se3.from_rt(R @ T_cam_world[:3, :3], predicted[:3, 3])
        if state.motion is not None:
            # keep the speed, turn as the thumbnail says: centre of the predicted camera stays
            centre = se3.inverse(state.motion @ T_cam_world)[:3, 3]
            predicted[:3, 3] = -predicted[:3, :3] @ centre
        else:
            predicted[:3, 3] = -predicted[:3, :3] @ state.T_world_cam[:3, 3]
        return predicted

    def _displaced(
        self, points: PosePoints, T_from: Array, T_to: Array, pixels: Pixels, is_sure: bool = False
    ) -> Pixels:
        """Pixels, moved as the landmarks' projections move from one camera to the other. Moves too large to be right
        are not made, unless the cameras are known for sure."""
        a, b = se3.transform(T_from, points.landmarks), se3.transform(T_to, points.landmarks)
        safe = (a[:, 2] > MIN_DEPTH) & (b[:, 2] > MIN_DEPTH)
        out = pixels.astype(np.float64)
        out[safe] += self.camera.project(b[safe]) - self.camera.project(a[safe])
        if not is_sure:
            far = np.abs(out - pixels).max(1) > MAX_GUESS_SHARE * max(self.camera.width, self.camera.height)
            out[far] = pixels[far]
        return out.astype(np.float32)

    def _turned(self, gray: Gray, pixels: Pixels, R: Array) -> tuple[Gray, Pixels]:
        """An image as the camera would see it after turning by R_cur_prev, and where its pixels (N,2) are then: optical
        flow can follow a patch that is shifted, not one that is turned."""
        H = self.camera.K @ R @ np.linalg.inv(self.camera.K)
        size = (self.camera.width, self.camera.height)
        turned = cv2.warpPerspective(gray, H, size, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(turned, np.uint8), self.rotate_pixels(pixels, R)

    def _with_rotation_only(self, result: TrackResult) -> TrackResult:
        """The result, marked as a rotation alone where too few landmarks of measured depth give a position."""
        if result.is_lost or self.map.landmarks.is_triangulated[result.ids].sum() >= MIN_VOTERS:
            return result
        centre = result.T_world_cam[:3, 3]
        covariance = with_unknown_position(self.map, result.ids, centre, result.covariance)
        return replace(result, covariance=covariance, rotation_only=True)

    def _second_pass(
        self, state: TrackState, view: View, points: PosePoints, pixels: Pixels, ok: np.ndarray, fit: PoseFit
    ) -> tuple[Pixels, np.ndarray]:
        """Look for the features that were lost once more, from where the pose of the others puts them."""
        failed = np.flatnonzero(~ok)
        T_before = se3.inverse(state.T_world_cam)
        guess = self._displaced(points.select(failed), T_before, fit.T_cam_world, state.pixels[failed])
        before, at = state.view.gray, state.pixels[failed]
        again, found = self.follow(before, view.gray, at, guess, SECOND_PASS_LEVELS)
        pixels, ok = pixels.copy(), ok.copy()
        pixels[failed[found]], ok[failed[found]] = again[found], True
        return pixels, ok

    def _fit(
        self, points: PosePoints, pixels: Pixels, ok: np.ndarray, start: Array, still: CentrePrior | None
    ) -> PoseFit | None:
        """Pose from the features that were followed; its inliers are a mask over all N."""
        c = self.config
        if ok.sum() < MIN_TO_FIT:
            return None
        some = points.seen_at(pixels).select(ok)
        fit = refine_pose(self.camera, start, some, c.sigma_px, gate=c.gate, prior=still)
        if fit.inliers.mean() < c.ransac_below:
            sure = some.rel_sigma < SURE_REL_SIGMA
            if sure.sum() >= MIN_SURE:
                found = ransac_pose(self.camera, some.select(sure), RANSAC_SIGMAS * c.sigma_px)
                if found is not None:
                    other = refine_pose(self.camera, found, some, c.sigma_px, gate=c.gate, prior=still)
                    fit = other if other.inliers.sum() > fit.inliers.sum() else fit
        inliers = np.zeros(len(points), bool)
        inliers[np.flatnonzero(ok)[fit.inliers]] = True
        return PoseFit(fit.T_cam_world, inliers, fit.covariance, fit.median_error_px)

    def _judge(
        self, state: TrackState, points: PosePoints, pixels: Pixels, ok: np.ndarray, fit: PoseFit | None
    ) -> TrackResult:
        c = self.config
        empty = TrackResult(True, np.eye(4), np.eye(6), state.ids[:0], state.pixels[:0], 0, 0.0, float(ok.mean()))
        if fit is None:
            return empty
        # Corners with a guessed depth fit almost anything along their epipolar line, so they do not vote when enough
        # triangulated ones are there.
        sure = self.map.landmarks.is_triangulated[state.ids]
        voters = ok & sure if (ok & sure).sum() >= MIN_VOTERS else ok
        n, total = int((fit.inliers & voters).sum()), int(voters.sum())
        ratio = n / max(total, 1)
        dropped = ratio < c.suspicious_ratio and ratio < SUDDEN_DROP * state.ratio
        is_lost = n < c.min_inliers or ratio < c.min_inlier_ratio or dropped
        keep = fit.inliers
        T_world_cam = se3.inverse(fit.T_cam_world)
        return TrackResult(
            is_lost, T_world_cam, fit.covariance, state.ids[keep], pixels[keep], n, ratio, float(ok.mean())
        )
