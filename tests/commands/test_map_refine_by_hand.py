"""`vgslam map refine` without a solver: what it is told, what is saved, and where."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from random_map import assert_same_map, random_map

from vgslam.commands import map as map_command
from vgslam.map.slam_map import SlamMap
from vgslam.refine.adjust import RefineConfig
from vgslam.refine.outcome import RefineOutcome
from vgslam.store.map_folder import MapFolder
from vgslam.store.open import load_map


@dataclass
class Solver:
    """Stands in for `refine_map`: leaves out the map's edges, so that a saved one can be told."""

    outcome: RefineOutcome = field(default_factory=RefineOutcome)
    settings: list[RefineConfig] = field(default_factory=list)

    def __call__(self, m: SlamMap, config: RefineConfig, watch: Any) -> RefineOutcome:
        self.settings.append(config)
        m.edges.clear()
        return self.outcome


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with MapFolder(tmp_path / "a.vgslam") as folder:
        folder.save(random_map(3, 0))
    return tmp_path / "a.vgslam"


def is_adjusted(path: Path) -> bool:
    return not load_map(path).edges


def test_a_map_is_replaced_or_another_written(
    path: Path, tmp_path: Path, vgslam, monkeypatch: pytest.MonkeyPatch
) -> None:
    solver = Solver()
    monkeypatch.setattr(map_command, "refine_map", solver)
    out = tmp_path / "b.vgslam"
    assert vgslam("map", "refine", path, "-o", out, "--seconds", "7", "--fixed-calib")[0] == 0
    assert is_adjusted(out)
    assert not is_adjusted(path)
    assert (solver.settings[0].seconds, solver.settings[0].is_calibration_fixed) == (7.0, True)
    code, said, _ = vgslam("map", "refine", path, "--json")
    assert code == 0
    assert json.loads(said)["map"] == str(path)
    assert is_adjusted(path)
    assert not solver.settings[1].is_calibration_fixed


def test_a_map_that_is_there_is_not_replaced_by_another(
    path: Path, tmp_path: Path, vgslam, monkeypatch: pytest.MonkeyPatch
) -> None:
    solver = Solver()
    monkeypatch.setattr(map_command, "refine_map", solver)
    out = tmp_path / "b.vgslam"
    with MapFolder(out) as folder:
        folder.save(random_map(4, 1))
    code, _, err = vgslam("map", "refine", path, "--out", out)
    assert (code, err) == (3, f"vgslam: {out}: there is a map already; name a new folder with -o\n")
    assert solver.settings == []
    assert_same_map(load_map(out), random_map(4, 1))


def test_ctrl_c_ends_with_130_and_leaves_the_map_as_it_was(path: Path, vgslam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_command, "refine_map", Solver(RefineOutcome(is_interrupted=True)))
    code, out, err = vgslam("map", "refine", path)
    assert (code, out) == (130, "")
    assert err == "interrupted; the map is as it was\n"
    assert_same_map(load_map(path), random_map(3, 0))


def test_an_ending_that_no_map_can_be_written_to_is_refused_before_the_map_is_read(tmp_path: Path, vgslam) -> None:
    code, _, err = vgslam("map", "export", tmp_path / "none", "--format", "gltf", "-o", tmp_path / "x.obj")
    assert code == 2
    assert "x.obj" in err


def test_what_a_killed_save_left_is_told_and_is_no_fault(path: Path, vgslam) -> None:
    assert "file(s) of a save" not in vgslam("map", "check", path)[1]
    (path / "state-000002-0000.safetensors").write_bytes(b"half")
    code, out, _ = vgslam("map", "check", path)
    assert code == 0
    assert "1 file(s) of a save that was killed; the next save removes them" in out
