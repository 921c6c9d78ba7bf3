"""JSON, YAML and XML within limits: each from both sides, and through the readers of the program."""

from pathlib import Path

import pytest

from vgslam.config import read_yaml
from vgslam.errors import CalibrationError, ConfigError, InputError, MapError, WeightsError
from vgslam.guards import documents
from vgslam.guards.documents import DocumentError, parse_json, parse_xml, parse_yaml
from vgslam.network.lora import stored_config
from vgslam.network.reloc.config import RelocConfig
from vgslam.network.weight_files import check_safetensors, find_files
from vgslam.results.page.run_data import read_run_data
from vgslam.results.report import RunReport
from vgslam.sources.calibration import read_calibration
from vgslam.store.manifest import read_manifest


def laughs(levels: int, width: int = 10) -> str:
    """References that stand for width ** levels values."""
    rows = ["a0: &a0 [" + ", ".join(["x"] * width) + "]"]
    return "\n".join(rows + [f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * width) + "]" for i in range(1, levels)])


DEEP = documents.MOST_LEVELS


class TestNamedTwice:
    @pytest.mark.parametrize("text", ['{"a": 1, "b": {"x": 1, "x": 2}}', '{"a": 1, "a": [1]}'])
    def test_of_two_values_none_is_taken(self, text: str) -> None:
        for parse in (parse_json, parse_yaml):
            with pytest.raises(DocumentError, match="twice, with different values"):
                parse(text)

    def test_the_same_twice_is_one(self) -> None:
        assert parse_json('{"a": 1, "a": 1}') == parse_yaml("a: 1\na: 1") == {"a": 1}

    def test_what_a_merged_mapping_holds_may_be_said_anew(self) -> None:
        text = "b: &b {x: 1, y: 2}\nc: {<<: *b, x: 3}\nd: {<<: *b, <<: {z: 1}}"
        assert parse_yaml(text)["c"] == {"x": 3, "y": 2}

    def test_no_number_is_one(self) -> None:
        assert list(parse_json('{"a": NaN}')) == ["a"]


class TestYaml:
    def test_references_count_as_what_they_stand_for(self) -> None:
        assert len(parse_yaml(laughs(4))["a3"]) == 10  # 11,110 values
        with pytest.raises(DocumentError, match="more than 50000 values"):
            parse_yaml(laughs(5))

    def test_merged_mappings_count_too(self) -> None:
        rows = ["a0: &a0 {x: 1}"]
        rows += [f"a{i}: &a{i}\n  <<: [" + ", ".join([f"*a{i - 1}"] * 9) + "]" for i in range(1, 9)]
        with pytest.raises(DocumentError, match="more than 50000 values"):
            parse_yaml("\n".join(rows))

    def test_a_reference_within_itself(self) -> None:
        with pytest.raises(DocumentError, match="within itself"):
            parse_yaml("a: &a [1, *a]")

    def test_a_reference_is_read(self) -> None:
        assert parse_yaml("a: &a {x: 1}\nb: *a\nc:\n  <<: *a\n  y: 2") == {
            "a": {"x": 1},
            "b": {"x": 1},
            "c": {"x": 1, "y": 2},
        }

    @pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 5000, "- " * 5000, "? " * 5000])
    def test_depth(self, text: str) -> None:
        with pytest.raises(DocumentError, match="levels deep"):
            parse_yaml(text)

    def test_depth_from_both_sides(self) -> None:
        assert parse_yaml("[" * (DEEP - 1) + "]" * (DEEP - 1)) is not None
        with pytest.raises(DocumentError, match="levels deep"):
            parse_yaml("[" * (DEEP + 1) + "]" * (DEEP + 1))

    @pytest.mark.parametrize(
        "text", ["a: " + "1" * 301, "a: 1" + ":1" * 400, "a: 2001-99-99", "a: !!python/name:os.system", "a: \x01"]
    )
    def test_what_constructors_choke_on(self, text: str) -> None:
        with pytest.raises(DocumentError):
            parse_yaml(text)

    def test_length(self) -> None:
        with pytest.raises(DocumentError, match="longer than 1 MiB"):
            parse_yaml("#" * (documents.MOST_YAML_BYTES + 1))


class TestJson:
    def test_depth_from_both_sides(self) -> None:
        assert parse_json("[" * DEEP + "]" * DEEP) is not None
        for text in ("[" * (DEEP + 1) + "]" * (DEEP + 1), "[" * 200_000, '{"a":' * 200_000):
            with pytest.raises(DocumentError, match="levels deep"):
                parse_json(text)

    def test_long_whole_numbers_are_no_numbers_that_fit(self) -> None:
        assert parse_json("1" * 300) == int("1" * 300)
        assert parse_json("1" * 5000) == float("inf")

    def test_length(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("[1]" + " " * 97)
        assert documents.read_json(tmp_path / "a", 100) == [1]
        with pytest.raises(DocumentError, match="larger than"):
            documents.read_json(tmp_path / "a", 99)


class TestXml:
    def test_entities_are_refused(self) -> None:
        with pytest.raises(DocumentError, match="document type"):
            parse_xml('<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>')

    def test_depth_and_damage(self) -> None:
        with pytest.raises(DocumentError, match="levels deep"):
            parse_xml("<a>" * 100_000)
        with pytest.raises(DocumentError, match="not XML"):
            parse_xml("<opencv_storage><a>1</b></opencv_storage>")

    def test_values(self) -> None:
        text = '<opencv_storage><n>5</n><s>"a b"</s><l>1 2.5</l><q><_>1</_><_>2</_></q><e></e></opencv_storage>'
        assert parse_xml(text) == {"n": 5.0, "s": "a b", "l": [1.0, 2.5], "q": [1.0, 2.0], "e": None}


BOMBS = {"laughs": laughs(9), "deep": "[" * 100_000, "deep mappings": '{"a":' * 50_000}


@pytest.mark.parametrize("bomb", BOMBS)
def test_every_reader_refuses_bombs_in_its_own_words(bomb: str, tmp_path: Path) -> None:
    text = BOMBS[bomb]
    for name in ("config.yaml", "calib.json", "calib.yaml", "report.json", "manifest.json", "m.safetensors.index.json"):
        (tmp_path / name).write_text(text)
    header = text.encode() if text.startswith("{") else b'{"__metadata__":' + text.encode() + b"}"
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    for reader, kind in (
        (lambda: read_yaml(tmp_path / "config.yaml", RelocConfig()), ConfigError),
        (lambda: read_calibration(tmp_path / "calib.json"), CalibrationError),
        (lambda: read_calibration(tmp_path / "calib.yaml"), CalibrationError),
        (lambda: RunReport.read(tmp_path / "report.json"), InputError),
        (lambda: read_run_data(tmp_path), InputError),
        (lambda: read_manifest(tmp_path), MapError),
        (lambda: check_safetensors(tmp_path / "a.safetensors"), WeightsError),
        (lambda: stored_config(tmp_path / "a.safetensors"), WeightsError),
        (lambda: find_files(tmp_path), WeightsError),
        (lambda: RelocConfig.from_json(text), (DocumentError, ConfigError)),
    ):
        with pytest.raises(kind):
            reader()


def test_a_header_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.safetensors").open("wb") as file:
        file.write((2**32).to_bytes(8, "little") + b"{")
        file.truncate(2**32 + 100)  # a hole on the disk
    with pytest.raises(WeightsError, match="header of 4294967296 bytes"):
        check_safetensors(tmp_path / "a.safetensors")
