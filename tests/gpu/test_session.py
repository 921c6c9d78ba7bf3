"""The steps for a machine with a GPU, tried on the CPU at the smallest sizes, without the packages that are absent
there."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tools.gpu.portable import has_state, read_state, write_state
from tools.gpu.train import timed
from vgslam.errors import WeightsError
from vgslam_train.training.loop import fresh_state
from vgslam_train.training.recipe import Recipe, RecipePhase
from vgslam_train.training.vggt_job import VggtJob
from vgslam_train.worlds.scenes import WORLD_KINDS

ROOT = Path(__file__).resolve().parents[2]
ABSENT = ("gtsam", "av", "rosbags", "tyro", "evo", "faiss", "trimesh", "pycolmap", "open3d", "rerun", "pypose")
TINY_RECIPE = """
model: vggt-s
data:
  n_clips: 16
  n_validation_clips: 16
  clip_height: 24
  clip_width: 32
  sizes: [[24, 32, 1.0]]
phases:
  - {n_steps: 2, n_frames: 2, batch_size: 2, lr: 1.0e-3, lr_end: 1.0e-3}
  - {n_steps: 2, n_frames: 3, batch_size: 2, lr: 1.0e-3, lr_end: 0.0}
log_every: 1
checkpoint_every: 2
"""


def session(tmp_path: Path, step: str, arguments: str, **more: str) -> dict[str, Any]:
    """Runs a step with the absent packages blocked; returns what it wrote."""
    block = tmp_path / "block"
    block.mkdir(exist_ok=True)
    (block / "sitecustomize.py").write_text(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {ABSENT!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    environment = os.environ | {
        "PYTHON": sys.executable, "PYTHONPATH": str(block), "OUT": str(tmp_path / "out"), "DEVICE": "cpu",
        f"ARGS_{step.upper()}": arguments, "OMP_NUM_THREADS": "1", "COMMIT": "abc",
    }  # fmt: skip
    command = ["bash", str(ROOT / "tools/gpu/session.sh"), step]
    done = subprocess.run(command, capture_output=True, text=True, env=environment | more)
    assert done.returncode == 0, done.stdout + done.stderr
    files = list((tmp_path / "out").iterdir())
    assert len(files) <= 8
    assert all(f.stat().st_size <= 16 << 20 for f in files)
    content = json.loads((tmp_path / "out" / f"gpu_{step}.json").read_text())
    assert content["failed"] == {}
    assert content["commit"]
    measured: dict[str, Any] = content["measured"]
    return measured


@pytest.fixture(scope="module")
def benched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of one `bench` and what it measured."""
    folder = tmp_path_factory.mktemp("bench")
    return folder, session(folder, "bench", "--tiny")


def test_the_packages_are_really_blocked(benched: tuple[Path, dict[str, Any]]) -> None:
    environment = os.environ | {"PYTHONPATH": str(benched[0] / "block")}
    done = subprocess.run([sys.executable, "-c", "import gtsam"], capture_output=True, text=True, env=environment)
    assert "No module named 'gtsam'" in done.stderr


@pytest.mark.slow
def test_check(tmp_path: Path) -> None:
    measured = session(tmp_path, "check", "--tiny")
    assert measured["network float32"]["depth"] < 1e-5
    assert {name for name in measured if name.startswith("rendering")} == {
        f"rendering {kind}" for kind in WORLD_KINDS
    }


def test_bench(benched: tuple[Path, dict[str, Any]]) -> None:
    measured = benched[1]
    assert {row["stage"] for row in measured["half 2"]} == {"aggregator", "depth", "pose"}
    assert len(measured["sparse"]["star_to_dense"]) == 2


@pytest.mark.slow
def test_train_goes_on_where_it_stopped(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(TINY_RECIPE)
    common = f"--recipe {recipe} --render-workers 1 --first-clips 16 --n-validation 4 --max-s 1e6"
    common += f" --folder {tmp_path}/clips"
    first = session(tmp_path, "train", f"{common} --share 0.5 --state {tmp_path}/none")
    assert first["resumed at step"] == 0
    assert first["run"]["steps"] == 2
    earlier, fresh = tmp_path / "earlier", tmp_path / "fresh"
    (tmp_path / "out").rename(earlier)
    fresh.mkdir()
    for clips in ("train", "val"):  # as they would be rendered again; the checkpoints of the first call stay behind
        (tmp_path / "clips" / clips).rename(fresh / clips)
    second = session(tmp_path, "train", f"{common} --folder {fresh}", STATE=str(earlier))
    assert second["resumed at step"] == 2
    assert second["run"]["steps"] == 4
    assert [row["step"] for row in second["training"]["rows"]] == [3, 4]
    assert {row["n_frames"] for row in second["run"]["validation"]} == {2, 4, 8}
    assert second["rendering"]["is_done"]


def test_the_share_of_the_schedule_goes_on_in_the_next_call() -> None:
    recipe = Recipe(phases=(RecipePhase(2), RecipePhase(5, lr=1.0, lr_end=0.0)))
    first, second = timed(recipe, -20.0, -10.0, (0.0, 0.5)), timed(recipe, 1e12, 2e12, (0.5, 1.0))
    assert first.learning_rate(100) == pytest.approx(0.5), "after its end it stays at its last share"
    assert second.learning_rate(100) == pytest.approx(0.5), "before it begins it is where the first one ended"
    assert timed(recipe, -20.0, -10.0, (0.5, 1.0)).learning_rate(9) == pytest.approx(0.0)
    assert first.learning_rate(1) == recipe.learning_rate(1), "earlier phases go by steps"


@pytest.mark.slow
def test_adapt(tmp_path: Path) -> None:
    measured = session(tmp_path, "adapt", "--tiny")
    assert measured["vggt-s cpu"]["step_s"] > 0
    assert measured["vggt-s cpu"]["n_held_back"] >= 4


def test_an_unknown_step_is_refused_before_anything_runs(tmp_path: Path) -> None:
    command = ["bash", str(ROOT / "tools/gpu/session.sh"), "check", "chekc"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OUT": str(tmp_path / "out")})
    assert done.returncode == 2
    assert "unknown step 'chekc'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_state_comes_back_to_16_bits(tmp_path: Path) -> None:
    recipe = Recipe()
    job = VggtJob(recipe, torch.device("cpu"))
    state = fresh_state(job.build().train(), recipe)
    for p in state.model.parameters():
        p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())) * 1e-3
    state.optimizer.step()
    state.step = 7
    average = tmp_path / "average.safetensors"
    job.save(state.model, average, 7)
    folder = tmp_path / "state"
    folder.mkdir()
    assert not has_state(folder)
    write_state(state, recipe, average, folder)
    assert has_state(folder)
    back = fresh_state(job.build().train(), recipe)
    read_state(back, recipe, folder)
    assert back.step == 7
    for name, p in state.model.named_parameters():
        other = dict(back.model.named_parameters())[name]
        torch.testing.assert_close(other, p, rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(back.average[name], p.detach(), rtol=1e-3, atol=1e-6)
        for moment in ("exp_avg", "exp_avg_sq"):
            was = state.optimizer.state[p][moment]
            torch.testing.assert_close(back.optimizer.state[other][moment], was, rtol=1e-2, atol=0)
    with pytest.raises(WeightsError, match="vggt-s"):
        read_state(back, Recipe(model="vggt-m"), folder)
