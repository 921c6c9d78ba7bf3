"""The map that a run works on: a new one, one that is continued, or one that is only looked at."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from vgslam.byte_size import parse_size
from vgslam.errors import ConfigError, MapError
from vgslam.map.pictures import Pictures
from vgslam.map.slam_map import SlamMap
from vgslam.metric.keep import Remembered, remember, restore
from vgslam.store.manifest import MANIFEST
from vgslam.store.map_folder import MapFolder
from vgslam.store.open import load_map
from vgslam.types import Camera

SAVE_MIN_KEYFRAMES = 20
SAVE_FRACTION = 0.1
SAME_CAMERA = 0.02
"""Largest difference of the intrinsics, in image widths, of a camera that may continue a map: as far as the adjustment
of the map may have moved a calibration that was given in round figures."""


@dataclass
class MapSession:
    """One run's part in a map."""

    slam_map: SlamMap
    folder: MapFolder | None
    """Where the map is saved; None for one that is not kept or that is only localized in."""
    path: Path | None
    is_localizing: bool
    n_keyframes_before: int
    n_keyframes_saved: int = 0
    n_frames_before: int = 0
    anchors: list[Remembered] = field(default_factory=list)
    """Where the keyframes of metric and upright components were before the session."""
    is_whole: bool = True
    """The map is not in the middle of a change, so it may be saved."""

    @staticmethod
    def in_memory(slam_map: SlamMap | None = None, is_localizing: bool = False) -> "MapSession":
        """A map of the caller's, or a new one, that is not saved."""
        slam_map = SlamMap() if slam_map is None else slam_map
        return MapSession(slam_map, None, None, is_localizing, len(slam_map.keyframes))

    @staticmethod
    def open(path: Path | None, is_localizing: bool, memory: str) -> "MapSession":
        """Raises ConfigError for options that do not go together, MapError and OutputError for the folder. The folder
        of a map that is written is held from now on."""
        budget = parse_size(memory)
        if path is None:
            if is_localizing:
                raise ConfigError("--localize needs the map to look at: add --map")
            return MapSession.in_memory(SlamMap(Pictures(budget)))
        if is_localizing:
            slam_map = load_map(path, budget)
            return MapSession(slam_map, None, path, True, len(slam_map.keyframes))
        folder = MapFolder(path)
        try:
            slam_map = load_map(path, budget) if (path / MANIFEST).exists() else SlamMap(Pictures(budget))
        except MapError:
            folder.close()
            raise
        return MapSession(slam_map, folder, path, False, len(slam_map.keyframes), anchors=remember(slam_map))

    @property
    def first_frame_id(self) -> int:
        """Frame id in the map of the run's frame 0."""
        return self.slam_map.sessions[-1].first_frame_id if self.slam_map.sessions else 0

    @property
    def camera(self) -> Camera | None:
        """The newest keyframe's camera, None if there is no keyframe yet."""
        return self.slam_map.keyframes[-1].camera if self.slam_map.keyframes else None

    def check_size(self, width: int, height: int) -> None:
        """Raises ConfigError for frames that are not of the size of the map's."""
        mine = None if self.camera is None else self.camera.of_frames
        if mine is not None and (mine.width, mine.height) != (width, height):
            raise ConfigError(
                f"the map {self.path or 'that is gone on with'} was made with a camera of {mine.width}x{mine.height}, "
                f"these frames are {width}x{height}; give them at the same size, or begin another map with --map"
            )

    def begin(self, name: str, camera: Camera, recorded: Camera | None = None) -> Camera:
        """Begin the session, of images that `recorded` calibrates as they were recorded; returns the camera to use,
        which is the map's if it has one: its adjustment knows better. Raises ConfigError when the camera is not the
        map's."""
        mine = self.camera
        if mine is not None and not _is_same(mine.of_frames, camera):
            which, those = self.path or "that is gone on with", _in_words(mine.of_frames)
            raise ConfigError(
                f"the map {which} was made with {those}, these frames come from {_in_words(camera)}; "
                "give them at the same size with the same calibration, or begin another map"
            )
        if self.path is not None:
            began = datetime.now().astimezone().isoformat(timespec="seconds")
            self.slam_map.begin_session(name, began, recorded)
        self.n_keyframes_saved, self.n_frames_before = len(self.slam_map.keyframes), len(self.slam_map.frames)
        return camera if mine is None else mine

    @property
    def is_save_due(self) -> bool:
        """Whether to save: after every max(20, a tenth of all) new keyframes, so that all saves together cost a
        constant times the last."""
        n = len(self.slam_map.keyframes)
        return self.folder is not None and n - self.n_keyframes_saved >= max(SAVE_MIN_KEYFRAMES, SAVE_FRACTION * n)

    def save_when_due(self) -> None:
        """Save if that is due. Raises OutputError."""
        if self.is_save_due:
            self.n_keyframes_saved = len(self.slam_map.keyframes)  # where it fails, the next try is as far off
            self.save()

    def save_frozen(self, frozen: SlamMap) -> None:
        """Save a copy of the map that nobody changes any more. Raises OutputError."""
        self.n_keyframes_saved = len(frozen.keyframes)
        if self.folder is not None:
            self.folder.save(frozen)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """A block that changes the map. If an exception leaves it, the map is no longer whole, and its last state on
        disk stays."""
        self.is_whole = False
        yield
        self.is_whole = True

    def keep_world(self) -> None:
        """Make metric and upright what was joined to components that were so before the session."""
        restore(self.slam_map, self.anchors)

    def save(self) -> None:
        """Save the map, unless it is not whole. Raises OutputError; the map on disk is then that of the last save."""
        if self.folder is not None and self.is_whole:
            self.folder.save(self.slam_map)
            self.n_keyframes_saved = len(self.slam_map.keyframes)

    def describe(self) -> dict[str, Any] | None:
        """The entry in the report."""
        if self.path is None:
            return None
        m = self.slam_map
        return {
            "path": str(self.path), "is_localizing": self.is_localizing, "session": max(0, len(m.sessions) - 1),
            "n_keyframes_before": self.n_keyframes_before, "n_keyframes": len(m.keyframes),
        }  # fmt: skip

    def __enter__(self) -> "MapSession":
        return self

    def __exit__(self, *_: object) -> None:
        """Let others write the map."""
        if self.folder is not None:
            self.folder.close()


def _is_same(a: Camera, b: Camera) -> bool:
    is_near = np.abs(a.K - b.K).max() <= SAME_CAMERA * a.width
    return (a.width, a.height) == (b.width, b.height) and bool(is_near)


def _in_words(camera: Camera) -> str:
    return f"a camera of {camera.width}x{camera.height} px, fx {camera.fx:.1f}, fy {camera.fy:.1f}"
