"""A VGGT with all its heads as the training loop needs it."""

from pathlib import Path

import torch

from vgslam.network.vggt import Vggt, build
from vgslam.network.weights import load, save
from vgslam.training.recipe import Phase, Recipe
from vgslam.training.step import TrainingStep

LICENCE = "Apache-2.0"


class VggtJob:
    """Implements `loop.Job`: everything is trained in every phase."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device

    def build(self) -> Vggt:
        """Random weights by the recipe's seed, or those that it starts from. ConfigError and WeightsError as
        `weights.load`."""
        model = build(self.recipe.network, self.recipe.seed, self.device)
        if self.recipe.init:
            model.load_state_dict(load(self.recipe.init).model.state_dict())
        return model

    def step(self, model: Vggt) -> TrainingStep:
        """The network with its losses."""
        return TrainingStep(model, self.recipe.losses)

    def enter(self, model: Vggt, phase: Phase) -> None:
        """Nothing is frozen."""

    def save(self, model: Vggt, path: Path, step: int) -> None:
        """All weights, in half precision."""
        save(model, path, LICENCE, torch.float16)
