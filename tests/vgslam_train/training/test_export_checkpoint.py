"""Weights taken out of a training that is not finished."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from vgslam.config import to_yaml
from vgslam.network.weights import load
from vgslam_train.training.checkpoint import save_checkpoint
from vgslam_train.training.loop import fresh_state
from vgslam_train.training.recipe import Recipe
from vgslam_train.training.vggt_job import VggtJob


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    path = Path(__file__).parents[3] / "tools" / "export_checkpoint.py"
    spec = importlib.util.spec_from_file_location("export_checkpoint", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_averaged_weights_are_written(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(to_yaml(Recipe()))
    assert tool.main([str(recipe), str(tmp_path)]) == 2
    assert "no checkpoint.pt" in capsys.readouterr().err
    state = fresh_state(VggtJob(Recipe(), torch.device("cpu")).build(), Recipe())
    state.step = 7
    name = "camera_head.pose_branch.fc1.bias"
    state.average[name].fill_(0.25)
    save_checkpoint(state, Recipe(), tmp_path)
    assert tool.main([str(recipe), str(tmp_path)]) == 0
    written = load(str(tmp_path / "step_7.safetensors")).model.state_dict()
    assert (written[name] == 0.25).all()
