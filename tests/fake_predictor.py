"""A predictor driven by ground truth with named noise: for tests, and for simulations at any length."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vgslam.geometry import se3
from vgslam.types import Array, Camera, Float32, Ids, WindowInput, WindowPrediction


@dataclass(frozen=True)
class FakeNoise:
    """Standard deviations. translation: of each frame's position over its distance to the first; rotation_deg: of each
    frame's rotation; scale: of the log-scale that a window adds to the one before (drift); depth: of each pixel's log
    depth."""

    translation: float = 0.0
    rotation_deg: float = 0.0
    scale: float = 0.0
    depth: float = 0.0


class FakePredictor:
    """True poses and depth of a window, disturbed. The same windows in the same order give the same answers."""

    model_id = "fake"

    def __init__(
        self, T_world_cam: dict[int, Array], noise: FakeNoise, seed: int = 0,
        depth_of: Callable[[int], Float32] | None = None, size: tuple[int, int] = (40, 30),
    ) -> None:  # fmt: skip
        """T_world_cam: true pose (4,4) of each frame id. depth_of(frame id) -> true depth (h,w); without it the scene
        is taken to be 1 away everywhere, in a map of `size` (w,h)."""
        self._truth, self._noise, self._depth_of, self._size = T_world_cam, noise, depth_of, size
        self._rng = np.random.default_rng(seed)
        self._log_scale = 0.0

    def predict(self, window: WindowInput) -> WindowPrediction | None:
        """The window's geometry in its own gauge. Raises KeyError for a frame without truth."""
        noise, rng = self._noise, self._rng
        self._log_scale += noise.scale * float(rng.normal())
        T = self._disturbed(window.frame_ids)
        depth = np.stack([self._depth(int(i), window.camera) for i in window.frame_ids])
        depth = depth * np.exp(noise.depth * rng.normal(size=depth.shape)).astype(np.float32)
        unit = float(np.median(depth[depth > 0]))
        T[:, :3, 3] *= np.exp(self._log_scale) / unit
        h, w = depth.shape[1:]
        return WindowPrediction(
            window.frame_ids, T, [window.camera.resized(w, h)] * len(T), (depth / unit).astype(np.float32),
            (depth > 0).astype(np.float32), raw_scale=unit, is_metric=True, model_id=self.model_id,
        )  # fmt: skip

    def _disturbed(self, frame_ids: Ids) -> Array:
        noise, rng = self._noise, self._rng
        first = se3.inverse(self._truth[int(frame_ids[0])])
        T = np.stack([first @ self._truth[int(i)] for i in frame_ids])
        for n in range(1, len(T)):
            distance = float(np.linalg.norm(T[n, :3, 3]))
            turn = np.radians(noise.rotation_deg) * rng.normal(size=3)
            shift = noise.translation * distance * rng.normal(size=3)
            T[n] = T[n] @ se3.exp(np.concatenate([turn, shift]))
        T[0] = np.eye(4)
        return T

    def _depth(self, frame_id: int, camera: Camera) -> Float32:
        if self._depth_of is not None:
            return np.asarray(self._depth_of(frame_id), np.float32)
        width, height = self._size
        return np.ones((height, width), np.float32)
