"""The system: one frame in, one pose or an honest "lost" out."""

from dataclasses import replace

import numpy as np

from vgslam.errors import InputError
from vgslam.frontend.asking import AskedGuide, Reason
from vgslam.frontend.component_start import ComponentStart
from vgslam.frontend.frame_log import FrameLog
from vgslam.frontend.frame_poses import FramePoses
from vgslam.frontend.guide import Guide
from vgslam.frontend.guided_tracking import track_guided
from vgslam.frontend.image_mask import ImageMask, Mask
from vgslam.frontend.initializer import Initializer, Start
from vgslam.frontend.mapper import Mapper
from vgslam.frontend.provisional_starts import ProvisionalStarts
from vgslam.frontend.reference import Reference, with_more
from vgslam.frontend.sfm import WindowSfm
from vgslam.frontend.tracker import Tracker, TrackResult, TrackState, View
from vgslam.frontend.tracking_state import Phase, TrackingState
from vgslam.frontend.watches import Watches
from vgslam.geometry.camera import Camera, required
from vgslam.interfaces import PosedMap
from vgslam.last_word import LastWord
from vgslam.map.enlarged import enlarged_mask, tracked_camera
from vgslam.map.slam_map import SlamMap
from vgslam.mapping import KeyframeSteps, Mapped
from vgslam.refine.adjust import Watch
from vgslam.refine.outcome import RefineOutcome
from vgslam.refine.stills import Stills
from vgslam.refine.while_running import CalibrationWhileRunning
from vgslam.reloc.closing import LoopCloser
from vgslam.reloc.localization import Localization
from vgslam.reloc.nearby import NearbyLandmarks
from vgslam.reloc.places import Places
from vgslam.reloc.proposal import PoseProposer
from vgslam.reloc.relocalizer import Relocalizer
from vgslam.slam_config import SlamConfig
from vgslam.stage_clock import StageClock
from vgslam.types import Frame, PoseEstimate, Status


