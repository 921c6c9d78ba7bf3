"""The system for a camera that does not wait: tracking goes on while a second lane works on the map.

The map belongs to one lane at a time. While the mapping lane is idle, tracking reads the map itself. When a keyframe is
due it hands the map over and follows the landmarks of a snapshot (`LocalMap`) until the keyframe is made; then it moves
its pose by what the keyframe was moved, and goes on with the new landmarks, which the mapping lane has followed through
the views that came meanwhile. A camera that is not followed is looked for in the mapping lane as well: nothing is
tracked then, so that lane has all of the system, and hands it back when it has caught up with the newest view.

A keyframe that is due while the mapping lane is busy is made of the first view after it: that is how keyframes are
thinned where mapping is too slow. `load` says how often, and how far behind it was.
"""

import copy
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import numpy as np

from vgslam.beside import Lane, ThreadLane
from vgslam.frontend.features import Pixels
from vgslam.frontend.initializer import Start
from vgslam.frontend.local_map import LocalMap
from vgslam.frontend.reference import with_more
from vgslam.frontend.tracker import TrackResult, TrackState, View
from vgslam.geometry import se3
from vgslam.interfaces import PosedMap
from vgslam.mapping import Mapped
from vgslam.reloc.localization import Localization
from vgslam.system import SlamSystem
from vgslam.types import Array, Frame, Ids, PoseEstimate, Status

MOST_STEPS = 30
"""Views through which the mapping lane follows its new landmarks at most: a camera that is much faster than the flow
would never be caught up with."""

MOST_BEHIND = 8
"""A search that is more views behind leaves some out, evenly, so that it takes this many steps to the newest view: a
camera that moves fast is still followed from one to the next. Those left out are LOST. It hands back after as many
steps again."""


class Work(Enum):
    """What the mapping lane is doing."""

    NOTHING = "nothing"
    KEYFRAME = "a keyframe"
    SEARCH = "a search for the camera"
    READ = "a copy of the map"


@dataclass
class Load:
    """How mapping has kept up with tracking."""

    n_keyframes: int = 0
    """Keyframes made beside tracking."""
    n_searches: int = 0
    n_waited: int = 0
    """Frames at which a keyframe was due and the mapping lane was busy."""
    lag_frames: int = 0
    """Frames since the view that the mapping lane works on; 0 while it is idle."""
    most_lag_frames: int = 0
    most_lag_s: float = 0.0
    """Longest time, by the frames' clock, from a view to its being a keyframe that is tracked from."""

    def to_dict(self) -> dict[str, Any]:
        """The entry in the report."""
        return {
            "n_keyframes": self.n_keyframes, "n_searches": self.n_searches, "n_frames_keyframe_waited": self.n_waited,
            "most_lag_frames": self.most_lag_frames, "most_lag_s": round(self.most_lag_s, 3),
        }  # fmt: skip


@dataclass(frozen=True)
class _Passed:
    """A view that came while the mapping lane was busy, and the frame's tracked pose (4,4), with covariance (6,6) in
    world units; None where it has none."""

    view: View
    T_world_cam: Array | None = None
    covariance: Array | None = None


@dataclass(frozen=True)
class _Handed:
    """What the mapping lane hands back for a view that was due to be a keyframe."""

    due: TrackState  # the view
    new: Mapped
    is_keyframe: bool
    ids: Ids  # (n,): landmarks that tracking does not follow yet
    pixels: Pixels  # (n,2): where the last of the `n_passed` views sees them
    n_passed: int  # how many of the views that have passed since were looked through


@dataclass
class _Job:
    """What the mapping lane is doing, and the views that have passed since it began."""

    work: Work = Work.NOTHING
    view: View | None = None
    passed: list[_Passed] = field(default_factory=list)
    n_worked: int = 0
    """Views of `passed` that the mapping lane has worked on, in a search."""


