"""A lost package makes `make test` fail: skips are in order only where their reason is listed and true."""

import tomllib
from pathlib import Path

import expected_skips
import pytest
from expected_skips import failed_if_unexpected, is_expected


def report(longrepr: object, outcome: str = "skipped") -> pytest.TestReport:
    return pytest.TestReport("t.py::t", ("t.py", 1, "t"), {}, outcome, longrepr, "call")  # type: ignore[arg-type]


def test_material_outside_may_be_missing_but_not_looked_for_in_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expected_skips, "ROOT", tmp_path / "repository")
    (tmp_path / "repository").mkdir()
    reason = "the real sequences (../shared/data) are not here"
    assert is_expected(reason)
    assert is_expected("needs ../shared/data/loop.")
    (tmp_path / "shared" / "data").mkdir(parents=True)
    assert not is_expected(reason), "they are here"
    assert is_expected("needs ../shared/data/loop."), "this one is not"


def test_a_reason_must_be_listed_and_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected_skips, "EXPECTED", {"CUDA device": True, "a shell script": False})
    assert is_expected("no CUDA device here")
    assert not is_expected("the stand-in is a shell script")
    assert not is_expected("the viewer extra is not installed")
    assert not is_expected("could not import 'open3d': No module named 'open3d'")


def test_an_unexpected_skip_fails_and_nothing_else_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected_skips, "EXPECTED", {"CUDA device": True})
    lost = report(("t.py", 1, "Skipped: the viewer extra is not installed"))
    failed_if_unexpected(lost)
    assert lost.failed
    assert "the viewer extra is not installed" in str(lost.longrepr)
    in_order = report(("t.py", 1, "Skipped: no CUDA device here"))
    failed_if_unexpected(in_order)
    assert in_order.skipped
    passed = report(None, "passed")
    failed_if_unexpected(passed)
    assert passed.passed
    known = report("reason: a known defect")
    known.wasxfail = "a known defect"
    failed_if_unexpected(known)
    assert known.skipped


def test_the_test_runner_of_make_asks_for_it() -> None:
    makefile = (Path(__file__).resolve().parents[1] / "Makefile").read_text()
    assert "pytest -n 2 --strict-skips" in makefile
    assert ".[dev,all]" in makefile, "what the tests of the extras need is installed"
    extras = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text())["project"]
    (everything,) = extras["optional-dependencies"]["all"]
    assert everything == "vgslam[adapt,eval,fleet,mesh,network,train,viewer]"
    assert "vgslam[network,ros2]" in extras["optional-dependencies"]["dev"]
