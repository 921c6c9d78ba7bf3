"""Settings that `vgslam config` prints and `--config` reads, without the program around them."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import tyro
import yaml

from vgslam.commands.config import (
    NO_PATH,
    ConfigArgs,
    commented_yaml,
    run_config,
    run_defaults,
)
from vgslam.commands.run import RunArgs
from vgslam.config import names_in_yaml
from vgslam.errors import ConfigError
from vgslam.frontend.tracker import TrackerConfig
from vgslam.slam import SlamConfig


@dataclass
class Inner:
    out: int = 4
    """How far out."""


@dataclass
class Outer:
    out: str = "here"
    """Where to."""
    inner: Inner = field(default_factory=Inner)
    """What is in it."""
    word: str | None = None
    """A word. It may be left out."""


def test_each_setting_stands_under_its_sentence_and_what_is_within_is_further_in() -> None:
    assert commented_yaml(Outer(), ("out",)) == (
        "# What is in it.\ninner:\n  # How far out.\n  out: 4\n# A word. It may be left out.\nword: null\n"
    ), "what is left out is so at the top alone"


def read(tmp_path: Path, text: str) -> RunArgs:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    return run_defaults(file)


def test_a_file_of_run_gives_what_it_names_and_leaves_what_belongs_to_one_run(tmp_path: Path) -> None:
    of_one_run = "path: some/film.mp4\nout: there\noverwrite: true\nquiet: true\n"
    found = read(tmp_path, of_one_run + "stride: 3\nslam: {patience: 7}\ncalib: c.json\n")
    assert (found.path, found.stride, found.slam.patience) == (Path("some/film.mp4"), 3, 7)
    assert (found.out, found.overwrite, found.quiet) == (None, False, False)
    assert found.calib == Path("c.json")
    assert read(tmp_path, "stride: 3\n").path is tyro.MISSING, "it is to be given"
    assert run_defaults(None).path is tyro.MISSING


def test_a_file_of_the_system_alone_gives_its_settings(tmp_path: Path) -> None:
    found = read(tmp_path, "patience: 7\ntracker: {gate: 4}\n")
    assert found.slam == SlamConfig(tracker=TrackerConfig(gate=4.0), patience=7)
    assert found.stride == 1


@pytest.mark.parametrize(("text", "name", "expected"), [
    ("fps: 12", "fps", 12.0), ("fps: null", "fps", None), ("max_frames: 9", "max_frames", 9),
    ("mask: m.png", "mask", Path("m.png")), ("save_depth: npz", "save_depth", "npz"),
    ("save_depth: null", "save_depth", None), ("realtime: true", "realtime", True), ("topic: /cam", "topic", "/cam"),
])  # fmt: skip
def test_values_have_the_type_of_their_setting(tmp_path: Path, text: str, name: str, expected: object) -> None:
    found = getattr(read(tmp_path, text), name)
    assert found == expected
    assert type(found) is type(expected) or isinstance(expected, Path)


@pytest.mark.parametrize(("text", "said"), [
    ("fps: true", "fps: expected float, got True"), ("fps: fast", "fps: expected float, got 'fast'"),
    ("max_frames: 2.5", "max_frames: expected int, got 2.5"), ("stride: true", "stride: expected int, got True"),
    ("topic: 4", "topic: expected str, got 4"), ("calib: [a]", r"calib: expected Path, got \['a'\]"),
    ("save_depth: jpg", "save_depth: expected one of png, npz, exr, got 'jpg'"),
    ("realtime: 1", "realtime: expected bool, got 1"),
])  # fmt: skip
def test_values_of_another_type_are_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"c\.yaml: {said}"):
        read(tmp_path, text)


def test_the_names_in_a_file_are_told_and_none_of_one_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("stride: 2\nslam: {patience: 3}\n")
    assert names_in_yaml(file) == {"stride", "slam"}
    for text in ("[1, 2]", "a: [", ""):
        file.write_text(text)
        assert names_in_yaml(file) == frozenset()
    assert names_in_yaml(tmp_path / "none.yaml") == names_in_yaml(tmp_path) == names_in_yaml(None) == frozenset()


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("path", [NO_PATH, Path("film.mp4")])
def test_what_is_printed_is_what_a_file_may_hold(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, path: Path, as_json: bool
) -> None:
    args = ConfigArgs(path=path, stride=3, out=Path("there"), quiet=True, json=as_json)
    assert run_config(args) == 0
    printed = capsys.readouterr().out
    settings = yaml.safe_load(printed)
    assert printed.startswith("{") == as_json
    assert not {"out", "overwrite", "config", "quiet", "viewer", "poses", "json"} & set(settings)
    assert settings.get("path") == (None if path == NO_PATH else "film.mp4")
    assert read(tmp_path, printed).stride == 3
