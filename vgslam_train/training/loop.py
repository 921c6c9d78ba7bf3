"""The training loop: steps, averaged weights, checkpoints, logs. A resumed run equals an unbroken one."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

from vgslam.network.vggt import Vggt
from vgslam_train.data.render_ahead import START_METHOD
from vgslam_train.data.windows import WindowBatch
from vgslam_train.training.checkpoint import (
    TrainingState,
    is_main_process,
    load_checkpoint,
    save_checkpoint,
    update_average,
)
from vgslam_train.training.recipe import Recipe, RecipePhase
from vgslam_train.training.vggt_job import VggtJob

LOG_NAME = "log.jsonl"
WEIGHTS_NAME = "weights.safetensors"
M = TypeVar("M", bound=nn.Module)
M_contra = TypeVar("M_contra", bound=nn.Module, contravariant=True)


class Job(Protocol[M]):
    """What is trained: the network of a recipe, its step, what its phases free, and its file."""

    @property
    def recipe(self) -> Recipe: ...

    def build(self) -> M:
        """A fresh network on the device of the run; always the same one."""
        ...

    def step(self, model: M) -> nn.Module:
        """The module whose forward is (batch, step, depth_share) -> (loss, parts)."""
        ...

    def enter(self, model: M, phase: RecipePhase) -> None:
        """Freezes and frees parameters as a phase says; called before its first step, and after a resume."""
        ...

    def save(self, model: M, path: Path, step: int) -> None:
        """Writes the part of a network that is shipped."""
        ...


class Parts(Protocol):
    """The terms of a loss."""

    def to_floats(self) -> dict[str, float]: ...


class Batches(Protocol):
    """The source of windows: a pure function of the step, so that a resumed run sees the same as an unbroken one."""

    def batch(self, step: int) -> WindowBatch: ...


@dataclass(frozen=True)
class Progress:
    """What is shown of a run."""

    step: int
    """Steps done."""
    n_steps: int
    """Steps in all."""
    loss: float
    parts: dict[str, float]
    """The parts of the loss."""
    lr: float
    windows_per_s: float
    """Windows per second of wall time."""
    waited: float = 0.0
    """Share of the wall time for which the trainer waited for windows."""


@dataclass(frozen=True)
class Hooks(Generic[M_contra]):
    """Functions of the caller that the loop calls."""

    show: Callable[[Progress], None] = lambda _: None
    """Called with the progress."""
    validate: Callable[[M_contra], dict[str, object]] | None = None
    """Called with the averaged network; returns what goes into the log."""
    kept: Callable[[TrainingState], None] = lambda _: None
    """Called after each checkpoint."""


@dataclass(frozen=True)
class RunLimits:
    """Where and how long: the run stops cleanly, with a checkpoint, after max_s seconds and continues when
    called again."""

    device: torch.device
    max_s: float = float("inf")
    may_differ: bool = False


class _Steps(Dataset[WindowBatch]):
    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def __getitem__(self, step: int) -> WindowBatch:
        return self._batches.batch(step)


def averaged(state: TrainingState, job: Job[M]) -> M:
    """A network with the averaged weights, for validation and for shipping."""
    model = job.build()
    model.load_state_dict(state.average)
    return model.eval()


def train(
    recipe: Recipe, open_batches: Callable[[RecipePhase], Batches], folder: Path, limits: RunLimits, hooks: Hooks[Vggt]
) -> TrainingState:
    """`train_job` for a VGGT."""
    return train_job(VggtJob(recipe, limits.device), open_batches, folder, limits, hooks)


def train_job(
    job: Job[M], open_batches: Callable[[RecipePhase], Batches], folder: Path, limits: RunLimits, hooks: Hooks[M]
) -> TrainingState:
    """Runs or resumes a job in `folder`; leaves checkpoint.pt, log.jsonl and weights.safetensors there.

    Under torchrun each process takes its own windows and the gradients are averaged (DDP).
    Raises ConfigError and WeightsError as `load_checkpoint`; OutputError if the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recipe = job.recipe
    model = job.build().train()
    state = fresh_state(model, recipe)
    load_checkpoint(state, recipe, folder, limits.may_differ)
    step_module = job.step(model)
    run = _Run(job, state, folder, limits, hooks)
    while state.step < recipe.n_steps and not run.is_out_of_time:
        phase, first = recipe.phase_at(state.step)
        job.enter(model, phase)
        stop = min(first + phase.n_steps, recipe.n_steps)
        batches = _loader(open_batches(phase), recipe, (state.step, stop), limits.device)
        run.steps(phase, _wrapped(step_module, limits.device), batches)
    run.finish()
    return state


