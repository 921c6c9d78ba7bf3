"""The system for a source: its camera, the map, a network, and the settings that a source that does not wait needs."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from vgslam.interfaces import FrameSource
from vgslam.refine.lens import UNKNOWN_K1_SIGMA
from vgslam.session.choose_camera import choose_camera, frame_size, take_map_camera
from vgslam.session.map_session import MapSession
from vgslam.session.masks import doubt_of_mask, read_mask
from vgslam.session.network import OpenedNetwork
from vgslam.session.self_calibration import CalibrationEstimate, EstimateWatch
from vgslam.slam_config import SlamConfig
from vgslam.sources.live import LiveSource
from vgslam.system import SlamSystem
from vgslam.two_lanes import TwoLaneSystem
from vgslam.types import Camera

FOV_REL_SIGMA = 0.03
"""Relative deviation of the focal length that follows from a field of view which somebody has looked up."""


@dataclass(frozen=True)
class SystemOptions:
    """Options of the system and its camera."""

    config: SlamConfig = field(default_factory=SlamConfig)
    """Settings of tracking and mapping."""
    camera: Camera | None = None
    """Camera of the frames as the source gives them, if it is not the source's own."""
    fov_deg: float | None = None
    """Horizontal field of view of a source without a calibration, in degrees."""
    mask: Path | None = None
    """Picture of the frames' size, black where nothing is to be used."""


def open_system(
    source: FrameSource, map_session: MapSession, network: OpenedNetwork | None, options: SystemOptions,
    say: Callable[[str], None], tell: EstimateWatch | None = None,
) -> tuple[SlamSystem, CalibrationEstimate | None]:  # fmt: skip
    """The system, its part of the map begun, and how the camera was estimated, None if it was known. tell: as of
    `estimate_camera`. Raises ConfigError for options and a map that do not go together, InputError when no frame can be
    read or the mask does not fit."""
    camera, estimate = options.camera, None
    if map_session.camera is not None:
        map_session.check_size(*frame_size(source))
    recorded = map_session.slam_map.recorded_camera
    if camera is None and source.camera is None and options.fov_deg is None and recorded is not None:
        take_map_camera(source, recorded, say)
    if camera is None:
        camera, estimate = choose_camera(source, options.fov_deg, map_session.camera, options.config, say, tell)
    ignored = None if options.mask is None else read_mask(options.mask, source, camera)
    camera = map_session.begin(source.name, camera, getattr(source, "recorded_camera", None))
    if network is not None and isinstance(source, LiveSource):
        network.desk.go_beside()
    config = _with_prior(config_for(source, options.config), estimate, options.fov_deg is not None)
    kind = TwoLaneSystem if does_not_wait(source) else SlamSystem
    slam = kind(
        camera, config, network.guide if network else None,
        network.proposer if network else None, map_session.slam_map, map_session.is_localizing,
        ignored,
    )  # fmt: skip
    if options.mask is not None and ignored is not None:
        slam.notes += doubt_of_mask(options.mask, ignored)
    return slam, estimate


def does_not_wait(source: FrameSource) -> bool:
    """Whether frames come whether or not there is time for them."""
    return isinstance(source, LiveSource) and not source.keeps_all


def config_for(source: FrameSource, config: SlamConfig) -> SlamConfig:
    """The settings for a source; one that does not wait has its loops searched in the background, and its map is
    adjusted as a whole only when it has ended."""
    if not isinstance(source, LiveSource):
        return config
    refine = replace(config.refine, while_running=False)
    return replace(config, loops=replace(config.loops, in_background=True), refine=refine)


def _with_prior(config: SlamConfig, estimate: CalibrationEstimate | None, is_fov: bool) -> SlamConfig:
    """The settings with what is known of the camera: an estimate's own deviation, or that of a field of view in round
    figures; and a lens that nobody has calibrated."""
    if estimate is None and not is_fov:
        return config
    sigma = FOV_REL_SIGMA if estimate is None else estimate.focal_rel_sigma
    refine = replace(
        config.refine, focal_rel_sigma=sigma, k1_sigma=UNKNOWN_K1_SIGMA, is_focal_estimated=estimate is not None
    )
    return replace(config, refine=refine)
