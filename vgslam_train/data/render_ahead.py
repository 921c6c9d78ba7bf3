"""Clips that are rendered beside a trainer, which draws windows from those that are there already."""

import time
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from types import TracebackType

from vgslam.orphans import end_with_parent
from vgslam_train.data.clips import ClipConfig, ClipSet, claim_folder, render_shard

START_METHOD = "forkserver" if "forkserver" in get_all_start_methods() else "spawn"
"""How processes are started that must not inherit a GPU's context."""
_LOOK_AGAIN_S = 0.2


@dataclass(frozen=True)
class RenderSpeed:
    """Frames rendered so far, and how long that took from the start of the workers to the last finished shard."""

    frames: int
    seconds: float

    @property
    def frames_per_s(self) -> float:
        return self.frames / self.seconds if self.seconds else 0.0


class RenderAhead:
    """Renders what is missing of the first `n_clips` of a folder in `workers` processes on `device`, shard by shard.

    A context manager: work begins on entry; leaving it drops what has not begun. Nothing waits for whoever reads.
    ConfigError if the folder holds another data set.
    """

    def __init__(self, folder: Path, config: ClipConfig, n_clips: int, workers: int, device: str) -> None:
        self.folder, self.config, self._device = folder, config, device
        self._missing = claim_folder(folder, config, n_clips)
        self._pool = ProcessPoolExecutor(max(workers, 1), get_context(START_METHOD), end_with_parent)
        self._jobs: list[Future[int]] = []
        self._ends: list[float] = []
        self._began = 0.0

    def __enter__(self) -> "RenderAhead":
        self._began = time.monotonic()
        for number in self._missing:
            job = self._pool.submit(render_shard, str(self.folder), self.config, number, self._device)
            job.add_done_callback(lambda _: self._ends.append(time.monotonic()))
            self._jobs.append(job)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def wait_for(self, n_clips: int) -> None:
        """Returns once that many clips are there, or all; raises what a worker raised."""
        while True:
            for job in self._done():
                job.result()
            n_here = sum(1 for _ in self.folder.glob("shard_*")) * self.config.clips_per_shard
            if n_here >= n_clips or all(job.done() for job in self._jobs):
                return
            wait(self._jobs, timeout=_LOOK_AGAIN_S, return_when="FIRST_EXCEPTION")

    @property
    def is_done(self) -> bool:
        """Whether everything is rendered; raises what a worker raised."""
        for job in self._done():
            job.result()
        return all(job.done() for job in self._jobs)

    def speed(self) -> RenderSpeed:
        """The clips rendered so far, without those that were there before."""
        shards = sum(1 for job in self._done() if job.exception() is None)
        frames = shards * self.config.clips_per_shard * self.config.n_frames
        return RenderSpeed(frames, max(self._ends, default=self._began) - self._began)

    def _done(self) -> list[Future[int]]:
        return [job for job in self._jobs if job.done() and not job.cancelled()]


class GrowingClips(ClipSet):
    """The clips of a folder in which more are being rendered: its length is that of the moment.

    What is drawn from it depends on how far the rendering is, so a run on it cannot be repeated exactly.
    """

    def __init__(self, folder: Path, config: ClipConfig) -> None:
        super().__init__([], config)
        self._folder = folder

    def __len__(self) -> int:
        known = set(self._shards)
        self._shards += sorted(path for path in self._folder.glob("shard_*") if path not in known)
        return super().__len__()
