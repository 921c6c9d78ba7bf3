"""What is shown of licences before a network is opened, once; what files say of themselves, and what they do not."""

from dataclasses import replace
from pathlib import Path

import pytest
from da3_tiny import DA3_TINY
from safetensors.torch import load_file, save_file

from vgslam.errors import ConfigError
from vgslam.network.config import VGGT_TINY
from vgslam.network.da3.loading import save as save_da3
from vgslam.network.da3.network import random_network
from vgslam.network.licence import APACHE_2, CC_BY_NC_4, RANDOM
from vgslam.network.options import NetworkOptions
from vgslam.network.preflight import check
from vgslam.network.vggt import build
from vgslam.network.weight_files import read_header
from vgslam.network.weights import save


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is shown; the user's cache folder is an empty one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return []


def test_random_weights_say_that_they_are_each_time(said: list[str]) -> None:
    for _ in range(2):
        info = check(NetworkOptions("vggt", "random:3"), said.append)
        assert info is not None
        assert info.is_random
        assert info.architecture == "vggt"
    assert said == [RANDOM.terms] * 2


def test_the_terms_of_weights_are_shown_once(tmp_path: Path, said: list[str]) -> None:
    path = tmp_path / "mine.safetensors"
    save(build(VGGT_TINY, 0), path, "Apache-2.0")
    for _ in range(2):
        info = check(NetworkOptions("vggt", str(path)), said.append)
        assert info is not None
        assert not info.is_random
    assert said == [APACHE_2.terms]


def test_a_file_that_does_not_name_its_structure_has_to_be_opened(tmp_path: Path, said: list[str]) -> None:
    path = tmp_path / "mine.safetensors"
    save(build(VGGT_TINY, 0), path, "Apache-2.0")
    about = {k: v for k, v in read_header(path).metadata.items() if k != "vgslam.architecture"}
    assert "vgslam.config" in about
    save_file(load_file(path), path, metadata=about)
    assert check(NetworkOptions("vggt", str(path)), said.append) is None
    assert said == []


def test_the_weights_of_a_licence_have_to_be_accepted_random_or_not(said: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"--accept-licence CC-BY-NC-4\.0"):
        check(NetworkOptions("da3-large", "random"), said.append)
    info = check(NetworkOptions("da3-large", "random", accepted_licence=CC_BY_NC_4.name), said.append)
    assert info is not None
    assert info.architecture == "da3-large"


def test_a_file_may_be_of_another_licence_than_the_name_that_was_given(tmp_path: Path, said: list[str]) -> None:
    path = tmp_path / "model.safetensors"
    save_da3(random_network(replace(DA3_TINY, name="da3-giant"), 2), path, "CC-BY-NC-4.0")
    wanted = NetworkOptions("da3-small", str(path))
    with pytest.raises(ConfigError, match=r"da3-giant is under CC BY-NC 4\.0"):
        check(wanted, said.append)
    assert check(replace(wanted, accepted_licence=CC_BY_NC_4.name), said.append) is not None


def test_a_file_of_another_published_structure_has_to_be_opened(tmp_path: Path, said: list[str]) -> None:
    """It says what it is: not what was asked for, which is for whoever opens it to say."""
    path = tmp_path / "model.safetensors"
    save_da3(random_network(replace(DA3_TINY, name="da3-base"), 2), path, "Apache-2.0")
    assert check(NetworkOptions("da3-small", str(path)), said.append) is None
    assert check(NetworkOptions("da3-base", str(path)), said.append) is not None
