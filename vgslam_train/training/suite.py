"""The data of a recipe and its validation, ready for the training loop."""

import json
from collections.abc import Callable
from pathlib import Path

import torch

from vgslam.network.vggt import Vggt
from vgslam_train.data.clips import ClipConfig, ClipSet, generate_clips
from vgslam_train.data.windows import WindowConfig, WindowSampler
from vgslam_train.training.recipe import DataConfig, RecipePhase
from vgslam_train.validation.model_guess import ModelGuess
from vgslam_train.validation.validate import ValidationSet, procedural_sets, validate

TABLE_NAME = "validation.md"


class TrainingData:
    """Renders the recipe's clips where they are missing (validation first) and hands out windows of them."""

    def __init__(self, config: DataConfig, show: Callable[[str], None]) -> None:
        self.config = config
        folder = Path(config.folder)
        for name, n_clips in (("val", config.n_validation_clips), ("train", config.n_clips)):
            clips = ClipConfig(
                config.seed, is_validation=name == "val", height=config.clip_height, width=config.clip_width,
                kinds=config.kinds,
            )  # fmt: skip
            generate_clips(folder / name, clips, n_clips, config.render_workers, show)
        self.train_clips = ClipSet.open(folder / "train", config.n_clips)
        self.validation_clips = ClipSet.open(folder / "val", config.n_validation_clips)

    def batches(self, phase: RecipePhase) -> WindowSampler:
        """Windows of a phase; phases with windows of other sizes see different ones."""
        return WindowSampler(
            self.train_clips, WindowConfig(phase.batch_size, phase.n_frames, self.config.sizes, seed=self.config.seed)
        )

    def validation_windows(self) -> list[ValidationSet]:
        """Fixed windows of worlds that are never trained on, of the most frequent size."""
        height, width, _ = max(self.config.sizes, key=lambda size: size[2])
        return procedural_sets(self.validation_clips, size=(height, width))


class Validator:
    """Called with a network: writes validation.md and returns the figures for the log."""

    def __init__(self, windows: list[ValidationSet], out: Path, device: torch.device) -> None:
        self._windows, self._out, self._device = windows, out, device

    def __call__(self, model: Vggt) -> dict[str, object]:
        table = validate(ModelGuess(model, self._device), self._windows, with_classical=False)
        (self._out / TABLE_NAME).write_text(table.to_markdown())
        return {"rows": json.loads(table.to_json())}
