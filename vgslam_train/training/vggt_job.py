"""A VGGT with all its heads as the training loop needs it."""

from pathlib import Path

import torch

from vgslam.network.vggt import Vggt, build
from vgslam.network.weights import load, save
from vgslam_train.training.recipe import Recipe, RecipePhase
from vgslam_train.training.step import TrainingStep
from vgslam_train.training.warm_start import warm_start

LICENCE = "Apache-2.0"


class VggtJob:
    """Implements `loop.Job`: everything is trained in every phase."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device

    def build(self) -> Vggt:
        """Random weights by the recipe's seed, or those that it starts from, as far as they fit (`warm_start`).
        ConfigError and WeightsError as `weights.load`."""
        model = build(self.recipe.network, self.recipe.seed, self.device)
        _calm(model)
        if self.recipe.init:
            warm_start(model, load(self.recipe.init).model)
        return model

    def step(self, model: Vggt) -> TrainingStep:
        """The network with its losses."""
        return TrainingStep(model, self.recipe.losses)

    def enter(self, model: Vggt, phase: RecipePhase) -> None:
        """Nothing is frozen."""

    def save(self, model: Vggt, path: Path, step: int) -> None:
        """All weights, in half precision."""
        save(model, path, LICENCE, torch.float16)


@torch.no_grad()
def _calm(model: Vggt) -> None:
    """Depth near 1 and no motion to begin with: random weights give depths off by e^8 and cameras turned by 60 degrees,
    whose gradients hide all others for hundreds of steps."""
    names = ("depth_head.scratch.output_conv2.2", "camera_head.pose_branch.fc2", "aggregator.matching.coarse.out")
    last = [f"{name}.weight" for name in names]
    for name, p in model.named_parameters():
        if name in last:
            p.mul_(0.05)
