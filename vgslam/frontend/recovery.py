"""The pose back after the features were lost: wide-baseline matches against the keyframes that look alike."""

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from vgslam.backend.map import SlamMap
from vgslam.frontend.guide import Guide
from vgslam.frontend.locate import LocateConfig, Locator, Recovered, Target, epipolar_matches
from vgslam.frontend.matching import ImageFeatures, MatcherConfig, describe
from vgslam.frontend.tracker import Tracker, View
from vgslam.geometry import se3
from vgslam.types import Array

__all__ = ["Recovered", "Recovery", "RecoveryConfig", "spaced"]


@dataclass(frozen=True)
class RecoveryConfig:
    """n_recent: last keyframes tried, n_similar: keyframes that look most alike; n_nearby: keyframes considered, when
    the pose is known, for one that looks the same way. locate: what a pose must fulfil."""

    matcher: MatcherConfig = field(default_factory=MatcherConfig)
    locate: LocateConfig = field(default_factory=LocateConfig)
    n_recent: int = 3
    n_similar: int = 5
    n_nearby: int = 12


class Recovery:
    """Finds a view's pose in the map without any guess of it.

    similar: gives the keyframes that look like a view, best first; where it is None, thumbnails are compared.
    """

    def __init__(
        self, slam_map: SlamMap, tracker: Tracker, config: RecoveryConfig, guide: Guide | None = None,
        similar: Callable[[View], list[int]] | None = None,
    ) -> None:  # fmt: skip
        self.map, self.tracker, self.config, self.guide = slam_map, tracker, config, guide
        self.locator = Locator(slam_map, config.locate, tracker.config.features)
        self._similar = similar or self._similar_thumbnails
        self._features: dict[int, ImageFeatures] = {}
        self._signatures: list[npt.NDArray[np.float32]] = []

    def recover(self, view: View) -> Recovered | None:
        """Pose of `view` from the recent and the most similar keyframes, of whatever component, or None."""
        if not self.map.keyframes:
            return None
        here = describe(view.gray, self.config.matcher)
        if len(here.pixels) < self.config.locate.min_inliers:
            return None
        target = Target(view.gray, self.tracker.camera)
        for k in self._candidates(view):
            px_k, px = epipolar_matches(self._features_of(k), here, self.config.matcher)
            found = self.locator.locate(k, px_k, target, px)
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
        target = Target(view.gray, self.tracker.camera)
        for k in mine[order][: self.config.n_recent].tolist():
            found = self.locator.confirm(k, target, se3.inverse(T_world_cam))
            if found is not None:
                return found
        return None

    def _candidates(self, view: View) -> list[int]:
        n = len(self.map.keyframes)
        recent = list(range(n - 1, max(-1, n - 1 - self.config.n_recent), -1))
        others = [k for k in self._similar(view) if k not in recent]
        return recent + spaced(others, self.config.n_similar)

    def _similar_thumbnails(self, view: View) -> list[int]:
        for k in range(len(self._signatures), len(self.map.keyframes)):
            keyframe = self.map.keyframes[k]
            self._signatures.append(self._signature_of(keyframe.frame_id, keyframe.image))
        likeness = np.stack(self._signatures) @ self._signature_of(view.frame_id, view.image)
        return [int(k) for k in np.argsort(-likeness, kind="stable")]

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


def spaced(ids: list[int], n: int, gap: int = 2) -> list[int]:
    """The first n of ids that are more than `gap` apart from those taken before them."""
    taken: list[int] = []
    for k in ids:
        if len(taken) == n:
            break
        if all(abs(k - j) > gap for j in taken):
            taken.append(k)
    return taken


def _signature(gray: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """A blurred 40x30 thumbnail, zero mean and unit norm, so that a dot product is the correlation."""
    small = cv2.GaussianBlur(cv2.resize(gray, (40, 30), interpolation=cv2.INTER_AREA), (0, 0), 1.5).astype(np.float32)
    small -= small.mean()
    return (small / (np.linalg.norm(small) + 1e-6)).reshape(-1)
