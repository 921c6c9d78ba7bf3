"""A map remembers that it is metric and upright: on disk, through merges, and when components are joined."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from metric_scene import centres, curve, steps, true_centres, walk
from random_map import random_map

from vgslam.commands.map import MergeArgs, run_merge
from vgslam.errors import MapError
from vgslam.geometry import se3
from vgslam.geometry.sim3 import Sim3
from vgslam.map.slam_map import SlamMap
from vgslam.map.world import UNKNOWN, World
from vgslam.metric.fulfil import fulfil, read_request
from vgslam.metric.keep import move, remember, restore
from vgslam.store.arrays import SessionNames, fill, to_arrays
from vgslam.store.manifest import VERSION, Manifest, read_manifest
from vgslam.store.map_folder import MapFolder
from vgslam.store.merge import put_beside
from vgslam.store.open import load_map, migrate

METRIC = World(True, 0.01, True, 2.0)
S_JOINED = Sim3(se3.so3_exp(np.array([0.5, 0.2, -1.0])), np.array([5.0, -3.0, 2.0]), 0.21)


def test_worlds_are_saved_with_the_map_and_those_of_components_that_are_gone_are_not(tmp_path: Path) -> None:
    m = random_map(6)
    m.worlds = {1: METRIC, 7: METRIC}
    with MapFolder(tmp_path / "a.map") as folder:
        folder.save(m)
    assert load_map(tmp_path / "a.map").worlds == {1: METRIC}
    assert load_map(tmp_path / "a.map").world_of(0) == UNKNOWN
    assert read_manifest(tmp_path / "a.map").summary["metric_components"] == 1


def test_a_merge_keeps_the_worlds_of_both() -> None:
    a, b = random_map(6, seed=1), random_map(6, seed=2)
    a.worlds, b.worlds = {0: METRIC}, {1: World(True, 0.5)}
    put_beside(a, b)
    assert a.worlds == {0: METRIC, 3: World(True, 0.5)}


@pytest.mark.parametrize("metric_one", [0, 1])
def test_a_component_that_is_joined_to_a_metric_one_becomes_metric_whichever_is_older(metric_one: int) -> None:
    w = walk(curve())
    m = w.slam_map
    for k in range(8, 16):
        m.keyframes[k].component_id = 1
    m.worlds = {metric_one: METRIC}
    other = list(range(8)) if metric_one else list(range(8, 16))
    mine = [k for k in range(16) if k not in other]
    before = centres(w).copy()
    anchors = remember(m)
    for k in other:  # the other part has been found to lie elsewhere, and the metric one goes to where the older one is
        m.keyframes[k].component_id = 0
    for k in mine:
        m.keyframes[k].component_id = 0
    move(m, 0, S_JOINED)
    restore(m, anchors)
    assert m.worlds == {0: METRIC}
    np.testing.assert_allclose(centres(w), before, atol=1e-9)


def test_what_loops_moved_after_the_join_does_not_move_the_frame_of_reference() -> None:
    w = walk(curve())
    w.slam_map.worlds = {0: METRIC}
    anchors = remember(w.slam_map)
    before = centres(w).copy()
    for k in range(12, 16):
        S = w.slam_map.keyframes[k].S_world_keyframe
        w.slam_map.set_pose(k, Sim3(S.R, S.t + 0.5, S.s * 1.1))
    restore(w.slam_map, anchors)
    np.testing.assert_allclose(centres(w)[:12], before[:12], atol=0.02)


def test_a_component_that_stayed_is_not_touched_at_all() -> None:
    w = walk(curve())
    w.slam_map.worlds = {0: METRIC}
    anchors, before = remember(w.slam_map), centres(w).copy()
    restore(w.slam_map, anchors)
    np.testing.assert_array_equal(centres(w), before)


class _Joiner:
    """Finds that all of the second map belongs to the first, in whose frame it lies elsewhere and larger."""

    notes: list[str] = []  # noqa: RUF012

    def join(self, slam_map: SlamMap) -> int:
        move(slam_map, 1, S_JOINED)
        for k in slam_map.keyframes:
            k.component_id = 0
        return 1


@pytest.mark.parametrize("metric_one", [0, 1])
def test_a_merged_map_is_metric_if_one_of_the_two_was(tmp_path: Path, metric_one: int) -> None:
    maps = [walk(curve()).slam_map, walk(curve()).slam_map]
    maps[1].sessions = [replace(s, name="another walk") for s in maps[1].sessions]
    maps[metric_one].worlds = {0: METRIC}
    kept = maps[metric_one].centres(np.arange(16)).copy()
    for name, m in zip("ab", maps):
        with MapFolder(tmp_path / name) as folder:
            folder.save(m)
    assert run_merge(MergeArgs(tmp_path / "a", tmp_path / "b", tmp_path / "c"), _Joiner(), lambda a, b: []) == 0
    merged = load_map(tmp_path / "c")
    assert merged.worlds == {0: METRIC}
    np.testing.assert_allclose(merged.centres(np.arange(16) + 16 * metric_one), kept, atol=1e-9)


def test_map_scale_changes_the_map_on_disk_and_map_info_tells(vgslam, tmp_path: Path) -> None:
    w, path = walk(curve()), tmp_path / "w.map"
    with MapFolder(path) as folder:
        folder.save(w.slam_map)
    length = float(np.linalg.norm(np.diff(true_centres(w)[[0, 15]], axis=0)))
    code, out, _ = vgslam("map", "scale", path, "--scale-from", f"frames:0,30={length}", "--gravity", "upright")
    assert code == 0
    assert "1 map unit = 2.5 m" in out
    assert "z is up" in out
    m = load_map(path)
    np.testing.assert_allclose(steps(m.centres(np.arange(16))), steps(true_centres(w)), rtol=1e-6)
    assert "metres +- " in vgslam("map", "info", path)[1]
    [component] = json.loads(vgslam("map", "info", path, "--json")[1])["components"]
    assert component["is_metric"]
    assert component["is_upright"]
    assert asdict(m.world_of(0)).items() <= component.items()
    assert vgslam("map", "export", path, "--format", "tum", "--out", tmp_path / "t.tum")[0] == 0
    assert "# lengths are metres" in (tmp_path / "t.tum").read_text()


def test_what_map_scale_cannot_do_is_one_line_and_leaves_the_map(vgslam, tmp_path: Path) -> None:
    w, path = walk(curve()), tmp_path / "w.map"
    with MapFolder(path) as folder:
        folder.save(w.slam_map)
    before = (path / "manifest.json").read_bytes()
    for words, code, said in (
        (["--scale-from", "aruco:4X4_50:0.2"], 2, "no marker"), ([], 2, "nothing to do"),
        (["--scale-from", "depth"], 2, "depth:FOLDER"), (["--gravity", "upright", "--session", 4], 2, "no session 4"),
    ):  # fmt: skip
        found, _, err = vgslam("map", "scale", path, *words)
        assert found == code
        assert said in err
        assert len(err.strip().splitlines()) == 1
    assert (path / "manifest.json").read_bytes() == before
    assert vgslam("map", "scale", tmp_path / "none.map", "--gravity", "upright")[0] == MapError.exit_code


def test_scaling_twice_is_scaling_once() -> None:
    w = walk(curve())
    for _ in range(2):
        [found] = fulfil(w.slam_map, read_request("frames:0,30=2.0", None))
    assert found.metres_per_unit == pytest.approx(1.0)


def test_a_map_from_before_worlds_opens_in_map_units() -> None:
    arrays = {k: v for k, v in to_arrays(random_map(3)).items() if not k.startswith("world_")}
    manifest, arrays = migrate(Manifest(1, "vgslam", "now", "state", "", 0, version=3), arrays)
    m = SlamMap()
    fill(m, arrays, SessionNames(["a"], ["b"]))
    assert manifest.version == VERSION
    assert m.worlds == {}
    assert len(m.keyframes) == 3
