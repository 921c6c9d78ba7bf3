"""What is said of a network before it is opened: without torch, and nothing that is wrong is let through."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from da3_tiny import DA3_TINY
from waiting import HANG_S

from vgslam.errors import ConfigError, WeightsError
from vgslam.network.config import VGGT_TINY
from vgslam.network.da3.loading import save as save_da3
from vgslam.network.da3.network import random_network
from vgslam.network.options import NetworkOptions
from vgslam.network.preflight import check
from vgslam.network.vggt import build
from vgslam.network.weight_files import packaged
from vgslam.network.weights import load, save

SMALL = NetworkOptions("vggt", "vggt-s")


def said_of(wanted: NetworkOptions) -> tuple[object, list[str]]:
    said: list[str] = []
    return check(wanted, said.append), said


@pytest.mark.parametrize("name", ["vggt-s", "vggt-s2"])
def test_it_says_of_the_packages_weights_what_loading_them_says(name: str) -> None:
    info, _ = said_of(replace(SMALL, weights=name))
    assert info == load(name).info


def test_it_loads_no_torch() -> None:
    code = (
        "import sys; from vgslam.network.options import NetworkOptions; from vgslam.network.preflight import check; "
        "assert check(NetworkOptions('vggt', 'vggt-s'), print); "
        "assert check(NetworkOptions('vggt', 'random'), print).is_random; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=HANG_S).returncode == 0


@pytest.mark.parametrize(
    "change",
    [{"device": "cuda"}, {"precision": "fp16"}, {"precision": "bf16"}, {"readout": "solver"}, {"name": "magic"},
     {"weights": "magic:weights"}],
)  # fmt: skip
def test_what_only_opening_tells_is_left_to_it(change: dict[str, str]) -> None:
    assert said_of(replace(SMALL, **change))[0] is None


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"size_px": 252}, ConfigError, "Depth-Anything-3 only"),
        ({"gpu_memory": "lots"}, ConfigError, "lots"),
        ({"weights": "nowhere.safetensors"}, WeightsError, "no such file"),
        ({"weights": "random:x"}, WeightsError, "random:SEED"),
        ({"name": "da3-large", "weights": ""}, ConfigError, "--accept-licence"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(change: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as raised:
        said_of(replace(SMALL, **change))
    assert "\n" not in str(raised.value)


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    own = packaged("vggt-s")
    assert own is not None
    (tmp_path / "half.safetensors").write_bytes(own.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="incomplete"):
        said_of(replace(SMALL, weights=str(tmp_path / "half.safetensors")))


def test_a_file_that_says_what_it_is_need_not_be_opened_others_must(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save(build(VGGT_TINY, 0), path, "Apache-2.0")
    info, said = said_of(replace(SMALL, weights=str(path)))
    assert info == load(str(path)).info
    assert len(said) <= 1
    torch.save({"a": torch.zeros(1)}, tmp_path / "mine.pt")
    assert said_of(replace(SMALL, weights=str(tmp_path / "mine.pt")))[0] is None


def test_the_kind_of_the_weights_has_to_be_the_one_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "da3" / "model.safetensors"
    save_da3(random_network(DA3_TINY, 2), path, "Apache-2.0")
    info, _ = said_of(NetworkOptions("da3-small", str(path.parent)))
    assert info is not None
    own = packaged("vggt-s")
    assert own is not None
    shutil.copy(own, path)
    with pytest.raises(WeightsError, match="'vggt' and not of Depth-Anything-3"):
        said_of(NetworkOptions("da3-small", str(path.parent)))