class TwoLaneSystem(SlamSystem):
    """As `SlamSystem`; `process` does not wait for the mapping. Arguments are those of `SlamSystem`. `process` raises
    what was raised in the mapping lane. `rest` waits for it, and every other method that needs the map calls that
    first. A network is asked by the mapping lane alone, so that it serves one caller at a time."""

    def __init__(self, *args: Any, lane: Lane[_Handed | None] | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lane: Lane[_Handed | None] = ThreadLane("vgslam-mapping") if lane is None else lane
        self._job = _Job()
        self._snapshot: LocalMap | None = None
        self._is_beginning = False
        self._waiting: deque[View] = deque(maxlen=MOST_STEPS)
        self.load = Load()

    @property
    def posed(self) -> PosedMap:
        """As `SlamSystem.posed`; beside the mapping lane the snapshot, as the map's scale and components may be in the
        middle of a change."""
        return self._snapshot or self.map

    # -- the tracking lane

    def process(self, frame: Frame) -> PoseEstimate:
        """As `SlamSystem.process`. A frame that comes while the camera is looked for is LOST or INITIALIZING; its row
        in `map.frames` may get a pose later."""
        if self._lane.is_done:
            self._take_in()
        view = self._begin_frame(frame)
        self.load.lag_frames = 0 if self._job.view is None else view.frame_id - self._job.view.frame_id
        self.load.most_lag_frames = max(self.load.most_lag_frames, self.load.lag_frames)
        if self._job.work is Work.SEARCH:
            said = self._frames.newest
            self._job.passed.append(_Passed(view))
            return said
        if not self._follow(view):
            return self._look_for(view)
        return self._frames.newest

    @property
    def _may_change_map(self) -> bool:
        return self._job.work is Work.NOTHING

    def _look_for(self, view: View) -> PoseEstimate:
        """A view that could not be followed is unsure or lost, and looked for in the map if the mapping lane is idle.
        Returns what is said of it now."""
        if self._job.work is not Work.NOTHING:
            self._lose(view)
            if self._component < 0:
                self._waiting.append(view)  # the component that is to begin goes back to it
            return self._frames.newest
        if self._state is not None and self.states.may_stay_unsure(view.timestamp_s):
            self._frames.set(PoseEstimate(view.frame_id, view.timestamp_s, Status.UNSURE))
        self.load.n_searches += 1
        said, waiting = self._frames.newest, [*self._waiting]
        self._waiting.clear()
        self._begin(Work.SEARCH, view, lambda job: self._search(job, view, waiting))
        return said

    def _accept(self, state: TrackState, view: View, result: TrackResult) -> None:
        super()._accept(state, view, result)
        if self._is_apart and view is not self._job.view:
            self._job.passed.append(_Passed(view, result.T_world_cam, result.covariance))

    def _is_keyframe(self, result: TrackResult) -> bool:
        """No keyframe while the mapping lane is busy."""
        is_due = super()._is_keyframe(result)
        is_busy = self._job.work is not Work.NOTHING
        self.load.n_waited += is_due and is_busy
        return is_due and not is_busy

    def _confirmed(self, view: View, result: TrackResult) -> TrackResult | None:
        """While the map is changed it cannot be asked."""
        return None if self._is_apart else super()._confirmed(view, result)

    def _is_contradicted(self, view: View, found: TrackResult | Localization) -> bool:
        return False if self._is_apart else super()._is_contradicted(view, found)

    @property
    def _is_apart(self) -> bool:
        """Whether tracking goes on beside the mapping lane."""
        return self._job.work in (Work.KEYFRAME, Work.READ)

    def _follow_unsurely(self, state: TrackState, view: View, result: TrackResult) -> bool:
        is_followed = super()._follow_unsurely(state, view, result)
        if is_followed and self._is_apart:
            self._job.passed.append(_Passed(view))
        return is_followed

    def _add_keyframe(self, at: TrackState) -> None:
        if self._is_beginning or self._job.work is Work.SEARCH:
            super()._add_keyframe(at)
            return
        self._state, component = at, self._component
        self.load.n_keyframes += 1
        self._begin(Work.KEYFRAME, at.view, lambda job: self._map(job, at, component))

    def _look_again(self, at: TrackState) -> None:
        if self._job.work is Work.SEARCH:
            super()._look_again(at)
            return
        self._state, same = at, Mapped(self._reference.keyframe_id, at.ids, at.pixels, self._component)
        self._begin(Work.KEYFRAME, at.view, lambda job: self._see_again(job, at, same))

    # -- handing over and taking back

    def _begin(self, work: Work, view: View | None, do: "Callable[[_Job], _Handed | None]") -> None:
        """Hand the map over to the mapping lane."""
        job = _Job(work, view)
        self._job = job
        self.mapper.take_tracker(self.tracker)
        if work is Work.KEYFRAME:
            # corners are looked for in this view, whatever tracking sees meanwhile
            tracker = copy.copy(self.tracker)
            tracker.moving = copy.copy(self.tracker.moving)
            self.mapper.take_tracker(tracker)
            ids = self._state.ids if self._state is not None else np.zeros(0, np.int64)
            self._snapshot = LocalMap(self.map, ids, self._reference.keyframe_id)
            self.tracker.take_map(self._snapshot)
        self._lane.start(lambda: do(job))

    def _take_in(self) -> None:
        """Take the map back, and go on with what the mapping lane has made of it. Raises what was raised there."""
        job = self._job
        handed = self._lane.take()
        self._job = _Job()
        self._snapshot = None
        self.tracker.take_map(self.map)
        self.mapper.take_tracker(self.tracker)
        self.watches.static.forget()
        if handed is not None:
            self._swap(job, handed)

    def _swap(self, job: _Job, handed: _Handed) -> None:
        """Go on from a new keyframe with landmarks as they are now, and the pose as far moved as the keyframe was."""
        due, new, state = handed.due, handed.new, self._state
        S = None
        if handed.is_keyframe:
            S = self.map.keyframes[new.keyframe_id].S_world_keyframe
            self._take_keyframe(due.view.frame_id, new)
            self._hang_on_keyframe(job.passed, due, new)
        else:
            self._reference = replace(self._reference, keyframe_id=new.keyframe_id, ids=new.ids, pixels=new.pixels)
        newest = job.passed[-1].view if job.passed else due.view
        self.load.most_lag_s = max(self.load.most_lag_s, newest.timestamp_s - due.view.timestamp_s)
        if state is None:
            return
        before = job.passed[handed.n_passed - 1].view if handed.n_passed else due.view
        _, ids, pixels = self._through(job.passed[handed.n_passed :], _Passed(before), handed.ids, handed.pixels)
        keep = np.isin(state.ids, new.ids)
        T, motion = state.T_world_cam, state.motion
        if S is not None:
            T = S.compose_pose(se3.inverse(due.T_world_cam) @ T)
            motion = None if motion is None else se3.from_rt(motion[:3, :3], S.s * motion[:3, 3])
        self._state = replace(
            state, ids=np.concatenate([state.ids[keep], ids]), pixels=np.concatenate([state.pixels[keep], pixels]),
            T_world_cam=T, motion=motion,
        )  # fmt: skip

    def _hang_on_keyframe(self, passed: list[_Passed], due: TrackState, new: Mapped) -> None:
        """The frames since the keyframe have their poses relative to it from now on."""
        T_keyframe_world = se3.inverse(due.T_world_cam)
        for x in passed:
            if x.T_world_cam is None:
                continue
            # lengths in the keyframe's units, which were those of the world when it was due
            row, T = self._frames[x.view.frame_id], T_keyframe_world @ x.T_world_cam
            self._frames.set(replace(
                row, ref_id=new.keyframe_id, T_ref_cam=T, covariance=x.covariance, component_id=new.component_id
            ))  # fmt: skip

    def rest(self) -> None:
        """Wait until the mapping lane is idle. Raises what was raised there."""
        while self._lane.is_busy:
            self._take_in()

    def between_keyframes(self, read: Callable[[], None]) -> bool:
        """Let the mapping lane run `read`, which reads the map, between two keyframes; False where it is busy, and
        nothing happens."""
        if self._lane.is_busy:
            return False

        def do(_: _Job) -> None:
            read()

        self._begin(Work.READ, None, do)
        return True

    def settle(self) -> None:
        """As `SlamSystem.settle`, when the mapping lane is idle."""
        self.rest()
        while self._waiting:
            self._follow_or_begin(self._waiting.popleft())
        super().settle()

    def _begin_component(self, start: Start) -> None:
        """As `SlamSystem._begin_component`, which asks for its second keyframe at once: in this lane."""
        self._is_beginning = True
        try:
            super()._begin_component(start)
        finally:
            self._is_beginning = False

    # -- the mapping lane

    def _map(self, job: _Job, due: TrackState, component: int) -> _Handed:
        new = self._make_keyframe(due, component)
        if new.is_new:
            self.loops.begin(new.keyframe_id)
        return self._caught_up(job, due, new, new.is_new)

    def _see_again(self, job: _Job, due: TrackState, new: Mapped) -> _Handed:
        """The landmarks that the map shows from a view, without changing it: those of a keyframe nearby are added to
        those that are followed, and it takes the place of the one that poses were relative to."""
        with self.stages.of("recover"):
            seen = self.nearby.look_again(due.view, self.tracker.camera, due.T_world_cam, new.component_id)
        if seen is not None:
            ids, pixels = with_more(new.ids, new.pixels, seen.ids, seen.pixels)
            new = Mapped(seen.keyframe_id, ids, pixels, new.component_id)
        return self._caught_up(job, due, new, False)

    def _caught_up(self, job: _Job, due: TrackState, new: Mapped, is_keyframe: bool) -> _Handed:
        """What is new, followed through the views that have passed meanwhile."""
        fresh = ~np.isin(new.ids, due.ids)
        with self.stages.of("map"):
            n, ids, pixels = self._through(
                job.passed, _Passed(due.view, due.T_world_cam), new.ids[fresh], new.pixels[fresh]
            )
        return _Handed(due, new, is_keyframe, ids, pixels, n)

    def _through(
        self, passed: list[_Passed], last: _Passed, ids: Ids, pixels: Pixels
    ) -> tuple[int, Ids, Pixels]:
        """Landmarks ids (n,) at pixels (n,2) of a view followed through those that have passed since, also while more
        of them come; returns how many that were, and which are still seen, and where."""
        n = 0
        while n < min(len(passed), MOST_STEPS):
            x, guess = passed[n], pixels
            if last.T_world_cam is not None and x.T_world_cam is not None:
                guess = self.tracker.rotate_pixels(pixels, x.T_world_cam[:3, :3].T @ last.T_world_cam[:3, :3])
            pixels, ok = self.tracker.follow(last.view.gray, x.view.gray, pixels, guess)
            ids, pixels, last, n = ids[ok], pixels[ok], x, n + 1
        return n, ids, pixels

    def _search(self, job: _Job, view: View, waiting: Sequence[View] = ()) -> None:
        """Look for the camera in a view, or begin a component with it and those that waited; then go through the views
        that came meanwhile, if there is something to follow, or a component to begin. No more keyframes are made on the
        way."""
        for earlier in waiting:
            self._follow_or_begin(earlier)
        is_followed = bool(waiting) and self._follow(view)
        if not is_followed and not self._recover(view) and not self._follow_guided(view):
            self._lose(view)
            self._initialize(view)
        for _ in range(2 * MOST_BEHIND):
            n_behind = len(job.passed) - job.n_worked
            if not n_behind or (self._state is None and self._component >= 0):
                return
            job.n_worked += -(-n_behind // MOST_BEHIND)
            self._follow_or_begin(job.passed[job.n_worked - 1].view)

    def _follow_or_begin(self, view: View) -> None:
        """Follow a view that has passed, or take it for the first component."""
        if not self._follow(view):
            self._lose(view)
            if self._component < 0:
                self._initialize(view)
