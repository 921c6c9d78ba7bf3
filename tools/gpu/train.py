"""Trains vggt-m on worlds that are rendered on the GPU beside it, in bf16; a second call goes on where this one stops.

The checkpoint is small enough to be carried about: the tensors of the network, its average and the optimiser's moments
in 16 bits each, one file of at most 16 MiB for each of the four.
"""

import math
import os
import sys
import time
from dataclasses import dataclass, fields, replace
from multiprocessing import set_forkserver_preload
from pathlib import Path
from typing import Any

import torch

from tools.gpu.portable import has_state, read_state, step_of, write_state
from tools.gpu.record import Record, arguments
from vgslam.config import read_yaml
from vgslam_train.data.clips import ClipConfig, ClipSet
from vgslam_train.data.render_ahead import START_METHOD, GrowingClips, RenderAhead
from vgslam_train.data.windows import WindowConfig, WindowSampler
from vgslam_train.training.checkpoint import TrainingState, save_checkpoint
from vgslam_train.training.loop import WEIGHTS_NAME, Hooks, Progress, RunLimits, averaged, fresh_state, train_job
from vgslam_train.training.recipe import Recipe, RecipePhase
from vgslam_train.training.suite import Validator
from vgslam_train.training.vggt_job import VggtJob
from vgslam_train.validation.validate import procedural_sets

RECIPE = Path(__file__).resolve().parents[2] / "configs" / "vggt-m-gpu.yaml"


@dataclass(frozen=True)
class Plan:
    """What one call does."""

    recipe: Recipe
    folder: Path  # where clips are rendered to, in memory
    max_s: float  # it takes no longer
    render_workers: int  # processes that render
    render_device: str
    first_clips: int  # training begins when so many are there
    state: Path  # folder of an earlier call's state
    n_validation: int  # windows of each validation set
    shares: tuple[float, float] | None = None
    """Which part of the schedule of the last phase this call goes through, by the clock; None: by the recipe's
    steps."""


def shortened(recipe: Recipe, share: float) -> Recipe:
    """The recipe with `share` of its steps in each phase."""
    phases = tuple(replace(p, n_steps=max(1, round(share * p.n_steps))) for p in recipe.phases)
    return replace(recipe, phases=phases)


@dataclass(frozen=True)
class TimedRecipe(Recipe):
    """A recipe whose last phase goes on until it is stopped: its learning rate falls from `from_share` to `to_share` of
    its cosine between two moments of time.monotonic()."""

    begins_s: float = 0.0
    ends_s: float = math.inf
    from_share: float = 0.0
    to_share: float = 1.0

    def learning_rate(self, step: int) -> float:
        phase, _ = self.phase_at(step)
        if phase is not self.phases[-1]:
            return super().learning_rate(step)
        passed = (time.monotonic() - self.begins_s) / (self.ends_s - self.begins_s)
        share = self.from_share + (self.to_share - self.from_share) * min(max(passed, 0.0), 1.0)
        return phase.lr_end + 0.5 * (phase.lr - phase.lr_end) * (1 + math.cos(math.pi * share))


ENDLESS = 1_000_000
"""Steps of a phase that the clock ends."""


def timed(recipe: Recipe, begins_s: float, ends_s: float, shares: tuple[float, float]) -> TimedRecipe:
    """`recipe` with its last phase by the clock."""
    *earlier, last = recipe.phases
    phases = (*earlier, replace(last, n_steps=ENDLESS))
    given = {f.name: getattr(recipe, f.name) for f in fields(Recipe)} | {"phases": phases}
    return TimedRecipe(**given, begins_s=begins_s, ends_s=ends_s, from_share=shares[0], to_share=shares[1])


class _Speeds:
    """Keeps and prints what the loop shows."""

    def __init__(self, rendering: RenderAhead) -> None:
        self._rendering = rendering
        self.rows: list[dict[str, float]] = []

    def __call__(self, p: Progress) -> None:
        row = {"step": p.step, "loss": p.loss, "windows_per_s": p.windows_per_s, "waited": p.waited, "lr": p.lr}
        self.rows.append({name: round(float(value), 6) for name, value in (row | p.parts).items()})
        shown = " ".join(f"{name} {value:.4g}" for name, value in self.rows[-1].items() if value)
        print(shown, f"rendered {self._rendering.speed().frames}", flush=True)


