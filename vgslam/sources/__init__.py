"""Frames in, trajectory files in and out."""

from vgslam.sources.kinds import KINDS
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions
from vgslam.sources.trajectory_io import read_trajectory, write_trajectory

__all__ = ["KINDS", "SourceOptions", "open_source", "read_trajectory", "write_trajectory"]
