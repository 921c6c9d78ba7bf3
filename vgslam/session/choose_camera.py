"""The camera of a run: the source's own, one with a given field of view, the map's, or an estimate, and what became of
the estimate when the map was adjusted with all frames; and the smallest images that a camera can be tracked in."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from math import ceil
from typing import Any

import numpy as np

from vgslam.errors import ConfigError, InputError
from vgslam.frontend.features import BORDER_PX, FeatureConfig
from vgslam.geometry.whole_lens import whole_lens
from vgslam.interfaces import FrameSource
from vgslam.map.slam_map import SlamMap
from vgslam.refine.lens import MODEL_REL_SIGMA
from vgslam.refine.outcome import CalibrationChange, RefineOutcome
from vgslam.session.self_calibration import (
    RELIABLE_RELATIVE_SIGMA,
    CalibrationEstimate,
    EstimateWatch,
    estimate_camera,
)
from vgslam.slam_config import SlamConfig
from vgslam.sources.live import LiveSource
from vgslam.sources.source import RecordedSource
from vgslam.types import Camera, Frame, Trajectory

FOV_DEG = 5.0, 170.0
"""Least and largest field of view that may be given for a camera."""
N_FRAMES, MAX_BYTES = 150, 300 * 2**20
"""Most frames and bytes of a live source that are kept for the estimate: it cannot be played twice."""


def choose_camera(
    source: FrameSource, fov_deg: float | None, of_map: Camera | None, config: SlamConfig, say: Callable[[str], None],
    tell: EstimateWatch | None = None,
) -> tuple[Camera, CalibrationEstimate | None]:  # fmt: skip
    """The source's camera, or one with the given field of view (degrees), or that of the map, or with the estimated
    field; with the estimate, if that is what it is. Raises ConfigError for a field of view beside a calibration, and
    errors as `camera_with_fov`."""
    if source.camera is not None:
        if fov_deg is not None:
            raise ConfigError("the source is calibrated already; leave --fov-deg out or give another --calib")
        return source.camera, None
    if fov_deg is not None:
        return camera_with_fov(source, fov_deg), None
    why = "no calibration"
    if isinstance(source, RecordedSource | LiveSource) and source.uncalibrated is not None:
        why = source.uncalibrated
    if of_map is not None:
        say(f"{why}: the map's camera is taken, field of view {of_map.fov_deg[0]:.1f} degrees")
        return of_map.of_frames, None
    say(f"{why}: estimating the field of view from the first frames (--calib or --fov-deg skips this)")
    estimate = estimated_camera(source, config, tell)
    say(in_words(describe_camera(estimate.camera, estimate)))
    return estimate.camera, estimate


def in_words(described: dict[str, Any]) -> str:
    """A line on an estimated camera, as `describe_camera` has it: its field of view, and how sure it is."""
    note = "" if described["is_reliable"] else "; the motion does not determine it well, a calibration would help"
    bent = f", radial distortion {described['removed_k1']:.3f}" if described["removed_k1"] else ""
    return f"field of view {described['fov_x_deg']:.1f} degrees, +- {described['fov_sigma_deg']:.1f}{bent}{note}"


def describe_camera(camera: Camera, estimated: CalibrationEstimate | None) -> dict[str, Any]:
    """The camera for the report."""
    described: dict[str, Any] = {
        "fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy, "width": camera.width,
        "height": camera.height, "fov_x_deg": camera.fov_deg[0], "is_estimated": estimated is not None,
    }  # fmt: skip
    if estimated is not None:
        described["fov_sigma_deg"] = estimated.sigma_deg
        described["is_reliable"] = estimated.is_reliable
        described["removed_k1"] = camera.removed_k1
    return described


def check_fov(fov_deg: float) -> None:
    """Raises ConfigError for a field of view (degrees) that a pinhole camera cannot have."""
    least, most = FOV_DEG
    if not least < fov_deg < most:
        raise ConfigError(f"the field of view must be between {least:g} and {most:g} degrees, got {fov_deg}")


def camera_with_fov(source: FrameSource, fov_deg: float) -> Camera:
    """Camera with a horizontal field of view (degrees) for the source's images. Raises ConfigError for one out of
    range, InputError when no frame can be read."""
    check_fov(fov_deg)
    return Camera.from_fov(*frame_size(source), fov_deg)


def frame_size(source: FrameSource) -> tuple[int, int]:
    """(width, height) of a source's frames. Raises InputError when no frame can be read."""
    if isinstance(source, LiveSource) and source.recorded is None:
        return source.open()
    first = next(iter(_recorded(source)), None)
    if first is None:
        raise InputError(f"{source.name}: no frame could be read")
    height, width = first.image.shape[:2]
    return width, height


