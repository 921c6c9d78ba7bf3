"""`vgslam train`: a network from scratch, or what relocalization adds to one, on procedural worlds."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable

    from vgslam_train.training.checkpoint import TrainingState
    from vgslam_train.training.loop import Progress, RunLimits
    from vgslam_train.training.recipe import Recipe
    from vgslam_train.training.suite import TrainingData


@dataclass
class TrainArgs:
    """Trains a network as a recipe says: renders its data, trains, validates; call again to go on after a stop.

    With several GPUs: `torchrun --nproc-per-node N -m vgslam train CONFIG`.
    """

    config: Annotated[Path, tyro.conf.Positional]
    """Recipe (YAML); see configs/. One with a section `adapter` trains relocalization on its base network."""

    out: Path = Path("out/train")
    """Folder for checkpoint.pt, weights.safetensors (averaged, fp16), log.jsonl and validation tables."""

    data: Path | None = None
    """Folder of the rendered clips; the recipe's own by default."""

    device: str = "auto"
    """Run the network on cpu, cuda, cuda:N or mps."""

    threads: int = 0
    """CPU threads of the network; 0 leaves it to torch."""

    max_minutes: float | None = None
    """Stop cleanly after so many minutes; the same command goes on from there."""

    changed: bool = False
    """Go on from a checkpoint although the recipe is another one now."""


def run_train(args: TrainArgs) -> int:
    """Trains; returns 0. ConfigError, WeightsError and OutputError as the loop; Ctrl-C keeps the last checkpoint."""
    import torch

    from vgslam.network.precision import choose_device
    from vgslam_train.training.loop import RunLimits
    from vgslam_train.training.recipe_file import read_recipe
    from vgslam_train.training.suite import TrainingData

    recipe = read_recipe(args.config)
    if args.data is not None:
        recipe = replace(recipe, data=replace(recipe.data, folder=str(args.data)))
    if args.threads:
        torch.set_num_threads(args.threads)
    device = choose_device(args.device)
    console = Console()
    console.print(f"{recipe.title}: {recipe.n_steps} steps on {device}, results in {args.out}")
    data = TrainingData(recipe.data, console.print)
    limits = RunLimits(device, float("inf") if args.max_minutes is None else 60 * args.max_minutes, args.changed)
    state = _trained(recipe, data, args.out, limits, lambda p: console.print(_line(p), soft_wrap=True))
    done = "finished" if state.step >= recipe.n_steps else "stopped; the same command goes on"
    console.print(f"{done} at step {state.step}: {args.out}/weights.safetensors")
    return 0


def _trained(
    recipe: "Recipe", data: "TrainingData", out: Path, limits: "RunLimits", show: "Callable[[Progress], None]"
) -> "TrainingState":
    """Runs the job that belongs to the kind of recipe."""
    from vgslam_train.training.loop import Hooks, train_job
    from vgslam_train.training.reloc_job import RelocJob, RelocValidator
    from vgslam_train.training.reloc_recipe import RelocRecipe
    from vgslam_train.training.suite import Validator
    from vgslam_train.training.vggt_job import VggtJob

    if isinstance(recipe, RelocRecipe):
        reloc = RelocJob(recipe, limits.device)
        windows = reloc.validation_windows(data.validation_clips)
        hooks = Hooks(show, RelocValidator(reloc, windows, out))
        return train_job(reloc, lambda phase: reloc.batches(data.train_clips, phase), out, limits, hooks)
    validator = Validator(data.validation_windows(), out, limits.device)
    return train_job(VggtJob(recipe, limits.device), data.batches, out, limits, Hooks(show, validator))


def _line(p: "Progress") -> str:
    parts = "  ".join(f"{name} {value:.3f}" for name, value in p.parts.items() if value)
    return f"{p.step:>7}/{p.n_steps}  loss {p.loss:.3f}  {parts}  lr {p.lr:.1e}  {p.windows_per_s:.1f} windows/s"
