"""Adaptation while a camera is tracked: frames in, better weights out, between two frames."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgslam.adapt.adapter import Adapter, Committed
from vgslam.adapt.collector import Collector
from vgslam.adapt.trainer import State, Trainable, TrainConfig, apply_state
from vgslam.adapt.windows import Image
from vgslam.adapt.worker import BackgroundAdapter
from vgslam.geometry.camera import Camera
from vgslam.network.lora import save_adapter
from vgslam.network.vggt import Vggt


def adapted_id(model_id: str, step: int) -> str:
    """The name of weights after a number of steps of adaptation."""
    return f"{model_id}+adapt{step}" if step else model_id


@dataclass(frozen=True)
class Served:
    """The network that answers, the name and hash of its base weights, and the steps of adaptation served first."""

    model: Vggt
    model_id: str
    base_sha256: str
    start_step: int = 0


class OnlineAdaptation:
    """Gives frames that have moved enough to an adapter, and puts what it commits into the served network."""

    def __init__(self, served: Served, adapter: Adapter | BackgroundAdapter, train: TrainConfig) -> None:
        self.served, self.adapter, self.train = served, adapter, train
        self.model_id = adapted_id(served.model_id, served.start_step)
        self.step = served.start_step
        self._collector: Collector | None = None
        self._state: State | None = None

    def at_frame(self, image: Image, frame_id: int, camera: Camera, may_serve: bool = True) -> bool:
        """Whether other weights are served from now on. image (H,W,3) of a pinhole camera, in the frames' order;
        may_serve: False while the network is answering; weights that have come wait for a later frame. Keyframes alone
        would be too far apart for points to be followed from one to the next."""
        if self._collector is None:
            self._collector = Collector(camera)
        window = self._collector.add(image, frame_id)
        if window is not None:
            self.adapter.observe(window.images, window.frame_ids, window.camera)
        committed = self.adapter.poll() if may_serve else None
        if committed is not None:
            self._serve(committed)
        return committed is not None

    def finish(self) -> None:
        """Ends the adapter; a commit that has just come is still taken, for `save`."""
        committed = self.adapter.poll()
        if committed is not None:
            self._serve(committed)
        self.adapter.close()

    def save(self, path: Path) -> bool:
        """Writes the served adapter, if there is one; False where nothing was committed. LORA only."""
        if self._state is None or self.train.trainable is not Trainable.LORA:
            return False
        save_adapter(self.served.model, self.train.lora, path, self.served.base_sha256, self.step)
        return True

    def report(self) -> dict[str, Any]:
        """The entry in report.json: what is served, how often, and every event."""
        events = [e.as_numbers() for e in self.adapter.events]
        kinds = [e.kind for e in self.adapter.events]
        counts = {f"n_{kind}s": kinds.count(kind) for kind in ("commit", "rollback", "skip", "drop")}
        shown = [row for row in events if row["event"] not in ("skip", "drop")]
        return {"model_id": self.model_id, "step": self.step, "line": self.line(), **counts, "events": shown}

    def line(self) -> str:
        """What was learned, for a person."""
        commits = [e for e in self.adapter.events if e.kind == "commit"]
        n_undone = sum(e.kind == "rollback" for e in self.adapter.events)
        counts = f"{len(commits)} commit(s), {n_undone} rollback(s)"
        if not commits:
            return f"{counts}: the network is as it was"
        return f"{counts}, {self.step} steps in all; the last {commits[-1].told()}"

    def warnings(self) -> list[str]:
        """Lines for the person: that the adapter died, and why."""
        return [
            f"the network learned no more from frame {e.frame_id} on, because the process that adapts it died: "
            f"{'; '.join(e.reasons)}; tracking went on"
            for e in self.adapter.events
            if e.kind == "died"
        ]

    def _serve(self, committed: Committed) -> None:
        apply_state(self.served.model, committed.state, self.train)
        self._state, self.step = committed.state, self.served.start_step + committed.step
        self.model_id = adapted_id(self.served.model_id, self.step)
