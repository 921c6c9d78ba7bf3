"""A few seconds of the demo's rendered room, tracked and compared with its exact truth."""

import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from vgslam.errors import MissingDependencyError, VgslamError
from vgslam.evaluation.evaluate import EvaluationOptions, evaluate
from vgslam.slam import Slam
from vgslam.sources.open import open_source
from vgslam.sources.options import SourceOptions

N_FRAMES = 60
MIN_COVERAGE, MAX_ATE_M = 0.95, 0.02


@dataclass(frozen=True)
class SelfTest:
    """The result; problem is empty when all is well."""

    n_frames: int
    n_poses: int
    ate_m: float | None
    seconds: float
    problem: str = ""


def demo_folder() -> Path:
    """The folder of the demo sequence."""
    return Path(str(resources.files("vgslam"))) / "assets" / "demo"


def self_test(folder: Path | None = None) -> SelfTest:
    """Decode, track, map and score; never raises for what a broken installation does."""
    folder = demo_folder() if folder is None else folder
    began_s = time.monotonic()
    try:
        source = open_source(
            folder / "demo.mp4",
            SourceOptions(calib=folder / "calib.json", truth=folder / "groundtruth.txt", max_frames=N_FRAMES),
        )
        if source.camera is None or source.truth is None:
            return SelfTest(0, 0, None, 0.0, "the demo has no calibration or no truth")
        slam = Slam(source.camera)
        for frame in source:
            slam.process(frame)
        slam.finish()
        trajectory, n = slam.map.trajectory(), len(slam.map.frames)
        times = np.array([f.timestamp_s for f in slam.map.frames])
        try:
            score = evaluate(trajectory, source.truth, EvaluationOptions(frame_timestamps_s=times)).headline
            ate_m: float | None = float(score.ate_m.rmse)
        except MissingDependencyError:
            ate_m = None
    except (VgslamError, ImportError, OSError) as error:
        return SelfTest(0, 0, None, time.monotonic() - began_s, f"{error}")
    problem = ""
    if n < N_FRAMES:
        problem = f"{n} of {N_FRAMES} frames were decoded"
    elif len(trajectory) < MIN_COVERAGE * n:
        problem = f"{len(trajectory)} of {n} frames have a pose"
    elif ate_m is not None and not ate_m < MAX_ATE_M:
        problem = f"the ATE is {ate_m:.3g} m, expected below {MAX_ATE_M} m"
    return SelfTest(n, len(trajectory), ate_m, time.monotonic() - began_s, problem)
