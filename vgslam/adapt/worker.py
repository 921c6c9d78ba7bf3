"""Adaptation in another process: a thread would share the interpreter and torch's threads with the tracker.

The worker is spawned, and runs at low priority with its own number of threads. Windows and weights pass as files that
appear complete or not at all, events through a pipe: no lock is shared, so that a worker that is killed leaves nobody
waiting.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch

from vgslam.adapt.adapter import AdaptConfig, Adapter, Committed, Event
from vgslam.adapt.collector import Frames
from vgslam.adapt.windows import Image
from vgslam.atomic import write_bytes
from vgslam.geometry.camera import Camera
from vgslam.network.config import VggtConfig
from vgslam.network.lora import add_lora
from vgslam.network.vggt import Vggt, build

BASE_NAME = "base.safetensors"
STATE_NAME = "committed.safetensors"
END_NAME = "end"
WINDOWS = "window_*.npz"
LOOK_EVERY_S = 0.05  # pause of the worker between two looks for windows


@dataclass(frozen=True)
class WorkerOptions:
    """The process that adapts beside the tracking."""

    threads: int = 1
    """Threads of torch in the process."""
    max_waiting: int = 4
    """Windows that may wait; more are dropped."""
    nice: int = 10
    """Its niceness: how far it gives way to other processes."""


class BackgroundAdapter:
    """The interface of `Adapter`; no call waits for training. `folder` holds weights on their way and the last
    committed."""

    def __init__(
        self, model: Vggt, folder: Path, config: AdaptConfig | None = None, options: WorkerOptions | None = None
    ) -> None:
        from safetensors.torch import save

        options = options or WorkerOptions()
        self.folder, self.events, self.n_dropped = folder, [], 0  # type: Path, list[Event], int
        folder.mkdir(parents=True, exist_ok=True)
        state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
        write_bytes(folder / BASE_NAME, save(state))
        context = multiprocessing.get_context("spawn")
        self._events, told_by_worker = context.Pipe(duplex=False)
        job = (told_by_worker, folder, model.config, config or AdaptConfig(), options)
        self.process = context.Process(target=_work, args=job, daemon=True)
        self.process.start()
        told_by_worker.close()
        self._n_handed, self._max_waiting = 0, options.max_waiting
        self._frame_id, self._step, self._is_new = -1, 0, False
        self._is_closed = self._is_death_told = False

    def observe(self, images: Sequence[Image], frame_ids: Sequence[int], camera: Camera) -> None:
        """Hands a window over; drops it, with an event, when the worker is behind. A worker that died is reported
        once."""
        self._frame_id = int(frame_ids[-1])
        if self._has_died() or self._is_closed:
            return
        if len(list(self.folder.glob(WINDOWS))) >= self._max_waiting:
            self._drop("the worker is behind")
            return
        self._n_handed += 1
        name = WINDOWS.replace("*", f"{self._n_handed:08d}")
        try:
            _hand_over(Frames(tuple(images), tuple(frame_ids), camera), self.folder / name)
        except OSError as error:
            self._drop(f"it cannot be handed over ({error.strerror or error})")

    def _drop(self, why: str) -> None:
        self.n_dropped += 1
        self.events.append(Event("drop", self._frame_id, 0, (why,)))

    def poll(self) -> Committed | None:
        """The newest committed weights that were not handed out yet, if any. Never waits."""
        self._has_died()
        newest, self._is_new = self._is_new, False
        return read_committed(self.folder / STATE_NAME) if newest else None

    def _has_died(self) -> bool:
        """Takes the worker's messages. Returns whether it has died, of which there is one event: its own or this."""
        is_gone = not self._is_closed and not self.process.is_alive()  # first: its last messages are there by now
        self._take_events()
        if is_gone and not self._is_death_told:
            self._tell_death(_cause(self.process.exitcode))
        return is_gone or self._is_death_told

    def _take_events(self) -> None:
        while not self._events.closed and self._events.poll():
            try:
                event: Event = self._events.recv()
            except EOFError:
                return
            if event.kind == "died":
                self._tell_death(*event.reasons)
                continue
            self.events.append(event)
            if event.kind == "commit":
                self._step, self._is_new = event.step, True

    def _tell_death(self, *reasons: str) -> None:
        self._is_death_told = True
        self.events.append(Event("died", self._frame_id, self._step, reasons))

    def close(self, wait_s: float = 2.0) -> None:
        """Ends the worker, in the middle of a round if need be; what it committed stays in `folder`."""
        if self._is_closed:
            return
        self._is_closed = True
        (self.folder / END_NAME).touch()
        self.process.join(wait_s)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self._take_events()
        self._events.close()


