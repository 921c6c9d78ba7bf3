"""Dense depth of a map's keyframes measured again, when the map has been adjusted: with its last poses, more views, and
more pixels than there was time for while the camera moved."""

from functools import lru_cache

import cv2
import numpy as np

from vgslam import beside
from vgslam.frontend.image_mask import ImageMask
from vgslam.frontend.mapper import keep_depth
from vgslam.geometry.camera import Camera
from vgslam.map.paged_keyframe import gray_of
from vgslam.map.slam_map import SlamMap
from vgslam.multiview.depth_refinement import LEAST_AGREEING, FineDepth, PosedImage, refine_depth
from vgslam.multiview.useful_views import useful_views
from vgslam.refine.adjust import Watch
from vgslam.types import Ids, Keyframe

AREA_PX = 43_200
"""Pixels of a depth map: 240 x 180."""
N_VIEWS = 6
"""Other keyframes that are asked."""
BASELINES = (0.02, 0.4)
"""Least and largest distance of these, as a share of the median depth."""
APART = 2
"""Views that are asked are this many keyframes apart: neighbours say the same."""
N_KEPT = 48
"""Small images kept: those that were used last."""
AT_ONCE = 16
"""Depth maps held before they are written: 6 MB."""


def measure_depth_again(m: SlamMap, members: Ids, mask: ImageMask, watch: Watch, keeps_others: bool = False) -> int:
    """Refines the dense depth of those of the keyframes `members` that have some; returns how many have been. The map's
    poses are taken as they are. mask: where images carry nothing. keeps_others: depth that the views do not confirm
    stays as sure as it was; else it is not sure. `watch.should_stop` ends it. Raises MapError and OutputError for
    pictures that cannot be read or written."""
    views = _Views(m)
    todo = [k for k in members.tolist() if m.keyframes[k].depth is not None]
    n_done = 0
    if todo:
        watch.say(f"measuring the dense depth of {len(todo)} keyframes again (Ctrl-C skips this)")
    with watch.block():
        for first in range(0, len(todo), AT_ONCE):
            if watch.should_stop():
                break
            some = todo[first : first + AT_ONCE]
            for k, found in zip(some, beside.results(views.refined, some), strict=True):
                if found is not None:
                    _keep(m.keyframes[k], found, mask, keeps_others)
                    n_done += 1
    return n_done


def _keep(keyframe: Keyframe, found: FineDepth, mask: ImageMask, keeps_others: bool) -> None:
    """Takes over what was measured again, in world units."""
    h, w = found.depth.shape
    assert keyframe.confidence is not None
    before = cv2.resize(keyframe.confidence, (w, h), interpolation=cv2.INTER_NEAREST)
    others = before if keeps_others else np.float32(0.0)
    confidence = np.where(found.is_found, found.confidence, others).astype(np.float32)
    depth = found.depth / np.float32(keyframe.S_world_keyframe.s)
    keep_depth(keyframe, depth, confidence, keyframe.camera.resized(w, h), mask)


class _Views:
    """The keyframes of a map whose poses stay, as they see each other."""

    def __init__(self, m: SlamMap) -> None:
        self.map = m
        self._T = m.T_world_keyframes(np.arange(len(m.keyframes)))
        self._image = lru_cache(N_KEPT)(self._made)

    def refined(self, k: int) -> FineDepth | None:
        """The dense depth of keyframe k in world units; None where nothing of it is known, or too little shows it."""
        keyframe = self.map.keyframes[k]
        coarse = keyframe.depth
        if coarse is None or not (coarse > 0).any():
            return None
        coarse = coarse * np.float32(keyframe.S_world_keyframe.s)
        others = self._others(k, float(np.median(coarse[coarse > 0])))
        if len(others) < LEAST_AGREEING:
            return None
        camera = _small(keyframe.camera)
        size = (camera.width, camera.height)
        coarse = cv2.resize(coarse, size, interpolation=cv2.INTER_NEAREST)
        return refine_depth(self._image(k, size), camera, coarse, [self._image(j, size) for j in others])

    def _others(self, k: int, depth: float) -> list[int]:
        """Keyframes that see what k sees from a useful distance, best first."""
        chosen: list[int] = []
        keyframe = self.map.keyframes[k]
        for j in useful_views(self._T, k, depth, BASELINES).tolist():
            other = self.map.keyframes[j]
            can_tell = other.component_id == keyframe.component_id and other.camera == keyframe.camera
            if can_tell and all(abs(j - i) >= APART for i in chosen):
                chosen.append(j)
            if len(chosen) == N_VIEWS:
                break
        return chosen

    def _made(self, k: int, size: tuple[int, int]) -> PosedImage:
        gray = cv2.resize(gray_of(self.map.keyframes[k]), size, interpolation=cv2.INTER_AREA)
        return PosedImage(gray.astype(np.float32), self._T[k])


def _small(camera: Camera) -> Camera:
    """The camera of an image of at most AREA_PX pixels."""
    scale = min(1.0, float(np.sqrt(AREA_PX / (camera.width * camera.height))))
    return camera.resized(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))
