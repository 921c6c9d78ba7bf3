"""`vgslam fleet map` and `localize`, as a person calls them."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from vgslam.commands.fleet_options import args_of, common_args
from vgslam.errors import ConfigError, InputError, OutputError
from vgslam.fleet.items import Item
from vgslam.fleet.task import Ending, TaskResult
from vgslam.store.map_folder import check_map

OPTIONS = "--run-options=--network none --max-frames 24 --no-refine"


def call(*words: object) -> int:
    from vgslam.cli import main

    return main([str(w) for w in ("fleet", *words)])


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def mapped(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a fleet with one map and a recording that is missing; do not write into it."""
    folder = tmp_path_factory.mktemp("fleet")
    code = call("map", demo_folder, folder / "missing.mp4", "--out", folder / "out", OPTIONS, "--jobs", 2)
    assert code == 1
    return folder / "out"


def test_a_recording_is_mapped_and_a_missing_one_is_named(mapped: Path, demo_folder: Path) -> None:
    done, missing = rows(mapped)
    assert (done["ending"], done["coverage"], done["frames"]) == ("done", "1.0000", "24")
    assert missing["ending"] == "failed"
    assert "missing.mp4" in missing["error"]
    assert check_map(mapped / done["results"] / "map.vgslam").problems == []
    page = (mapped / "index.html").read_text()
    assert "data:image/jpeg" in page
    assert "missing.mp4" in page


def test_the_poses_have_status_and_covariance(mapped: Path) -> None:
    folder = mapped / rows(mapped)[0]["results"]
    table = pq.read_table(folder / "poses.parquet")
    written = np.loadtxt(folder / "trajectory.tum")
    assert table.num_rows == 24
    assert set(table["status"].to_pylist()) == {"TRACKED"}
    poses = np.column_stack([table[n].to_numpy() for n in ("tx", "ty", "tz", "qx", "qy", "qz", "qw")])
    np.testing.assert_allclose(poses[:, :3], written[:, 1:4], atol=1e-9)
    np.testing.assert_allclose(np.abs((poses[:, 3:] * written[:, 4:]).sum(1)), 1.0, atol=1e-9)
    P = np.array(table["covariance"].to_pylist()[-1]).reshape(6, 6)
    np.testing.assert_allclose(P, P.T, rtol=1e-6, atol=1e-15)
    assert np.linalg.eigvalsh(P).min() > 0
    assert table.schema.metadata[b"unit"] == b"map unit"


def test_what_is_done_is_not_done_again_whatever_its_name(
    mapped: Path, demo_folder: Path, tmp_path: Path, capsys
) -> None:
    out = Path(shutil.copytree(mapped, tmp_path / "out"))
    copy = Path(shutil.copytree(demo_folder, tmp_path / "renamed"))
    before = sorted(p.name for p in (out / ".starts").iterdir())
    assert call("map", copy, "--out", out, OPTIONS) == 0
    assert "1 were there already" in capsys.readouterr().out
    assert rows(out)[0]["was_there"] == "1"
    assert sorted(p.name for p in (out / ".starts").iterdir()) == before


def test_localizing_finds_the_camera_and_gives_up_when_it_is_lost_too_long(
    mapped: Path, demo_folder: Path, tmp_path: Path
) -> None:
    """The second recording shows the place in 10 frames and then nothing."""
    slam_map = mapped  # the folder of a fleet with one map
    dark = Path(shutil.copytree(demo_folder, tmp_path / "dark"))
    images = sorted((dark / "images").iterdir())
    import cv2

    for image in images[10:]:
        cv2.imwrite(str(image), np.zeros_like(cv2.imread(str(image))))
    words = ["--map", slam_map, "--out", tmp_path / "out", OPTIONS, "--max-lost-frames", 5]
    assert call("localize", demo_folder, dark, *words) == 0
    good, lost = rows(tmp_path / "out")
    assert (good["ending"], good["coverage"]) == ("done", "1.0000")
    assert (lost["ending"], lost["frames"]) == ("lost", "16")
    assert 0 < int(lost["poses"]) <= 10
    assert "more than 5 frames" in lost["error"]
    table = pq.read_table(tmp_path / "out" / lost["results"] / "poses.parquet")
    assert table["tx"].null_count == 16 - int(lost["poses"])
    assert not (tmp_path / "out" / lost["results"] / "map.vgslam").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["map", "nothing.mp4"], "none of 1 recordings"),
        (["map", "x", "--address", "h:1"], "--engine ray"),
        (["map", "x", "--engine", "ray", "--address", "auto"], "none of|HOST:PORT"),
        (["map", "x", "--memory", "lots"], "amount of memory"),
        (["map", "x", "--timeout-factor", "0"], "positive"),
        (["map", "x", "--max-lost-frames", "0"], "at least 1"),
        (["map", "x", "--run-options=--out elsewhere"], "--out cannot be given"),
        (["map", "x", "--run-options=--poses tcp:0.0.0.0:1"], "--poses cannot be given"),
        (["map", "x", "--run-options=--adapt background"], "clock"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words: list[str], says: str, tmp_path: Path, capsys) -> None:
    import re

    assert call(*words, "--out", tmp_path / "out") == 2
    err = capsys.readouterr().err
    assert re.search(says, err)
    assert "Traceback" not in err


