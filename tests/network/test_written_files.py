"""Files of weights: readable by others, and on the disk before they take the name of an older one."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from reloc_cases import base_network

from vgslam.errors import OutputError
from vgslam.network.lora import LoraConfig, add_lora, save_adapter
from vgslam.network.reloc.config import RelocConfig
from vgslam.network.reloc.network import build_reloc
from vgslam.network.weights import save
from vgslam_train.training.checkpoint import NAME, TrainingState, save_checkpoint
from vgslam_train.training.recipe import Recipe
from vgslam_train.training.reloc_file import save_reloc


def write_weights(folder: Path) -> Path:
    save(base_network(), folder / "w.safetensors", "Apache-2.0")
    return folder / "w.safetensors"


def write_adapter(folder: Path) -> Path:
    model, config = base_network(), LoraConfig(rank=2)
    add_lora(model, config)
    save_adapter(model, config, folder / "a.safetensors", "abc")
    return folder / "a.safetensors"


def write_reloc(folder: Path) -> Path:
    save_reloc(build_reloc(base_network(), RelocConfig()), folder / "r.safetensors", "a" * 64, "Apache-2.0")
    return folder / "r.safetensors"


def write_checkpoint(folder: Path) -> Path:
    model = torch.nn.Linear(2, 2)
    average = {k: v.clone() for k, v in model.state_dict().items()}
    save_checkpoint(TrainingState(model, average, torch.optim.SGD(model.parameters(), 0.1)), Recipe(), folder)
    return folder / NAME


WRITERS = pytest.mark.parametrize("write", [write_weights, write_adapter, write_reloc, write_checkpoint])


@WRITERS
def test_others_may_read_it(write: Callable[[Path], Path], tmp_path: Path) -> None:
    assert stat.S_IMODE(write(tmp_path).stat().st_mode) == 0o644


@WRITERS
def test_it_is_on_the_disk_before_it_has_its_name(
    write: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: dict[int, int] = {}
    seen: list[tuple[int | None, int]] = []
    fsync, replace = os.fsync, os.replace

    def noting_fsync(handle: int) -> None:
        fsync(handle)
        synced[os.fstat(handle).st_ino] = os.fstat(handle).st_size

    def noting_replace(source: str | Path, target: str | Path) -> None:
        there = os.stat(source)
        seen.append((synced.get(there.st_ino), there.st_size))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "replace", noting_replace)
    path = write(tmp_path)
    assert seen == [(path.stat().st_size, path.stat().st_size)]


@WRITERS
def test_missing_folders_are_made_and_nothing_else_is_left(write: Callable[[Path], Path], tmp_path: Path) -> None:
    path = write(tmp_path / "new" / "folder")
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@WRITERS
def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    write: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path)
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == before
