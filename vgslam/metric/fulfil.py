"""Makes the components of a map metric and upright, as `--scale-from` and `--gravity` ask. Everything hangs on
keyframes: one similarity moves a component."""

from dataclasses import dataclass, field, replace

import numpy as np

from vgslam.errors import ConfigError, InputError
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.map.world import World
from vgslam.metric import gravity, lengths, positions, tags
from vgslam.metric.depth import scales_of_depth
from vgslam.metric.keep import move
from vgslam.metric.measured import Finding, Gravity, Scale, SessionView
from vgslam.metric.positions import Georeferenced
from vgslam.metric.spec import (
    Accelerometer,
    DepthImages,
    FramesLength,
    FromPositions,
    GravitySpec,
    PointsLength,
    PositionFile,
    ScaleSpec,
    Tags,
    Upright,
    parse_gravity,
    parse_scale,
)  # fmt: skip
from vgslam.sources.depth_images import DepthOf, depth_of
from vgslam.sources.open import open_source
from vgslam.sources.position_file import Accelerations, Fixes, read_accelerations, read_fixes
from vgslam.types import Array, Keyframe


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


@dataclass
class _Step:
    """What was measured about a component."""

    component: int
    scale: Scale | None = None
    georeferenced: Georeferenced | None = None
    up: Gravity | None = None
    is_up_of_positions: bool = False
    notes: list[str] = field(default_factory=list)


def fulfil(slam_map: SlamMap, request: MetricRequest, session: int = -1) -> list[Finding]:
    """Makes components of the map metric and upright as far as the session (by default the newest) determines it.
    Components of which nothing was measured stay as they are, and their findings say so. Raises InputError when no
    component could be measured; the map is unchanged then."""
    view = SessionView(slam_map, session)
    components = view.components()
    if not components:
        raise InputError("the session has added no keyframe to the map: there is nothing to measure")
    if request.fixes is not None:
        positions.check_overlap(view, request.fixes)
        steps = [_positioned(view, request, c) for c in components]
    else:
        scales = _scales(view, request)
        steps = [_Step(c, scales.get(c)) for c in components]
    _refuse(request.scale is not None and not any(s.scale for s in steps), "scaled", steps)
    for step in steps:
        _find_gravity(view, request, step)
    _refuse(request.gravity is not None and not any(s.up for s in steps), "levelled", steps)
    return [_carry_out(slam_map, request, s) for s in steps]


def _refuse(is_refused: bool, what: str, steps: list[_Step]) -> None:
    if is_refused:
        reasons = "; ".join(note for s in steps for note in s.notes)
        raise InputError(f"no component could be {what}: {reasons}")


def _scales(view: SessionView, request: MetricRequest) -> dict[int, Scale]:
    spec = request.scale
    if isinstance(spec, FramesLength):
        return dict([lengths.scale_of_frames(view, spec)])
    if isinstance(spec, PointsLength):
        return dict([lengths.scale_of_points(view, spec)])
    if isinstance(spec, Tags):
        return tags.scales_of_tags(view, spec)
    if isinstance(spec, DepthImages) and request.depth is not None:
        return scales_of_depth(view, request.depth)
    return {}


def _positioned(view: SessionView, request: MetricRequest, component: int) -> _Step:
    """What positions say about a component."""
    fixes, spec = request.fixes, request.scale
    if fixes is None or not isinstance(spec, PositionFile):
        return _Step(component)
    found = positions.match(view.keyframes(component), fixes)
    if len(found.ids) < positions.MIN_FIXES:
        return _Step(component, notes=[f"{len(found.ids)} of its keyframes have a position, 3 are needed"])
    try:
        placed = positions.georeference(view.slam_map, component, found, spec.sigma_m)
    except InputError as error:
        return _Step(component, notes=[str(error)])
    step = _Step(component, placed.scale, placed)
    if isinstance(request.gravity, FromPositions) or (fixes.is_up_known and request.gravity is None):
        step.up = positions.gravity_of_positions(placed, view.slam_map, found.ids)
        step.is_up_of_positions = True
    return step


