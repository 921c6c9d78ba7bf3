"""What the program brings may go into a product; what may not is an extra, and missed in one line."""

import json
import sys
from email.message import Message
from pathlib import Path

import pytest

from vgslam.commands.licences import LicensedPart, licence_of, part, parts
from vgslam.errors import EvaluationError


def test_nothing_that_always_comes_is_under_strong_copyleft() -> None:
    core = [p for p in parts() if not p.extra]
    assert {"numpy", "gtsam", "pycolmap", "av"} <= {p.name for p in core}
    assert [f"{p.name}: {p.licence}" for p in core if not p.is_free_for_products] == []


def test_evo_is_an_extra_and_named_as_what_it_is() -> None:
    evo = [p for p in parts() if p.name == "evo"]
    assert {p.extra for p in evo} == {"eval"}
    assert not any(p.is_free_for_products for p in evo)


@pytest.mark.parametrize(("licence", "is_free"), [
    ("GPL-3.0-or-later", False), ("GNU General Public License v2 (GPLv2)", False), ("AGPL-3.0", False),
    ("GNU Affero General Public License v3", False), ("CC-BY-NC-4.0", False), ("Non-commercial use only", False),
    ("LGPL-3.0", True), ("GNU Lesser General Public License v3 (LGPLv3)", True), ("MIT", True), ("BSD License", True),
    ("Apache-2.0 AND BSL-1.0", True), ("MPL-2.0", True),
])  # fmt: skip
def test_terms_that_reach_the_whole_product_are_told_from_others(licence: str, is_free: bool) -> None:
    assert LicensedPart("x", "1", licence, "").is_free_for_products is is_free


@pytest.mark.parametrize(("fields", "licence"), [
    ([("License-Expression", "MIT"), ("License", "other")], "MIT"),
    ([("Classifier", "License :: OSI Approved :: BSD License"), ("License", "words")], "BSD License"),
    ([("Classifier", "License :: OSI Approved"), ("License", "Zlib\nmore text")], "Zlib"),
    ([], "unknown"),
])  # fmt: skip
def test_the_most_exact_statement_counts(fields: list[tuple[str, str]], licence: str) -> None:
    about = Message()
    for name, value in fields:
        about[name] = value
    assert licence_of(about) == licence


def test_a_package_of_ros_says_its_licence_in_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = tmp_path / "ros_thing-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ros-thing\nVersion: 1.0\n")
    (about / "RECORD").write_text("share/thing/package.xml,,\n")
    (tmp_path / "share" / "thing").mkdir(parents=True)
    licences = '<license file="LICENSE">Apache License 2.0</license><license> MIT </license>'
    (tmp_path / "share" / "thing" / "package.xml").write_text(f"<package>{licences}</package>")
    monkeypatch.syspath_prepend(tmp_path)
    assert part("ros-thing").licence == "Apache License 2.0, MIT"


def test_the_doctor_lists_them_with_the_weights(vgslam) -> None:
    code, out, _ = vgslam("doctor", "--licences", "--json")
    listed = json.loads(out)
    assert code == 0
    assert any(p["name"] == "evo" and not p["is_free_for_products"] for p in listed["packages"])
    assert any("x264" in p["note"] for p in listed["packages"] if p["name"] == "av")
    assert any(w["name"].endswith("DA3-LARGE") and "non-commercial" in w["terms"] for w in listed["weights"])
    assert any(w["name"] == "vggt-s" and "Apache" in w["terms"] for w in listed["weights"])


@pytest.fixture
def without_evo(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n == "evo" or n.startswith("evo.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "evo", None)


@pytest.mark.usefixtures("without_evo")
def test_without_evo_eval_says_what_to_install(vgslam, tmp_path: Path) -> None:
    path = tmp_path / "t.tum"
    path.write_text("".join(f"{i} {i} {i * i} 0 0 0 0 1\n" for i in range(5)))
    code, _, err = vgslam("eval", path, path)
    assert code == 6
    assert "pip install 'vgslam[eval]'" in err
    assert "Traceback" not in err


@pytest.mark.usefixtures("without_evo")
def test_without_evo_a_run_is_kept_and_not_scored(vgslam, demo_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ("--calib", demo_folder / "calib.json", "--truth", demo_folder / "groundtruth.txt")
    code, _, err = vgslam("run", demo_folder, *words, "--network", "none", "--cores", 1, "--out", out)
    assert code == EvaluationError.exit_code, err
    report = json.loads((out / "report.json").read_text())
    assert (out / "trajectory.tum").stat().st_size > 0
    assert report["evaluation"] is None
    assert any(w.startswith("not scored: scoring needs evo") for w in report["warnings"])
