"""Training data: rendered before the training, or beside it."""

from dataclasses import replace
from pathlib import Path

import pytest

from vgslam_train.training import suite
from vgslam_train.training.recipe import DataConfig, RecipePhase
from vgslam_train.training.suite import TrainingData

CONFIG = DataConfig(n_clips=128, n_validation_clips=64, seed=4, kinds=("bare",), wide_share=0.25)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What is asked of the renderers, which render nothing here."""
    calls: list[tuple[object, ...]] = []

    class Ahead:
        def __init__(self, folder: Path, config: object, n_clips: int, workers: int, device: str) -> None:
            calls.append(("beside", folder.name, n_clips, workers, device))

        def __enter__(self) -> None:
            calls.append(("begins",))

        def __exit__(self, *error: object) -> None:
            calls.append(("ends",))

        def wait_for(self, n_clips: int) -> None:
            calls.append(("waits for", n_clips))

    def before(folder: Path, config: suite.ClipConfig, n_clips: int, workers: int, show: object) -> None:
        calls.append(("before", folder.name, n_clips, config.is_validation))

    monkeypatch.setattr(suite, "RenderAhead", Ahead)
    monkeypatch.setattr(suite, "generate_clips", before)
    monkeypatch.setattr(suite.ClipSet, "open", lambda folder, n_clips: (folder.name, n_clips))
    return calls


def test_all_clips_are_rendered_before(told: list[tuple[object, ...]], tmp_path: Path) -> None:
    with TrainingData(replace(CONFIG, folder=str(tmp_path)), print) as data:
        assert told == [("before", "val", 64, True), ("before", "train", 128, False)]
        assert data.train_clips == ("train", 128)
    assert len(told) == 2


def test_the_rest_is_rendered_beside(told: list[tuple[object, ...]], tmp_path: Path) -> None:
    """What is there at a moment is drawn from, and the renderers end when the training does."""
    config = replace(CONFIG, folder=str(tmp_path), first_clips=64, render_workers=1)
    with TrainingData(config, print) as data:
        assert told[1:] == [("beside", "train", 128, 1, "cpu"), ("begins",), ("waits for", 64)]
        assert len(data.train_clips) == 0
        (tmp_path / "train" / "shard_00000").mkdir(parents=True)
        assert len(data.train_clips) == 64
        windows = data.batches(RecipePhase()).config
        assert (windows.wide_share, windows.seed) == (0.25, 4)
        assert ("ends",) not in told
    assert told[-1] == ("ends",)