def run(plan: Plan, device: torch.device, out: Path, record: Record) -> dict[str, Any]:
    """Renders, trains, validates; leaves the state in `out` after each checkpoint. Returns what was done."""
    recipe, data, work = plan.recipe, plan.recipe.data, plan.folder / "run"
    clips = ClipConfig(data.seed, height=data.clip_height, width=data.clip_width, kinds=data.kinds, clips_per_world=4)
    began, held_back = time.monotonic(), replace(clips, is_validation=True)
    how = (plan.render_workers, plan.render_device)
    with (
        RenderAhead(plan.folder / "val", held_back, data.n_validation_clips, *how) as validation,
        RenderAhead(plan.folder / "train", clips, data.n_clips, *how) as ahead,
    ):
        ahead.wait_for(plan.first_clips)
        started = time.monotonic()
        if plan.shares is not None:
            recipe = timed(recipe, started, began + plan.max_s, plan.shares)
        _resume(plan, recipe, device)
        job = VggtJob(recipe, device)
        speeds = _Speeds(ahead)
        hooks = Hooks(speeds, None, lambda state: _keep(state, job, work, out))
        seen = GrowingClips(plan.folder / "train", clips)
        limits = RunLimits(device, plan.max_s - (started - began))
        state = train_job(job, lambda phase: _sampler(seen, phase, recipe), work, limits, hooks)
        trained_s = time.monotonic() - started
        record.content["measured"]["rendering"] = _rendered(ahead) | {"is_done": ahead.is_done}
        validation.wait_for(data.n_validation_clips)
    record.content["measured"]["training"] = {"rows": speeds.rows}
    model = averaged(state, job)
    size = max(data.sizes, key=lambda s: s[2])[:2]
    seen_never = ClipSet.open(plan.folder / "val", data.n_validation_clips)
    windows = procedural_sets(seen_never, (2, 4, 8), plan.n_validation, size)
    rows = Validator(windows, plan.folder, device)(model)["rows"]
    waited = [row["waited"] for row in speeds.rows]
    return {
        "steps": state.step, "of": recipe.n_steps, "seconds until the first step": round(started - began, 1),
        "seconds of training": round(trained_s, 1), "waited_mean": round(sum(waited) / max(len(waited), 1), 4),
        "parameters": sum(p.numel() for p in model.parameters()), "validation": rows,
    }  # fmt: skip


def _sampler(clips: ClipSet, phase: RecipePhase, recipe: Recipe) -> WindowSampler:
    data = recipe.data
    config = WindowConfig(phase.batch_size, phase.n_frames, data.sizes, wide_share=data.wide_share, seed=data.seed)
    return WindowSampler(clips, config)


def _rendered(rendering: RenderAhead) -> dict[str, float]:
    speed = rendering.speed()
    return {
        "frames": speed.frames, "seconds": round(speed.seconds, 1), "frames_per_s": round(speed.frames_per_s, 1)
    }


def _keep(state: TrainingState, job: VggtJob, work: Path, out: Path) -> None:
    """The state of this moment, to be carried about."""
    average = work / WEIGHTS_NAME
    job.save(averaged(state, job), average, state.step)
    write_state(state, job.recipe, average, out)


def _resume(plan: Plan, recipe: Recipe, device: torch.device) -> None:
    """Puts an earlier call's state, if there is one, where the loop looks for its checkpoint."""
    if has_state(plan.state):
        state = fresh_state(VggtJob(recipe, device).build().train(), recipe)
        read_state(state, recipe, plan.state)
        (plan.folder / "run").mkdir(parents=True, exist_ok=True)
        save_checkpoint(state, recipe, plan.folder / "run")


def main(argv: list[str] | None = None) -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--share", type=float, default=1.0, help="share of the recipe's steps")
    parser.add_argument("--max-s", type=float, default=420.0, help="stop after so many seconds, rendering included")
    parser.add_argument("--render-workers", type=int, default=4)
    parser.add_argument("--render-device", default=None, help="default: the device")
    parser.add_argument("--first-clips", type=int, default=128, help="clips that must be there before the first step")
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm/vgslam"), help="where clips lie meanwhile")
    parser.add_argument("--state", type=Path, default=Path(os.environ.get("STATE", "gpu_state")),
                        help="state of an earlier call; by default the folder that $STATE names")  # fmt: skip
    parser.add_argument("--n-validation", type=int, default=128, help="windows of each validation set")
    parser.add_argument("--by-time", type=float, nargs=2, default=None, metavar=("FROM", "TO"),
                        help="the last phase by the clock: which part of its schedule (0 1: all)")  # fmt: skip
    args = parser.parse_args(argv)
    device = torch.device(args.device)
    if START_METHOD == "forkserver":  # children start with what they need
        set_forkserver_preload(["torch", "cv2", "vgslam_train.data.render_ahead", "vgslam_train.data.windows"])
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    recipe = shortened(read_yaml(args.recipe, Recipe()), args.share)
    plan = Plan(recipe, args.folder, args.max_s, args.render_workers, args.render_device or args.device,
                args.first_clips, args.state, args.n_validation,
                None if args.by_time is None else (args.by_time[0], args.by_time[1]))  # fmt: skip
    record = Record("train", device, args.out)
    record.measure("resumed at step", lambda: step_of(args.state))
    record.measure("run", lambda: run(plan, device, args.out, record))
    return record.exit_code


if __name__ == "__main__":
    sys.exit(main())
