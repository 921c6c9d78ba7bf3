"""The system for a source: its camera, the map, a network, and the settings that a source that does not wait needs."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from vgslam.interfaces import FrameSource
from vgslam.session.choose_camera import choose_camera
from vgslam.session.map_session import MapSession
from vgslam.session.masks import read_mask
from vgslam.session.network import OpenedNetwork
from vgslam.session.self_calibration import CalibrationEstimate
from vgslam.sources.live import LiveSource
from vgslam.system import SlamConfig, SlamSystem
from vgslam.types import Camera


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
    say: Callable[[str], None],
) -> tuple[SlamSystem, CalibrationEstimate | None]:  # fmt: skip
    """The system, its part of the map begun, and how the camera was estimated, None if it was known.

    Raises ConfigError for options and a map that do not go together, InputError when no frame can be read or the mask
    does not fit.
    """
    camera, estimate = options.camera, None
    if camera is None:
        camera, estimate = choose_camera(source, options.fov_deg, map_session.camera, options.config, say)
    ignored = None if options.mask is None else read_mask(options.mask, source, camera)
    map_session.begin(source.name, camera)
    slam = SlamSystem(
        camera, config_for(source, options.config), network.guide if network else None,
        network.proposer if network else None, map_session.slam_map, map_session.is_localizing,
        ignored,
    )  # fmt: skip
    return slam, estimate


def config_for(source: FrameSource, config: SlamConfig) -> SlamConfig:
    """The settings for a source; one that does not wait has its loops searched in the background."""
    if not isinstance(source, LiveSource):
        return config
    return replace(config, loops=replace(config.loops, in_background=True))