def fresh_state(model: nn.Module, recipe: Recipe) -> TrainingState:
    """Step 0 of a run. The optimiser holds all parameters; those that a phase has frozen get no gradient and stay."""
    o = recipe.optimizer
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": o.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    is_fused = next(model.parameters()).is_cuda
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate(0), betas=(0.9, o.beta2), fused=is_fused or None)
    average = {name: value.detach().clone() for name, value in model.state_dict().items()}
    return TrainingState(model, average, optimizer)


def _wrapped(module: nn.Module, device: torch.device) -> nn.Module:
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return module
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return DistributedDataParallel(module, device_ids=[device.index] if device.type == "cuda" else None)


def _loader(
    batches: Batches, recipe: Recipe, steps: tuple[int, int], device: torch.device
) -> Iterator[WindowBatch]:  # fmt: skip
    """Batches of the steps from steps[0] to before steps[1], prepared ahead by worker processes where the recipe asks
    for them."""
    n, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    order = [step * n + rank for step in range(*steps)]
    workers = recipe.data.batch_workers
    loader = DataLoader(
        _Steps(batches), batch_size=None, sampler=order, num_workers=workers,
        multiprocessing_context=START_METHOD if workers else None, persistent_workers=bool(workers),
        pin_memory=device.type == "cuda",
    )  # fmt: skip
    return iter(loader)


class _Run(Generic[M]):
    """The state of a running loop: what is measured, written and shown."""

    def __init__(self, job: Job[M], state: TrainingState, folder: Path, limits: RunLimits, hooks: Hooks[M]) -> None:
        self.job, self.recipe, self.state = job, job.recipe, state
        self.folder, self.limits, self.hooks = folder, limits, hooks
        self._began = self._logged = time.monotonic()
        self._windows = 0
        self._waited_s = 0.0
        self._bf16 = self.recipe.optimizer.bf16 and limits.device.type == "cuda"

    @property
    def is_out_of_time(self) -> bool:
        return time.monotonic() - self._began > self.limits.max_s

    def steps(self, phase: RecipePhase, module: nn.Module, batches: Iterator[WindowBatch]) -> None:
        """The steps of a phase that are left, by the module of `Job.step`."""
        while (batch := self._next(batches)) is not None:
            loss, parts = self._step(phase, module, batch.to(self.limits.device))
            self._windows += phase.batch_size
            self._after(loss, parts)
            if self.is_out_of_time:
                break

    def _next(self, batches: Iterator[WindowBatch]) -> WindowBatch | None:
        began = time.monotonic()
        batch = next(batches, None)
        self._waited_s += time.monotonic() - began
        return batch

    def _step(self, phase: RecipePhase, module: nn.Module, batch: WindowBatch) -> tuple[Tensor, Parts]:
        state, o = self.state, self.recipe.optimizer
        lr = self.recipe.learning_rate(state.step)
        for group in state.optimizer.param_groups:
            group["lr"] = lr
        with torch.autocast(self.limits.device.type, torch.bfloat16, enabled=self._bf16):
            loss, parts = module(batch, state.step, phase.depth_share)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(state.model.parameters(), o.clip_norm)
        if bool(torch.isfinite(norm)):
            state.optimizer.step()
            update_average(state.average, state.model, o.ema_decay, state.step)
        state.step += 1
        return loss, parts

    def _after(self, loss: Tensor, parts: Parts) -> None:
        recipe, step = self.recipe, self.state.step
        if not is_main_process():
            return
        if step % recipe.log_every == 0:
            now = time.monotonic()
            past_s = max(now - self._logged, 1e-9)
            speed, waited = self._windows / past_s, self._waited_s / past_s
            self._logged, self._windows, self._waited_s = now, 0, 0.0
            lr = recipe.learning_rate(step - 1)
            progress = Progress(step, recipe.n_steps, float(loss.detach()), parts.to_floats(), lr, speed, waited)
            about: dict[str, object] = {"step": step, "loss": progress.loss, "lr": lr, "windows_per_s": round(speed, 2)}
            about["waited"] = round(waited, 3)
            self._log(about | progress.parts)
            self.hooks.show(progress)
        if step % recipe.checkpoint_every == 0:
            self._keep()
        if self.hooks.validate is not None and step % recipe.validate_every == 0:
            self.validate()

    def validate(self) -> None:
        """The averaged network's figures into the log, its weights into weights.safetensors."""
        model = averaged(self.state, self.job)
        self.job.save(model, self.folder / WEIGHTS_NAME, self.state.step)
        if self.hooks.validate is not None:
            self._log({"step": self.state.step, "validation": self.hooks.validate(model)})

    def finish(self) -> None:
        if is_main_process():
            self._keep()
            self.validate()

    def _keep(self) -> None:
        save_checkpoint(self.state, self.recipe, self.folder)
        self.hooks.kept(self.state)

    def _log(self, entry: Mapping[str, object]) -> None:
        with (self.folder / LOG_NAME).open("a") as file:
            file.write(json.dumps(entry) + "\n")
