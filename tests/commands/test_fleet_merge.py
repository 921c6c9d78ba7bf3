"""`vgslam fleet merge`: maps of one place become one, that of another stays apart."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from fleet.walks import FRAMES, saved, walk
from program import DEMO
from synthetic import CAMERA, pose, render, room

from vgslam.store.map_folder import check_map
from vgslam.store.open import load_map

OPTIONS = "--run-options=--network none --no-refine"


def call(*words: object) -> int:
    from vgslam.cli import main

    return main([str(w) for w in ("fleet", *words)])


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A walk through another room, as a folder of images with a calibration."""
    folder = tmp_path / "elsewhere"
    (folder / "images").mkdir(parents=True)
    for i in range(40):
        T = pose((0.0, -1.0 * i / 8, 0.0), (0.06 * i, 0.0, 0.0))
        cv2.imwrite(str(folder / "images" / f"{i:03d}.png"), render(room(), CAMERA, T)[0][..., ::-1])
    c = CAMERA
    calib = {"width": c.width, "height": c.height, "fx": c.fx, "fy": c.fy, "cx": c.cx, "cy": c.cy, "distortion": []}
    (folder / "calib.json").write_text(json.dumps(calib))
    return folder


@pytest.mark.slow
def test_two_walks_through_one_room_become_one_map_and_another_stays_apart(tmp_path: Path, elsewhere: Path) -> None:
    demo, calib = DEMO / "demo.mp4", DEMO / "calib.json"
    rows = [f"{demo},first,{calib},0,80", f"{demo},second,{calib},41,80", f"{elsewhere},other,,0,40"]
    (tmp_path / "list.csv").write_text("path,name,calib,start,max_frames\n" + "\n".join(rows) + "\n")
    assert call("map", tmp_path / "list.csv", "--out", tmp_path / "maps", OPTIONS, "--jobs", 1) == 0
    assert call("merge", tmp_path / "maps", "--out", tmp_path / "merged", "--jobs", 1) == 0
    report = json.loads((tmp_path / "merged" / "merge.json").read_text())
    [group] = report["merged"]
    assert sorted(Path(p).parent.name.split("-")[0] for p in group["of"]) == ["first", "second"]
    assert [Path(x["map"]).parent.name.split("-")[0] for x in report["apart"]] == ["other"]
    assert check_map(Path(group["map"])).problems == []
    m = load_map(Path(group["map"]))
    assert len({k.component_id for k in m.keyframes}) == 1
    a, b = (m.trajectory(i) for i in (0, 1))
    both = min(len(a), len(b)) - 41  # frame 41 + i of the first is frame i of the second
    first, second = a.T_world_cam[41 : 41 + both, :3, 3], b.T_world_cam[:both, :3, 3]
    assert np.linalg.norm(first - second, axis=1).max() < 0.05 * np.ptp(a.T_world_cam[:, :3, 3], axis=0).max()


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (lambda p: [p / "gone"], 2, "no such folder"),
        (lambda p: [p], 2, "holds no map"),
        (lambda p: [saved(walk(FRAMES[0]), p / "m.vgslam")], 2, "two maps"),
        (lambda p: [saved(walk(FRAMES[0]), p / "a"), saved(walk(FRAMES[1]), p / "b"), "--jobs", 0], 2, "at least 1"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, capsys, make, code: int, says: str) -> None:
    assert call("merge", *make(tmp_path), "--out", tmp_path / "out") == code
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path, capsys) -> None:
    maps = [saved(walk(S), tmp_path / f"m{i}") for i, S in enumerate(FRAMES)]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    assert call("merge", *maps, "--out", tmp_path / "out") == 3
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine"]
    assert "not empty" in capsys.readouterr().err
