"""A training state small enough to be carried about: 16 bits for each value, one file for each kind of tensor."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vgslam.config import to_plain
from vgslam.errors import WeightsError
from vgslam_train.training.checkpoint import TrainingState
from vgslam_train.training.loop import WEIGHTS_NAME
from vgslam_train.training.recipe import Recipe

INDEX = "state.json"
_MODEL, _MOMENTS = "state_model", ("exp_avg", "exp_avg_sq")


def has_state(folder: Path) -> bool:
    """Whether a state was written there."""
    return (folder / INDEX).is_file()


def step_of(folder: Path) -> int:
    """How many steps the state there has seen; 0 without one."""
    return int(json.loads((folder / INDEX).read_text())["step"]) if has_state(folder) else 0


def write_state(state: TrainingState, recipe: Recipe, average: Path, folder: Path) -> None:
    """Weights and their average in fp16 (`average`: the file that ships them), the optimiser's moments in bf16."""
    own = state.model.state_dict()
    save_file({k: v.half().cpu().contiguous() for k, v in own.items()}, folder / f"{_MODEL}.safetensors")
    for moment in _MOMENTS:
        tensors = {}
        for name, p in state.model.named_parameters():
            if moment in state.optimizer.state.get(p, {}):
                tensors[name] = state.optimizer.state[p][moment].to(torch.bfloat16).cpu().contiguous()
        save_file(tensors, folder / f"state_{moment}.safetensors")
    shutil.copy(average, folder / WEIGHTS_NAME)
    (folder / INDEX).write_text(json.dumps({"step": state.step, "recipe": to_plain(recipe)}, indent=1) + "\n")


def read_state(state: TrainingState, recipe: Recipe, folder: Path) -> None:
    """Fills a fresh `state` with what `write_state` left. WeightsError if it is of another network."""
    index = json.loads((folder / INDEX).read_text())
    if index["recipe"]["model"] != recipe.model:
        raise WeightsError(f"{folder} holds a state of {index['recipe']['model']}, not of {recipe.model}")
    state.model.load_state_dict(_read(folder / f"{_MODEL}.safetensors"))
    for name, value in _read(folder / WEIGHTS_NAME).items():
        state.average[name].copy_(value)
    moments = {m: _read(folder / f"state_{m}.safetensors") for m in _MOMENTS}
    for name, p in state.model.named_parameters():
        if name in moments["exp_avg"]:
            entry: dict[str, Tensor] = {"step": torch.tensor(float(index["step"]))}
            entry |= {m: moments[m][name].to(p.device, p.dtype) for m in _MOMENTS}
            state.optimizer.state[p] = entry
    state.step = int(index["step"])


def _read(path: Path) -> dict[str, Tensor]:
    return {name: value.float() for name, value in load_file(path).items()}
