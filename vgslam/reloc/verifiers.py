"""Whether two keyframes that look alike show the same place: the package's own test, and the registry of all."""

from collections.abc import Callable

import numpy as np

from vgslam.frontend.features import FeatureConfig
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.interfaces import LoopVerifier
from vgslam.map.slam_map import SlamMap
from vgslam.plugins import Registry
from vgslam.reloc.localization import cells
from vgslam.reloc.locate import Locator, Recovered, Target, depth_near, epipolar_matches
from vgslam.reloc.loops import LoopConfig, Meeting, is_same
from vgslam.reloc.places import Places
from vgslam.types import Array, Edge, EdgeKind

EPIPOLAR_PX = 3.0
"""Largest distance of a match from its epipolar line: a few times the noise of a SIFT keypoint."""
SIGMA_OF_MAD = 1.4826
"""Standard deviation of a normal distribution per median absolute deviation."""
LEAST_SIGMA_RAD, LEAST_SIGMA_OF_DEPTH, LEAST_SIGMA_LOG_SCALE = 5e-3, 0.01, 0.02
"""Least deviations of a loop's rotation (rad), translation (of the depth) and log scale: what cameras and landmarks are
off by in themselves, however well the two sides agree."""
SCALE_CAUTION = 3.0
"""The deviation of the mean log scale is taken this many times, since landmarks of one keyframe err together."""


class LandmarkVerifier:
    """Implements `LoopVerifier`: landmarks of each side are found in the other's image, spread all over it, and both
    sides say the same pose and scale."""

    def __init__(self, slam_map: SlamMap, places: Places, features: FeatureConfig, config: LoopConfig) -> None:
        self.map, self.places, self.config = slam_map, places, config
        self._locator = Locator(slam_map, config.locate, features)
        self._newest: tuple[int, Target] | None = None  # keyframe b of the last test, mostly that of the next

    def _target(self, b: int) -> Target:
        if self._newest is None or self._newest[0] != b:
            self._newest = b, Target(self.places.gray(b), self.map.keyframes[b].camera)
        return self._newest[1]

    def verify(self, a: int, b: int) -> Meeting | None:
        """Keyframe b against a and a against b: a meeting when both hold and say the same."""
        c, m, places = self.config, self.map, self.places
        px_a, px_b = epipolar_matches(places.features(a), places.features(b), c.matcher, EPIPOLAR_PX)
        if len(px_a) < c.min_matches:
            return None
        cameras = m.keyframes[a].camera, m.keyframes[b].camera
        forth = self._locator.locate(a, px_a, self._target(b), px_b)
        if forth is None or cells(forth.pixels, cameras[1].width, cameras[1].height) < c.min_cells:
            return None
        back = self._locator.locate(b, px_b, Target(places.gray(a), cameras[0]), px_a)
        if back is None or cells(back.pixels, cameras[0].width, cameras[0].height) < c.min_cells:
            return None
        log_ratios = np.concatenate([self._log_ratio(forth, b), -self._log_ratio(back, a)])
        log_scale = float(np.median(log_ratios))
        if c.is_metric:
            if abs(log_scale) > c.agreement[2]:
                return None
            log_scale = 0.0
        spread = SIGMA_OF_MAD * float(np.median(np.abs(log_ratios - log_scale)))
        return self._meeting(a, b, forth, back, (log_scale, spread))

    def _log_ratio(self, found: Recovered, k: int) -> Array:
        """log of (depth of the found landmarks at the found pose / depth that keyframe k has there)."""
        z = se3.transform(se3.inverse(found.T_world_cam), self.map.landmarks_world(found.ids))[:, 2]
        own, _ = depth_near(self.map, k, found.pixels.astype(np.float64))
        return np.log(np.maximum(z, 1e-9) / np.maximum(own, 1e-9))

    def _meeting(
        self, a: int, b: int, forth: Recovered, back: Recovered, scale: tuple[float, float]
    ) -> Meeting | None:
        m, (log_scale, spread) = self.map, scale
        S_a, S_b = m.keyframes[a].S_world_keyframe, m.keyframes[b].S_world_keyframe
        S_world_b = Sim3.from_T(forth.T_world_cam, S_b.s * float(np.exp(log_scale)))
        S_world_a = Sim3.from_T(back.T_world_cam, S_a.s * float(np.exp(-log_scale)))
        S_forth, S_back = S_a.inverse() @ S_world_b, S_world_a.inverse() @ S_b
        z = se3.transform(se3.inverse(forth.T_world_cam), m.landmarks_world(forth.ids))[:, 2]
        depth = float(np.median(z))
        if not is_same(S_forth, S_back, depth / S_a.s, self.config.agreement):
            return None
        angle = np.radians(se3.angle_deg(S_forth.R.T @ S_back.R))
        apart = float(np.linalg.norm(S_forth.t - S_back.t))
        sigma_R = max(LEAST_SIGMA_RAD, angle / 2)
        sigma_t = max(LEAST_SIGMA_OF_DEPTH * depth / S_a.s, apart / 2)
        sigma_s = max(LEAST_SIGMA_LOG_SCALE, SCALE_CAUTION * spread / np.sqrt(len(z)))
        sigmas = np.array([sigma_R] * 3 + [sigma_t] * 3 + [sigma_s])
        S_a_b = _between(S_forth, S_back)
        edge = Edge(a, b, S_a_b, sigmas, EdgeKind.LOOP, forth.ratio)
        return Meeting(edge, S_a @ S_a_b, len(forth.ids), depth, forth)


def _between(S: Sim3, other: Sim3) -> Sim3:
    """The middle of two nearly equal transforms."""
    half = 0.5 * se3.so3_log(S.R.T @ other.R)
    return Sim3(S.R @ se3.so3_exp(half), 0.5 * (S.t + other.t), float(np.sqrt(S.s * other.s)))


OpenVerifier = Callable[[SlamMap, Places, FeatureConfig, LoopConfig], LoopVerifier]
LOOP_VERIFIERS: Registry[OpenVerifier] = Registry(
    "vgslam.loop_verifiers", "loop verifier", {"landmarks": LandmarkVerifier},
    takes=("slam_map", "places", "features", "config"),
)  # fmt: skip
"""The names for `--slam.loops.verifier`: functions, or classes, that make a `LoopVerifier` of a map."""


def open_verifier(slam_map: SlamMap, places: Places, features: FeatureConfig, config: LoopConfig) -> LoopVerifier:
    """The verifier that the settings name. Raises ConfigError for an unknown one, PluginError for one of another
    package that cannot be used."""
    made = LOOP_VERIFIERS.get(config.verifier)(slam_map, places, features, config)
    return LOOP_VERIFIERS.checked(config.verifier, made, LoopVerifier)
