"""The calibration adjusted while a recording runs: the map so far is adjusted as a whole at a few keyframes, and where
that determines the camera, tracking goes on with the better one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import cv2
import numpy as np

from vgslam.frontend.features import Pixels
from vgslam.frontend.rotation_guess import Thumbnail
from vgslam.frontend.tracker import View
from vgslam.geometry.camera import Camera
from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import RefineConfig, Watch
from vgslam.refine.apply import take_along
from vgslam.refine.refine_map import solved, taken
from vgslam.types import Ids

AT_KEYFRAMES = (10, 30, 100)
"""Keyframes of a component at which it is adjusted: each time there is about three times as much to learn from, which
halves the deviations."""
LEAST_TO_COME = 0.1
"""Frames that have to be still to come, as a share of those that came: for fewer an adjustment is not worth its time,
as the map is adjusted once more when they are through."""


class CameraUser(Protocol):
    """A part of the system that works with the camera, or remembers what its images showed."""

    def take_camera(self, camera: Camera) -> None:
        """Go on with another calibration; the map's keyframes have it already."""
        ...


class CalibrationWhileRunning:
    """Looks at every new keyframe, and gives tracker, mapper and map a better camera when the map determines one.
    camera: the one that was given. A map that has keyframes already was made by an earlier run, which has adjusted what
    could be: such a run changes nothing. users: are told of a new camera. What it does depends on the frames alone."""

    def __init__(self, slam_map: SlamMap, camera: Camera, config: RefineConfig, users: Sequence[CameraUser]) -> None:
        self.map = slam_map
        self.is_on = config.while_running and not config.is_calibration_fixed and not slam_map.keyframes
        self.config = replace(config, focal_px=config.focal_px or camera.of_frames.fx)
        """The settings, with the focal length that was given: later adjustments must not take one that was adjusted for
        another measurement."""
        self._users = users
        self._done: dict[int, int] = {}
        self._first_id, self._end_id = 0, 0

    def expect(self, first_id: int, n_frames: int) -> None:
        """Know how long the recording is: n_frames frames from id first_id on, as far as its source can tell."""
        self._first_id, self._end_id = first_id, first_id + n_frames

    def at_keyframe(self, view: View, ids: Ids, pixels: Pixels) -> tuple[View, Ids, Pixels]:
        """Take the newest keyframe: its view, and the landmarks ids (n,) at pixels (n,2) that are followed from there.
        Returns them as the camera shows them that is used from now on."""
        if not self.is_on or not self._is_due() or self._ends_soon(view.frame_id):
            return view, ids, pixels
        camera = self._adjusted()
        if camera is None:
            return view, ids, pixels
        for user in self._users:
            user.take_camera(camera)
        keyframe, seen = self.map.keyframes[-1], self.map.observed[-1]
        image = keyframe.image
        gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        straight = View(view.frame_id, view.timestamp_s, image, gray, Thumbnail(gray, camera))
        return straight, seen.ids, seen.pixels.astype(np.float32)

    def _is_due(self) -> bool:
        component = self.map.keyframes[-1].component_id
        n_done = self._done.get(component, 0)
        if n_done == len(AT_KEYFRAMES):
            return False
        n = len(self._members(component))
        due = sum(n >= at for at in AT_KEYFRAMES)
        self._done[component] = max(due, n_done)
        return due > n_done

    def _ends_soon(self, frame_id: int) -> bool:
        """Whether the recording is nearly over at a frame, and the map will be adjusted then; False where its length is
        not known, or was wrong."""
        to_come, came = self._end_id - frame_id - 1, frame_id + 1 - self._first_id
        return self.config.is_on and 0 <= to_come < LEAST_TO_COME * came

    def _members(self, component: int) -> Ids:
        return np.array([k.id for k in self.map.keyframes if k.component_id == component], np.int64)

    def _adjusted(self) -> Camera | None:
        """The component adjusted, with its camera; None where the camera stays: then nothing has changed."""
        m, component = self.map, self.map.keyframes[-1].component_id
        members = self._members(component)
        result = solved(m, members, self.config, Watch(), for_calibration=True)
        if result is None:
            return None
        k1 = result[1].problem.k1
        if not taken(m, component, members, self.config, result).is_kept:
            return None
        camera = m.keyframes[-1].camera
        others = np.setdiff1d(np.arange(len(m.keyframes)), members)
        take_along(m, others, camera, k1)
        return camera
