"""`vgslam train` on relocalization: the training loop with another job; a resumed run equals an unbroken one."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from reloc_cases import MATCHING

from vgslam.commands.train import TrainArgs, run_train
from vgslam.config import to_yaml
from vgslam.errors import ConfigError
from vgslam.network.initialise import scatter
from vgslam.network.reloc.files import base_identity, load_reloc, own_parameters
from vgslam.network.vggt import build
from vgslam.network.weights import load, save
from vgslam_train.data.clips import ClipConfig, ClipSet, generate_clips
from vgslam_train.training import suite
from vgslam_train.training.checkpoint import NAME
from vgslam_train.training.loop import Hooks, Progress, RunLimits, train_job
from vgslam_train.training.recipe import DataConfig, OptimizerConfig, Recipe
from vgslam_train.training.recipe_file import read_recipe
from vgslam_train.training.reloc_job import RelocJob
from vgslam_train.training.reloc_recipe import AdapterSettings, RelocPhase, RelocRecipe

SmallShards = partial(ClipConfig, n_frames=8, worlds_per_shard=2, clips_per_world=2)
CPU = RunLimits(torch.device("cpu"))
N_CLIPS = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in ("train", "val"):
        generate_clips(folder / name, SmallShards(0, is_validation=name == "val"), N_CLIPS, workers=0)
    return folder


@pytest.fixture
def recipe(tmp_path: Path, data: Path) -> RelocRecipe:
    base = build(MATCHING, 0)
    scatter(base, 1)
    save(base, tmp_path / "base.safetensors", "Apache-2.0")
    return RelocRecipe(
        init=str(tmp_path / "base.safetensors"), seed=2,
        data=DataConfig(str(data), N_CLIPS, N_CLIPS, N_CLIPS, render_workers=1, sizes=((32, 40, 1.0),)),
        optimizer=OptimizerConfig(warmup_steps=2), log_every=1, validate_every=100, checkpoint_every=1,
        phases=(RelocPhase(3, 4, 2, lr=1e-2), RelocPhase(3, 4, 2, lr=1e-3, stage="all")),
        adapter=AdapterSettings(hidden=16, tuned="camera_head"), n_validation_windows=8,
    )  # fmt: skip


class StopError(Exception):
    pass


def trained(recipe: RelocRecipe, data: Path, out: Path, stop_at: int | None = None) -> dict[str, torch.Tensor]:
    """The network and its average after a run that breaks after the step `stop_at`, or reaches its end."""
    job, clips = RelocJob(recipe, CPU.device), ClipSet.open(data / "train", N_CLIPS)

    def show(p: Progress) -> None:
        if stop_at is not None and p.step == stop_at + 1:
            raise StopError

    train_job(job, lambda phase: job.batches(clips, phase), out, CPU, Hooks(show))
    content = torch.load(out / NAME, weights_only=True)
    return content["model"] | {f"average.{k}": v for k, v in content["average"].items()}


def test_resumed_equals_unbroken(recipe: RelocRecipe, data: Path, tmp_path: Path) -> None:
    whole = trained(recipe, data, tmp_path / "whole")
    for stop_at in (2, 3, 4):  # within, at the end of and after the stage of the adapter alone
        broken = tmp_path / f"broken{stop_at}"
        with pytest.raises(StopError):
            trained(recipe, data, broken, stop_at)
        assert torch.load(broken / NAME, weights_only=True)["step"] == stop_at
        again = trained(recipe, data, broken)
        assert all(torch.equal(whole[k], again[k]) for k in whole)


def test_stages_change_what_they_name(recipe: RelocRecipe, data: Path, tmp_path: Path) -> None:
    start = RelocJob(recipe, CPU.device).build().state_dict()
    for stop_at, expected in ((3, {"adapter"}), (None, {"adapter", "vggt.camera_head"})):
        out = tmp_path / str(stop_at)
        if stop_at is None:
            end = trained(recipe, data, out)
        else:
            with pytest.raises(StopError):
                trained(recipe, data, out, stop_at)
            end = torch.load(out / NAME, weights_only=True)["model"]
        changed = {k for k in start if not torch.equal(start[k], end[k])}
        assert {k.split(".")[0] if k.startswith("adapter") else ".".join(k.split(".")[:2]) for k in changed} == expected


def test_command_trains_validates_and_ships_an_adapter(
    recipe: RelocRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "ClipConfig", SmallShards)
    config, out = tmp_path / "recipe.yaml", tmp_path / "out"
    config.write_text(to_yaml(recipe))
    assert read_recipe(config) == recipe
    assert run_train(TrainArgs(config, out, device="cpu", threads=1)) == 0
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [x["step"] for x in log if "loss" in x] == [1, 2, 3, 4, 5, 6]
    methods = {row["method"] for x in log if "validation" in x for row in x["validation"]["reloc"]}
    assert {"learned", "late fusion"} <= methods
    assert "late fusion" in (out / "validation_reloc.md").read_text()
    base = load(recipe.init)
    shipped = load_reloc(base.model, out / "weights.safetensors", base_identity(base.info))
    average = torch.load(out / NAME, weights_only=True)["average"]
    for name, p in own_parameters(shipped).items():
        assert torch.allclose(p, average[name], atol=1e-3)


def test_kind_of_recipe_follows_from_its_section(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("seed: 3\n")
    assert type(read_recipe(path)) is Recipe
    path.write_text("init: vggt-s\nadapter: {hidden: 32}\n")
    recipe = read_recipe(path)
    assert isinstance(recipe, RelocRecipe)
    assert recipe.adapter.hidden == 32
    for text, message in (("noise: {dropout: 0.2}\n", "unknown setting 'noise'"), ("- 1\n", "expected settings")):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_recipe(path)
    for name in ("vggt-s-cpu", "vggt-m-gpu"):
        assert type(read_recipe(Path(__file__).parents[3] / "configs" / f"{name}.yaml")) is Recipe