class SlamSystem:
    """Monocular SLAM over frames of one calibrated pinhole camera.

    `process` returns each frame's first estimate at once; `map` holds the newest state of everything. Frames that were
    seen before a component began get their poses afterwards: `map.frames` has the final word on every frame. `notes`
    has one line for each thing that a user of the poses should know.
    """

    def __init__(
        self, camera: Camera | None, config: SlamConfig | None = None, guide: Guide | AskedGuide | None = None,
        proposer: PoseProposer | None = None, slam_map: SlamMap | None = None, is_localizing: bool = False,
        ignored: Mask | None = None,
    ) -> None:  # fmt: skip
        """guide, proposer: networks that are asked where geometry finds nothing. slam_map: a map from an earlier run to
        go on with. The run begins lost and looks for itself in the map before a new component may begin; its frames are
        appended to the map's and their ids count up from `first_frame_id`. is_localizing: the map gets no keyframes,
        landmarks or edges, and a frame that does not see it is lost. ignored (height,width): where the images show
        nothing that can be used, such as the car that carries the camera. What stays still in the image while the rest
        moves is found and ignored in any case. Raises InputError for is_localizing without a keyframe in the map, and
        CalibrationError where camera is None, as that of a source is that nothing calibrates."""
        self.config = config or SlamConfig()
        self.map = SlamMap() if slam_map is None else slam_map
        camera = tracked_camera(required(camera), self.map)
        if is_localizing and not self.map.keyframes:
            raise InputError("localizing needs a map with keyframes: this one is empty, run without --localize first")
        self.is_localizing, self.guide = is_localizing, None if guide is None else AskedGuide.of(guide)
        self.notes: list[str] = [] if self.guide is None else self.guide.notes
        self.n_losses = 0
        self.refined: RefineOutcome | None = None

        # tracking and mapping
        sfm, features = WindowSfm(self.config.initializer.two_view), self.config.tracker.features
        mask = ImageMask(camera.width, camera.height, enlarged_mask(ignored, camera))
        self.tracker = Tracker(camera, self.map, self.config.tracker, mask)
        self.mapper = Mapper(self.map, self.tracker, sfm, self.config.mapper)
        self.provisional = ProvisionalStarts(self.map, self.mapper, self.notes)
        self.initializer = Initializer(self.tracker, sfm, self.config.initializer, self.guide)

        # places that were seen before
        places = Places(self.map)
        self.relocalizer = Relocalizer(self.map, places, features, self.config.reloc, proposer, mask)
        self.nearby = NearbyLandmarks(self.map, features, self.config.reloc)
        self.loops = LoopCloser(self.map, places, features, self.config.loops, self.notes)
        self.stages = StageClock()
        self._make_keyframe = KeyframeSteps(self.mapper, self.provisional, self.nearby, self.loops, self.stages)

        # what is kept of every frame, and who looks at all of them
        self._frames = FrameLog(self.map)
        self.frame_poses = FramePoses(self.map, camera, self.config.tracker, is_kept=not is_localizing)
        self.watches = Watches(self.tracker, self.map, self.notes, self._frames.first_id, is_localizing)
        users = (self.tracker, self.mapper, self.frame_poses, self.watches, self.relocalizer, self.loops)
        self.calibration = CalibrationWhileRunning(self.map, camera, self.config.refine, users)
        self.stills = Stills(self.map, self.tracker, self.mapper, self.config.refine.is_on and not is_localizing)

        # where the camera is
        self._component = max((k.component_id for k in self.map.keyframes), default=-1)  # tracked now, or last
        self._next_component = self._component + 1
        self.states = TrackingState(self.config.states, Phase.INITIALIZING if self._component < 0 else Phase.LOST)
        self._state: TrackState | None = None
        self._reference = Reference.none()

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

    def expect(self, n_frames: int) -> None:
        """Know how long the recording is that comes now, as far as its source can tell."""
        self.calibration.expect(self.next_frame_id, n_frames)
        self.stills.expect(n_frames)

    def process(self, frame: Frame) -> PoseEstimate:
        """Pose and status of the next frame. ValueError for an id that is not `next_frame_id`, or for another size."""
        self.stills.see(frame)
        view = self._begin_frame(frame)
        if not self._follow(view) and not self._recover(view) and not self._follow_guided(view):
            self._lose(view)
            self._initialize(view)
        return self._frames.newest

    @property
    def _may_change_map(self) -> bool:
        """Whether nobody reads or changes the map beside the caller."""
        return not self.loops.search.is_under_way

    def settle(self) -> None:
        """Decide what is still in doubt, so that no frame is UNSURE any longer: the quick first step of `finish`."""
        self._frames.drop()

    def finish(self, watch: Watch | None = None) -> None:
        """Call after the last frame. The pose graph is optimised, then the map is adjusted as a whole, and every frame
        gets its final pose. A camera that has only turned so far still gets a component, of rotations alone.
        watch: hears of the adjustment's progress, and may stop it."""
        self.settle()
        if self.is_localizing:
            return
        if self._state is None and (start := self.initializer.at_end()) is not None:
            self._begin_component(start)
        with self.stages.of("loops"):
            self.loops.finish()
            self.loops.give_graph_up()
        self.notes += self.provisional.finish()
        last = LastWord(
            self.tracker, self.mapper, self.relocalizer, self.loops, self.stills, self.calibration.config, self.stages,
            self.notes, self.first_frame_id,
        )  # fmt: skip
        if last.speak(watch or Watch()):
            self.frame_poses, self._state = FramePoses(self.map, self.tracker.camera, self.config.tracker), None
        self.refined = last.refined
        self._component = max((k.component_id for k in self.map.keyframes[-1:]), default=self._component)
        with self.stages.of("frames"):
            self.frame_poses.finish()
        last.measure_depth(self.guide, watch or Watch())
        self.watches.finish()

    def _begin_frame(self, frame: Frame) -> View:
        with self.stages.of("prepare"):
            view = self.tracker.view(frame.id, frame.timestamp_s, frame.image)
            self.watches.see(view, self._may_change_map)
        status = Status.INITIALIZING if self._component < 0 else Status.LOST
        self._frames.append(PoseEstimate(frame.id, frame.timestamp_s, status))
        return view

    # -- following the camera from the frame before

    def _follow(self, view: View) -> bool:
        """Track from the frame before; False where that fails, or has been too weak for too long."""
        state = self._state
        if state is None:
            return False
        with self.stages.of("track"):
            result = self.tracker.track(state, view)
            self.watches.tracked(view, result)
        if result.is_lost:
            return False
        proven = self._proven(view, result)
        if proven is not None:
            self._accept(state, view, proven)
            return True
        is_contradicted = self.states.is_sure(result, view.timestamp_s)
        return not is_contradicted and self._follow_unsurely(state, view, result)

    def _follow_guided(self, view: View) -> bool:
        """Track to where a network says that the camera is now, which is believed at once or not at all."""
        state, guide = self._state, self.guide
        if state is None or guide is None or not guide.use.motion_guess:
            return False
        result = track_guided(self.tracker, guide, state, view)
        proven = None if result is None else self._proven(view, result)
        if proven is None:
            return False
        guide.desk.believe(Reason.LOST)
        self._accept(state, view, proven)
        return True

    def _proven(self, view: View, result: TrackResult) -> TrackResult | None:
        """A result that needs no later frames to be believed, with what the map shows from there where that was asked;
        None if it is too weak without, or contradicted."""
        if not self.states.is_sure(result, view.timestamp_s):
            return self._confirmed(view, result)
        if self._is_contradicted(view, result):
            return None
        shown = self._confirmed(view, result) if self.states.is_worth_a_look(result) else None
        return shown or result

    def _confirmed(self, view: View, result: TrackResult) -> TrackResult | None:
        """A weak result with what the map shows from there added to it; None if the map does not show it."""
        with self.stages.of("recover"):
            seen = self.nearby.look_again(view, self.tracker.camera, result.T_world_cam, self._component)
        if seen is None or not self.relocalizer.confirms(view, self.tracker.camera, seen, self._component):
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
        """Keep the pose back until later frames are sure; False where that has lasted too long."""
        if not self.states.may_stay_unsure(view.timestamp_s):
            return False
        self.states.unsure(view.frame_id, view.timestamp_s, self._component)
        estimate = self._estimate(view, result, self._reference.keyframe_id)
        self._frames.keep_back(view.frame_id, view.timestamp_s, estimate)
        self.frame_poses.saw([(view.frame_id, result.ids, result.pixels)])
        self._state = result.state(view, state)
        return True

    def _accept(self, state: TrackState, view: View, result: TrackResult) -> None:
        """The frame was followed from `state`: it has a pose, and becomes a keyframe where one is due."""
        self._frames.tell()
        self.initializer.reset()
        self.states.tracked(view.frame_id, view.timestamp_s, self._component)
        self._frames.set(self._estimate(view, result, self._reference.keyframe_id))
        self.frame_poses.saw([(view.frame_id, result.ids, result.pixels)])
        self.relocalizer.support.counts.append(result.n_inliers)
        at = result.state(view, state)
        if not self._is_keyframe(result):
            self._state = at
        elif self.is_localizing:
            self._look_again(at)
        else:
            self._add_keyframe(at)

    def _estimate(self, view: View, result: TrackResult, k: int, status: Status = Status.TRACKED) -> PoseEstimate:
        """The frame's row: its pose relative to keyframe k."""
        m = self.tracker.map
        return PoseEstimate(
            view.frame_id, view.timestamp_s, status, k, m.relative_to(k, result.T_world_cam),
            m.covariance_relative_to(k, result.covariance), result.n_inliers, result.ratio, self._component,
            result.rotation_only,
        )  # fmt: skip

    def _look_again(self, at: TrackState) -> None:
        """In place of a keyframe, where the map stays as it is: also follow the landmarks that it shows from here."""
        with self.stages.of("recover"):
            seen = self.nearby.look_again(at.view, self.tracker.camera, at.T_world_cam, self._component)
        ids, pixels, k = at.ids, at.pixels, self._reference.keyframe_id
        if seen is not None:
            (ids, pixels), k = with_more(ids, pixels, seen.ids, seen.pixels), seen.keyframe_id
        self._reference, self._state = Reference(k, ids, pixels), replace(at, ids=ids, pixels=pixels)

    # -- keyframes

    def _is_keyframe(self, result: TrackResult) -> bool:
        c, moved = self.config.mapper, self._reference.motion_px(result.ids, result.pixels)
        return moved > c.min_parallax_px or len(result.ids) < c.min_shared * len(self._reference.ids)

    def _add_keyframe(self, at: TrackState) -> None:
        """Make a keyframe of the view, and go on from it."""
        new = self._make_keyframe(at, self._component)
        if not new.is_new:
            self._reference = Reference(new.keyframe_id, new.ids, new.pixels)
            self._state = replace(at, ids=new.ids, pixels=new.pixels)
            return
        with self.stages.of("refine"):
            view, ids, pixels = self.calibration.at_keyframe(at.view, new.ids, new.pixels)
        self.watches.static.forget()
        self.loops.begin(new.keyframe_id)
        self._take_keyframe(view.frame_id, replace(new, ids=ids, pixels=pixels))
        T_world_cam = self.map.keyframes[-1].S_world_keyframe.pose
        self._state = replace(at, view=view, ids=ids, pixels=pixels, T_world_cam=T_world_cam)

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
            self._make_keyframe.found_again()
        self._state = None
        self._resume(view, found, Status.TRACKED if is_unbroken else Status.RELOCALIZED)
        return True

    def _resume(self, view: View, found: Localization, status: Status) -> None:
        """Go on from where the view was found."""
        result = found.tracked
        self.relocalizer.support.counts.append(result.n_inliers)
        self._frames.set(self._estimate(view, result, found.keyframe_id, status))
        at = result.state(view, before=None)
        if self.is_localizing:
            self._reference, self._state = Reference(found.keyframe_id, found.ids, found.pixels), at
        else:
            self._add_keyframe(at)

    def _lose(self, view: View) -> None:
        """Neither followed nor found: unsure while the next frame is followed from the last good one, then lost."""
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
        """Begin a component where the motion determines one, once the old map has been tried for long enough."""
        if self.is_localizing:
            return
        may_start = self._component < 0 or self.states.is_patience_over(self.config.patience)
        with self.stages.of("initialize"):
            start = self.initializer.step(view, may_start)
        if start is not None:
            self._begin_component(start)

    def _begin_component(self, start: Start) -> None:
        """Make the first keyframes of a component, and give the frames before and between them their poses."""
        self.loops.finish()
        self._component, self._next_component = self._next_component, self._next_component + 1
        self._frames.drop()
        begun = ComponentStart(self.map, self.tracker, self.mapper, start, self._component)
        last = start.sightings[-1]
        if start.prediction is None:
            self.notes.append(begun.without_translation)
        self.provisional.began(start, self._component, begun.k)
        self._add_keyframe(TrackState(start.last, begun.ids[last.index], last.pixels, begun.T_world_last))
        estimates = begun.estimates(self._component)
        for estimate in estimates:
            self._frames.set(estimate)
        self.frame_poses.saw(begun.seen)
        first_s = min(estimate.timestamp_s for estimate in estimates)
        self.states.began(start.last.frame_id, start.last.timestamp_s, self._component, first_s)
