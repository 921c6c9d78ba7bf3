"""Settings from YAML: strict, nested, and written back as they were read."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vgslam.config import read_yaml, to_plain, to_yaml
from vgslam.errors import ConfigError
from vgslam.slam import SlamConfig


@dataclass(frozen=True)
class Inner:
    count: int = 3
    ratio: float = 0.5


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    name: str = "x"
    is_on: bool = False
    out: Path | None = None
    fallback: str | None = None


@pytest.fixture
def write(tmp_path: Path):
    def to_file(text: str) -> Path:
        path = tmp_path / "settings.yaml"
        path.write_text(text)
        return path

    return to_file


def test_values_replace_defaults_and_leave_the_rest(write) -> None:
    found = read_yaml(write("inner:\n  ratio: 0.25\nis_on: true\n"), Outer(name="kept"))
    assert found == Outer(Inner(3, 0.25), "kept", True)


def test_the_default_is_not_changed(write) -> None:
    default = Outer()
    read_yaml(write("inner: {count: 9}\nname: y"), default)
    assert default == Outer()


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
def test_an_empty_file_changes_nothing(write, text: str) -> None:
    assert read_yaml(write(text), Outer(name="kept")) == Outer(name="kept")


def test_a_whole_number_is_a_number(write) -> None:
    found = read_yaml(write("inner: {ratio: 2}"), Outer())
    assert found.inner.ratio == 2.0
    assert isinstance(found.inner.ratio, float)


def test_what_has_no_default_takes_any_value(write) -> None:
    assert read_yaml(write("fallback: abc"), Outer()).fallback == "abc"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nmae: y", "'nmae'"),
        ("inner: {cuont: 1}", "'cuont'"),
        ("inner: {count: 1.5}", "count"),
        ("inner: {count: many}", "count"),
        ("inner: {ratio: high}", "ratio"),
        ("inner: {ratio: true}", "ratio"),
        ("inner: {count: true}", "count"),
        ("inner: {count: null}", "count"),
        ("is_on: 1", "is_on"),
        ("is_on: 'yes'", "is_on"),
        ("name: 5", "name"),
        ("name: [a]", "name"),
        ("inner: 5", "inner"),
        ("inner: null", "inner"),
        ("- a\n- b", "settings by name"),
        ("just text", "settings by name"),
        ("inner: {count: 1", "not YAML"),
        ("a: b: c", "not YAML"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_that_names_it(write, text: str, words: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path, Outer())
    message = str(caught.value)
    assert words in message
    assert path.name in message
    assert "\n" not in message


def test_an_unknown_setting_comes_with_the_known_ones(write) -> None:
    with pytest.raises(ConfigError, match="count, ratio"):
        read_yaml(write("inner: {cuont: 1}"), Outer())


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.yaml: cannot be read \(No such file or directory\); give a YAML file"):
        read_yaml(tmp_path / "none.yaml", Outer())
    with pytest.raises(ConfigError):
        read_yaml(tmp_path, Outer())
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ConfigError):
        read_yaml(binary, Outer())


def test_no_objects_are_made_from_yaml(write, tmp_path: Path) -> None:
    target = tmp_path / "made"
    path = write(f"name: !!python/object/apply:os.mkdir [{target}]")
    with pytest.raises(ConfigError, match="not YAML"):
        read_yaml(path, Outer())
    assert not target.exists()


settings = st.builds(
    Outer, st.builds(Inner, st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])), st.booleans(),
)  # fmt: skip


@given(settings)
def test_written_and_read_is_equal(tmp_path_factory: pytest.TempPathFactory, value: Outer) -> None:
    path = tmp_path_factory.mktemp("settings") / "s.yaml"
    path.write_text(to_yaml(value))
    assert read_yaml(path, Outer()) == value


def test_all_settings_of_the_main_loop_are_written_and_read(write) -> None:
    config = SlamConfig()
    changed = replace(
        config, patience=9, mapper=replace(config.mapper, window=5, huber_px=2.25),
        tracker=replace(config.tracker, features=replace(config.tracker.features, max_features=123)),
    )  # fmt: skip
    path = write(to_yaml(changed))
    assert read_yaml(path, SlamConfig()) == changed
    assert read_yaml(path, SlamConfig()) != SlamConfig()
    assert yaml.safe_load(to_yaml(changed))["tracker"]["features"]["max_features"] == 123


def test_plain_data_of_settings() -> None:
    assert to_plain(Outer(out=Path("a/b"))) == {
        "inner": {"count": 3, "ratio": 0.5}, "name": "x", "is_on": False, "out": "a/b", "fallback": None,
    }  # fmt: skip
    assert to_plain([(1, 2), Inner()]) == [[1, 2], {"count": 3, "ratio": 0.5}]


@dataclass(frozen=True)
class Listed:
    pair: tuple[float, int] = (0.5, 3)
    any_number: tuple[int, ...] = (1, 2)


def test_a_list_of_fixed_length_has_its_length_and_its_kinds(write) -> None:
    assert read_yaml(write("pair: [2, 4]"), Listed()) == Listed((2.0, 4))
    assert isinstance(read_yaml(write("pair: [2, 4]"), Listed()).pair[0], float)
    assert read_yaml(write("any_number: [1, 2, 3]"), Listed()) == Listed(any_number=(1, 2, 3))
    for text in ("[1]", "[1, 2, 3]", "1", "[1, x]", "[.5, .5]", "[true, 1]", "[[1], 2]", "null", "{1: 2}"):
        with pytest.raises(ConfigError, match=r"settings\.yaml: pair"):
            read_yaml(write(f"pair: {text}"), Listed())
