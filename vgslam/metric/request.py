"""A wish for metres or gravity, and the files that it names: read before a run, so that a mistake costs no time."""

from dataclasses import dataclass

from vgslam.errors import ConfigError
from vgslam.metric import tags
from vgslam.metric.spec import (
    Accelerometer,
    DepthImages,
    FromPositions,
    GravitySpec,
    PositionFile,
    ScaleSpec,
    Tags,
    parse_gravity,
    parse_scale,
)  # fmt: skip
from vgslam.sources.depth_images import DepthOf, depth_of
from vgslam.sources.open import open_source
from vgslam.sources.position_file import Accelerations, Fixes, read_accelerations, read_fixes


@dataclass(frozen=True)
class MetricRequest:
    """What was asked for, with what it needs already read."""

    scale: ScaleSpec | None = None
    gravity: GravitySpec | None = None
    fixes: Fixes | None = None
    depth: DepthOf | None = None
    accelerations: Accelerations | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was asked for."""
        return self.scale is None and self.gravity is None


def read_request(scale_from: str | None, gravity_from: str | None, source: object = None) -> MetricRequest:
    """Reads what `--scale-from` and `--gravity` say, and the files that they name. source: what `depth` without a
    folder means. Raises ConfigError for what is not understood or does not go together, InputError for files that
    cannot be used."""
    scale = None if scale_from is None else parse_scale(scale_from)
    up = None if gravity_from is None else parse_gravity(gravity_from)
    if isinstance(up, FromPositions) and not isinstance(scale, PositionFile):
        raise ConfigError("--gravity positions needs --scale-from positions:FILE, whose z axis is meant")
    fixes = read_fixes(scale.path) if isinstance(scale, PositionFile) else None
    if isinstance(scale, Tags):
        tags.detector(scale.dictionary)
    depth = None
    if isinstance(scale, DepthImages):
        if scale.path is None and source is None:
            raise ConfigError("--scale-from depth: name the sequence of the map, as in depth:FOLDER")
        depth = depth_of(source if scale.path is None else open_source(scale.path), scale.units_per_m)
    accelerations = read_accelerations(up.path) if isinstance(up, Accelerometer) else None
    return MetricRequest(scale, up, fixes, depth, accelerations)
