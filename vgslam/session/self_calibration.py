"""The field of view of an uncalibrated camera, from the first frames: track with a guess, adjust focal length and
radial distortion with the map until they stay, and again with the better camera, until that stays too."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from vgslam.errors import InputError
from vgslam.geometry.radial import radial_since
from vgslam.interfaces import FrameSource
from vgslam.refine.lens import Lens, lens_of
from vgslam.slam_config import SlamConfig
from vgslam.system import SlamSystem
from vgslam.types import Camera, Frame, Ids

START_FOV_DEG = 62.0  # field of view along the image's longer side, with which it is tried first
OTHER_STARTS = ((90.0, 0.0), (40.0, 0.0), (80.0, -0.25))
"""Fields of view and distortions with which it is tried again where the first leads to no map: wide, long, and the
barrel of a cheap lens."""
RELIABLE_RELATIVE_SIGMA = 0.05
HALF_SIGMA = 0.2
"""Each half of the first frames has to determine the focal length to this share, or else nothing confirms it."""
SAME_REL, SAME_BEND = 0.02, 0.02
"""Change of the focal length (share), and of the radius at the image's edge (share) by k1, below which the frames were
tracked with the right camera."""
UNKNOWN_SIGMA_DEG = 15.0
"""One standard deviation of the field of view of a camera that people carry, if nothing else is known of it."""
MOST_KEYFRAMES = 80  # this many keyframes are enough: where each frame is one, frames are far apart, and take long


EstimateWatch = Callable[[int, int], None]
"""Told, while a camera is estimated, how often the source has been begun and how many frames were tracked since."""


@dataclass(frozen=True)
class CalibrationEstimate:
    """A camera that the frames themselves have shown."""

    camera: Camera
    """It has square pixels and a centred principal point; its `removed_k1` is the radial distortion of the frames."""
    sigma_deg: float
    """One standard deviation of its horizontal field of view."""
    is_reliable: bool
    """Whether the frames determine the focal length to a few percent."""

    @staticmethod
    def of(camera: Camera, focal_rel_sigma: float, is_reliable: bool = False) -> "CalibrationEstimate":
        """The estimate with that relative deviation of the focal length."""
        return CalibrationEstimate(camera, focal_rel_sigma * _fov_slope_deg(camera), is_reliable)

    @property
    def focal_rel_sigma(self) -> float:
        """The same deviation as a share of the focal length."""
        return self.sigma_deg / _fov_slope_deg(self.camera)


def estimate_camera(
    source: FrameSource, config: SlamConfig | None = None, n_frames: int = 300, max_rounds: int = 4,
    tell: EstimateWatch | None = None,
) -> CalibrationEstimate:  # fmt: skip
    """Field of view and radial distortion from the first n_frames of a source, which is played several times. The guess
    is returned as unreliable when the frames show no parallax. tell: called with each frame, told how often the source
    has been begun and how many frames of it were tracked since. Raises InputError when no frame can be read."""
    config = config or SlamConfig()
    first = next(iter(source), None)
    if first is None:
        raise InputError("no frame could be read")
    h, w = first.image.shape[:2]
    guess = camera_of(w, h, START_FOV_DEG)
    found, is_same = None, False
    frames = _Plays(source, n_frames, tell)
    for camera in (guess, *(replace(camera_of(w, h, f), removed_k1=k) for f, k in OTHER_STARTS)):
        found, is_same = _rounds(frames, camera, config, max_rounds)
        if found is not None:
            break
    if found is None:
        return CalibrationEstimate(guess, UNKNOWN_SIGMA_DEG, False)
    sigma = found.rel_sigma if is_same else float(np.hypot(found.rel_sigma, RELIABLE_RELATIVE_SIGMA))
    is_reliable = is_same and found.has_settled and sigma < RELIABLE_RELATIVE_SIGMA and max(found.halves) < HALF_SIGMA
    return CalibrationEstimate.of(found.camera, sigma, is_reliable)


def camera_of(width: int, height: int, fov_deg: float) -> Camera:
    """A camera with that field of view along the image's longer side: one that is held upright has the same lens."""
    share = width / max(width, height)
    return Camera.from_fov(width, height, float(np.degrees(2 * np.arctan(share * np.tan(np.radians(fov_deg) / 2)))))


class _Plays:
    """The first frames of a source, played as often as one likes; tell as in `estimate_camera`."""

    def __init__(self, source: FrameSource, n_frames: int, tell: EstimateWatch | None) -> None:
        self._source, self._n_frames, self._tell, self._n_plays = source, n_frames, tell, 0

    def __iter__(self) -> Iterator[Frame]:
        self._n_plays += 1
        for i, frame in enumerate(islice(iter(self._source), self._n_frames)):
            if self._tell is not None:
                self._tell(self._n_plays, i)
            yield frame


def _rounds(
    frames: "_Plays", camera: Camera, config: SlamConfig, max_rounds: int
) -> tuple[Lens | None, bool]:
    """What the frames say of the lens, tracked with what they said before; whether the last round agreed with it."""
    found = None
    for _ in range(max_rounds):
        slam = _tracked(frames, camera, config)
        lens = lens_of(slam.map, _largest(slam))
        if lens is None:
            return found, False
        lens = replace(lens, camera=lens.camera.of_frames)
        is_same, camera, found = _is_same(lens.camera, camera), lens.camera, lens
        if is_same:
            return found, True
    return found, False


def _tracked(frames: Iterable[Frame], camera: Camera, config: SlamConfig) -> SlamSystem:
    """The frames tracked with that camera, up to MOST_KEYFRAMES."""
    refine = replace(config.refine, while_running=False)
    slam = SlamSystem(camera, replace(config, mapper=replace(config.mapper, dense_every=0), refine=refine))
    for frame in frames:
        slam.process(frame)
        if len(slam.map.keyframes) >= MOST_KEYFRAMES:
            break
    return slam


def _largest(slam: SlamSystem) -> Ids:
    """The keyframes of the largest component."""
    component = np.array([k.component_id for k in slam.map.keyframes], np.int64)
    return np.flatnonzero(component == np.bincount(component).argmax()) if len(component) else component


def _is_same(a: Camera, b: Camera) -> bool:
    edge = 0.5 * max(a.width / a.fx, a.height / a.fy)
    return abs(np.log(a.fx / b.fx)) < SAME_REL and abs(radial_since(a, b)) * edge**2 < SAME_BEND


def _fov_slope_deg(camera: Camera) -> float:
    """Degrees of field of view per relative change of the focal length."""
    half = 0.5 * camera.width / camera.fx
    return float(np.degrees(2.0 * half / (1.0 + half * half)))
