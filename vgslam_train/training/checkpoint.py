"""Everything that a training run needs to continue as if it had never stopped."""

import json
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vgslam.atomic import write_path_atomically
from vgslam.config import to_plain
from vgslam.errors import ConfigError, WeightsError
from vgslam_train.training.recipe import Recipe

NAME = "checkpoint.pt"
_VERSION = 1


@dataclass
class TrainingState:
    """The network, its averaged weights, the optimiser, and the number of steps done."""

    model: nn.Module
    average: dict[str, Tensor]
    optimizer: torch.optim.Optimizer
    step: int = 0


def update_average(average: dict[str, Tensor], model: nn.Module, decay: float, step: int) -> None:
    """Exponential moving average of the weights, in place; the decay rises from 0.1 so that the start is forgotten."""
    rate = 1.0 - min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        state = model.state_dict()
        torch._foreach_lerp_([average[name] for name in state], list(state.values()), rate)


def save_checkpoint(state: TrainingState, recipe: Recipe, folder: Path) -> None:
    """Written atomically: after a crash the last complete one is there."""
    content = {
        "version": _VERSION, "recipe": json.dumps(to_plain(recipe)), "step": state.step,
        "model": state.model.state_dict(), "average": state.average, "optimizer": state.optimizer.state_dict(),
    }  # fmt: skip
    write_path_atomically(folder / NAME, lambda path: torch.save(content, path), make_folders=True)


def load_checkpoint(state: TrainingState, recipe: Recipe, folder: Path, may_differ: bool = False) -> bool:
    """Fills `state` from the folder's checkpoint; False if there is none.

    ConfigError when it is of another recipe (unless `may_differ`), WeightsError when it cannot be read.
    """
    path = folder / NAME
    if not path.exists():
        return False
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError) as error:
        raise WeightsError(f"{path} cannot be read ({str(error).splitlines()[0]}): delete it to start again") from error
    if content.get("version") != _VERSION:
        raise WeightsError(f"{path} is of another version of the program: finish that run with it, or start again")
    if content["recipe"] != json.dumps(to_plain(recipe)) and not may_differ:
        raise ConfigError(
            f"{path} belongs to another recipe: give the same CONFIG, another --out, or --changed to go on with this"
        )
    state.model.load_state_dict(content["model"])
    for name, value in content["average"].items():
        state.average[name].copy_(value)
    state.optimizer.load_state_dict(content["optimizer"])
    state.step = int(content["step"])
    return True


def is_main_process() -> bool:
    """Whether this process writes files and messages: the first one of those that torchrun started."""
    return int(os.environ.get("RANK", "0")) == 0
