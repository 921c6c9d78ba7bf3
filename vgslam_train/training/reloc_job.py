"""Relocalization as a training loop needs it: the network on its base, its step, stages, data, file and validation."""

import json
from pathlib import Path

import torch

from vgslam.network.readout import Readout
from vgslam.network.reloc.files import base_identity
from vgslam.network.reloc.network import RelocNetwork, build_reloc
from vgslam.network.weights import LoadedVggt, LoadOptions, load
from vgslam_train.data.clips import ClipSet
from vgslam_train.data.reloc_windows import FrameCount, RelocSampler
from vgslam_train.data.windows import WindowBatch, WindowConfig
from vgslam_train.training.recipe import RecipePhase
from vgslam_train.training.reloc_file import save_reloc
from vgslam_train.training.reloc_recipe import RelocPhase, RelocRecipe, stage_of
from vgslam_train.training.reloc_step import RelocTrainingStep
from vgslam_train.training.reloc_validation import (
    LateFusion,
    Learned,
    Locate,
    PlainLift,
    can_solve,
    to_json,
    to_markdown,
    validate_reloc,
)

TABLE_NAME = "validation_reloc.md"
LICENCE = "Apache-2.0"
_VALIDATION_FRAMES = 6
_VALIDATION_BATCH = 32


class RelocJob:
    """All of one recipe. The base network is loaded once; ConfigError and WeightsError as `weights.load`."""

    def __init__(self, recipe: RelocRecipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.base: LoadedVggt = load(recipe.init, LoadOptions(device))

    def build(self) -> RelocNetwork:
        """A fresh network; with the same seed always the same one."""
        return build_reloc(self.base.model, self.recipe.adapter.to_config(), self.recipe.seed)

    def step(self, model: RelocNetwork) -> RelocTrainingStep:
        """The module whose forward is (batch, step, depth_share) -> (loss, parts)."""
        return RelocTrainingStep(model, self.recipe.reloc_losses, self.recipe.noise)

    def enter(self, model: RelocNetwork, phase: RecipePhase) -> None:
        """Freezes and frees parameters as the phase says; to be called before its first step, also after a resume."""
        model.set_trained(stage_of(phase))

    def save(self, model: RelocNetwork, path: Path, step: int) -> None:
        """The adapter's file, in half precision."""
        save_reloc(model, path, base_identity(self.base.info), LICENCE, step, torch.float16)

    def batches(self, clips: ClipSet, phase: RecipePhase) -> RelocSampler:
        """Windows of a phase."""
        r = self.recipe
        config = WindowConfig(
            phase.batch_size, sizes=r.data.sizes, min_overlap=r.min_overlap, max_flow=r.max_flow, seed=r.data.seed
        )
        least = phase.least_frames if isinstance(phase, RelocPhase) else phase.n_frames
        return RelocSampler(clips, config, FrameCount(least, phase.n_frames))

    def validation_windows(self, clips: ClipSet) -> list[WindowBatch]:
        """Fixed windows of worlds that are never trained on, of the most frequent size, without augmentation."""
        height, width, _ = max(self.recipe.data.sizes, key=lambda size: size[2])
        overlap, flow = self.recipe.min_overlap, self.recipe.max_flow
        size = min(_VALIDATION_BATCH, self.recipe.n_validation_windows)
        config = WindowConfig(
            size, sizes=((height, width, 1.0),), min_overlap=overlap, max_flow=flow, seed=1, augment=False
        )
        sampler = RelocSampler(clips, config, FrameCount(_VALIDATION_FRAMES, _VALIDATION_FRAMES))
        return [sampler.batch(i) for i in range(self.recipe.n_validation_windows // size)]


class RelocValidator:
    """Called with a network: writes validation_reloc.md, every method beside the others, and returns the figures."""

    def __init__(self, job: RelocJob, windows: list[WindowBatch], out: Path) -> None:
        self._out = out
        self._windows = [batch.to(job.device) for batch in windows]
        plain = job.base.model
        methods: dict[str, Locate] = {"late fusion": LateFusion(plain), "consensus, untrained": PlainLift(plain)}
        if can_solve(plain):
            methods["late fusion, solver"] = LateFusion(plain, Readout.SOLVER)
            methods["consensus, untrained, solver"] = PlainLift(plain, Readout.SOLVER)
        self._baselines = validate_reloc(methods, self._windows)

    def __call__(self, model: RelocNetwork) -> dict[str, object]:
        model.eval()
        methods: dict[str, Locate] = {"learned": Learned(model, False), "learned, consensus": Learned(model, True)}
        scores = validate_reloc(methods, self._windows) + self._baselines
        (self._out / TABLE_NAME).write_text(to_markdown(scores))
        return {"reloc": json.loads(to_json(scores))}
