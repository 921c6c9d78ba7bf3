"""`--predictor`, which is called `--network` now, goes on working."""

from pathlib import Path

import pytest

from vgslam.cli import parse
from vgslam.commands.old_spellings import with_new_words
from vgslam.errors import ConfigError
from vgslam.network.options import NetworkOptions
from vgslam.network.weight_files import PACKAGED
from vgslam.session.network import open_network


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["--predictor", "sfm"], ["--network", "none"]), (["--predictor=sfm"], ["--network", "none"]),
        (["--predictor", "vggt"], ["--network", "vggt"]), (["--predictor=vggt"], ["--network", "vggt"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["run", "live", "config"])
def test_the_old_word_means_the_new_one_and_is_told_of_once(command: str, old: list[str], new: list[str]) -> None:
    said: list[str] = []
    assert with_new_words([command, "a.mp4", *old, "--stride", "2"], said.append) == [
        command, "a.mp4", *new, "--stride", "2",
    ]  # fmt: skip
    assert len(said) == 1
    assert " ".join(new) in said[0]
    assert with_new_words([command, *old, "--quiet"], said.append) == [command, *new, "--quiet"]
    assert len(said) == 1


def test_what_is_no_option_stays_as_it_is() -> None:
    said: list[str] = []
    for words in ([], ["eval", "--predictor", "sfm"], ["run", "--", "--predictor"], ["run", "--network", "none"]):
        assert with_new_words(words, said.append) == words
    assert said == []


@pytest.mark.parametrize("words", [["--predictor"], ["--predictor", "none"], ["--predictor="], ["--predictor=magic"]])
def test_an_old_option_that_is_not_understood_is_no_absent_one(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="expected one of sfm, vggt"):
        with_new_words(["run", "x", *words], print)


def test_both_spellings_choose_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["run", "x", "--predictor", "sfm"]) == parse(["run", "x", "--network", "none"])
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_old_word_is_not_in_the_help_and_not_in_the_settings(vgslam) -> None:
    for help_word in ("--help", "--help-all"):
        printed = vgslam("run", help_word)[1]
        assert "--network" in printed
        assert "--predictor" not in printed
    code, out, err = vgslam("config", "--predictor", "sfm")
    assert code == 0
    assert "network: none" in out
    assert "predictor:" not in out
    assert len(err.splitlines()) == 1


def test_a_network_that_there_is_none_of_is_one_line(sequence: Path, vgslam) -> None:
    code, _, err = vgslam.run(sequence, "--network", "magic")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "magic" in err
    assert "vggt" in err


def test_the_old_word_for_no_network_behind_the_new_option_is_told_the_new_word(sequence: Path, vgslam) -> None:
    code, _, err = vgslam.run(sequence, "--network", "sfm")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "--network none" in err


@pytest.mark.parametrize("words", [["--predictor", "sfm", "--network", "vggt"], ["--network=none", "--predictor=sfm"]])
def test_old_and_new_beside_each_other_are_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="leave --predictor out"):
        with_new_words(["run", "video.mp4", *words], print)
    kept = with_new_words(["run", "video.mp4", "--network", "none", "--", "--predictor"], print)
    assert kept[-1] == "--predictor", "what stands behind -- is no option"


def test_weights_without_a_network_are_refused() -> None:
    with pytest.raises(ConfigError, match="add --network vggt"):
        open_network(NetworkOptions(weights="vggt-s2"), print)
    assert open_network(NetworkOptions(), print) is None


@pytest.mark.parametrize("name", PACKAGED)
def test_weights_of_the_package_are_networks_by_name(name: str) -> None:
    network = open_network(NetworkOptions(name), lambda line: None)
    assert network is not None
    assert network.model_id.startswith(f"vggt:{name}@")
    assert network.can_learn
    same = open_network(NetworkOptions(name, weights=name), lambda line: None)
    assert same is not None
    assert same.model_id == network.model_id
    with pytest.raises(ConfigError, match="leave one of them out"):
        open_network(NetworkOptions(name, weights="random"), print)
