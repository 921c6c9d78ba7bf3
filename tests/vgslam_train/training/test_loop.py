"""The training loop: a resumed run equals an unbroken one; recipes, schedules, checkpoints and their refusals."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vgslam.config import read_yaml, to_yaml
from vgslam.errors import ConfigError, WeightsError
from vgslam.network.vggt import Head, Vggt, build
from vgslam.network.weight_files import PACKAGED
from vgslam.network.weights import load
from vgslam.network.weights_info import parse_hub_id
from vgslam_train.data.windows import WindowBatch
from vgslam_train.training.checkpoint import NAME, update_average
from vgslam_train.training.loop import Hooks, Progress, RunLimits, train
from vgslam_train.training.losses import LossWeights
from vgslam_train.training.recipe import OptimizerConfig, Recipe, RecipePhase
from vgslam_train.training.recipe_file import read_recipe
from vgslam_train.training.step import TrainingStep
from vgslam_train.training.vggt_job import VggtJob

RECIPE = Recipe(
    phases=(RecipePhase(3, 2, 2, 1e-3, 1e-3, 1.0), RecipePhase(3, 3, 2, 1e-3, 1e-4, 0.5)),
    optimizer=OptimizerConfig(warmup_steps=2), log_every=2, validate_every=4, checkpoint_every=100,
)  # fmt: skip
LIMITS = RunLimits(torch.device("cpu"))


class Planes:
    """Windows of textured walls seen by a camera that steps sideways."""

    def __init__(self, phase: RecipePhase) -> None:
        self.phase = phase

    def batch(self, step: int) -> WindowBatch:
        g = torch.Generator().manual_seed(step)
        b, s = self.phase.batch_size, self.phase.n_frames
        T = torch.eye(4, dtype=torch.float64).repeat(b, s, 1, 1)
        T[:, :, 0, 3] = torch.arange(s) * 0.2  # 4 px a frame at 2 m
        wide = torch.nn.functional.interpolate(torch.rand(b, 3, 12, 24, generator=g), size=(24, 48), mode="bilinear")
        images = torch.stack([wide[..., 4 * i : 4 * i + 32] for i in range(s)], dim=1)
        K = torch.tensor([[40.0, 0, 15.5], [0, 40.0, 11.5], [0, 0, 1]], dtype=torch.float64).repeat(b, 1, 1)
        return WindowBatch(images, torch.full((b, s, 24, 32), 2.0), T, K)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    content = torch.load(folder / NAME, weights_only=True)
    return content["model"] | {f"average.{k}": v for k, v in content["average"].items()}


class StopError(Exception):
    pass


def test_resumed_equals_unbroken(tmp_path: Path) -> None:
    train(RECIPE, Planes, tmp_path / "whole", LIMITS, Hooks())
    for stop_at in (2, 5):
        broken = tmp_path / f"broken{stop_at}"
        recipe = replace(RECIPE, checkpoint_every=1, log_every=1)

        def show(p: Progress, stop_at: int = stop_at) -> None:
            if p.step == stop_at + 1:
                raise StopError

        with pytest.raises(StopError):
            train(recipe, Planes, broken, LIMITS, Hooks(show))
        train(recipe, Planes, broken, LIMITS, Hooks())
        a, b = weights_of(tmp_path / "whole"), weights_of(broken)
        assert all(torch.equal(a[k], b[k]) for k in a)


def test_out_of_time_stops_with_a_checkpoint_and_goes_on(tmp_path: Path) -> None:
    state = train(RECIPE, Planes, tmp_path, replace(LIMITS, max_s=0.0), Hooks())
    assert state.step == 0
    assert train(RECIPE, Planes, tmp_path, LIMITS, Hooks()).step == RECIPE.n_steps


def test_learning_lowers_the_loss(tmp_path: Path) -> None:
    class OneBatch(Planes):
        def batch(self, step: int) -> WindowBatch:
            return super().batch(0)

    losses: list[float] = []
    recipe = replace(RECIPE, phases=(RecipePhase(40, 2, 4, 3e-3, 1e-3, 1.0),), log_every=1, validate_every=1000)
    train(recipe, OneBatch, tmp_path, LIMITS, Hooks(lambda p: losses.append(p.loss)))
    assert losses[-1] < 0.5 * losses[0]


def test_logs_validation_and_averaged_weights(tmp_path: Path) -> None:
    seen: list[int] = []

    def validate(model: Vggt) -> dict[str, object]:
        seen.append(1)
        return {"rotation": 1.5}

    state = train(RECIPE, Planes, tmp_path, LIMITS, Hooks(validate=validate))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [x["step"] for x in lines if "loss" in x] == [2, 4, 6]
    assert [x["step"] for x in lines if "validation" in x] == [4, 6]
    assert len(seen) == 2
    loaded = load(str(tmp_path / "weights.safetensors"))
    name = "camera_head.pose_branch.fc2.weight"
    assert torch.allclose(loaded.model.state_dict()[name], state.average[name], atol=1e-3)
    assert loaded.info.licence.allows_commercial_use


def test_another_recipe_and_broken_checkpoints_are_refused(tmp_path: Path) -> None:
    train(RECIPE, Planes, tmp_path, LIMITS, Hooks())
    with pytest.raises(ConfigError, match="another recipe"):
        train(replace(RECIPE, seed=9), Planes, tmp_path, LIMITS, Hooks())
    train(replace(RECIPE, seed=9), Planes, tmp_path, replace(LIMITS, may_differ=True), Hooks())
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="cannot be read"):
        train(RECIPE, Planes, tmp_path, LIMITS, Hooks())


def test_schedule() -> None:
    recipe = Recipe(phases=(RecipePhase(10, lr=1e-3, lr_end=1e-3), RecipePhase(11, lr=1e-3, lr_end=1e-4)))
    recipe = replace(recipe, optimizer=OptimizerConfig(warmup_steps=4))
    assert recipe.learning_rate(0) == pytest.approx(0.25e-3)
    assert recipe.learning_rate(9) == pytest.approx(1e-3)
    assert recipe.learning_rate(10) == pytest.approx(1e-3)
    assert recipe.learning_rate(15) == pytest.approx(0.55e-3)
    assert recipe.learning_rate(20) == pytest.approx(1e-4)
    assert recipe.phase_at(9)[1] == 0
    assert recipe.phase_at(10)[1] == 10
    with pytest.raises(ValueError, match="beyond"):
        recipe.phase_at(21)


def test_average_follows_the_weights() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    average = {"weight": torch.zeros(1, 1)}
    with torch.no_grad():
        model.weight.fill_(1.0)
    update_average(average, model, 0.999, 0)
    assert float(average["weight"]) == pytest.approx(0.9)
    update_average(average, model, 0.5, 1000)
    assert float(average["weight"]) == pytest.approx(0.95)


@pytest.mark.parametrize(("name", "fewer"), [
    ("vggt-s-cpu.yaml", 1000), ("vggt-m-gpu.yaml", 1000), ("vggt-s2-cpu.yaml", 1000), ("vggt-s2-pairs-cpu.yaml", 999),
])  # fmt: skip
def test_shipped_recipes_are_read(name: str, fewer: int, tmp_path: Path) -> None:
    recipe = read_yaml(Path(__file__).parents[3] / "configs" / name, Recipe())
    assert recipe.n_steps > fewer
    assert recipe.network.matching is not None
    copy = tmp_path / "copy.yaml"
    copy.write_text(to_yaml(recipe))
    assert read_yaml(copy, Recipe()) == recipe


def test_what_a_shipped_recipe_starts_from_can_be_had() -> None:
    folder = Path(__file__).parents[3] / "configs"
    for path in sorted(folder.glob("*.yaml")):
        recipe, text = read_recipe(path), path.read_text()
        is_made_by_another = f"--out {Path(recipe.init).parent}`" in text
        assert recipe.init in ("", *PACKAGED) or parse_hub_id(recipe.init) or is_made_by_another, path.name
        for named in re.findall(r"configs/[\w-]+\.yaml", text):
            assert (folder.parent / named).is_file(), named


def test_the_second_stage_goes_on_with_the_network_of_the_first() -> None:
    folder = Path(__file__).parents[3] / "configs"
    first, second = (read_recipe(folder / f"vggt-s2{name}-cpu.yaml") for name in ("", "-pairs"))
    assert second.network == first.network
    assert second.data.sizes == first.data.sizes
    assert second.data.seed != first.data.seed, "other worlds than those it has seen"


def test_recipes_name_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("phases:\n- n_steps: 3\n  n_frame: 2\n")
    with pytest.raises(ConfigError, match="entry 1: unknown setting 'n_frame'"):
        read_yaml(path, Recipe())
    path.write_text("model: vggt-xxl\n")
    with pytest.raises(ConfigError, match="vggt-xxl"):
        _ = read_yaml(path, Recipe()).network


def test_dense_share_chooses_frames_by_the_step() -> None:
    torch.manual_seed(0)
    step = TrainingStep(build(RECIPE.network, 0).train(), LossWeights())
    batch = Planes(RecipePhase(1, 4, 2)).batch(0)
    with torch.no_grad():
        half = [float(step(batch, k, 0.5)[1].depth) for k in (0, 0, 1)]
    assert half[0] == half[1]
    assert all(math.isfinite(x) for x in half)


def test_training_starts_at_no_motion_and_even_depth() -> None:
    recipe = Recipe()
    images = torch.rand(2, 3, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    for model, is_calm in ((VggtJob(recipe, torch.device("cpu")).build(), True), (build(recipe.network, 0), False)):
        with torch.no_grad():
            out = model(images, {Head.POSE, Head.DEPTH})
        assert out.pose_encoding is not None
        assert out.depth is not None
        has_moved = out.pose_encoding[..., :3].norm(dim=-1).max() > 0.3
        has_depth = out.depth.log().abs().max() > 1.0
        assert (bool(has_moved), bool(has_depth)) == (not is_calm, not is_calm)
