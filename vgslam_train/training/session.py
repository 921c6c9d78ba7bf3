"""A whole training: reads a recipe, renders its data, trains, validates, and reports progress."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from vgslam_train.training.checkpoint import TrainingState
from vgslam_train.training.loop import Hooks, Progress, RunLimits, train_job
from vgslam_train.training.recipe import Recipe
from vgslam_train.training.recipe_file import read_recipe
from vgslam_train.training.reloc_job import RelocJob, RelocValidator
from vgslam_train.training.reloc_recipe import RelocRecipe
from vgslam_train.training.suite import TrainingData, Validator
from vgslam_train.training.vggt_job import VggtJob


def train(config: Path, out: Path, limits: RunLimits, data_folder: Path | None = None) -> None:
    """Trains as the recipe `config` says, results in `out`; data_folder: of the rendered clips, the recipe's own by
    default. ConfigError, WeightsError and OutputError as the loop."""
    recipe = read_recipe(config)
    if data_folder is not None:
        recipe = replace(recipe, data=replace(recipe.data, folder=str(data_folder)))
    console = Console()
    console.print(f"{recipe.title}: {recipe.n_steps} steps on {limits.device}, results in {out}")
    with TrainingData(recipe.data, console.print) as data:
        state = _trained(recipe, data, out, limits, lambda p: console.print(_line(p), soft_wrap=True))
    done = "finished" if state.step >= recipe.n_steps else "stopped; the same command goes on"
    console.print(f"{done} at step {state.step}: {out}/weights.safetensors")


def _trained(
    recipe: Recipe, data: TrainingData, out: Path, limits: RunLimits, show: Callable[[Progress], None]
) -> TrainingState:
    """Runs the job that belongs to the kind of recipe."""
    if isinstance(recipe, RelocRecipe):
        reloc = RelocJob(recipe, limits.device)
        windows = reloc.validation_windows(data.validation_clips)
        hooks = Hooks(show, RelocValidator(reloc, windows, out))
        return train_job(reloc, lambda phase: reloc.batches(data.train_clips, phase), out, limits, hooks)
    validator = Validator(data.validation_windows(), out, limits.device)
    return train_job(VggtJob(recipe, limits.device), data.batches, out, limits, Hooks(show, validator))


def _line(p: Progress) -> str:
    parts = "  ".join(f"{name} {value:.3f}" for name, value in p.parts.items() if value)
    return f"{p.step:>7}/{p.n_steps}  loss {p.loss:.3f}  {parts}  lr {p.lr:.1e}  {p.windows_per_s:.1f} windows/s"
