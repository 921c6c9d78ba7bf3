"""A stand-in for a trained network: it recognises a sequence's images and tells their truth with a network's errors.

It stands behind the `Backbone` protocol, so everything between the network and the map is exercised; what a trained
network brings can be compared, switch by switch, before there are weights.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vgslam.geometry import se3
from vgslam.map.enlarged import enlarged, tracked_camera
from vgslam.map.slam_map import SlamMap
from vgslam.network.backbone import BackboneSpec, SceneGeometry
from vgslam.network.licence import APACHE_2
from vgslam.network.preprocess import NetworkImages, PixelMap, preprocess
from vgslam.network.vggt import Head
from vgslam.network.weights_info import WeightsInfo
from vgslam.types import Array, Camera, Float32, Image

N_DESCRIPTOR = 64
NETWORK_WIDTH_PX = 224


@dataclass(frozen=True)
class Film:
    """Images (H,W,3) of one camera with true depth along the optical axis ((H,W), 0 or inf: none) and poses
    T_world_cam (N,4,4)."""

    images: list[Image]
    depth: list[Float32]
    T_world_cam: Array
    camera: Camera


@dataclass(frozen=True)
class Errors:
    """Standard deviations of the errors of a network's answer. Depth edges are also blurred, with little confidence."""

    unit: float = 0.3
    """Log of the unit, which differs from window to window."""
    frame_scale: float = 0.02
    """Log scale of each frame's depth against the window's."""
    smooth: float = 0.04
    """Log depth error that varies over an eighth of the image."""
    pixel: float = 0.02
    """Log depth error of each pixel."""
    rotation_deg: float = 0.5
    """Rotation of each camera but the first."""
    translation: float = 0.01
    """Translation of each camera but the first, as a share of the median depth."""


NO_ERRORS = Errors(0, 0, 0, 0, 0, 0)


class OracleBackbone:
    """Implements `Backbone` with the truth of `film` and `errors`, the same for the same frames; `seen`: the frames of
    each call."""

    def __init__(self, film: Film, errors: Errors | None = None, seed: int = 0) -> None:
        self.spec = BackboneSpec("oracle", 14, 1, frozenset({Head.POSE, Head.DEPTH}), N_DESCRIPTOR)
        self.weights = WeightsInfo("oracle", "0123456789abcdef", APACHE_2, 1)
        self.film, self.errors, self.seed = film, errors or Errors(), seed
        self.seen: list[list[int]] = []
        tracked = tracked_camera(film.camera, SlamMap())
        shown = [enlarged(image, (tracked.width, tracked.height)) for image in film.images]
        self._index = {image.tobytes(): i for i, image in enumerate(shown)}
        self._depth_shown = [d.repeat(tracked.enlarged, 0).repeat(tracked.enlarged, 1) for d in film.depth]
        self._frames: list[int] = []
        rng = np.random.default_rng(seed)
        self._frequency, self._phase = rng.normal(size=(N_DESCRIPTOR, 6)), rng.uniform(0, 2 * np.pi, N_DESCRIPTOR)
        self._median = float(np.median(np.concatenate([d[_known(d)] for d in film.depth])))

    def prepare(self, images: Sequence[Image]) -> NetworkImages:
        self._frames = [self._index[image.tobytes()] for image in images]
        return preprocess(images, size_px=NETWORK_WIDTH_PX)

    def max_frames(self, height_px: int, width_px: int) -> int:
        return 100

    def encode(self, images: NetworkImages, want: Collection[Head], mask: object = None) -> list[int]:
        if want:
            self.seen.append(self._frames)
        return self._frames

    def decode(
        self, tokens: list[int], images: NetworkImages, want: Collection[Head], queries: object = None,
        known_cameras: Sequence[Camera] | None = None,
    ) -> SceneGeometry:  # fmt: skip
        descriptors = np.stack([self._descriptor(i) for i in tokens])
        if not want:
            return SceneGeometry(descriptors, images.maps)
        rng = np.random.default_rng([self.seed, *tokens])
        unit = float(np.exp(rng.normal(0, self.errors.unit))) if self.errors.unit else 1.0
        answers = [self._depth(i, m, images.size, rng) for i, m in zip(tokens, images.maps, strict=True)]
        depth = np.stack([d for d, _ in answers]) * np.float32(unit)
        T = np.stack([self._pose(i, n > 0, rng) for n, i in enumerate(tokens)])
        T[:, :3, 3] *= unit
        return SceneGeometry(
            descriptors, images.maps, T, depth=depth, depth_confidence=np.stack([c for _, c in answers])
        )

    def _depth(
        self, i: int, pixel_map: PixelMap, size: tuple[int, int], rng: np.random.Generator
    ) -> tuple[Float32, Float32]:
        """Depth and confidence c > 1, for which 0.3 / c is the relative deviation, as `SceneGeometry` says."""
        e, (h, w) = self.errors, size
        at = pixel_map.to_source(np.stack(np.meshgrid(np.arange(w), np.arange(h)), axis=-1)).astype(np.float32)
        true = np.where(_known(self._depth_shown[i]), self._depth_shown[i], 1e3).astype(np.float32)
        z = cv2.remap(true, at[..., 0], at[..., 1], cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        log_z = np.log(z)
        blurred = cv2.GaussianBlur(log_z, (0, 0), 1.0) if e.smooth else log_z
        small = rng.normal(0, e.smooth, (8, 8)).astype(np.float32)
        smooth = cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC)
        noise = smooth + rng.normal(0, e.pixel, (h, w)) + rng.normal(0, e.frame_scale)
        deviation = np.sqrt(e.frame_scale**2 + e.smooth**2 + e.pixel**2) + np.abs(blurred - log_z)
        confidence = np.clip(0.3 / np.maximum(deviation, 0.01), 1.01, 30.0)
        confidence[z >= 1e3] = 1.01
        return np.exp(blurred + noise).astype(np.float32), confidence.astype(np.float32)

    def _pose(self, i: int, is_free: bool, rng: np.random.Generator) -> Array:
        """T_cam_world in true units; the first camera of a window is where the network puts its origin."""
        T: Array = se3.inverse(self.film.T_world_cam[i])
        noise = np.concatenate([
            rng.normal(0, np.radians(self.errors.rotation_deg) / np.sqrt(3), 3),
            rng.normal(0, self.errors.translation * self._median / np.sqrt(3), 3),
        ])  # fmt: skip
        return se3.exp(noise) @ T if is_free else T

    def _descriptor(self, i: int) -> Float32:
        """Random Fourier features of place and viewing direction: alike within about half the median depth and 30
        degrees, whatever the light."""
        T = self.film.T_world_cam[i]
        place = np.concatenate([T[:3, 3] / (0.5 * self._median), T[:3, 2] / np.radians(30)])
        feature = np.cos(self._frequency @ place + self._phase)
        return (feature / np.linalg.norm(feature)).astype(np.float32)


def _known(depth: Float32) -> np.ndarray:
    return np.isfinite(depth) & (depth > 0)
