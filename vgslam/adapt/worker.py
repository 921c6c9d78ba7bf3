"""Adaptation in another process, so that tracking waits neither for training nor for Python's lock.

A thread would share the interpreter and torch's thread pool with the tracker. The worker is spawned, runs at low
priority with its own number of threads, and hands weights over as files that appear complete or not at all.
"""

import contextlib
import multiprocessing
import os
import queue
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vgslam.adapt.adapter import AdaptConfig, Adapter, Committed, Event
from vgslam.adapt.windows import Image
from vgslam.atomic import write_bytes
from vgslam.geometry.camera import Camera
from vgslam.network.config import VggtConfig
from vgslam.network.lora import add_lora
from vgslam.network.vggt import Vggt, build

BASE_NAME = "base.safetensors"
STATE_NAME = "committed.safetensors"


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
    """The interface of `Adapter`; no call waits for training. `folder` holds the weights that pass between the
    processes and keeps the last committed ones."""

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
        self._windows = context.Queue(options.max_waiting)
        self._results = context.Queue()
        job = (self._windows, self._results, folder, model.config, config or AdaptConfig(), options)
        self.process = context.Process(target=_work, args=job, daemon=True)
        self.process.start()
        self._frame_id, self._step, self._is_new = -1, 0, False
        self._is_closed = self._is_death_told = False

    def observe(self, images: Sequence[Image], frame_ids: Sequence[int], camera: Camera) -> None:
        """Hands a window over; drops it, with an event, when the worker is behind. A worker that died is reported once,
        by an event that says why, and gets no more."""
        self._frame_id = int(frame_ids[-1])
        if self._has_died():
            return
        try:
            self._windows.put_nowait((list(images), list(frame_ids), camera))
        except queue.Full:
            self.n_dropped += 1
            self.events.append(Event("drop", self._frame_id, 0, ("the worker is behind",)))

    def poll(self) -> Committed | None:
        """The newest committed weights that were not handed out yet, if any. Never waits."""
        self._has_died()
        newest, self._is_new = self._is_new, False
        return read_committed(self.folder / STATE_NAME) if newest else None

    def _has_died(self) -> bool:
        """Takes the worker's messages. Returns whether it has died, of which there is one event: its own or this."""
        is_gone = not self._is_closed and not self.process.is_alive()  # first: its last messages are there by now
        self._take_results()
        if is_gone and not self._is_death_told:
            self._tell_death(_cause(self.process.exitcode))
        return is_gone or self._is_death_told

    def _take_results(self) -> None:
        while True:
            try:
                event: Event = self._results.get_nowait()
            except queue.Empty:
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
        self._is_closed = True
        with contextlib.suppress(queue.Full):
            self._windows.put_nowait(None)
        self.process.join(wait_s)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self._windows.cancel_join_thread()


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


def _work(
    windows: Any, results: Any, folder: Path, network: VggtConfig, config: AdaptConfig, options: WorkerOptions
) -> None:
    """The worker's life. Ctrl-C is left to the process that tracks, which ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _adapt(windows, results, folder, network, config, options)
    except Exception as error:
        results.put(Event("died", -1, 0, (f"{type(error).__name__}: {error}".splitlines()[0],)))


def _adapt(
    windows: Any, results: Any, folder: Path, network: VggtConfig, config: AdaptConfig, options: WorkerOptions
) -> None:
    from safetensors.torch import load_file

    os.nice(options.nice)
    torch.set_num_threads(options.threads)
    model = build(network, 0)
    state = load_file(folder / BASE_NAME)
    if any(".lora_" in name for name in state):
        add_lora(model, config.train.lora, 0)
    model.load_state_dict(state)
    adapter, n_told = Adapter(model, config), 0
    while (item := windows.get()) is not None:
        adapter.observe(*item)
        committed = adapter.poll()
        if committed is not None:
            write_committed(folder / STATE_NAME, committed)
        for event in adapter.events[n_told:]:
            results.put(event)
        n_told = len(adapter.events)
