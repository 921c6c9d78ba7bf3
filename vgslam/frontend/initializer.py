"""The start of a component: wait until two views determine the geometry, and remember what was seen meanwhile."""

from dataclasses import dataclass, field, replace

import numpy as np

from vgslam.frontend.asking import AskedGuide, Reason
from vgslam.frontend.corner_tracks import CornerTracks, Sighting
from vgslam.frontend.features import Pixels
from vgslam.frontend.matching import MatcherConfig, describe, match
from vgslam.frontend.network_start import MIN_TRACKS, AskTimes, verified_start
from vgslam.frontend.sfm import WindowSfm
from vgslam.frontend.tracker import Tracker, View
from vgslam.multiview.two_view import (
    TwoViewConfig,
    denies_rotation,
    is_nearly_rotation,
    is_rotation_alone,
    rotation_between,
)
from vgslam.types import WindowPrediction

MIN_FOLLOWED = 40
"""Least corners of the first view that must still be followed, however few there were: with fewer no pair could reach
`TwoViewConfig.min_inliers`."""
CHANCE_SHARE = 0.15
"""In black images with a sensor's noise a tenth of the corners is "followed", to where the noise is alike."""
STILL_PX = 0.5
"""A corner that is seen closer than this to where it was has not moved: what is burnt in is followed that well through
compressed films."""


@dataclass(frozen=True)
class InitializerConfig:
    """When two views are good enough to begin a map."""

    two_view: TwoViewConfig = field(default_factory=TwoViewConfig)
    """When two views determine the geometry."""
    matcher: MatcherConfig = field(default_factory=MatcherConfig)
    """Matching of the two views by descriptors."""
    min_alive: float = 0.35
    """Share of the first view's corners that must still be followed; below it the views are matched by descriptors
    once, and then another first view is taken."""
    max_earlier: int = 150
    """Views kept from first views that were given up."""


@dataclass(frozen=True)
class Start:
    """All that is needed to begin a component."""

    first: View
    """The first view."""
    last: View
    """The last view."""
    corners: Pixels
    """(N,2): all corners of the first view."""
    sightings: list[Sighting]
    """The sightings between the two views, those in both included."""
    prediction: WindowPrediction | None
    """Geometry of the window (first view, last view); None when only a rotation is known."""
    earlier: list[View]
    """The views before the first one that still lack a pose, in time order and without their images."""


