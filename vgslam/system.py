"""The system: one frame in, one pose or an honest "lost" out."""

from dataclasses import dataclass, field, replace

import numpy as np

from vgslam.config import Checked
from vgslam.errors import GraphError, InputError
from vgslam.frontend.asking import AskedGuide, Reason
from vgslam.frontend.component_start import ComponentStart
from vgslam.frontend.features import Pixels
from vgslam.frontend.frame_log import FrameLog
from vgslam.frontend.frame_poses import FramePoses
from vgslam.frontend.guide import Guide
from vgslam.frontend.image_mask import ImageMask, Mask
from vgslam.frontend.initializer import Initializer, InitializerConfig, Start
from vgslam.frontend.mapper import Mapper, MapperConfig
from vgslam.frontend.network_role import NetworkRole
from vgslam.frontend.reference import Reference, with_more
from vgslam.frontend.sfm import WindowSfm
from vgslam.frontend.tracker import Tracker, TrackerConfig, TrackResult, TrackState, View
from vgslam.frontend.tracking_state import Phase, StateConfig, TrackingState
from vgslam.frontend.watches import Watches
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.graph.optimize import optimize_map
from vgslam.interfaces import PosedMap
from vgslam.map.slam_map import SlamMap
from vgslam.mapping import Due, KeyframeSteps, Mapped
from vgslam.refine.adjust import RefineConfig, Watch
from vgslam.refine.outcome import RefineOutcome
from vgslam.refine.refine_map import refine_map
from vgslam.refine.while_running import CalibrationWhileRunning
from vgslam.reloc.closing import LoopCloser, config_beside, ties_left_out
from vgslam.reloc.late_joins import join_components
from vgslam.reloc.localization import Localization
from vgslam.reloc.loops import LoopConfig
from vgslam.reloc.parting import part_components
from vgslam.reloc.places import Places
from vgslam.reloc.proposal import PoseProposer
from vgslam.reloc.relocalizer import Relocalizer, RelocalizerConfig
from vgslam.stage_clock import StageClock
from vgslam.types import Array, Frame, Ids, PoseEstimate, Status


@dataclass(frozen=True)
class SlamConfig(Checked, called="slam"):
    """All settings of the system. Raises ConfigError for a number that no run can use."""

    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    """Following features from frame to frame, and the pose of every frame."""
    mapper: MapperConfig = field(default_factory=MapperConfig)
    """When a keyframe is taken, and how the map around it is adjusted."""
    initializer: InitializerConfig = field(default_factory=InitializerConfig)
    """How a component of the map begins."""
    states: StateConfig = field(default_factory=StateConfig)
    """When tracking is sure, unsure or lost."""
    reloc: RelocalizerConfig = field(default_factory=RelocalizerConfig)
    """How a lost camera is found again in the map."""
    loops: LoopConfig = field(default_factory=LoopConfig)
    """Places seen again, which close loops and join components."""
    refine: RefineConfig = field(default_factory=RefineConfig)
    """The adjustment of the whole map at the end."""
    patience: int = 5
    """Frames after a loss during which only the old map is tried, before a new component may begin; see also
    `states.patience_s`."""


