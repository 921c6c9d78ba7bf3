"""`vgslam run --network da3-small`: with a file, without a network, and with weights that must not be used."""

from pathlib import Path

import pytest
from da3_tiny import DA3_TINY

from vgslam.errors import ConfigError, WeightsNotFoundError
from vgslam.network.da3.loading import save
from vgslam.network.da3.network import random_network
from vgslam.network.options import NetworkOptions
from vgslam.session.network import open_network


def test_a_file_of_weights_guides_a_run(sequence: Path, vgslam, tmp_path: Path) -> None:
    save(random_network(DA3_TINY, 2), tmp_path / "weights" / "model.safetensors", "Apache-2.0")
    words = ("--network", "da3-small", "--weights", tmp_path / "weights", "--network-size", 112, "--device", "cpu")
    code, _, err = vgslam.run(sequence, "--max-frames", 16, *words, "--vggt.dense-depth")
    assert code == 0, err
    report = vgslam.report()
    assert report["weights"]["licence"] == "Apache-2.0"
    assert report["weights"]["poses_from"] == "head"
    assert report["model_id"].startswith("da3-tiny:weights@")
    assert report["network"]["asked"]["depth"]["asked"] > 0
    assert len(vgslam.statuses()) == report["n_frames"]


def test_without_a_network_it_says_what_to_fetch(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsNotFoundError, match=r"fetch model\.safetensors \(542 MB\) and") as no:
        open_network(NetworkOptions("da3-base", device="cpu"), print)
    assert no.value.exit_code == 5


def test_non_commercial_weights_have_to_be_accepted(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"add --accept-licence CC-BY-NC-4\.0"):
        open_network(NetworkOptions("da3-large", device="cpu"), print)
    with pytest.raises(WeightsNotFoundError, match="DA3-LARGE"):
        open_network(NetworkOptions("da3-large", device="cpu", accepted_licence="CC-BY-NC-4.0"), print)


def test_a_network_of_another_kind_cannot_adapt(sequence: Path, vgslam, tmp_path: Path) -> None:
    save(random_network(DA3_TINY, 2), tmp_path / "weights" / "model.safetensors", "Apache-2.0")
    words = ("--network", "da3-small", "--weights", tmp_path / "weights", "--adapt", "sync")
    code, _, err = vgslam.run(sequence, "--max-frames", 4, *words)
    assert code == 2
    assert "cannot learn" in err
