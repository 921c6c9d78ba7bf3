"""Adaptation in rounds: collects windows, trains a copy, commits what held-out windows approve, else rolls back."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vgslam.adapt.losses import LossConfig
from vgslam.adapt.safeguards import Limits, Measures, Probe, measure, objections, pose_change, scale_drift
from vgslam.adapt.trainer import Familiar, State, Trainable, TrainConfig, Trainer
from vgslam.adapt.windows import Image, ScreenConfig, Skip, Window, make_window
from vgslam.geometry.camera import Camera
from vgslam.network.lora import save_adapter
from vgslam.network.vggt import Vggt
from vgslam.network.weights import save


@dataclass(frozen=True)
class AdaptConfig:
    """When rounds of adaptation start, and when they end for good."""

    train: TrainConfig = field(default_factory=TrainConfig)
    """Training of a round."""
    loss: LossConfig = field(default_factory=LossConfig)
    """Weights and gates of the loss."""
    limits: Limits = field(default_factory=Limits)
    """Limits within which a round is committed."""
    screen: ScreenConfig = field(default_factory=ScreenConfig)
    """Which windows are accepted."""
    window_every: int = 4
    """A round starts after this many accepted windows."""
    probe_every: int = 3
    """Every n-th window is held back and never trained on; every second one until there are `Limits.min_probes`."""
    max_probes: int = 8
    """Windows held back at most."""
    memory_bytes: int = 256 << 20
    """Memory for the windows that are kept, in bytes."""
    max_rollbacks: int = 2
    """Adaptation stops after this many rollbacks in a row."""
    max_commits: int = 1000
    """Adaptation stops after this many commits."""
    max_train_s: float = float("inf")
    """Adaptation stops after this total time of rounds, in s."""


@dataclass(frozen=True)
class Event:
    """A record for the report."""

    kind: str  # 'commit', 'rollback', 'skip', 'stop', 'drop' or 'died' (of an adapter in its own process)
    frame_id: int
    step: int
    reasons: tuple[str, ...] = ()
    learning_rate: float = 0.0
    photometric: tuple[float, float] = (0.0, 0.0)
    epipolar_px: tuple[float, float] = (0.0, 0.0)
    scale_drift: float = 0.0
    pose_change: tuple[float, float] = (0.0, 0.0)

    def told(self) -> str:
        """A line for a person."""
        if self.kind not in ("commit", "rollback"):
            return f"{self.kind}: {'; '.join(self.reasons)}" if self.reasons else self.kind
        (p, q), (e, f) = self.photometric, self.epipolar_px
        errors = f"photometric loss {p:.4f} -> {q:.4f}, epipolar error {e:.3f} -> {f:.3f} px"
        if self.kind == "commit":
            return f"commit, {self.step} steps in all: held-back windows: {errors}"
        return f"rollback: {errors}; not kept: {'; '.join(self.reasons)}"

    def as_numbers(self) -> dict[str, object]:
        """A row for the report."""
        row: dict[str, object] = {"event": self.kind, "frame": self.frame_id, "step": self.step}
        if self.reasons:
            row["why"] = "; ".join(self.reasons)
        if self.kind in ("commit", "rollback"):
            row |= {
                "learning_rate": self.learning_rate, "photometric": [round(x, 5) for x in self.photometric],
                "epipolar_px": [round(x, 4) for x in self.epipolar_px], "scale_drift": round(self.scale_drift, 4),
                "rotation_change_deg": round(self.pose_change[0], 3),
                "translation_change": round(self.pose_change[1], 3),
            }  # fmt: skip
        return row


@dataclass(frozen=True)
class Committed:
    """Weights to serve from the next window on. step: training steps behind them."""

    step: int
    state: State


class Adapter:
    """Synchronous adaptation: `observe` runs a round whenever enough windows came. The given model is never changed."""

    def __init__(
        self, model: Vggt, config: AdaptConfig | None = None, base_sha256: str = "", familiar: Familiar | None = None,
    ) -> None:  # fmt: skip
        self.config, self.base_sha256 = config or AdaptConfig(), base_sha256
        self.trainer = Trainer(model, self.config.train, self.config.loss, familiar)
        self.network = model.config
        self.events: list[Event] = []
        self.step = 0
        self.is_stopped = False
        self._learning_rate = self.config.train.learning_rate
        self._windows: deque[Window] = deque()
        self._probes: list[Window] = []
        self._n_seen = self._n_new = self._rollbacks = self._commits = 0
        self._served, self._ready = self.trainer.state(), None  # type: tuple[State, Committed | None]
        self._spent_s = 0.0
        self._start_measures: tuple[int, Measures] | None = None
        self._served_measures: tuple[int, Measures] | None = None

    def observe(self, images: Sequence[Image], frame_ids: Sequence[int], camera: Camera) -> None:
        """Takes a window of images (H,W,3) uint8, all of `camera` (pinhole)."""
        if self.is_stopped:
            return
        window = make_window(images, frame_ids, camera, self.network, self.config.screen)
        if isinstance(window, Skip):
            self.events.append(Event("skip", int(frame_ids[-1]), self.step, (window.value,)))
            return
        self.keep(window)
        is_enough = len(self._probes) >= self.config.limits.min_probes and self._n_new >= self.config.window_every
        if is_enough:
            self._n_new = 0
            self.run_round()

    def poll(self) -> Committed | None:
        """The newest weights that were not handed out yet."""
        ready, self._ready = self._ready, None
        return ready

    def close(self) -> None:
        """Ends adaptation; windows are let go."""
        self.is_stopped = True
        self._windows.clear()
        self.trainer.forget_all_but(self._probes)

    def save(self, path: Path, licence: str = "unknown") -> None:
        """The last committed adapter, atomically; of other trainables than LORA the whole network, as weights."""
        self.trainer.set_state(self._served)
        if self.config.train.trainable is Trainable.LORA:
            save_adapter(self.trainer.model, self.config.train.lora, path, self.base_sha256, self.step)
        else:
            save(self.trainer.model, path, licence)

    def run_round(self, show: Callable[[float], None] | None = None) -> Event:
        """One round on the windows kept, and its verdict, as an event that is recorded too."""
        began_s = time.monotonic()
        start, served = self.measure_start(), self.measure_served()
        state = self.trainer.run_round(list(self._windows), self._learning_rate, show)
        after = self._measure(state)
        reasons = objections(start, served, after, self.config.limits)
        if not reasons:
            self.step += self.config.train.steps
            self._served, self._rollbacks, self._commits = state, 0, self._commits + 1
            self._served_measures = (len(self._probes), after)
            self._ready = Committed(self.step, {k: v.clone() for k, v in state.items()})
        else:
            self.trainer.set_state(self._served)
            self._rollbacks += 1
        frame_id = self._windows[-1].frame_ids[-1]
        event = Event(
            "rollback" if reasons else "commit", frame_id, self.step, reasons, self._learning_rate,
            (served.photometric, after.photometric), (served.epipolar_px, after.epipolar_px),
            scale_drift(start, after), pose_change(served, after),
        )  # fmt: skip
        self.events.append(event)
        self._learning_rate *= 0.5 if reasons else 1.0
        self._spent_s += time.monotonic() - began_s
        ends = {
            f"{self._rollbacks} rollbacks": self._rollbacks >= self.config.max_rollbacks,
            f"{self._commits} commits": self._commits >= self.config.max_commits,
            f"{self._spent_s:.0f} s of training": self._spent_s >= self.config.max_train_s,
        }
        if any(ends.values()):
            why = tuple(reason for reason, ended in ends.items() if ended)
            self.events.append(Event("stop", frame_id, self.step, why))
            self.close()
        return event

    def keep(self, window: Window, is_held_back: bool | None = None) -> None:
        """Puts a window among those to train on, or holds it back; None: as the configuration says. Windows beyond
        the memory are let go, the oldest first, with what the trainer knows of them."""
        self._take(window, is_held_back)
        self.trainer.forget_all_but([*self._windows, *self._probes])

    def _take(self, window: Window, is_held_back: bool | None) -> None:
        needed = len(self._probes) < self.config.limits.min_probes
        every = 2 if needed else self.config.probe_every
        is_probe = self._n_seen % every == 0 if is_held_back is None else is_held_back
        self._n_seen += 1
        if is_probe and len(self._probes) < self.config.max_probes:
            self._probes.append(window)
            shown = set(window.frame_ids)
            self._windows = deque(w for w in self._windows if not shown & set(w.frame_ids))
            return
        if any(set(window.frame_ids) & set(p.frame_ids) for p in self._probes):
            return  # would be trained on what is held out
        self._windows.append(window)
        self._n_new += 1
        while len(self._windows) > 1 and sum(w.n_bytes() for w in self._windows) > self.config.memory_bytes:
            self._windows.popleft()

    @property
    def probes(self) -> tuple[Window, ...]:
        """The windows held back."""
        return tuple(self._probes)

    @property
    def n_training_windows(self) -> int:
        return len(self._windows)

    def measure_start(self) -> Measures:
        """Measures the network as it was given, on the windows held back."""
        if self._start_measures is None or self._start_measures[0] != len(self._probes):
            self._start_measures = (len(self._probes), self._measures_of(self.trainer.base))
        return self._start_measures[1]

    def measure_served(self) -> Measures:
        """Measures the last committed weights, which the trainer's model holds afterwards."""
        self.trainer.set_state(self._served)
        if self._served_measures is None or self._served_measures[0] != len(self._probes):
            self._served_measures = (len(self._probes), self._measures_of(self.trainer.model))
        return self._served_measures[1]

    def _measure(self, state: State) -> Measures:
        self.trainer.set_state(state)
        return self._measures_of(self.trainer.model)

    def _measures_of(self, model: Vggt) -> Measures:
        return measure(model, [Probe(w, self.trainer.geometry(w)) for w in self._probes], self.config.loss)
