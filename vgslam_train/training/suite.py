"""The data of a recipe and its validation, ready for the training loop."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch

from vgslam.network.vggt import Vggt
from vgslam_train.data.clips import ClipConfig, ClipSet, generate_clips
from vgslam_train.data.render_ahead import GrowingClips, RenderAhead
from vgslam_train.data.windows import WindowConfig, WindowSampler
from vgslam_train.training.recipe import DataConfig, RecipePhase
from vgslam_train.validation.model_guess import ModelGuess
from vgslam_train.validation.validate import ValidationSet, procedural_sets, validate

TABLE_NAME = "validation.md"


class TrainingData:
    """Renders the recipe's clips where they are missing (validation first) and hands out windows of them.

    A context manager: what is rendered beside the training ends with it.
    """

    def __init__(self, config: DataConfig, show: Callable[[str], None]) -> None:
        self.config = config
        folder, n_validation = Path(config.folder), config.n_validation_clips
        clips = ClipConfig(config.seed, height=config.clip_height, width=config.clip_width, kinds=config.kinds)
        seen_never = replace(clips, is_validation=True)
        generate_clips(folder / "val", seen_never, n_validation, config.render_workers, show)
        self.validation_clips = ClipSet.open(folder / "val", n_validation)
        self._beside: RenderAhead | None = None
        if config.first_clips:
            self._beside = RenderAhead(folder / "train", clips, config.n_clips, config.render_workers, "cpu")
            self.train_clips: ClipSet = GrowingClips(folder / "train", clips)
        else:
            generate_clips(folder / "train", clips, config.n_clips, config.render_workers, show)
            self.train_clips = ClipSet.open(folder / "train", config.n_clips)

    def __enter__(self) -> Self:
        if self._beside is not None:
            self._beside.__enter__()
            self._beside.wait_for(self.config.first_clips)
        return self

    def __exit__(self, *error: object) -> None:
        if self._beside is not None:
            self._beside.__exit__(None, None, None)

    def batches(self, phase: RecipePhase) -> WindowSampler:
        """Windows of a phase; phases with windows of other sizes see different ones."""
        c = self.config
        config = WindowConfig(phase.batch_size, phase.n_frames, c.sizes, wide_share=c.wide_share, seed=c.seed)
        return WindowSampler(self.train_clips, config)

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
