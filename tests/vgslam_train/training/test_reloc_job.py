"""Relocalization as a job of a training loop: two stages on a base from a file, saved, loaded, validated."""

from pathlib import Path

import pytest
import torch
from reloc_cases import MATCHING

from vgslam.network.initialise import scatter
from vgslam.network.reloc.files import base_identity, load_reloc
from vgslam.network.reloc.network import RelocNetwork
from vgslam.network.vggt import build
from vgslam.network.weights import save
from vgslam_train.data.clips import ClipConfig, ClipSet, generate_clips
from vgslam_train.training.recipe import DataConfig, OptimizerConfig
from vgslam_train.training.reloc_job import RelocJob, RelocValidator
from vgslam_train.training.reloc_recipe import AdapterSettings, RelocPhase, RelocRecipe


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipSet:
    folder = tmp_path_factory.mktemp("clips")
    generate_clips(folder, ClipConfig(seed=6, n_frames=8, worlds_per_shard=2, clips_per_world=2), 4, workers=0)
    return ClipSet.open(folder)


@pytest.fixture
def job(tmp_path: Path) -> RelocJob:
    base = build(MATCHING, 0)
    scatter(base, 1)
    path = tmp_path / "base.safetensors"
    save(base, path, "Apache-2.0")
    recipe = RelocRecipe(
        init=str(path), seed=2, data=DataConfig(sizes=((32, 40, 1.0),)), optimizer=OptimizerConfig(),
        phases=(RelocPhase(2, 4, 2, lr=1e-2), RelocPhase(2, 4, 2, lr=1e-3, stage="all")),
        adapter=AdapterSettings(hidden=16, tuned="camera_head"),
    )  # fmt: skip
    return RelocJob(recipe, torch.device("cpu"))


def run(job: RelocJob, clips: ClipSet) -> tuple[RelocNetwork, list[set[str]]]:
    """The loop in its shortest form; also which parts changed in each phase."""
    model = job.build().train()
    step_module = job.step(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    changed = []
    for step in range(job.recipe.n_steps):
        phase, first = job.recipe.phase_at(step)
        if step == first:
            job.enter(model, phase)
            before = {k: v.clone() for k, v in model.state_dict().items()}
        loss, _ = step_module(job.batches(clips, phase).batch(step), step, phase.depth_share)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if step == first + phase.n_steps - 1:
            now = model.state_dict()
            changed.append({".".join(k.split(".")[:2]) for k in now if not torch.equal(now[k], before[k])})
    return model, changed


def test_two_stages_saved_and_loaded(job: RelocJob, clips: ClipSet, tmp_path: Path) -> None:
    untouched = {k: v.clone() for k, v in job.base.model.state_dict().items()}
    model, changed = run(job, clips)
    assert {name.split(".")[0] for name in changed[0]} == {"adapter"}
    assert "vggt.camera_head" in changed[1]
    assert not any(name.startswith("vggt.aggregator") for name in changed[1])
    assert all(torch.equal(v, untouched[k]) for k, v in job.base.model.state_dict().items())
    job.save(model, tmp_path / "reloc.safetensors", 4)
    again = load_reloc(job.base.model, tmp_path / "reloc.safetensors", base_identity(job.base.info))
    batch = job.batches(clips, job.recipe.phases[0]).batch(0)
    with torch.no_grad():
        a, b = (job.step(m.eval())(batch, 0)[0] for m in (model, again))
    assert float(a) == pytest.approx(float(b), rel=2e-2)  # half precision


def test_same_seed_same_network(job: RelocJob) -> None:
    a, b = (job.build().state_dict() for _ in range(2))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_validation_names_every_method(job: RelocJob, clips: ClipSet, tmp_path: Path) -> None:
    windows = [job.batches(clips, RelocPhase(1, 5, 3, least_frames=5)).batch(i) for i in range(2)]
    figures = RelocValidator(job, windows, tmp_path)(job.build())
    names = [row["method"] for row in figures["reloc"]]
    assert names == ["learned", "learned, consensus", "late fusion", "consensus, untrained"]
    text = (tmp_path / "validation_reloc.md").read_text()
    assert all(name in text for name in names)
    counts = {row["n_queries"] for row in figures["reloc"]}
    assert len(counts) == 1
    assert 1 <= counts.pop() <= 6
    assert len(job.validation_windows(clips)) == 4