def take_map_camera(source: FrameSource, recorded: Camera, say: Callable[[str], None]) -> None:
    """Take the distortion of the camera that made the map out of a recording's images that nothing calibrates."""
    if isinstance(source, RecordedSource) and (recorded.is_distorted or recorded.is_fisheye):
        source.take_camera(recorded)
        say("no calibration: that of the camera that made the map is taken, with its distortion")


def estimated_camera(source: FrameSource, config: SlamConfig, tell: EstimateWatch | None = None) -> CalibrationEstimate:
    """Field of view estimated from the first frames; those of a live source are used up. tell and errors as of
    `estimate_camera`."""
    return estimate_camera(_recorded(source), config, tell=tell)


def _recorded(source: FrameSource) -> FrameSource:
    """The frames in a form that can be played several times."""
    if not isinstance(source, LiveSource):
        return source
    return source.recorded or FirstFrames(source)


class FirstFrames:
    """The first frames of a live source (up to 150, or 300 MiB), kept: a FrameSource that plays them as often as one
    likes."""

    kind = "first frames"
    camera: Camera | None = None
    truth: Trajectory | None = None

    def __init__(self, source: LiveSource) -> None:
        w, h = source.open()
        n = max(30, min(N_FRAMES, MAX_BYTES // (3 * w * h)))
        self.name, self.warnings = source.name, source.warnings
        self._frames = list(islice(iter(source), n))
        self.n_frames: int | None = len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)


CONTRADICTION_SIGMAS = 3.0
"""All frames and the first ones contradict each other where their focal lengths differ by more than this many
deviations: one of them is wrong, and nobody knows which."""


def main_camera(slam_map: SlamMap) -> Camera | None:
    """The camera of the frames, by the newest keyframe of the largest component; None of an empty map."""
    component = np.array([k.component_id for k in slam_map.keyframes], np.int64)
    if not len(component):
        return None
    newest = int(np.flatnonzero(component == np.bincount(component).argmax())[-1])
    return slam_map.keyframes[newest].camera.of_frames


def recorded_camera(
    camera: Camera, source: FrameSource, refined: RefineOutcome | None, estimate: CalibrationEstimate | None
) -> Camera | None:
    """The camera of a source's images as they were recorded, with their distortion, for a later run; None where nothing
    has determined it. camera: that of the map at the end; estimate: as `final_estimate` has it, None for a camera that
    was given."""
    change = _largest_change(refined)
    is_determined = change is not None and (change.fx_sigma > 0 or change.k1_sigma > 0)
    if not (is_determined if estimate is None else estimate.is_reliable):
        return None
    pinhole = replace(camera, removed_k1=0.0)
    frames = source.camera or pinhole
    return whole_lens(camera, frames, getattr(source, "recorded_camera", None) or frames)


def _largest_change(refined: RefineOutcome | None) -> CalibrationChange | None:
    """What became of the calibration in the largest component whose adjustment was kept; None where there is none. A
    smaller component has another camera than the one that is asked about."""
    components = [] if refined is None else refined.components  # the largest first
    return next((c.calibration for c in components if c.is_kept), None)


def final_estimate(first: CalibrationEstimate, camera: Camera, refined: RefineOutcome | None) -> CalibrationEstimate:
    """The camera of the map at the end, and how sure it is. first: the estimate from the first frames; refined: the
    adjustment of the map, of which the largest component that it kept speaks."""
    sigma, change = first.focal_rel_sigma, _largest_change(refined)
    if change is not None and change.fx_sigma > 0:
        sigma = float(np.hypot(change.fx_sigma / change.fx_after, MODEL_REL_SIGMA))
    difference = abs(float(np.log(camera.fx / first.camera.fx)))
    is_same = difference <= CONTRADICTION_SIGMAS * float(np.hypot(first.focal_rel_sigma, sigma))
    if not is_same or not first.is_reliable:
        sigma = float(np.hypot(sigma, difference / 2))
    is_reliable = first.is_reliable and is_same and sigma < RELIABLE_RELATIVE_SIGMA
    return CalibrationEstimate.of(camera, sigma, is_reliable)


LEAST_CORNERS = 76
"""Cells of the grid of corners, borders left out, with which rendered walks are tracked from their first frame to their
last (160x120); 66 are sometimes enough to begin."""
STEP_PX = 8  # sizes are named in steps of this


def trouble_with_size(width: int, height: int) -> str | None:
    """One clause for images that are too small, with the smallest size of their shape that works; None for others."""
    if _cells(width, height) >= LEAST_CORNERS:
        return None
    w, h = width, height
    while _cells(w, h) < LEAST_CORNERS:
        w += STEP_PX - w % STEP_PX
        h = STEP_PX * ceil(w * height / width / STEP_PX)
    why = "too small: there is no room for enough corners"
    return f"its images of {width}x{height} px are {why}; at least {w}x{h} works"


def _cells(width: int, height: int) -> float:
    cell = FeatureConfig().min_distance_px
    return max(width - 2 * BORDER_PX, 0) * max(height - 2 * BORDER_PX, 0) / cell**2