def test_a_map_that_is_none_is_exit_code_9(tmp_path: Path) -> None:
    assert call("localize", "x", "--map", tmp_path, "--out", tmp_path / "out") == 9


def test_options_of_a_recording_have_their_types_and_files_are_there(tmp_path: Path) -> None:
    common = common_args("--network none", None)
    (tmp_path / "mask.png").touch()
    (tmp_path / "gps.csv").touch()
    given = {"mask": "mask.png", "max_frames": "60", "fov_deg": "70", "no_refine": "yes"}
    given["scale_from"] = "positions:gps.csv=0.1"
    args = args_of(Item("/a.mp4", "a", given, tmp_path), common, False)
    assert (args.mask, args.max_frames, args.fov_deg, args.no_refine) == (tmp_path / "mask.png", 60, 70.0, True)
    assert args.scale_from == f"positions:{tmp_path}/gps.csv=0.1"
    assert args.network == "none"
    (tmp_path / "rig.yaml").touch()
    args = args_of(Item("/a.mp4", "a", {"calib": "rig.yaml#cam1"}, tmp_path), common, False)
    assert args.calib == tmp_path / "rig.yaml#cam1"
    for options, kind, says in (
        ({"calib": "no.yaml#cam1"}, InputError, "no such file"),
        ({"calib": "c.yaml"}, InputError, "c.yaml: no such file"),
        ({"max_frames": "many"}, ConfigError, "max_frames: expected int"),
        ({"no_refine": "perhaps"}, ConfigError, "no_refine: expected bool"),
        ({"stride": "0"}, ConfigError, "stride"),
        ({"scale_from": "positions:no.csv"}, InputError, "no.csv: no such file"),
    ):
        with pytest.raises(kind, match=says):
            args_of(Item("/a.mp4", "a", options, tmp_path), common, False)
    with pytest.raises(ConfigError, match="--localize"):
        args_of(Item("/a.mp4", "a", {"scale_from": "aruco:DICT_4X4_50:0.1"}, tmp_path), common, True)


@pytest.mark.parametrize(("n_failing", "code"), [(2, 0), (99, 3)])
def test_a_disk_that_is_full_for_a_while_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, n_failing: int, code: int
) -> None:
    """The summary is written after each of three recordings and at the end."""
    from vgslam.commands import fleet

    for name in "abc":
        (tmp_path / f"{name}.mp4").write_text(name)
    written = []

    def write(*_: object) -> None:
        written.append(1)
        if len(written) <= n_failing:
            raise OutputError("summary.csv: cannot be written (No space left on device)")

    class Done:
        def run(self, tasks):
            yield from (TaskResult(t.key, Ending.DONE, results="results/x") for t in tasks)

    monkeypatch.setattr(fleet, "write_summary", write)
    monkeypatch.setattr(fleet, "WRITE_EVERY_S", 0.0)
    monkeypatch.setattr(fleet, "open_engine", lambda *_: Done())
    assert call("map", tmp_path, "--out", tmp_path.parent / f"out{n_failing}", OPTIONS) == code
    assert len(written) == 4
    assert ("No space left" in capsys.readouterr().err) == bool(code)
