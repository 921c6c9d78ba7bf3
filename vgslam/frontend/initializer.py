"""The start of a component: wait until two views determine the geometry, and remember what was seen meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from vgslam.frontend.asking import AskedGuide, Reason
from vgslam.frontend.features import Pixels
from vgslam.frontend.matching import MatcherConfig, describe, match
from vgslam.frontend.network_start import MIN_TRACKS, AskTimes, verified_start
from vgslam.frontend.sfm import WindowSfm
from vgslam.frontend.tracker import Tracker, View
from vgslam.multiview.two_view import TwoViewConfig, denies_rotation, is_nearly_rotation, rotation_between
from vgslam.types import Ids, WindowInput, WindowPrediction

MIN_FOLLOWED = 40
"""Least corners of the first view that must still be followed, however few there were: with fewer no pair could reach
`TwoViewConfig.min_inliers`."""


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
class Sighting:
    """The corners of the first view that a later frame sees: indices (n,) and pixels (n,2)."""

    frame_id: int
    timestamp_s: float
    index: Ids
    pixels: Pixels


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

    A guide is asked where they do not for a while, nor are those of a rotation, and where the first view is about to
    leave the image.
    """

    def __init__(
        self, tracker: Tracker, sfm: WindowSfm, config: InitializerConfig, guide: AskedGuide | None = None
    ) -> None:
        self._tracker, self._sfm, self._config, self._guide = tracker, sfm, config, guide
        self._first: View | None = None
        self._views: list[View] = []  # the last views since the reset, without their images
        self._n_given_up = 0
        self._times = AskTimes()

    def reset(self) -> None:
        """Forget everything seen so far."""
        self._first, self._views, self._n_given_up = None, [], 0
        self._times = AskTimes()

    def _begin(self, view: View) -> None:
        self._first = self._newest = view
        self._n_given_up = len(self._views) - 1
        self._corners = self._tracker.detect(view, np.zeros((0, 2), np.float32))
        index = np.arange(len(self._corners))
        self._sightings = [Sighting(view.frame_id, view.timestamp_s, index, self._corners)]

    def step(self, view: View, may_start: bool = True) -> Start | None:
        """Take one more view; a Start once the geometry, or at least a wide rotation, is known.

        may_start: False only collects, so that a later step can start with all that was seen.
        """
        self._views.append(replace(view, raw=np.zeros((0, 0, 3), np.uint8)))
        if len(self._views) > self._config.max_earlier:
            self._views.pop(0)
            self._n_given_up = max(0, self._n_given_up - 1)
        self._times.see(view.timestamp_s)
        if self._first is None:
            self._begin(view)
            return None
        last = self._sightings[-1]
        [(rows, pixels)] = follow_through(self._tracker, [self._newest, view], last.pixels)
        sighting = Sighting(view.frame_id, view.timestamp_s, last.index[rows], pixels)
        self._sightings.append(sighting)
        self._newest = view
        if not may_start:
            return None
        prediction = self._predict(view, sighting.index, sighting.pixels, self._corners)
        if prediction is not None:
            return self._start(view, prediction)
        if len(sighting.index) >= max(self._config.min_alive * len(self._corners), MIN_FOLLOWED):
            if self._guide is None or not self._times.is_due(view.timestamp_s) or self._is_rotation(sighting):
                return None
            prediction = self._advised(view, sighting, self._corners)
            return None if prediction is None else self._start(view, prediction)
        return self._out_of_view(view)

    def _out_of_view(self, view: View) -> Start | None:
        """The first view is about to leave: match by descriptors, or start with a rotation, or begin again here."""
        first = self._first
        assert first is not None
        a, b = (
            features.select(self._tracker.mask.allows(features.pixels))
            for features in (describe(v.gray, self._config.matcher) for v in (first, view))
        )
        ia, ib = match(a, b, self._config.matcher)
        corners = np.concatenate([self._corners, a.pixels[ia].astype(np.float32)])
        matched = self._sightings[-1]
        if len(ia) >= MIN_TRACKS:
            index = np.arange(len(self._corners), len(corners))
            matched = Sighting(view.frame_id, view.timestamp_s, index, b.pixels[ib].astype(np.float32))
        if len(ia) >= self._config.two_view.min_inliers:
            prediction = self._predict(view, matched.index, matched.pixels, corners)
            if prediction is not None:
                return self._start_of_matches(view, corners, matched, prediction)
        if self._is_rotation(self._sightings[-1]) and not self._is_denied(matched, corners):
            return self._start(view, None)
        prediction = self._advised(view, matched, corners, is_leaving=True)
        if prediction is None:
            self._begin(view)
            return None
        if matched is self._sightings[-1]:
            return self._start(view, prediction)
        return self._start_of_matches(view, corners, matched, prediction)

    def _start_of_matches(self, view: View, corners: Pixels, matched: Sighting, prediction: WindowPrediction) -> Start:
        self._corners = corners
        self._sightings = self._sightings_of_matches(view, matched.index, matched.pixels)
        return self._start(view, prediction)

    def _advised(
        self, view: View, seen: Sighting, corners: Pixels, is_leaving: bool = False
    ) -> WindowPrediction | None:
        """A start with the guide's depth, if the tracks from `corners` of the first view to where they are `seen` agree
        with it. An answer that comes late serves as long as the first view is the same: its depth is what counts."""
        first, guide = self._first, self._guide
        if first is None or guide is None or not guide.use.initialise:
            return None
        if len(seen.index) < MIN_TRACKS or not self._times.is_due(view.timestamp_s, is_leaving):
            return None
        window = self._window(view, seen.index, seen.pixels, corners)
        answer = guide.predict(Reason.START, first.frame_id, window)
        if answer is None and guide.desk.is_beside:
            return None  # not yet
        self._times.asked(view.timestamp_s)
        if answer is not None and answer.about != first.frame_id:
            guide.desk.too_late(Reason.START)
            return None
        found = None if answer is None else verified_start(answer.value, window)
        if found is not None:
            guide.desk.believe(Reason.START)
        return found

    def _sightings_of_matches(self, view: View, index: Ids, pixels: Pixels) -> list[Sighting]:
        """Where the views between the first one and `view` see the corners `index`, which are matched in these two:
        the depth of those that were followed so far is not known."""
        first = self._first
        assert first is not None
        between = [v for v in self._views if first.frame_id < v.frame_id < view.frame_id]
        forward = follow_through(self._tracker, [first, *between], self._corners[index])
        backward = follow_through(self._tracker, [view, *reversed(between)], pixels)[::-1]
        out = [Sighting(first.frame_id, first.timestamp_s, np.arange(len(self._corners)), self._corners)]
        for v, (rows, at), (more, there) in zip(between, forward, backward, strict=True):
            is_new = ~np.isin(more, rows)
            seen, where = np.concatenate([rows, more[is_new]]), np.concatenate([at, there[is_new]])
            out.append(Sighting(v.frame_id, v.timestamp_s, index[seen], where))
        return [*out, Sighting(view.frame_id, view.timestamp_s, index, pixels)]

    def at_end(self) -> Start | None:
        """A start at the end of the input: without translation, if a rotation explains all that was seen."""
        if self._first is None or len(self._sightings) < 2 or not self._is_rotation(self._sightings[-1]):
            return None
        return self._start(self._newest, None)

    def _is_rotation(self, sighting: Sighting) -> bool:
        a = self._corners[sighting.index].astype(np.float64)
        b = sighting.pixels.astype(np.float64)
        return is_nearly_rotation(self._tracker.camera, a, b, self._config.two_view)

    def _is_denied(self, matched: Sighting, corners: Pixels) -> bool:
        """Whether the corners that were matched by descriptors deny the rotation of those that were followed."""
        followed = self._sightings[-1]
        if matched is followed:
            return False
        camera, config = self._tracker.camera, self._config.two_view
        a, b = self._corners[followed.index].astype(np.float64), followed.pixels.astype(np.float64)
        R_a_b, _ = rotation_between(camera, a, b)
        a, b = corners[matched.index].astype(np.float64), matched.pixels.astype(np.float64)
        return denies_rotation(camera, R_a_b, a, b, config)

    def _predict(self, view: View, index: Ids, pixels: Pixels, corners: Pixels) -> WindowPrediction | None:
        return self._sfm.predict(self._window(view, index, pixels, corners))

    def _window(self, view: View, index: Ids, pixels: Pixels, corners: Pixels) -> WindowInput:
        first = self._first
        assert first is not None
        n = len(index)
        return WindowInput(
            np.array([first.frame_id, view.frame_id]), [first.image, view.image], self._tracker.camera,
            np.repeat([0, 1], n), np.tile(index, 2),
            np.concatenate([corners[index], pixels]).astype(np.float64),
        )  # fmt: skip

    def _start(self, view: View, prediction: WindowPrediction | None) -> Start:
        first = self._first
        assert first is not None
        earlier = self._views[: self._n_given_up]
        start = Start(first, view, self._corners, self._sightings, prediction, earlier)
        self.reset()
        return start


def follow_through(tracker: Tracker, views: Sequence[View], pixels: Pixels) -> list[tuple[Ids, Pixels]]:
    """Corners (N,2) of the first of consecutive views followed through the others: for each of these, which are still
    seen (n,) and where (n,2)."""
    index, out = np.arange(len(pixels)), []
    for before, after in pairwise(views):
        guess = tracker.rotate_pixels(pixels, tracker.rotation(before, after, None))
        pixels, ok = tracker.follow(before.gray, after.gray, pixels, guess)
        index, pixels = index[ok], pixels[ok]
        out.append((index, pixels))
    return out