def _find_gravity(view: SessionView, request: MetricRequest, step: _Step) -> None:
    keyframes = view.keyframes(step.component)
    R = view.slam_map.T_world_keyframes(np.array([k.id for k in keyframes], np.int64))[:, :3, :3]
    if isinstance(request.gravity, Upright):
        step.up = gravity.upright(R)
    elif isinstance(request.gravity, Accelerometer) and request.accelerations is not None:
        measured, has = _accelerations_at(keyframes, request.accelerations)
        try:
            step.up = gravity.from_accelerations(R[has], measured[has])
        except InputError as error:
            step.notes.append(str(error))


def _accelerations_at(keyframes: list[Keyframe], a: Accelerations) -> tuple[Array, np.ndarray]:
    """Accelerations (N,3) at the times of keyframes, and which of them (N,) the file spans."""
    t = np.array([k.timestamp_s for k in keyframes])
    at = np.stack([np.interp(t, a.times_s, a.values[:, i]) for i in range(3)], axis=1)
    return at, (t >= a.times_s[0]) & (t <= a.times_s[-1])


def _carry_out(slam_map: SlamMap, request: MetricRequest, step: _Step) -> Finding:
    """Moves the component, notes what its world is now, and says so."""
    c, old = step.component, slam_map.world_of(step.component)
    S, bent = _similarity(slam_map, step)
    move(slam_map, c, S)
    for k, pose in bent.items():
        slam_map.set_pose(k, pose)
    has_old_axes = step.georeferenced is None
    world = old
    if step.scale is not None:
        world = replace(world, is_metric=True, scale_rel_sigma=step.scale.rel_sigma)
    if step.up is not None:
        world = replace(world, is_upright=True, tilt_sigma_deg=step.up.sigma_deg)
    elif not has_old_axes:
        world = replace(world, is_upright=False, tilt_sigma_deg=0.0)
    slam_map.worlds[c] = world
    if request.scale is not None and step.scale is None:
        step.notes.append("not scaled: it stays " + ("as it was" if old.is_metric else "in map units"))
    return _finding(step, world)


def _finding(step: _Step, world: World) -> Finding:
    finding = Finding(step.component, world.is_metric, world.is_upright)
    if step.scale is not None:
        finding.scale_from, finding.metres_per_unit = step.scale.method, step.scale.metres_per_unit
        finding.scale_sigma_percent, finding.n_measurements = 100.0 * step.scale.rel_sigma, step.scale.n
        finding.spread_percent = 100.0 * step.scale.spread
        finding.notes += step.scale.notes
    if step.georeferenced is not None:
        finding.residual_rms_m = step.georeferenced.residual_rms_m
    if step.up is not None:
        finding.gravity_from, finding.gravity_sigma_deg = step.up.method, step.up.sigma_deg
        finding.notes += step.up.notes
    finding.notes += step.notes
    return finding


def _similarity(slam_map: SlamMap, step: _Step) -> tuple[Sim3, dict[int, Sim3]]:
    """Where the component goes, and keyframes that go elsewhere."""
    first = next(k for k in slam_map.keyframes if k.component_id == step.component).S_world_keyframe.pose
    if step.georeferenced is None:
        S = Sim3(np.eye(3), np.zeros(3), step.scale.metres_per_unit if step.scale else 1.0)
        if step.up is None:
            return S, {}
        R = gravity.levelled(step.up.up_world, first)  # the first keyframe becomes the origin
        return S @ Sim3(R, -R @ first[:3, 3]), {}
    S, bent = step.georeferenced.S_new_old, step.georeferenced.poses
    if step.up is None or step.is_up_of_positions:
        return S, bent
    to_z = Sim3(gravity.turned_to_z(S.R @ step.up.up_world), np.zeros(3))
    return to_z @ S, {k: to_z @ pose for k, pose in bent.items()}
