"""A system in two lanes whose second one works only when it is told to, and views that hold next to nothing."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from hand_map import CAMERA

from vgslam.refine.adjust import RefineConfig
from vgslam.slam_config import SlamConfig
from vgslam.two_lanes import TwoLaneSystem


class Lane:
    """A lane whose job ends when it is taken."""

    def __init__(self) -> None:
        self.is_done = False
        self.job: Callable[[], Any] | None = None

    @property
    def is_busy(self) -> bool:
        return self.job is not None

    def start(self, job: Callable[[], Any]) -> None:
        self.job = job

    def take(self) -> Any:
        job, self.job = self.job, None
        assert job is not None
        return job()


def hand_slam() -> TwoLaneSystem:
    """Without a map, and without adjustments."""
    config = SlamConfig(refine=RefineConfig(is_on=False, while_running=False))
    return TwoLaneSystem(CAMERA, config, lane=Lane())  # type: ignore[arg-type]


def view(n: int, t: float | None = None) -> Any:
    """View n, at n seconds if not at t."""
    return SimpleNamespace(frame_id=n, timestamp_s=float(n) if t is None else t, gray=np.full((2, 2), n, np.uint8))