class SlamSystem:
    """Monocular SLAM over frames of one calibrated pinhole camera.

    `process` returns each frame's first estimate at once; `map` holds everything, newest state. The frames seen before
    a component began get their poses afterwards: `map.frames` has the final word on every frame. `notes`: one line for
    each thing that a user of the poses should know. guide, proposer: networks to ask where geometry finds nothing.

    slam_map: a map from an earlier run to go on with. The run begins lost and looks for itself in the map before a new
    component may begin; its frames are appended to the map's and their ids count up from `first_frame_id`.
    is_localizing: the map gets no keyframes, landmarks or edges, and a frame that does not see it is lost.
    ignored: (height,width) bool, True where the images show nothing to be used, such as the car; what never moves while
    the rest does is found and ignored in any case.
    Raises InputError for is_localizing without a keyframe in the map.
    """

    def __init__(
        self, camera: Camera, config: SlamConfig | None = None, guide: Guide | AskedGuide | None = None,
        proposer: PoseProposer | None = None, slam_map: SlamMap | None = None, is_localizing: bool = False,
        ignored: Mask | None = None,
    ) -> None:  # fmt: skip
        self.config = config or SlamConfig()
        self.map = SlamMap() if slam_map is None else slam_map
        if is_localizing and not self.map.keyframes:
            raise InputError("localizing needs a map with keyframes: this one is empty, run without --localize first")
        self.is_localizing, self.guide = is_localizing, None if guide is None else AskedGuide.of(guide)
        self.notes: list[str] = [] if self.guide is None else self.guide.notes
        sfm, features = WindowSfm(), self.config.tracker.features
        self.tracker = Tracker(camera, self.map, self.config.tracker)
        self.tracker.mask = ImageMask(camera.width, camera.height, ignored)
        self.mapper = Mapper(self.map, self.tracker, sfm, self.config.mapper)
        self.role = NetworkRole(self.map, self.mapper, self.guide)
        self.initializer = Initializer(self.tracker, sfm, self.config.initializer, self.guide)
        places = Places(self.map, self.guide)
        self.relocalizer = Relocalizer(self.map, places, features, self.config.reloc, proposer)
        self.relocalizer.mask = self.tracker.mask
        self.loops = LoopCloser(self.map, places, features, config_beside(self.config.loops, self.guide), self.notes)
        self.stages = StageClock(is_shared=self.loops.config.in_background)
        self._make_keyframe = KeyframeSteps(self.map, self.role, self.relocalizer, self.loops, self.stages)
        self.n_losses = 0
        self.refined: RefineOutcome | None = None
        self._frames = FrameLog(self.map)
        self.frame_poses = FramePoses(self.map, camera, self.config.tracker, is_kept=not is_localizing)
        self.watches = Watches(self.tracker, self.map, self.notes, self._frames.first_id, is_localizing)
        users = (self.tracker, self.mapper, self.frame_poses, self.watches, self.relocalizer, self.loops)
        self.calibration = CalibrationWhileRunning(self.map, camera, self.config.refine, users)
        self._component = max((k.component_id for k in self.map.keyframes), default=-1)  # tracked now, or last
        self._next_component = self._component + 1
        self.states = TrackingState(self.config.states, Phase.INITIALIZING if self._component < 0 else Phase.LOST)
        self._state: TrackState | None = None
        self._reference = Reference.none()

    @property
    def is_tracking(self) -> bool:
        return self._state is not None

    @property
    def posed(self) -> PosedMap:
        """Where the newest frame is in the world: the map."""
        return self.map

    @property
    def stage_cpu_s(self) -> dict[str, float]:
        """CPU seconds by stage; a search for loops beside the frames is a part of `loops`."""
        return self.stages.cpu_s | {"loops": self.stages.cpu_s.get("loops", 0.0) + self.loops.search_cpu_s}

    @property
    def n_components(self) -> int:
        """Pieces of the map without a common frame of reference."""
        return len({k.component_id for k in self.map.keyframes})

    @property
    def first_frame_id(self) -> int:
        return self._frames.first_id

    @property
    def next_frame_id(self) -> int:
        return self._frames.next_id

    def process(self, frame: Frame) -> PoseEstimate:
        """Pose and status of the next frame (ids must count up from `first_frame_id`, else ValueError)."""
        view = self._begin_frame(frame)
        if not self._follow(view) and not self._recover(view) and not self._follow(view, is_guided=True):
            self._lose(view)
            self._initialize(view)
        return self._frames.newest

    def settle(self) -> None:
        """Decide what is still in doubt: no frame is UNSURE any longer. A part of `finish`, and quick."""
        self._frames.drop()

    def finish(self, watch: Watch | None = None) -> None:
        """Call after the last frame: a camera that only turned still has rotations to report; the graph is optimised,
        and then the map adjusted as a whole. watch: is told of progress there, and may stop it."""
        self.settle()
        if self.is_localizing:
            return
        if self._state is None and (start := self.initializer.at_end()) is not None:
            self._begin_component(start)
        self.notes += self.role.finish()
        with self.stages.of("loops"):
            self.loops.finish()
            self.notes += part_components(self.map, self.first_frame_id)
            join_components(self.map, self.config.tracker.features, self.loops.config, self.notes)
            self._component = max((k.component_id for k in self.map.keyframes[-1:]), default=self._component)
        with self.stages.of("graph"):
            try:
                self.notes += ties_left_out(self.map, optimize_map(self.map, self.config.loops.is_metric).switched_off)
            except GraphError as error:
                self.notes.append(f"the graph was not optimised, poses are those of the odometry: {error}")
        self._refine(watch)
        with self.stages.of("frames"):
            self.frame_poses.finish()
            self.role.dense_depth()
        self.watches.finish()

    def _refine(self, watch: Watch | None) -> None:
        """Adjust the whole map; `refined` then tells what became of it."""
        if not self.config.refine.is_on:
            return
        with self.stages.of("refine"):
            self.refined = refine_map(self.map, self.calibration.config, watch, self.relocalizer.places)
            if self.map.keyframes:
                self.tracker.camera = self.mapper.camera = self.map.keyframes[-1].camera

    def _begin_frame(self, frame: Frame) -> View:
        with self.stages.of("prepare"):
            view = self.tracker.view(frame.id, frame.timestamp_s, frame.image)
            self.watches.see(view)
        status = Status.INITIALIZING if self._component < 0 else Status.LOST
        self._frames.append(PoseEstimate(frame.id, frame.timestamp_s, status))
        return view

    # -- following the camera from the frame before

    def _follow(self, view: View, is_guided: bool = False) -> bool:
        """Track from the frame before (is_guided: to where a network says that the camera is now, which is believed at
        once or not at all); False where that fails, or is too weak to be believed any longer."""
        if self._state is None:
            return False
        result = self.role.track(self._state, view) if is_guided else self._track(self._state, view)
        if result is None or result.is_lost:
            return False
        if not self.states.is_sure(result, view.timestamp_s):
            confirmed = self._confirmed(view, result)
            if confirmed is None:
                return not is_guided and self._follow_unsurely(self._state, view, result)
            result = confirmed
        elif self._is_contradicted(view, result):
            return False
        elif self.states.is_worth_a_look(result):
            result = self._confirmed(view, result) or result
        self.role.believe(Reason.LOST, is_guided)
        self._frames.tell()
        self.initializer.reset()
        self.states.tracked(view.frame_id, view.timestamp_s, self._component)
        self._accept(self._state, view, result)
        return True

    def _track(self, state: TrackState, view: View) -> TrackResult:
        with self.stages.of("track"):
            result = self.tracker.track(state, view)
            self.watches.tracked(view, result)
        return result

    def _confirmed(self, view: View, result: TrackResult) -> TrackResult | None:
        """A weak result with what the map shows from there added to it; None if the map does not show it."""
        with self.stages.of("recover"):
            seen = self.relocalizer.look_again(view, self.tracker.camera, result.T_world_cam, self._component)
        if seen is None:
            return None
        ids, pixels = with_more(seen.ids, seen.pixels, result.ids, result.pixels)
        return replace(
            result, T_world_cam=seen.T_world_cam, covariance=seen.covariance, ids=ids, pixels=pixels,
            n_inliers=len(ids), ratio=seen.ratio, rotation_only=False,
        )  # fmt: skip

    def _is_contradicted(self, view: View, found: TrackResult | Localization) -> bool:
        component = found.component_id if isinstance(found, Localization) else self._component
        return self.relocalizer.contradicts(view, self.tracker.camera, found.T_world_cam, len(found.ids), component)

    def _follow_unsurely(self, state: TrackState, view: View, result: TrackResult) -> bool:
        """The pose is kept back until later frames are sure; False where that has lasted too long."""
        if not self.states.may_stay_unsure(view.timestamp_s):
            return False
        self.states.unsure(view.frame_id, view.timestamp_s, self._component)
        self._frames.keep_back(view.frame_id, view.timestamp_s, self._estimate(view, result))
        self.frame_poses.saw([(view.frame_id, result.ids, result.pixels)])
        motion = se3.inverse(result.T_world_cam) @ state.T_world_cam
        self._state = TrackState(view, result.ids, result.pixels, result.T_world_cam, motion, result.ratio)
        return True

    def _accept(self, state: TrackState, view: View, result: TrackResult) -> None:
        self._frames.set(self._estimate(view, result))
        self.frame_poses.saw([(view.frame_id, result.ids, result.pixels)])
        self.relocalizer.support.counts.append(result.n_inliers)
        motion = se3.inverse(result.T_world_cam) @ state.T_world_cam
        is_due = self._is_keyframe(result)
        if is_due and self.is_localizing:
            self._look_again(view, result, motion)
        elif is_due:
            self._add_keyframe(view, result.T_world_cam, result.ids, result.pixels, motion, result.ratio)
        else:
            self._state = TrackState(view, result.ids, result.pixels, result.T_world_cam, motion, result.ratio)

    def _estimate(self, view: View, result: TrackResult) -> PoseEstimate:
        m, k = self.tracker.map, self._reference.keyframe_id
        return PoseEstimate(
            view.frame_id, view.timestamp_s, Status.TRACKED, k, m.relative_to(k, result.T_world_cam),
            m.covariance_relative_to(k, result.covariance), result.n_inliers, result.ratio, self._component,
            result.rotation_only,
        )  # fmt: skip

    def _look_again(self, view: View, result: TrackResult, motion: Array | None) -> None:
        """Landmarks that the map shows from here replace a keyframe's; they are added to those still followed."""
        with self.stages.of("recover"):
            seen = self.relocalizer.look_again(view, self.tracker.camera, result.T_world_cam, self._component)
        ids, pixels, k = result.ids, result.pixels, self._reference.keyframe_id
        if seen is not None:
            (ids, pixels), k = with_more(ids, pixels, seen.ids, seen.pixels), seen.keyframe_id
        self._reference = Reference(k, ids, pixels)
        self._state = TrackState(view, ids, pixels, result.T_world_cam, motion, result.ratio)

    # -- keyframes

    def _is_keyframe(self, result: TrackResult) -> bool:
        c, moved = self.config.mapper, self._reference.motion_px(result.ids, result.pixels)
        return moved > c.min_parallax_px or len(result.ids) < c.min_shared * len(self._reference.ids)

    def _add_keyframe(
        self, view: View, T_world_cam: Array, ids: Ids, pixels: Pixels, motion: Array | None, ratio: float
    ) -> None:
        new = self._make_keyframe(Due(view, T_world_cam, ids, pixels, self._component))
        with self.stages.of("refine"):
            view, ids, pixels = self.calibration.at_keyframe(view, new.ids, new.pixels)
        new = replace(new, ids=ids, pixels=pixels)
        self._take_keyframe(view.frame_id, new)
        T = self.map.keyframes[-1].S_world_keyframe.pose
        self._state = TrackState(view, ids, pixels, T, motion, ratio)

    def _take_keyframe(self, frame_id: int, new: Mapped) -> None:
        """Go on from the keyframe that a frame has become."""
        k = new.keyframe_id
        self._component, self._reference = new.component_id, Reference(k, new.ids, new.pixels)
        own = self._frames[frame_id]
        self.frame_poses.link(k, own)
        if own.T_ref_cam is not None:  # from now on, the frame is where its keyframe is
            C = self.map.covariance_of(own)
            own = replace(own, covariance=None if C is None else self.map.covariance_relative_to(k, C))
            self._frames.set(replace(own, ref_id=k, T_ref_cam=np.eye(4), component_id=self._component))

    # -- a camera that cannot be followed: found again in the map, or lost

    def _recover(self, view: View) -> bool:
        """Look for the view in the whole map. Found close to where it was last, nothing was lost."""
        if self._component < 0:
            return False
        with self.stages.of("recover"):
            found = self.relocalizer.locate(view, self.tracker.camera, self.config.reloc.n_recent)
        if found is None or not self.relocalizer.accepts(found) or self._is_contradicted(view, found):
            return False
        is_unbroken = self._state is not None and found.is_near(self._state.T_world_cam, self._component)
        self.initializer.reset()
        self._frames.drop()
        self._component = found.component_id
        if is_unbroken:
            self.states.tracked(view.frame_id, view.timestamp_s, self._component)
        else:
            self.n_losses += int(self.states.phase is Phase.UNSURE)
            self.states.relocalized(view.frame_id, view.timestamp_s, self._component, found.trust)
        self._state = None
        self._resume(view, found, Status.TRACKED if is_unbroken else Status.RELOCALIZED)
        return True

    def _resume(self, view: View, found: Localization, status: Status) -> None:
        m, k, n, ratio = self.map, found.keyframe_id, len(found.ids), found.evidence.ratio
        self.relocalizer.support.counts.append(n)
        self._frames.set(PoseEstimate(
            view.frame_id, view.timestamp_s, status, k, m.relative_to(k, found.T_world_cam),
            m.covariance_relative_to(k, found.covariance), n, ratio, self._component,
        ))  # fmt: skip
        if self.is_localizing:
            self._reference = Reference(found.keyframe_id, found.ids, found.pixels)
            self._state = TrackState(view, found.ids, found.pixels, found.T_world_cam, None, ratio)
        else:
            self._add_keyframe(view, found.T_world_cam, found.ids, found.pixels, None, ratio)

    def _lose(self, view: View) -> None:
        """Neither followed nor found: unsure at first, when the next frame is followed from the last good one; then
        lost."""
        if self._component < 0:
            return
        if self._state is not None and self.states.may_stay_unsure(view.timestamp_s):
            self.states.unsure(view.frame_id, view.timestamp_s, self._component)
            self._frames.keep_back(view.frame_id, view.timestamp_s, None)
            self._state = replace(self._state, motion=None)
            return
        if self.states.phase is not Phase.LOST:
            self.n_losses += 1
            self.states.lost(view.frame_id, view.timestamp_s)
        if self.relocalizer.saw_something:
            self.states.shows_something(view.timestamp_s)
        self._state = None
        self._frames.drop()

    # -- components

    def _initialize(self, view: View) -> None:
        """Begin a component where the motion determines one, and the old map was tried for long enough."""
        if self.is_localizing:
            return
        may_start = self._component < 0 or self.states.is_patience_over(self.config.patience)
        with self.stages.of("initialize"):
            start = self.initializer.step(view, may_start)
        if start is not None:
            self._begin_component(start)

    def _begin_component(self, start: Start) -> None:
        """First keyframes of a component, and the poses of the frames before and between them."""
        self._component, self._next_component = self._next_component, self._next_component + 1
        self._frames.drop()
        begun = ComponentStart(self.map, self.tracker, self.mapper, start, self._component)
        last = start.sightings[-1]
        if start.prediction is None:
            self.notes.append(begun.without_translation)
        self.role.began(start, self._component, begun.k)
        self._add_keyframe(start.last, begun.T_world_last, begun.ids[last.index], last.pixels, None, 1.0)
        estimates = begun.estimates(self._component)
        for estimate in estimates:
            self._frames.set(estimate)
        self.frame_poses.saw(begun.seen)
        first_s = min(estimate.timestamp_s for estimate in estimates)
        self.states.began(start.last.frame_id, start.last.timestamp_s, self._component, first_s)
