"""Options of an input: which frames, which calibration, which truth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vgslam.errors import ConfigError

DEFAULT_FPS = 30.0
USED_BY = {
    "topic": ("ros1", "ros2", "mcap", "kitti", "euroc", "7scenes"), "stream": ("video",),
    "fps": ("images", "plain", "video", "tum", "7scenes"),
}  # fmt: skip
"""The kinds of source, of those of this package, that an option says something to."""


@dataclass(frozen=True)
class SourceOptions:
    """Choices for `open_source`. Raises ConfigError, naming the field, for a value out of range."""

    kind: str = "auto"
    """One of `kinds.SOURCE_KINDS`, which `open_source` checks, or "auto" to recognise it."""
    calib: Path | None = None
    """Calibration file that replaces the data set's own; the layouts are in docs/calibration.md. FILE#NAME takes
    one of several cameras."""
    truth: Path | None = None
    """Trajectory file (TUM, KITTI or EuRoC) that replaces the data set's own."""
    start: int = 0
    """First image used, counted in the source from 0, as in Python's `images[start:end:stride]`."""
    end: int | None = None
    """Image after the last one used."""
    stride: int = 1
    """Use every n-th image."""
    max_frames: int | None = None
    """Use at most this many images, counted after stride."""
    topic: str | None = None
    """Image topic of a bag; the camera of a data set with several (image_2 in KITTI, cam1 in EuRoC); the sequence of a
    7-Scenes scene folder (seq-02)."""
    fps: float | None = None
    """Frame rate of sources without timestamps, in Hz; 30 (with a warning) when not given."""
    stream: int | None = None
    """Number of the stream in a video file that has several; by default that with most pixels in all."""

    def __post_init__(self) -> None:
        if self.start < 0:
            raise ConfigError(f"start must be 0 or more, got {self.start}")
        if self.end is not None and self.end <= self.start:
            raise ConfigError(f"end must be greater than start ({self.start}), got {self.end}")
        if self.stride < 1:
            raise ConfigError(f"stride must be 1 or more, got {self.stride}")
        if self.max_frames is not None and self.max_frames < 1:
            raise ConfigError(f"max_frames must be 1 or more, got {self.max_frames}")
        if self.stream is not None and self.stream < 0:
            raise ConfigError(f"stream must be 0 or more, got {self.stream}")
        if self.fps is not None and not (np.isfinite(self.fps) and self.fps > 0):
            raise ConfigError(f"fps must be a positive number, got {self.fps}")

    def refuse_unused(self, kind: str) -> None:
        """Raises ConfigError for a choice that a source of this kind does not have."""
        for name, kinds in USED_BY.items():
            if getattr(self, name) is not None and kind not in kinds:
                raise ConfigError(f"{name} {getattr(self, name)} says nothing to a source of kind {kind}; leave it out "
                                  f"(it is for {', '.join(kinds)})")  # fmt: skip

    def count(self, n_images: int) -> int:
        """How many of n_images are selected."""
        n = len(range(n_images)[self.start : self.end : self.stride])
        return n if self.max_frames is None else min(n, self.max_frames)