def _hand_over(window: Frames, path: Path) -> None:
    """Writes a window of a pinhole camera; nothing waits for the disk. `_taken` reads it."""
    c = window.camera
    beside = path.with_suffix(".part")
    with beside.open("wb") as file:
        np.savez(
            file, *window.images, frame_ids=np.array(window.frame_ids, np.int64),
            camera=np.array([c.fx, c.fy, c.cx, c.cy, c.width, c.height]),
        )  # fmt: skip
    os.replace(beside, path)


def _taken(path: Path) -> Frames:
    with np.load(path) as arrays:
        fx, fy, cx, cy, width, height = arrays["camera"].tolist()
        ids = tuple(arrays["frame_ids"].tolist())
        images = tuple(arrays[f"arr_{i}"] for i in range(len(ids)))
    path.unlink()
    return Frames(images, ids, Camera(fx, fy, cx, cy, int(width), int(height)))


def write_committed(path: Path, committed: Committed) -> None:
    """Writes the weights atomically."""
    from safetensors.torch import save

    tensors = {k: v.cpu().contiguous() for k, v in committed.state.items()}
    write_bytes(path, save(tensors, metadata={"vgslam.step": str(committed.step)}))


def read_committed(path: Path) -> Committed:
    """The inverse of `write_committed`."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return Committed(int(file.metadata()["vgslam.step"]), {k: file.get_tensor(k) for k in file.keys()})  # noqa: SIM118


def _cause(exit_code: int | None) -> str:
    """Why a process ended, from its exit code; a negative one is that of a signal."""
    if exit_code is None or exit_code >= 0:
        return f"it ended with exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    return f"it was killed by {name}" + (", as the system does for want of memory" if name == "SIGKILL" else "")


def _work(events: Connection, folder: Path, network: VggtConfig, config: AdaptConfig, options: WorkerOptions) -> None:
    """The worker's life. Ctrl-C is left to the process that tracks, which ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _adapt(events, folder, network, config, options)
    except Exception as error:
        events.send(Event("died", -1, 0, (f"{type(error).__name__}: {error}".splitlines()[0],)))


def _adapt(events: Connection, folder: Path, network: VggtConfig, config: AdaptConfig, options: WorkerOptions) -> None:
    from safetensors.torch import load_file

    os.nice(options.nice)
    torch.set_num_threads(options.threads)
    model = build(network, 0)
    state = load_file(folder / BASE_NAME)
    if any(".lora_" in name for name in state):
        add_lora(model, config.train.lora, 0)
    model.load_state_dict(state)
    adapter, n_told = Adapter(model, config), 0
    for window in _handed_over(folder):
        adapter.observe(window.images, window.frame_ids, window.camera)
        committed = adapter.poll()
        if committed is not None:
            write_committed(folder / STATE_NAME, committed)
        for event in adapter.events[n_told:]:
            events.send(event)
        n_told = len(adapter.events)


def _handed_over(folder: Path) -> Iterator[Frames]:
    """The windows in their order, until the process that tracks says that it ends, or is gone."""
    tracks = multiprocessing.parent_process()
    while not (folder / END_NAME).exists() and (tracks is None or tracks.is_alive()):
        waiting = min(folder.glob(WINDOWS), default=None)
        if waiting is None:
            time.sleep(LOOK_EVERY_S)
            continue
        yield _taken(waiting)