class Initializer:
    """Follows the corners of a first view until their tracks determine the geometry between it and the newest view.
    What has not moved at all says nothing of it: a hood would agree with any camera that did not turn. A
    guide is asked where they do not for a while, nor are those of a rotation, and where the first view is about to
    leave the image."""

    def __init__(
        self, tracker: Tracker, sfm: WindowSfm, config: InitializerConfig, guide: AskedGuide | None = None
    ) -> None:
        self._tracker, self._sfm, self._config, self._guide = tracker, sfm, config, guide
        self._sfm_of_moved = WindowSfm(replace(config.two_view, min_parallax_px=0.0))
        self.reset()

    def reset(self) -> None:
        """Forget everything seen so far."""
        self._tracks: CornerTracks | None = None
        self._views: list[View] = []  # the last views since the reset, without their images
        self._n_given_up = 0
        self._times = AskTimes()

    def step(self, view: View, may_start: bool = True) -> Start | None:
        """Take one more view; a Start once the geometry, or at least a wide rotation, is known. may_start: False only
        collects, so that a later step can start with all that was seen."""
        self._keep(view)
        self._times.see(view.timestamp_s)
        tracks = self._tracks
        if tracks is None:
            self._begin(view)
            return None
        tracks.follow(self._tracker, view)
        if not may_start:
            return None
        if 2 * int(tracks.has_moved(STILL_PX).sum()) > len(tracks.last.index):  # else the camera may stand still
            prediction = self._predict(tracks)
            if prediction is not None:
                return self._start(tracks.of_moved(STILL_PX), prediction)
        if self._is_leaving(tracks):
            return self._out_of_view(tracks)
        if self._guide is None or not self._times.is_due(view.timestamp_s) or self._is_rotation(tracks):
            return None
        prediction = self._advised(tracks)
        return None if prediction is None else self._start(tracks, prediction)

    def at_end(self) -> Start | None:
        """A start at the end of the input: without translation, if a rotation explains all that was seen."""
        tracks = self._tracks
        if tracks is None or len(tracks.sightings) < 2 or not self._is_rotation(tracks):
            return None
        return self._start(tracks, None)

    def _keep(self, view: View) -> None:
        self._views.append(replace(view, raw=np.zeros((0, 0, 3), np.uint8)))
        if len(self._views) > self._config.max_earlier:
            self._views.pop(0)
            self._n_given_up = max(0, self._n_given_up - 1)

    def _begin(self, view: View) -> None:
        self._n_given_up = len(self._views) - 1
        self._tracks = CornerTracks.begun(self._tracker, view)

    def _is_leaving(self, tracks: CornerTracks) -> bool:
        """Whether too few of the first view's corners are left, or too few of those that do not stay where they are,
        as a hood's corners do: as many as a start needs must have gone."""
        c, n, alive = self._config, len(tracks.corners), len(tracks.last.index)
        if alive < max(c.min_alive * n, MIN_FOLLOWED):
            return True
        n_moved = int(tracks.has_moved(STILL_PX).sum())
        n_gone = n - alive
        return n_gone >= c.two_view.min_inliers and n_moved < c.min_alive * (n_moved + n_gone)

    def _out_of_view(self, tracks: CornerTracks) -> Start | None:
        """The first view is about to leave: match by descriptors, or start with a rotation, or begin again here.
        Matches that deny a rotation show the motion, however little a best rotation would leave of it: in a wide view
        or a near scene, turning takes up most of the parallax. What has not moved at all while the rest has left counts
        for nothing: a hood is followed for ever, and looks like a camera that stands still."""
        matched, tracks = self._matched(tracks), tracks.of_moved(STILL_PX)
        is_turn = self._is_rotation(tracks)
        is_denied = is_turn and self._is_denied(tracks, matched)
        if matched is not None and len(matched.last.index) >= self._config.two_view.min_inliers:
            prediction = (self._sfm_of_moved if is_denied else self._sfm).predict(matched.window(self._tracker.camera))
            if prediction is not None:
                return self._start(self._filled_in(matched), prediction)
        elif is_denied and (prediction := self._sfm_of_moved.predict(tracks.window(self._tracker.camera))) is not None:
            return self._start(tracks, prediction)
        if is_turn and not is_denied:
            return self._start(tracks, None)
        prediction = self._advised(matched or tracks, is_leaving=True)
        if prediction is None:
            self._begin(tracks.newest)
            return None
        return self._start(tracks if matched is None else self._filled_in(matched), prediction)

    def _matched(self, tracks: CornerTracks) -> CornerTracks | None:
        """Corners of the first view that match in the newest by their descriptors; None for too few."""
        a, b = (
            features.select(self._tracker.mask.allows(features.pixels))
            for features in (describe(v.gray, self._config.matcher) for v in (tracks.first, tracks.newest))
        )
        ia, ib = match(a, b, self._config.matcher)
        if len(ia) < MIN_TRACKS:
            return None
        matched = tracks.matched(a.pixels[ia].astype(np.float32), b.pixels[ib].astype(np.float32))
        return matched.of_moved(STILL_PX)

    def _filled_in(self, matched: CornerTracks) -> CornerTracks:
        first, last = matched.first.frame_id, matched.newest.frame_id
        return matched.filled_in(self._tracker, [v for v in self._views if first < v.frame_id < last])

    def _advised(self, tracks: CornerTracks, is_leaving: bool = False) -> WindowPrediction | None:
        """A start with the guide's depth, if the tracks agree with it; is_leaving: the first view is about to leave the
        image. An answer that comes late serves as long as the first view is the same: its depth is what counts."""
        first, guide, now_s = tracks.first.frame_id, self._guide, tracks.newest.timestamp_s
        if guide is None or not guide.use.initialise:
            return None
        if len(tracks.last.index) < MIN_TRACKS or not self._times.is_due(now_s, is_leaving):
            return None
        window = tracks.window(self._tracker.camera)
        answer = guide.predict(Reason.START, first, window)
        if answer is None and guide.desk.is_beside:
            return None  # not yet
        self._times.asked(now_s)
        if answer is not None and answer.about != first:
            guide.desk.too_late(Reason.START)
            return None
        found = None if answer is None else verified_start(answer.value, window)
        if found is not None:
            guide.desk.believe(Reason.START)
        return found

    def _is_rotation(self, tracks: CornerTracks) -> bool:
        return is_nearly_rotation(self._tracker.camera, *tracks.pairs, self._config.two_view)

    def _is_denied(self, followed: CornerTracks, matched: CornerTracks | None) -> bool:
        """Whether the corners that were matched by descriptors deny the rotation of those that were followed. Where the
        two views do not match, those that were followed are what moved least: they need to have turned alone, and to be
        more than the few that are found again in noise."""
        camera = self._tracker.camera
        if matched is None:
            is_chance = len(followed.last.index) < CHANCE_SHARE * len(followed.corners)
            return is_chance or not is_rotation_alone(camera, *followed.pairs, self._config.two_view)
        R_a_b, _ = rotation_between(camera, *followed.pairs)
        return denies_rotation(camera, R_a_b, *matched.pairs, self._config.two_view)

    def _predict(self, tracks: CornerTracks) -> WindowPrediction | None:
        """By what has moved: a camera may look about for minutes before it starts, so that only two views are taken."""
        return self._sfm.predict(tracks.window(self._tracker.camera, STILL_PX))

    def _start(self, tracks: CornerTracks, prediction: WindowPrediction | None) -> Start:
        earlier = self._views[: self._n_given_up]
        self.reset()
        return Start(tracks.first, tracks.newest, tracks.corners, tracks.sightings, prediction, earlier)
