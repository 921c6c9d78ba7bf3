"""The main loop: one frame in, one pose or an honest "lost" out."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vgslam.errors import GraphError, InputError
from vgslam.frontend.component_start import ComponentStart, guessed_depths
from vgslam.frontend.features import Pixels
from vgslam.frontend.guide import Guide
from vgslam.frontend.initializer import Initializer, InitializerConfig, Start
from vgslam.frontend.mapper import Mapper, MapperConfig
from vgslam.frontend.sfm import SfmPredictor
from vgslam.frontend.tracker import Tracker, TrackerConfig, TrackResult, TrackState, View
from vgslam.frontend.tracking_state import Phase, StateConfig, TrackingState
from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam.graph.optimize import optimize_map
from vgslam.interfaces import Predictor
from vgslam.map.slam_map import SlamMap
from vgslam.reloc.closing import LoopCloser, ties_left_out
from vgslam.reloc.loops import LoopConfig
from vgslam.reloc.places import Places
from vgslam.reloc.relocalizer import Localization, Relocalizer, RelocalizerConfig
from vgslam.types import Array, Frame, Ids, PoseEstimate, Status, WindowInput

if TYPE_CHECKING:
    from vgslam.session.pose_stream import PoseStream


@dataclass(frozen=True)
class SlamConfig:
    """All settings of the main loop."""

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
    patience: int = 5
    """Frames after a loss during which only the old map is tried, before a new component may begin; see also
    `states.patience_s`."""


@dataclass
class _Reference:
    """The keyframe that poses are told from, and what was seen when it was taken, to measure how far the camera has
    moved since."""

    keyframe_id: int
    ids: Ids
    pixels: Pixels

    def motion_px(self, ids: Ids, pixels: Pixels) -> float:
        """Median motion (px) of the landmarks seen in both; infinite when there are none."""
        _, a, b = np.intersect1d(self.ids, ids, return_indices=True)
        return float(np.median(np.linalg.norm(self.pixels[a] - pixels[b], axis=1))) if len(a) else np.inf


class Slam:
    """Monocular SLAM over frames of one calibrated pinhole camera.

    `process` returns what is known of each frame at once; `map` holds everything, newest state. The frames seen before
    a component began get their poses afterwards: `map.frames` has the final word on every frame. `notes`: one line for
    each thing that a user of the poses should know. guide: a network to ask where geometry is weak.

    slam_map: a map from an earlier run to go on with. The run begins lost and looks for itself in the map before a new
    component may begin; its frames are appended to the map's and their ids count up from `first_frame_id`.
    is_localizing: the map gets no keyframes, landmarks or edges, and a frame that does not see it is lost.
    Raises InputError for is_localizing without a keyframe in the map.
    """

    def __init__(
        self, camera: Camera, config: SlamConfig | None = None, predictor: Predictor | None = None,
        guide: Guide | None = None, slam_map: SlamMap | None = None, is_localizing: bool = False,
    ) -> None:  # fmt: skip
        self.config = config or SlamConfig()
        self.map = SlamMap() if slam_map is None else slam_map
        if is_localizing and not self.map.keyframes:
            raise InputError("localizing needs a map with keyframes: this one is empty, run without --localize first")
        self.is_localizing = is_localizing
        self.predictor: Predictor = predictor or SfmPredictor()
        self.guide = guide
        self.tracker = Tracker(camera, self.map, self.config.tracker)
        self.mapper = Mapper(self.map, self.tracker, self.predictor, self.config.mapper, guide)
        self.initializer = Initializer(self.tracker, self.predictor, self.config.initializer, guide)
        places = Places(self.map, guide)
        self.relocalizer = Relocalizer(self.map, places, self.config.tracker.features, self.config.reloc)
        loops = self.config.loops
        if guide is not None and guide.use.descriptors:
            loops = replace(loops, in_background=False)  # the network serves one caller at a time
        self.notes: list[str] = []
        self.loops = LoopCloser(self.map, places, self.config.tracker.features, loops, self.notes)
        self.stage_cpu_s: dict[str, float] = {}
        self._search_cpu_s = 0.0
        self.n_losses = 0
        self._begun_by_guide: list[int] = []
        self.first_frame_id = 1 + max((f.frame_id for f in self.map.frames), default=-1)
        self._first_row = len(self.map.frames)
        self._component = max((k.component_id for k in self.map.keyframes), default=-1)  # tracked now, or last
        self._next_component = self._component + 1
        self.states = TrackingState(self.config.states, Phase.INITIALIZING if self._component < 0 else Phase.LOST)
        self._pending: list[tuple[int, PoseEstimate | None]] = []  # unsure frames, with what will be known of them
        self._has_tracked = False
        self._state: TrackState | None = None
        self._reference = _Reference(-1, np.zeros(0, np.int64), np.zeros((0, 2), np.float32))

    @staticmethod
    def open(source: str | Path, **options: Any) -> "PoseStream":
        """Poses of a live stream (`rtsp://...`, a camera's index, ...) or a recording, one after another:
        `for pose in Slam.open("rtsp://...", fov_deg=70): ...`. options: fields of `pose_stream.StreamOptions`.
        Raises InputError and others, as `PoseStream.open`."""
        from vgslam.session.pose_stream import PoseStream, StreamOptions  # a door to the layer above

        return PoseStream.open(source, StreamOptions(**options))

    @property
    def is_tracking(self) -> bool:
        return self._state is not None

    @property
    def n_components(self) -> int:
        """Pieces of the map that have no common frame of reference."""
        return len({k.component_id for k in self.map.keyframes})

    def process(self, frame: Frame) -> PoseEstimate:
        """Pose and status of the next frame (ids must count up from `first_frame_id`, else ValueError)."""
        if frame.id != self.first_frame_id + len(self.map.frames) - self._first_row:
            raise ValueError(f"frame {frame.id} out of turn: ids count up from {self.first_frame_id} without gaps")
        with self._stage("prepare"):
            view = self.tracker.view(frame.id, frame.timestamp_s, frame.image)
        self.map.frames.append(PoseEstimate(frame.id, frame.timestamp_s, self._status_without_pose()))
        if self._state is not None and self._follow(view):
            return self.map.frames[-1]
        if self._component >= 0:
            if self._try_recovery(view):
                return self.map.frames[-1]
            self._without_pose(view)
        if self.is_localizing:
            return self.map.frames[-1]
        may_start = self._component < 0 or self.states.is_patience_over(self.config.patience)
        with self._stage("initialize"):
            start = self.initializer.step(view, may_start)
        if start is not None:
            self._begin_component(start)
        return self.map.frames[-1]

    def settle(self) -> None:
        """Decide what is still in doubt: no frame is UNSURE any longer. A part of `finish`, and quick."""
        self._drop_pending()

    def finish(self) -> None:
        """Call after the last frame: a camera that never moved its place still has rotations to report; then the graph
        has its last word."""
        self.settle()
        if self.is_localizing:
            return
        if self._state is None:
            start = self.initializer.at_end()
            if start is not None:
                self._begin_component(start)
        self.notes += guessed_depths(self.map, self._begun_by_guide)
        with self._stage("loops"):
            if self.loops.finish() is not None:
                self._component = self.map.keyframes[-1].component_id
        with self._stage("graph"):
            try:
                self.notes += ties_left_out(self.map, optimize_map(self.map, self.config.loops.is_metric).switched_off)
            except GraphError as error:
                self.notes.append(f"the graph was not optimised, poses are those of the odometry: {error}")

    def _follow(self, view: View) -> bool:
        """Track from the frame before; False where that fails, or is too weak to be believed any longer."""
        assert self._state is not None
        with self._stage("track"):
            result = self.tracker.track(self._state, view)
            if result.is_lost and self.guide is not None and self.guide.use.motion_guess:
                result = self._track_guided(self.guide, self._state, view, result)
        if result.is_lost:
            return False
        if not self.states.is_sure(result, view.timestamp_s):
            confirmed = self._confirmed(view, result)
            if confirmed is None:
                return self._follow_unsurely(view, result)
            result = confirmed
        elif self.states.is_worth_a_look(result):
            result = self._confirmed(view, result) or result
        for frame_id, estimate in self._pending:
            self._set(estimate or replace(self._frame(frame_id), status=Status.LOST))
        self._pending = []
        self.initializer.reset()
        self.states.tracked(view.frame_id, view.timestamp_s, self._component)
        self._accept(view, result, Status.TRACKED)
        return True

    def _confirmed(self, view: View, result: TrackResult) -> TrackResult | None:
        """A weak result with what the map shows from there added to it; None where the map does not show it."""
        with self._stage("recover"):
            seen = self.relocalizer.look_again(view, self.tracker.camera, result.T_world_cam, self._component)
        if seen is None:
            return None
        more = ~np.isin(result.ids, seen.ids)
        ids, pixels = np.concatenate([seen.ids, result.ids[more]]), np.concatenate([seen.pixels, result.pixels[more]])
        return replace(
            result, T_world_cam=seen.T_world_cam, covariance=seen.covariance, ids=ids, pixels=pixels,
            n_inliers=len(ids), ratio=seen.ratio,
        )  # fmt: skip

    def _follow_unsurely(self, view: View, result: TrackResult) -> bool:
        """The pose is kept back until later frames are sure; False where that has lasted too long."""
        if self._state is None or not self.states.may_stay_unsure(view.timestamp_s):
            return False
        self.states.unsure(view.frame_id, view.timestamp_s, self._component)
        self._pending.append((view.frame_id, self._estimate(view, result, Status.TRACKED)))
        self._set(PoseEstimate(view.frame_id, view.timestamp_s, Status.UNSURE))
        motion = se3.inverse(result.T_world_cam) @ self._state.T_world_cam
        self._state = TrackState(view, result.ids, result.pixels, result.T_world_cam, motion, result.ratio)
        return True

    def _without_pose(self, view: View) -> None:
        """Neither followed nor found: unsure at first, when the next frame is followed from the last good one; then
        lost."""
        if self._state is not None and self.states.may_stay_unsure(view.timestamp_s):
            self.states.unsure(view.frame_id, view.timestamp_s, self._component)
            self._pending.append((view.frame_id, None))
            self._set(PoseEstimate(view.frame_id, view.timestamp_s, Status.UNSURE))
            self._state = replace(self._state, motion=None)
            return
        if self.states.phase is not Phase.LOST:
            self.n_losses += 1
            self.states.lost(view.frame_id, view.timestamp_s)
        if self.relocalizer.saw_something:
            self.states.shows_something(view.timestamp_s)
        self._state = None
        self._drop_pending()

    def _drop_pending(self) -> None:
        """The unsure frames stay without a pose."""
        for frame_id, _ in self._pending:
            self._set(replace(self._frame(frame_id), status=Status.LOST))
        self._pending = []

    def _track_guided(self, guide: Guide, state: TrackState, view: View, failed: TrackResult) -> TrackResult:
        """Once more from where the network says that the camera has gone; its unit is the median depth."""
        window = WindowInput(
            np.array([state.view.frame_id, view.frame_id]), [state.view.image, view.image], self.tracker.camera
        )
        prediction = guide.predict(window)
        if prediction is None or len(state.ids) == 0:
            return failed
        z = se3.transform(se3.inverse(state.T_world_cam), self.map.landmarks_world(state.ids))[:, 2]
        motion = se3.inverse(prediction.T_window_cam[1])
        motion[:3, 3] *= max(float(np.median(z)), 1e-3)
        return self.tracker.track(state, view, motion)

    def _status_without_pose(self) -> Status:
        return Status.INITIALIZING if self._component < 0 else Status.LOST

    def _frame(self, frame_id: int) -> PoseEstimate:
        return self.map.frames[self._first_row + frame_id - self.first_frame_id]

    def _set(self, estimate: PoseEstimate) -> None:
        """Replace what is known of a frame."""
        self.map.frames[self._first_row + estimate.frame_id - self.first_frame_id] = estimate

    def _accept(self, view: View, result: TrackResult, status: Status) -> None:
        state = self._state
        self._set(self._estimate(view, result, status))
        motion = se3.inverse(result.T_world_cam) @ state.T_world_cam if state is not None else None
        is_due = self._is_keyframe(result)
        if is_due and self.is_localizing:
            self._look_again(view, result, motion)
        elif is_due:
            self._add_keyframe(view, result.T_world_cam, result.ids, result.pixels, motion, result.ratio)
        else:
            self._state = TrackState(view, result.ids, result.pixels, result.T_world_cam, motion, result.ratio)

    def _estimate(self, view: View, result: TrackResult, status: Status) -> PoseEstimate:
        m, k = self.map, self._reference.keyframe_id
        return PoseEstimate(
            view.frame_id, view.timestamp_s, status, k, m.relative_to(k, result.T_world_cam),
            m.covariance_relative_to(k, result.covariance), result.n_inliers, result.ratio, self._component,
        )  # fmt: skip

    def _look_again(self, view: View, result: TrackResult, motion: Array | None) -> None:
        """What the map shows from here takes the place of a keyframe's landmarks; it adds to those still followed."""
        with self._stage("recover"):
            seen = self.relocalizer.look_again(view, self.tracker.camera, result.T_world_cam, self._component)
        ids, pixels, k = result.ids, result.pixels, self._reference.keyframe_id
        if seen is not None:
            more = ~np.isin(seen.ids, ids)
            ids, pixels = np.concatenate([ids, seen.ids[more]]), np.concatenate([pixels, seen.pixels[more]])
            k = seen.keyframe_id
        self._reference = _Reference(k, ids, pixels)
        self._state = TrackState(view, ids, pixels, result.T_world_cam, motion, result.ratio)

    def _is_keyframe(self, result: TrackResult) -> bool:
        c = self.config.mapper
        moved = self._reference.motion_px(result.ids, result.pixels)
        return moved > c.min_parallax_px or len(result.ids) < c.min_shared * len(self._reference.ids)

    def _add_keyframe(
        self, view: View, T_world_cam: Array, ids: Ids, pixels: Pixels, motion: Array | None, ratio: float
    ) -> None:
        ids, pixels = self._with_old_landmarks(view, T_world_cam, ids, pixels)
        with self._stage("map"):
            ids, pixels = self.mapper.add_keyframe(view, T_world_cam, ids, pixels, self._component)
        k = len(self.map.keyframes) - 1
        with self._stage("loops"):
            if self.loops.at_keyframe(k) is not None:
                seen = self.map.observed[k]
                ids, pixels = seen.ids, seen.pixels.astype(np.float32)
                self._component = self.map.keyframes[k].component_id
        self._reference = _Reference(k, ids, pixels)
        own = self._frame(view.frame_id)
        if own.T_ref_cam is not None:  # from now on, the frame is where its keyframe is
            C = self.map.covariance_of(own)
            own = replace(own, covariance=None if C is None else self.map.covariance_relative_to(k, C))
            self._set(replace(own, ref_id=k, T_ref_cam=np.eye(4), component_id=self._component))
        T = self.map.keyframes[-1].S_world_keyframe.pose
        self._state = TrackState(view, ids, pixels, T, motion, ratio)

    def _with_old_landmarks(self, view: View, T_world_cam: Array, ids: Ids, pixels: Pixels) -> tuple[Ids, Pixels]:
        """What is followed, and what old keyframes show of the same place: so the new one is tied to them."""
        before = len(self.map.keyframes) - self.config.loops.min_gap
        if before <= 0 or not self.config.loops.is_on:
            return ids, pixels
        with self._stage("back"):
            seen = self.relocalizer.look_back(view, self.tracker.camera, T_world_cam, self._component, before)
        if seen is None:
            return ids, pixels
        more = ~np.isin(seen.ids, ids)
        return np.concatenate([ids, seen.ids[more]]), np.concatenate([pixels, seen.pixels[more]])

    def _try_recovery(self, view: View) -> bool:
        """Look for the view in the whole map. Found close to where it was last, nothing was lost."""
        with self._stage("recover"):
            found = self.relocalizer.locate(view, self.tracker.camera, self.config.reloc.n_recent)
        if found is None or not self.relocalizer.accepts(found):
            return False
        is_unbroken = self._state is not None and self._is_near(self._state.T_world_cam, found)
        self.initializer.reset()
        self._drop_pending()
        self._component = found.component_id
        if is_unbroken:
            self.states.tracked(view.frame_id, view.timestamp_s, self._component)
        else:
            self.n_losses += int(self.states.phase is Phase.UNSURE)
            self.states.relocalized(view.frame_id, view.timestamp_s, self._component, found.trust)
        self._state = None
        self._resume(view, found, Status.TRACKED if is_unbroken else Status.RELOCALIZED)
        return True

    def _is_near(self, T_world_cam: Array, found: Localization) -> bool:
        """Whether a camera can have come from a pose to the found one within a few frames."""
        if found.component_id != self._component:
            return False
        apart = float(np.linalg.norm(found.T_world_cam[:3, 3] - T_world_cam[:3, 3]))
        return apart < 0.3 * found.depth and se3.angle_deg(T_world_cam[:3, :3].T @ found.T_world_cam[:3, :3]) < 45.0

    def _resume(self, view: View, found: Localization, status: Status) -> None:
        m, k, n, ratio = self.map, found.keyframe_id, len(found.ids), found.evidence.ratio
        self._set(PoseEstimate(
            view.frame_id, view.timestamp_s, status, k, m.relative_to(k, found.T_world_cam),
            m.covariance_relative_to(k, found.covariance), n, ratio, self._component,
        ))  # fmt: skip
        self._has_tracked = True
        if self.is_localizing:
            self._reference = _Reference(found.keyframe_id, found.ids, found.pixels)
            self._state = TrackState(view, found.ids, found.pixels, found.T_world_cam, None, ratio)
        else:
            self._add_keyframe(view, found.T_world_cam, found.ids, found.pixels, None, ratio)

    def _begin_component(self, start: Start) -> None:
        """First keyframes of a component, and the poses of the frames before and between them."""
        self._component = self._next_component
        self._next_component += 1
        self._drop_pending()
        self._has_tracked = True
        begun = ComponentStart(self.map, self.tracker, self.mapper, start, self._component)
        last = start.sightings[-1]
        if start.prediction is None:
            self.notes.append(begun.without_translation)
        elif self.guide is not None and start.prediction.model_id == self.guide.model_id:
            self._begun_by_guide.append(self._component)
        self._add_keyframe(start.last, begun.T_world_last, begun.ids[last.index], last.pixels, None, 1.0)
        estimates = begun.estimates(self._component)
        for estimate in estimates:
            self._set(estimate)
        first_s = min(estimate.timestamp_s for estimate in estimates)
        self.states.began(start.last.frame_id, start.last.timestamp_s, self._component, first_s)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """Adds the CPU seconds of the block to the stage's account; those of a search beside it go to `loops`."""
        clock = time.thread_time if self.loops.config.in_background else time.process_time
        began = clock()
        try:
            yield
        finally:
            spent = clock() - began
            if name == "loops":
                spent += self.loops.search_cpu_s - self._search_cpu_s
                self._search_cpu_s = self.loops.search_cpu_s
            self.stage_cpu_s[name] = self.stage_cpu_s.get(name, 0.0) + spent
